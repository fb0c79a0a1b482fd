# SPDX-License-Identifier: Apache-2.0
# holdfast, holdfast-strict: a store in a file; holdfast-server, holdfast-server-strict: through a server.
# shellcheck shell=bash
case $name in
*-strict) durability="every close waits for the medium" ;;
*) durability="relaxed" ;;
esac

case $name in
holdfast-server*)
    mounts=2
    # Who measures is an admin: the server tells nobody else how many transactions it made.
    store() { echo "holdfast://127.0.0.1:$(port)?cert=$state/${1:-admin}.pem"; }
    about() { echo "through a server on loopback (TLS 1.3), $durability"; }
    ;;
*) about() { echo "a store in a file, $durability" ; } ;;
esac

missing() { [ -x "$holdfast" ] || echo "build it first: $holdfast"; }

start() {
    local relaxed=--relaxed host
    case $name in holdfast-server*) ;; *) return ;; esac
    [[ $name = *-strict ]] && relaxed=
    "$holdfast" cert init --dir "$state/pki" >"$state/pki.log"
    for host in host-1:agent host-2:agent admin:admin; do
        "$holdfast" cert issue "${host%:*}" --role "${host#*:}" --dir "$state/pki" -o "$state/${host%:*}.pem" >>"$state/pki.log"
    done
    # shellcheck disable=SC2086
    daemon server "$holdfast" serve --store "sqlite:$data/store.db" --listen 127.0.0.1:0 --pki "$state/pki" \
        --max-host-connections 80 $relaxed
    await 30 port >/dev/null || { cat "$state/server.log" >&2; return 1; }
}

# The server says in its first line where it listens.
port() {
    grep -om1 '127\.0\.0\.1:[0-9]*' "$state/server.log" | cut -d: -f2
}

attach() {
    local options=() store=sqlite:$data/store.db
    case $name in
    holdfast-server*) store=$(store "host-$1") ;;
    *-strict) options=(-o strict) ;;
    esac
    daemon "mount-$1" env "XDG_DATA_HOME=$state/host-$1" "$holdfast" mount -f --store "$store" "${options[@]}" "$2"
    await_mount "mount-$1" "$2"
}

detach() {
    "$holdfast" umount "$2" >>"$state/mount-$1.log" 2>&1 || unmount "$2"
    ended "mount-$1"
}
