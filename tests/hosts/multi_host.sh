#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# multi_host.sh HOLDFAST SOURCES: types the commands of docs/ops/multi-host.md as they are written there, each on the
# machine that its prompt names. The machines are namespaces joined by a bridge, with an /etc/holdfast, a /var/lib and
# a home directory each; scp is the one thing that is played.
set -euo pipefail

program=$1
sources=$2

skip() {
    echo "skipped: $*"
    exit 77
}

[ "$(id -u)" -eq 0 ] || skip "machines of one's own need root"
[ -w /dev/fuse ] || skip "/dev/fuse cannot be opened"
command -v ip >/dev/null || skip "iproute2 is not installed"

# Everything below happens in namespaces that end with this script, with every process in them.
if [ "${HOLDFAST_INSIDE:-}" != 1 ]; then
    HOLDFAST_INSIDE=1 exec unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc "$0" "$@"
fi

scratch=$(mktemp -d)
machines=(hub alpha beta)
declare -A sleeper
made=()
trap 'rm -rf "$scratch"; [ ${#made[@]} -eq 0 ] || rmdir "${made[@]}"' EXIT

fail() {
    echo "failed: $*"
    cat "$scratch"/*.log 2>/dev/null
    exit 1
}

# on MACHINE COMMAND: types a command there.
on() {
    nsenter --target "${sleeper[$1]}" --net --mount --uts env -i HOME=/root PATH="$scratch/bin:$PATH" \
        HOLDFAST_MACHINE="$1" bash -c "cd && $2"
}

mkdir "$scratch/bin"
ln -s "$program" "$scratch/bin/holdfast"
cat >"$scratch/bin/scp" <<EOF
#!/bin/sh
install -D -m 0600 "\$1" "$scratch/machines/\${2%%:*}\${2#*:}"
EOF
chmod +x "$scratch/bin/scp"

ip link set lo up
ip link add bridge type bridge
ip link set bridge up
printf '127.0.0.1 localhost\n10.77.1.1 hub\n10.77.1.2 alpha\n10.77.1.3 beta\n' >"$scratch/hosts"
# Places to mount on.
for directory in /etc/holdfast /var/lib/holdfast; do
    [ -d "$directory" ] && continue
    mkdir "$directory"
    made+=("$directory")
done
number=0
for machine in "${machines[@]}"; do
    number=$((number + 1))
    own=$scratch/machines/$machine
    mkdir -p "$own/etc/holdfast" "$own/var/lib/holdfast" "$own/root"
    unshare --net --mount --uts --propagation private sleep infinity &
    sleeper[$machine]=$!
    until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
        [ "$(cat "/proc/$!/comm")" = sleep ]; do :; done
    ip link add "v$machine" type veth peer name eth0 netns "$!"
    ip link set "v$machine" master bridge up
    nsenter --target "$!" --net --mount --uts bash -euc "
        hostname $machine
        ip link set lo up
        ip address add 10.77.1.$number/24 dev eth0
        ip link set eth0 up
        mount --bind $own/etc/holdfast /etc/holdfast
        mount --bind $own/var/lib/holdfast /var/lib/holdfast
        mount --bind $own/root /root
        mount --bind $scratch/hosts /etc/hosts"
done

# answers: the server takes connections.
answers() {
    on alpha 'exec 3<>/dev/tcp/hub/7420' 2>/dev/null
}

# The ten commands, up to the first heading after them.
sed -n '/^## /q; s/^    \(hub\|alpha\|beta\)\$ /\1 /p' "$sources/docs/ops/multi-host.md" >"$scratch/commands"
[ "$(wc -l <"$scratch/commands")" -eq 10 ] || fail "the page does not have ten commands"
while read -r machine command <&4; do
    echo "$machine\$ $command"
    case $command in
    *'&')
        on "$machine" "${command%&}" >"$scratch/serve.log" 2>&1 &
        for _ in $(seq 1000); do
            answers && break
            sleep 0.02
        done
        answers || fail 'the server does not answer'
        ;;
    *)
        on "$machine" "$command" >"$scratch/out" 2>"$scratch/err.log" || fail "$command: $(cat "$scratch/err.log")"
        sed 's/^/    /' "$scratch/out"
        ;;
    esac
done 4<"$scratch/commands"
[ "$(cat "$scratch/out")" = "$(printf 'one\ntwo')" ] || fail "beta did not see what alpha wrote: $(cat "$scratch/out")"
[ "$(on alpha 'cat ~/.copilot/session-state/demo/notes')" = "$(printf 'one\ntwo')" ] || fail 'alpha does not see it'

# Who has a session: the command of that chapter.
command=$(sed -n '/^## Who/,$ { s/^    hub\$ //p }' "$sources/docs/ops/multi-host.md")
on hub "$command" >"$scratch/out" || fail "$command"
grep -q '^demo *held *beta:' "$scratch/out" || fail "the list of leases is: $(cat "$scratch/out")"
on alpha 'holdfast umount'
on beta 'holdfast umount'
