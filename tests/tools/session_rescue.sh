#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Work that lost its lease: it is listed, shown, kept as a version or as a session, and dropped.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

rescues() {
    "$holdfast" session rescue list --json | jq length
}

# lose TEXT: writes a line to work's plan, and takes the lease away before it is committed. The writer keeps the file
# open, so that the commit comes only after a second: where that was faster, once more.
lose() {
    count=$(rescues)
    [ -p "$scratch/gate" ] || mkfifo "$scratch/gate"
    for _ in 1 2 3 4 5; do
        # shellcheck disable=SC2016 # that is for the other shell
        sh -c 'exec >>"$1"; echo "$2"; read -r line <"$3"' \
            sh "$scratch/mnt/work/plan.md" "$1" "$scratch/gate" 2>"$scratch/writer" &
        until_true 'the line is written' grep -q "$1" "$scratch/mnt/work/plan.md"
        token=$("$holdfast" lease show --json work | jq .token)
        "$holdfast" lease break --token "$token" --reason 'a test' work >"$scratch/broken" 2>&1
        echo go >"$scratch/gate"
        wait $!
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ "$(rescues)" -gt "$count" ] && return
            sleep 0.05
        done
    done
    fail 'no work was rescued'
    exit 1
}

scenario() {
    mount_it
    mkdir "$scratch/mnt/work"
    event 'this is work' >"$scratch/mnt/work/events.jsonl"
    echo 'the plan' >"$scratch/mnt/work/plan.md"
    run 0 session rescue list
    [ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'a new session has rescue versions'

    lose 'line one'
    run 0 session rescue list work
    out ' work '
    run 0 session rescue list --json
    json '.[-1].session == "work" and .[-1].reason != null and .[-1].version >= 1'
    id=$(jq '.[-1].id' "$scratch/out")
    run 0 session rescue show "$id"
    out '^ plan.md  *| [12] +'
    run 0 session rescue show -p "#$id"
    out '^+line one$'
    run 0 session rescue keep -n "$id"
    out 'would be kept as version'
    run 73 session rescue keep "$id" --as work
    run 0 session rescue keep "$id"
    out "^Rescue version $id of session work is kept as version"
    grep -q 'line one' "$scratch/mnt/work/plan.md" || fail 'the mount does not show what was kept'
    run 66 session rescue show "$id"
    run 0 session diff work
    out '^ plan.md '

    lose 'line two'
    run 0 session rescue list --json
    id=$(jq '.[-1].id' "$scratch/out")
    run 0 session rescue keep "$id" --as other
    grep -q 'line two' "$scratch/mnt/other/plan.md" || fail 'what was kept is no session'

    lose 'line three'
    run 0 session rescue list --json
    id=$(jq '.[-1].id' "$scratch/out")
    count=$(rescues)
    run 0 session rescue drop -n "$id"
    [ "$(rescues)" -eq "$count" ] || fail 'a dry run dropped something'
    run 0 session rescue drop --json "$id"
    json ".id == $id and .session == \"work\""
    [ "$(rescues)" -eq $((count - 1)) ] || fail 'it is not dropped'
    run 66 session rescue drop "$id"
    run 64 session rescue drop
    run 64 session rescue drop x
    run 64 session rescue frob
    run 66 session rescue list nobody
    unmount_it
}

on_both rescue
finish
