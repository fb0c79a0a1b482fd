#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The events of sessions that are mounted: as they come, as they are checked and mended.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

# entry ID TYPE TIME: an event as the agent writes it.
entry() {
    printf '{"type":"%s","data":{"content":"said in %s"},"id":"%s","timestamp":"%s"}\n' "$2" "$1" "$1" "$3"
}

# ids FILE: of the events that were printed, each followed by a blank.
ids() {
    jq -r .id "$1" | tr '\n' ' '
}
# ids_are WANTED FILE
ids_are() {
    [ "$(ids "$2")" = "$1" ]
}

see_events() {
    work=$scratch/mnt/work
    mkdir "$work" "$scratch/mnt/bare"
    echo 'id: work' >"$work/workspace.yaml"
    {
        entry e1 session.start 2026-01-01T10:00:00.000Z
        entry e2 user.message 2026-01-02T10:00:00.500Z
    } >"$work/events.jsonl"
    entry e3 tool.execution_start 2026-01-03T10:00:00.000Z >>"$work/events.jsonl"

    run 0 session events work
    out '^2026-01-02T10:00:00.500Z  user.message  said in e2$'
    [ "$(wc -l <"$scratch/out")" -eq 3 ] || fail 'not three events'
    run 0 session events --json work
    cmp -s "$scratch/out" "$work/events.jsonl" || fail 'events --json is not what the log says'
    run 0 session events --json --type user.message --type 'tool.*' work
    ids_are 'e2 e3 ' "$scratch/out" || fail "events of two types: $(ids "$scratch/out")"
    run 0 session events --json --since 2026-01-02T10:00:00Z work
    ids_are 'e2 e3 ' "$scratch/out" || fail "events since a time: $(ids "$scratch/out")"
    run 0 session events --json --since 1w work
    [ -s "$scratch/out" ] && fail 'events of another year are printed'
    run 66 session events bare
    run 64 session events .
    run 64 session events --follow work@1
}

# Each event comes once, in order, whatever becomes of the log.
follow_events() {
    "$holdfast" session events --follow --json work >"$scratch/followed" 2>"$scratch/followed.err" &
    follower=$!
    until_true 'the events so far are followed' ids_are 'e1 e2 e3 ' "$scratch/followed"
    before=$("$holdfast" session show --json work | jq .version)
    entry e4 user.message 2026-01-04T10:00:00.000Z >>"$work/events.jsonl"
    until_true 'an event is followed' ids_are 'e1 e2 e3 e4 ' "$scratch/followed"
    # Half a line is no event yet.
    entry e5 user.message 2026-01-05T10:00:00.000Z >"$scratch/line"
    head -c 30 "$scratch/line" >>"$work/events.jsonl"
    tail -c +31 "$scratch/line" >>"$work/events.jsonl"
    until_true 'an event in two parts is followed' ids_are 'e1 e2 e3 e4 e5 ' "$scratch/followed"
    # Many at once: the log outgrows its inode, and then one node.
    {
        for i in $(seq 6 3000); do
            entry "e$i" assistant.message 2026-01-06T10:00:00.000Z
        done
    } >>"$work/events.jsonl"
    until_true 'many events are followed' sh -c "[ \$(wc -l <'$scratch/followed') -ge 3000 ]"
    # Written anew with something more, and without something; and gone, and back.
    { grep -v '"id":"e2"' "$work/events.jsonl"; entry n1 user.message 2026-01-07T10:00:00.000Z; } >"$scratch/new"
    cp "$scratch/new" "$work/events.jsonl"
    until_true 'a rewritten log is followed' sh -c "tail -n 1 '$scratch/followed' | grep -q '\"n1\"'"
    rm "$work/events.jsonl"
    entry n2 user.message 2026-01-08T10:00:00.000Z >"$work/events.jsonl"
    until_true 'a new log is followed' sh -c "tail -n 1 '$scratch/followed' | grep -q '\"n2\"'"
    kill "$follower"
    wait "$follower" 2>/dev/null
    [ "$(ids "$scratch/followed")" = "$(seq 3000 | sed 's/^/e/' | tr '\n' ' ')n1 n2 " ] ||
        fail 'events came in another order, or twice, or not'
    [ -s "$scratch/followed.err" ] && fail "following says: $(cat "$scratch/followed.err")"
    run 0 session events --json "work@$before"
    ids_are 'e1 e2 e3 ' "$scratch/out" || fail 'the events of an old version'
}

