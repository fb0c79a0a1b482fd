# SPDX-License-Identifier: Apache-2.0
# An sshd of its own, with keys of its own.
# shellcheck shell=bash
mounts=2

about() { echo "sshfs $(sshfs --version 2>/dev/null | sed -n 's/^SSHFS version //p'), default options, to an sshd on loopback"; }
missing() { lacks sshfs sshd ssh-keygen sftp; }

start() {
    local port
    port=$(free_port)
    echo "$port" >"$state/port"
    mkdir -p /run/sshd # where sshd changes its root to; it insists
    ssh-keygen -q -t ed25519 -N '' -f "$state/host"
    ssh-keygen -q -t ed25519 -N '' -f "$state/user"
    cat >"$state/sshd_config" <<END
Port $port
ListenAddress 127.0.0.1
HostKey $state/host
AuthorizedKeysFile $state/user.pub
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
Subsystem sftp internal-sftp
END
    daemon sshd "$(command -v sshd)" -D -e -f "$state/sshd_config"
    await 20 listens "$port"
}

attach() {
    local port
    port=$(cat "$state/port")
    daemon "mount-$1" sshfs -f -p "$port" -o "IdentityFile=$state/user,StrictHostKeyChecking=no" \
        -o "UserKnownHostsFile=$state/known,BatchMode=yes" -F /dev/null "$(id -un)@127.0.0.1:$data" "$2"
    await_mount "mount-$1" "$2"
}
