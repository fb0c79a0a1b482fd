# SPDX-License-Identifier: Apache-2.0
# For tests of commands beside mounts, on an embedded store and on a server's. Read after lib.sh.
# shellcheck shell=sh disable=SC2154

server=
daemon=
stop_live() {
    [ -n "$daemon" ] && kill -KILL "$daemon" 2>/dev/null
    fusermount3 -uzq "$scratch/mnt" 2>/dev/null
    [ -n "$server" ] && kill -KILL "$server" 2>/dev/null
    rm -rf "$scratch"
}
trap stop_live EXIT

need_fuse() {
    if ! { : <>/dev/fuse; } 2>/dev/null || ! command -v fusermount3 >/dev/null; then
        echo '/dev/fuse cannot be opened, or fusermount3 is not installed: skipped'
        exit 77
    fi
}

# until_true WHAT COMMAND...: waits for a condition, at most some seconds.
until_true() {
    what=$1
    shift
    for _ in $(seq 500); do
        "$@" && return
        sleep 0.02
    done
    fail "$what did not come about"
    return 1
}

# embedded NAME: the commands that follow use a new embedded store.
embedded() {
    export HOLDFAST_STORE="sqlite:$scratch/$1.db"
}

# served NAME OPTION...: starts a server over a new store, and the commands that follow use it as an admin.
served() {
    name=$1
    shift
    [ -d "$scratch/pki" ] || run 0 cert init --dir "$scratch/pki" --name localhost
    run 0 cert issue "$name" --role admin --dir "$scratch/pki" -o "$scratch/$name.pem"
    "$holdfast" serve --store "sqlite:$scratch/$name.db" --listen 127.0.0.1:0 --pki "$scratch/pki" "$@" \
        2>"$scratch/$name.log" &
    server=$!
    until_true 'the server answers' grep -q 'serving .* on 127.0.0.1:' "$scratch/$name.log" || exit 1
    port=$(sed -n 's/.* on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/$name.log" | head -n 1)
    export HOLDFAST_CERT="$scratch/$name.pem"
    export HOLDFAST_STORE="holdfast://localhost:$port"
}

end_server() {
    kill "$server"
    wait "$server" || fail 'the server ended badly'
    server=
}

# mount_it: mounts on $scratch/mnt, in a process whose number we know.
mount_it() {
    mkdir -p "$scratch/mnt"
    "$holdfast" mount --foreground "$scratch/mnt" 2>"$scratch/mount.log" &
    daemon=$!
    until_true 'the mount answers' mountpoint -q "$scratch/mnt" || exit 1
    ls "$scratch/mnt" >"$scratch/ls" || fail "the mount does not answer: $(cat "$scratch/mount.log")"
}

unmount_it() {
    run 0 umount "$scratch/mnt"
    wait "$daemon" || fail "the mount ended badly: $(cat "$scratch/mount.log")"
    daemon=
}

# on_both NAME: runs scenario() on an embedded store, and on a server's.
on_both() {
    embedded "$1-embedded"
    scenario
    served "$1-served"
    scenario
    end_server
}

# event TEXT: one event as the agent writes it.
event() {
    printf '{"type":"user.message","timestamp":"2026-01-31T10:00:00.000Z","data":{"content":"%s"}}\n' "$1"
}
