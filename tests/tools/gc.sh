#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gc: what it removes, what it leaves, what it says; of an embedded store and of a server's.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

file=sqlite:$scratch/store.db
state=$scratch/session-state

run 66 gc --store "$file"
run 64 gc --store "$file" --percent 0
run 64 gc --store "$file" --percent 101

# once URL: a session of a MiB goes, and what another one shares with it stays.
once() {
    url=$1
    rm -f "$scratch"/store.db*
    rm -rf "$state"*
    mkdir -p "$state/alpha" "$state/bravo"
    head -c 1000000 /dev/urandom >"$state/alpha/own"
    head -c 100000 /dev/urandom >"$state/alpha/shared"
    cp "$state/alpha/shared" "$state/bravo/shared"
    cp "$state/alpha/shared" "$scratch/shared"
    run 0 adopt --store "$file" "$state"
    [ "$url" = "$file" ] || serve
    export HOLDFAST_STORE="$url"

    run 0 gc
    out '^Nothing to remove; [0-9]* stay'
    run 0 session delete alpha
    printf 'trash:\n  - keep: 1s\n' | "$holdfast" retention set - || fail 'the policy is not set'
    sleep 1.1
    run 0 retention apply
    out '^ *1  trashed session '

    before=$("$holdfast" stats --json | jq .objects)
    run 0 gc --dry-run
    out '^Would remove [0-9]* objects, [0-9.]* KiB as packed; [0-9]* stay'
    [ "$("$holdfast" stats --json | jq .objects)" = "$before" ] || fail 'a dry run removes objects'
    run 0 gc --json
    json '.removed > 10 and .removed_bytes > 900000 and .freed_bytes > 500000 and .dry_run == false'
    run 0 gc --percent 50
    out '^Nothing to remove'
    run 0 session cat bravo:shared
    cmp -s "$scratch/out" "$scratch/shared" || fail 'a file has changed'
    run 0 fsck
    out ' is sound: '
}

serve() {
    "$holdfast" serve --store "$file" --listen "127.0.0.1:$port" --pki "$scratch/pki" 2>"$scratch/serve.log" &
    server=$!
    trap 'kill $server 2>/dev/null; rm -rf "$scratch"' EXIT
    for _ in $(seq 400); do
        grep -q ' on 127.0.0.1:' "$scratch/serve.log" && return
        sleep 0.05
    done
    fail "the server does not start: $(cat "$scratch/serve.log")"
}

once "$file"

run 0 cert init --dir "$scratch/pki" --name localhost
run 0 cert issue admin --role admin --dir "$scratch/pki" -o "$scratch/admin.pem"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
once "holdfast://localhost:$port?cert=$scratch/admin.pem"
kill "$server"
wait "$server" || fail 'the server did not end as it should'
finish
