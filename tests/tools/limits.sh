#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A mount whose store has limits: what a program sees, what becomes of its work; and a mount that looks after its
# store by itself. Needs FUSE.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

if ! { : <>/dev/fuse; } 2>/dev/null || ! command -v fusermount3 >/dev/null; then
    echo '/dev/fuse cannot be opened, or fusermount3 is not installed: skipped'
    exit 77
fi

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state
daemon=
clean_up() {
    [ -n "$daemon" ] && kill -KILL "$daemon" 2>/dev/null
    fusermount3 -uzq "$state" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT

"$holdfast" mount --foreground -o maintenance=1s "$state" 2>"$scratch/log" &
daemon=$!
for _ in $(seq 500); do
    mountpoint -q "$state" && ls "$state" >/dev/null && break
    sleep 0.02
done

# soon PATTERN: the mount's log has it before long.
soon() {
    for _ in $(seq 200); do
        grep -q -e "$1" "$scratch/log" && return
        sleep 0.1
    done
    fail "the log has no '$1': $(cat "$scratch/log")"
}

# The session's files may have 100 KiB together.
mkdir "$state/alpha"
head -c 60000 /dev/urandom >"$state/alpha/one"
printf 'limits:\n  - {sessions: "al*", size: 100K}\nhistory:\n  - last: 1\n' | "$holdfast" retention set - || fail set
head -c 60000 /dev/urandom >"$scratch/two"
cp "$scratch/two" "$state/alpha/two" 2>"$scratch/err" && fail 'more than the limit was taken'
err 'quota'
soon 'session alpha cannot be committed now.*more than the 0.1 MiB.*al\*'

# Nothing is lost: it is there, and comes to the store as soon as it may. Removing helps at once.
cmp -s "$scratch/two" "$state/alpha/two" || fail 'what was written is not there'
rm "$state/alpha/one"
sync -f "$state/alpha/two" 2>/dev/null
for _ in $(seq 100); do
    "$holdfast" session cat alpha:two >"$scratch/out" 2>/dev/null && break
    sleep 0.1
done
cmp -s "$scratch/out" "$scratch/two" || fail 'what there is room for again is not in the store'

# Meanwhile the mount lets go what the policy does not keep.
soon 'maintenance: [0-9]* version.* went in'
kill -TERM "$daemon"
wait "$daemon" || fail "the mount did not end as it should: $(cat "$scratch/log")"
daemon=
run 0 session log alpha --json
json 'length <= 3'
run 0 fsck
finish
