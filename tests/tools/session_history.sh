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
    run 66 session log work@999
    err "session 'work' has no version 999; the head is "
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

# A file that moved is one change; one that was made anew, with the same content, is two.
see_renames() {
    mkdir "$work/moves"
    echo 'kept and moved' >"$work/moves/old"
    echo 'copied' >"$work/moves/twin"
    before=$(version)
    mv "$work/moves/old" "$work/moves/new"
    cp "$work/moves/twin" "$work/moves/copy"
    rm "$work/moves/twin"
    sync "$work/moves" # commits what is left
    run 0 session diff "work@$before" work
    out '^ moves/old => moves/new  *| renamed$'
    out '^ moves/twin (gone)  *| 1 -$'
    out '^ moves/copy (new)  *| 1 +$'
    run 0 session diff -p "work@$before" work
    out '^rename from moves/old$'
    out '^rename to moves/new$'
    run 0 session diff --json "work@$before" work
    json '[.changes[] | select(.change == "renamed")] == [{"path": "moves/new", "path_before": "moves/old", "change": "renamed", "type": "file", "size_before": 15, "size_after": 15}]'
}

# The mount has the session idle: it gives it up, and shows what was restored at once.
restore_it() {
    run 0 session restore -n "work@$second"
    out '^ plan.md (gone)  *| 1 -$'
    [ "$(version)" = "$third" ] || fail 'a dry run made a version'
    run 0 session restore "work@$second"
    out "as it was at version $second, as version"
    [ -e "$work/plan.md" ] && fail 'the mount shows a file that the restored version lacks'
    [ "$(sed -n 500p "$work/files/numbers")" = 500 ] || fail 'the mount shows other content'
    [ "$(stat -c %a "$work/files/numbers")" = 644 ] || fail 'the mount shows another mode'
    run 0 session diff --exit-code "work@$second" work
    run 0 session show --json work
    json ".branch == \"main\" and .version == $third + 1"
    run 0 session restore --json "work@$second"
    json ".changed == false and .version == $third + 1"
    [ "$(version)" -eq $((third + 1)) ] || fail 'restoring what is there made a version'

    # The session goes on, and what was the head is there still.
    event 'the third prompt' >>"$work/events.jsonl"
    [ "$(wc -l <"$work/events.jsonl")" -eq 3 ] || fail 'the session does not go on'
    echo 'a new file' >"$work/new"
    run 0 session restore "work@$third"
    [ "$(cat "$work/plan.md")" = 'a plan' ] || fail 'the version before is not restored'
    [ -e "$work/new" ] && fail 'a later file is there still'
    [ "$(readlink "$work/files/link")" = numbers ] || fail 'the link is not restored'
    echo 'another file' >"$work/another"
    [ "$(cat "$work/another")" = 'another file' ] || fail 'a new file has another content'

    run 0 session restore work --at 2199-01-01
    run 66 session restore work --at 2001-01-01
    run 64 session restore work
    run 64 session restore "work@1" --at 1h
    run 66 session restore work@99999
    run 65 session restore .@1
}

# In use, it is refused, and nothing changes.
refuse_in_use() {
    before=$(version)
    exec 3>>"$work/events.jsonl"
    event 'in the middle' >&3
    run 75 session restore "work@$first"
    err 'session work is in use on host'
    run 75 session delete work
    run 75 session rename work other
    exec 3>&-
    [ "$(tail -n 1 "$work/events.jsonl" | jq -r .data.content)" = 'in the middle' ] ||
        fail 'the write in between was lost'
    [ "$(version)" -ge "$before" ] || fail 'the version went back'
}

scenario() {
    mount_it
    write_history
    see_log
    see_differences
    restore_it
    refuse_in_use
    see_renames
    unmount_it
}

on_both history
finish
