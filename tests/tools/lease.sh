#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Leases: list, show, hold, wait, break, audit, watch; without a mount.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state
mkdir -p "$state/alpha" "$state/bravo"
echo one >"$state/alpha/events.jsonl"
echo two >"$state/bravo/events.jsonl"
run 0 adopt "$state"

holder=
watcher=
clean_up() {
    [ -n "$holder" ] && kill "$holder" 2>/dev/null
    [ -n "$watcher" ] && kill "$watcher" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT

# until_true WHAT COMMAND...: waits for a condition, at most some seconds.
until_true() {
    what=$1
    shift
    for _ in $(seq 400); do
        "$@" && return
        sleep 0.02
    done
    fail "$what did not come about"
}

# hold SESSION: holds it in the background.
hold() {
    "$holdfast" lease hold --store "$HOLDFAST_STORE" "$1" >"$scratch/held" 2>&1 &
    holder=$!
    until_true "$1 is held" grep -q 'is held' "$scratch/held"
}

run 0 lease list
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'something is held in a new store'
run 0 lease list --json
[ "$(cat "$scratch/out")" = '[]' ] || fail 'an empty list is no JSON array'
run 0 lease show alpha
out '^Lease *free$'
run 0 lease show --json alpha
json '.session == "alpha" and .state == "free" and .holder == null and .waiting == []'
run 66 lease show nothing
run 65 lease show .

"$holdfast" lease watch --json bravo >"$scratch/watched" 2>&1 &
watcher=$!
hold bravo
run 0 lease list
out '^bravo  *held  *.*(pid [0-9]*)'
[ "$(wc -l <"$scratch/out")" -eq 2 ] || fail 'not one session is held'
run 0 lease list 'alp*'
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'the pattern chooses nothing'
run 0 lease show --json bravo
json '.state == "held" and .token > 0 and .holder.alive and (.holder.host | length > 0) and .holder.pid > 0'
token=$(jq .token "$scratch/out")
[ "$(jq .holder.pid "$scratch/out")" = "$holder" ] || fail 'the holder is another process'
run 0 lease show bravo
out "^Token  *$token\$"

# Another one is refused, with a reason, and waits no longer than it was told.
run 75 lease hold --store "$HOLDFAST_STORE" bravo
err "session bravo is in use on host .* holdfast lease hold, pid $holder"
run 75 lease wait --wait 300ms --store "$HOLDFAST_STORE" bravo
run 0 lease wait --store "$HOLDFAST_STORE" alpha
out 'Session alpha is free'
run 0 lease show bravo
out "^Pinned by  *holdfast lease hold, pid $holder\$"

# Without a mount there must be a store.
run 66 lease hold --mount "$scratch" bravo
err 'nothing is mounted'
run 64 run -- true
run 66 run --mount "$scratch" --session bravo -- true

# Breaking needs the token and a reason.
run 64 lease break bravo
run 64 lease break --token "$token" bravo
err 'reason'
run 75 lease break --token $((token + 7)) --reason 'a test' bravo
run 0 lease break --json --token "$token" --reason 'a test' bravo
json ".session == \"bravo\" and .state == \"broken\" and .token == $token and .reason == \"a test\""
run 0 lease show bravo
out '^Lease *free$'
run 0 lease audit bravo
out "grant  *bravo token $token host"
out "refuse .*holdfast lease hold, pid $holder"
out "break  *bravo token $token .*: a test"
run 0 lease audit --json bravo
json "map(select(.event == \"break\")) | length == 1 and .[0].token == $token and .[0].detail == \"a test\""
json 'map(.id) == (map(.id) | sort)'
last=$(jq 'map(.id) | max' "$scratch/out")
run 0 lease audit --from "$last"
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail "from $last on there is not one entry"
kill "$holder"
wait "$holder"
holder=

# The token only grows, and one who waits gets the session when it is let go.
hold bravo
run 0 lease show --json bravo
json ".token > $token"
"$holdfast" lease wait --store "$HOLDFAST_STORE" bravo >"$scratch/waited" 2>&1 &
waiter=$!
until_true 'the waiting host is shown' sh -c \
    "'$holdfast' lease show --json bravo | jq -e '.waiting | length == 1' >'$scratch/jq' 2>&1"
kill "$holder"
wait "$holder" || fail 'holding ended badly'
holder=
wait "$waiter" || fail "the one who waited got nothing: $(cat "$scratch/waited")"

until_true 'the watch sees the break' grep -q '"event":"break"' "$scratch/watched"
kill "$watcher"
wait "$watcher" || fail 'watching ended badly'
watcher=
jq -es 'length >= 3 and (map(.session) | unique == ["bravo"])' "$scratch/watched" >"$scratch/jq" 2>&1 ||
    fail "the watch printed: $(cat "$scratch/watched")"

# top shows what is held
hold alpha
run 0 top --count 1
out '^alpha  *[0-9]* .* held '
out '^Leases  *1 '
run 0 top --count 2 --interval 50ms --json
[ "$(wc -l <"$scratch/out")" -eq 2 ] || fail 'two looks are not two lines'
head -n 1 "$scratch/out" >"$scratch/first" && mv "$scratch/first" "$scratch/out"
json '.leases == 1 and .busy[0].session == "alpha" and .busy[0].lease == "held" and .busy[0].holder != null'

finish
