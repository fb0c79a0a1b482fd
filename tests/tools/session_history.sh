#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The history of sessions that are mounted: what versions changed, what differs, and the way back.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

# version: the latest of session work.
version() {
    "$holdfast" session show --json work | jq .version
}

write_history() {
    work=$scratch/mnt/work
    mkdir "$work" "$work/files"
    printf 'id: work\nbranch: main\n' >"$work/workspace.yaml"
    event 'the first prompt' >"$work/events.jsonl"
    seq 1000 >"$work/files/numbers"
    head -c 5000 /dev/urandom >"$work/files/noise"
    first=$(version)
    event 'the second prompt' >>"$work/events.jsonl"
    second=$(version)
    sed -i -e 's/^500$/five hundred/' -e '/^700$/d' "$work/files/numbers"
    head -c 6000 /dev/urandom >"$work/files/noise"
    printf 'id: work\nbranch: topic\n' >"$work/workspace.yaml"
    chmod 600 "$work/files/numbers"
    ln -s numbers "$work/files/link"
    echo 'a plan' >"$work/plan.md"
    third=$(version)
}

see_log() {
    run 0 session log work
    out "^ *$second .* events.jsonl +[0-9]* B\$"
    out "^ *$third .* plan.md "
    run 0 session log --json --at 2199-01-01 -n 1 work
    json "length == 1 and .[0].version == $third"
    run 0 session log --json "work@$second"
    json ".[0].changes | length == 1 and .[0].path == \"events.jsonl\" and .[0].size_after > .[0].size_before"
}

see_differences() {
    run 0 session diff "work@$first" "@$second"
    out '^ events.jsonl | events +1 -0$'
    out '^ 1 change, 0 lines added, 0 removed; 1 event added, 0 removed$'
    run 0 session diff "work@$second"
    out '^ events.jsonl | events +1 -0$'
    run 0 session diff -p "work@$second"
    out '^+ 2026-01-31T10:00:00.000Z  user.message  the second prompt$'
    run 0 session diff --raw -p "work@$second"
    out '^ {.*the first prompt'
    out '^+{.*the second prompt'
    run 0 session diff "work@$second" work
    out '^ files/numbers  *| 3 +--$'
    out '^ files/noise  *| binary 4.9 KiB -> 5.9 KiB$'
    out '^ files/link (new)  *| 1 +$'
    out '^ plan.md (new)  *| 1 +$'
    run 0 session diff -p "work@$second" work files/numbers
    [ "$(grep -c '^diff' "$scratch/out")" -eq 1 ] || fail 'the path does not choose one file'
    "$holdfast" session cat "work@$second:files/numbers" >"$scratch/numbers"
    (cd "$scratch" && patch -s -p2 numbers) <"$scratch/out" || fail 'the patch does not apply'
    "$holdfast" session cat work:files/numbers | cmp - "$scratch/numbers" || fail 'the patch is wrong'
    run 0 session diff --json -p "work@$first" work
    json '.after.version > .before.version and .before.session == "work"'
    json '[.changes[] | select(.path == "events.jsonl")][0].events[0].data.content == "the second prompt"'
    json '[.changes[] | select(.path == "files/noise")][0].binary'
    json '[.changes[] | select(.path == "files/numbers")][0] | .lines_added == 1 and .lines_removed == 2'
    run 1 session diff --exit-code "work@$first" work
    run 0 session diff --exit-code "work@$first" work@"$first"
    [ -s "$scratch/out" ] && fail 'equal versions differ'
    run 0 session diff work@1
    run 66 session diff work@99999
    run 66 session diff work nothing
    run 64 session diff work @x
}

scenario() {
    mount_it
    write_history
    see_log
    see_differences
    unmount_it
}

on_both history
finish
