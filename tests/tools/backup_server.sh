#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# backup and restore where a server keeps one of the stores, or both: long files, many versions, a server that is
# killed in the middle, and a copy that is killed. Needs FUSE.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

versions=${HOLDFAST_TEST_VERSIONS:-2000} # 9000 are more than a frame holds

servers=
stop_servers() {
    for pid in $servers; do
        kill -KILL "$pid" 2>/dev/null
    done
    stop_live
}
trap stop_servers EXIT

# start NAME PORT: serves the store NAME. Leaves $url and $server.
start() {
    "$holdfast" serve --store "sqlite:$scratch/$1.db" --listen "127.0.0.1:$2" --pki "$scratch/pki" --maintenance off \
        2>"$scratch/$1.log" &
    server=$!
    servers="$servers $server"
    until_true "the server of $1" grep -q 'serving .* on 127.0.0.1:' "$scratch/$1.log" || exit 1
    port=$(sed -n 's/.* on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/$1.log" | head -n 1)
    url="holdfast://localhost:$port"
}

# size NAME: bytes of the store's files.
size() {
    cat "$scratch/$1.db" "$scratch/$1.db-wal" 2>/dev/null | wc -c
}
has_grown() {
    [ "$(size "$1")" -gt "$2" ]
}

# list STORE: the versions of each session, in the order of their names.
list() {
    for session in big log; do
        "$holdfast" session log --store "$1" --json "$session" 2>"$scratch/err" |
            jq -c '.[] | [.version, .root, .time, .host, .token, .bytes]' || fail "$1: $(cat "$scratch/err")"
    done
}

# same STORE: it has what the first one had.
same() {
    list "$1" >"$scratch/list"
    cmp "$scratch/list" "$scratch/expected" || fail "$1 does not have the versions of the store"
    "$holdfast" session cat --store "$1" big:data | cmp - "$scratch/content" || fail "$1 does not have the content"
}

run 0 cert init --dir "$scratch/pki" --name localhost
run 0 cert issue admin --role admin --dir "$scratch/pki" -o "$scratch/admin.pem"
run 0 cert issue agent --role agent --sessions log --dir "$scratch/pki" -o "$scratch/agent.pem"
export HOLDFAST_CERT="$scratch/admin.pem"

embedded store
mount_it
mkdir "$scratch/mnt/log" "$scratch/mnt/big"
i=0
while [ $i -lt $((versions / 2)) ]; do
    echo $i >"$scratch/mnt/log/events"
    i=$((i + 1))
done
{
    head -c 5000000 /dev/urandom
    printf 'find-me-again'
    head -c 5000000 /dev/urandom
} >"$scratch/content"
cp "$scratch/content" "$scratch/mnt/big/data"
unmount_it
list "$HOLDFAST_STORE" >"$scratch/expected"
[ "$(wc -l <"$scratch/expected")" -gt "$versions" ] || fail 'the store does not have so many versions'

# From a file to a server, which is killed in the middle and comes back.
start first 0
first=$url
first_port=$port
run 77 backup "$first?cert=$scratch/agent.pem"
err 'admin'
run 0 stats --store "$first" --json
json '.objects == 0'
begun=$(size first)
"$holdfast" backup --json "$first" >"$scratch/out" 2>"$scratch/err" &
copy=$!
until_true 'the copy has begun' has_grown first $((begun + 2500000))
kill -KILL "$server"
wait "$server" 2>/dev/null
start first "$first_port"
wait $copy || fail "the copy did not go on with the server that came back: $(cat "$scratch/err")"
json '.sessions == 2 and .damaged == 0'
all=$(jq .bytes "$scratch/out")
same "$first"
run 0 backup verify --against "$HOLDFAST_STORE" "$first"
out 'is sound'
run 0 backup --json "$first"
json '.changed == 0 and .objects == 0'

# From server to server. The copy is killed, and the next one goes on where it was.
start second 0
second=$url
begun=$(size second)
"$holdfast" backup --store "$first" "$second" >"$scratch/out" 2>"$scratch/err" &
copy=$!
until_true 'the copy has begun' has_grown second $((begun + 2500000))
kill -KILL $copy
wait $copy 2>/dev/null
run 0 backup --store "$first" --json "$second"
json ".damaged == 0 and .bytes < $all"
same "$second"
run 0 backup list "$second"
out '^backup-'

# What a certificate does not show is not gone.
run 77 backup --store "$first?cert=$scratch/agent.pem" "$second"
same "$second"

# From a server back to a file, and to a server that begins with nothing.
run 0 restore --store "sqlite:$scratch/back.db" "$second"
same "sqlite:$scratch/back.db"
run 0 fsck --store "sqlite:$scratch/back.db"
start third 0
run 0 restore --store "$url" "$first"
same "$url"
run 73 restore --store "$url" "$first"
run 0 restore --store "$url" --session log@2 --as before "$second"
run 0 session cat --store "$url" before:events
[ ! -s "$scratch/out" ] || [ "$(cat "$scratch/out")" = 0 ] || fail "version 2 is $(cat "$scratch/out")"

# What a disk forgot comes back from a server.
at=$(grep -abo find-me-again "$scratch/back.db" | head -n 1 | cut -d : -f 1)
[ -n "$at" ] || fail 'the content is not in the store file as it is'
printf F | dd of="$scratch/back.db" bs=1 seek="${at:-0}" conv=notrunc 2>"$scratch/dd" || fail dd
run 65 fsck --store "sqlite:$scratch/back.db"
run 0 fsck --store "sqlite:$scratch/back.db" --repair --from "$second"
out '1 objects are mended'
same "sqlite:$scratch/back.db"
finish