check_events() {
    run 0 session check work
    out '^The log of work@[0-9]* is sound: 1 events\.$'
    {
        entry a user.message 2026-01-01T00:00:00.000Z
        printf '\0\0\0\0\0\0'
        entry b user.message 2026-01-01T00:00:01.000Z
        entry b user.message 2026-01-01T00:00:01.000Z
        entry c user.message 2026-01-01T00:00:02.000Z | tr -d '\n'
        entry d user.message 2026-01-01T00:00:03.000Z
        printf '{"type":"user.mess\n'
        printf '{"type":"user.message","id":"\377"}\n'
        seq 20000 | sed 's/.*/{"type":"t","id":"f&"}/'
        entry e user.message 2026-01-01T00:00:04.000Z | tr -d '\n'
    } >"$work/events.jsonl"
    cp "$work/events.jsonl" "$scratch/damaged"
    damaged=$("$holdfast" session show --json work | jq .version)
    run 0 session events --json --type 'user.*' work
    err "holdfast: 2 damaged places were left out; 'holdfast session check work' tells of them"
    run 65 session check work
    out '^ *LINE  *OFFSET  *BYTES  DAMAGE '
    out '^ *2  *[0-9]*  *6  NUL bytes  *cut out'
    out '^ *3 .* duplicate of line 2  *cut out'
    run 65 session check --json work
    json '[.findings[].damage] == ["nuls", "duplicate", "joined", "torn", "utf8", "unended"]'
    json '.repaired == null and .events == 20006'
    json ".findings[0] | .line == 2 and .bytes == 6 and .offset == $(head -n 1 "$scratch/damaged" | wc -c)"
    run 65 session check --repair --dry-run work
    [ "$("$holdfast" session show --json work | jq .version)" -eq "$damaged" ] || fail 'a dry run made a version'

    # A session that is in use is not touched.
    exec 9>>"$work/events.jsonl"
    run 75 session check --repair work
    exec 9>&-
    run 0 session check --repair --wait 10s work
    out "^It is repaired in version [0-9]*; version $damaged stays as it is\.\$"
    run 0 session check --repair work
    out 'is sound: 20006 events'
    "$holdfast" session cat "work@$damaged:events.jsonl" | cmp - "$scratch/damaged" || fail 'the damaged version changed'
    # It is what the events are, each on its line.
    {
        entry a user.message 2026-01-01T00:00:00.000Z
        entry b user.message 2026-01-01T00:00:01.000Z
        entry c user.message 2026-01-01T00:00:02.000Z
        entry d user.message 2026-01-01T00:00:03.000Z
        printf '{"type":"user.message","id":"\357\277\275"}\n'
        seq 20000 | sed 's/.*/{"type":"t","id":"f&"}/'
        entry e user.message 2026-01-01T00:00:04.000Z
    } >"$scratch/mended"
    "$holdfast" session cat work:events.jsonl | cmp - "$scratch/mended" || fail 'what was mended differs'
    cmp "$work/events.jsonl" "$scratch/mended" || fail 'the mount shows something else'
    grep -q '^id: work$' "$work/workspace.yaml" || fail 'another file changed'
    run 65 session check "work@$damaged"
    run 64 session check --repair "work@$damaged"
    run 66 session check bare
}

# A fork of what a mount has, which sees it at once and goes its own way with it.
fork_events() {
    run 0 session fork work forked
    grep -q '^id: forked$' "$scratch/mnt/forked/workspace.yaml" || fail 'a fork does not name itself'
    cmp "$work/events.jsonl" "$scratch/mnt/forked/events.jsonl" || fail 'the events of a fork'
    entry only user.message 2026-01-01T00:00:05.000Z >>"$scratch/mnt/forked/events.jsonl"
    run 0 session events --json --type user.message forked
    ids_are 'a b c d � e only ' "$scratch/out" || fail "the events of a fork: $(ids "$scratch/out")"
    cmp "$work/events.jsonl" "$scratch/mended" || fail 'what was added to a fork is in the session'
}

scenario() {
    mount_it
    see_events
    follow_events
    check_events
    fork_events
    unmount_it
    run 0 fsck
}

on_both events
finish
