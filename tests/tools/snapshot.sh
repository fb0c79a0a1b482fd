#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Snapshots beside a mount: made, compared, restored in place and as copies, deleted.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

# session NAME: makes one through the mount.
session() {
    mkdir "$scratch/mnt/$1"
    event "this is $1" >"$scratch/mnt/$1/events.jsonl"
}

# lines NAME: of a session's log of events, as the mount shows it.
lines() {
    wc -l <"$scratch/mnt/$1/events.jsonl"
}

make_them() {
    run 0 snapshot list --json
    [ "$(cat "$scratch/out")" = '[]' ] || fail 'an empty list is no JSON array'
    run 0 snapshot create first
    out '^Snapshot first pins '
    run 73 snapshot create first
    err 'there is a snapshot first already'
    run 66 snapshot create none --session 'nothing-*'
    run 0 snapshot create --json --session 'a*' --session 'bra*' 'some-%Y-%m-%d%%'
    json ".name == \"some-$(date -u +%Y-%m-%d)%\" and .sessions == 2"
    run 64 snapshot create 'bad-%Q'
    run 65 snapshot create 'bad/name'
    run 0 snapshot list
    out '^first '
    run 0 snapshot list --json 'some-*'
    json 'length == 1 and .[0].sessions == 2'
    run 0 snapshot show --json first
    json 'map(.session) - ["."] == ["alpha", "bravo", "charlie"] and all(.version >= 1)'
    run 0 snapshot show first
    out '^alpha '
    run 66 snapshot show nothing
    run 0 snapshot diff --exit-code first now 'a*'
}

change_them() {
    event 'more' >>"$scratch/mnt/alpha/events.jsonl"
    echo 'a plan' >"$scratch/mnt/alpha/plan.md"
    session delta
    run 0 session rename charlie chuck
    run 0 session delete bravo
}

compare_them() {
    run 0 snapshot diff first
    out '^alpha  *[0-9]* -> [0-9]*  *events.jsonl +.*, plan.md new$'
    out '^bravo  *[0-9]* -> gone '
    out '^chuck  *\([0-9]*\) -> \1$'
    out '^delta  *new -> [0-9]* '
    run 1 snapshot diff --exit-code first
    run 0 snapshot diff first now alpha
    out '^ events.jsonl  *| events +1 -0$'
    run 0 snapshot diff -p first now alpha
    out '^+ .*more$'
    run 0 snapshot diff --json first
    json '[.[] | select(.session == "alpha")][0].changes | map(.path) == ["events.jsonl", "plan.md"]'
    json '[.[] | select(.session == "delta")][0].before == null'
    run 0 snapshot create second
    run 0 snapshot diff --exit-code second
    run 66 snapshot diff first third
    run 66 snapshot diff first second 'nobody-*'
}

restore_copies() {
    run 0 snapshot restore -n first --as 'old-*'
    out '^old-alpha: would be made'
    run 66 session show old-alpha
    run 64 snapshot restore first --as old
    err "say 'old-\*'"
    run 0 snapshot restore first --as 'old-*'
    [ "$(lines old-alpha)" -eq 1 ] || fail 'the copy is not like the snapshot'
    event 'on its own way' >>"$scratch/mnt/old-bravo/events.jsonl"
    run 73 snapshot restore first --as 'old-*'
    run 0 snapshot restore first --session alpha --as single
    [ "$(lines single)" -eq 1 ] || fail 'the single copy is not like the snapshot'
}

restore_in_place() {
    run 0 snapshot restore -n first
    out '^alpha: would be restored'
    out '^bravo: would be undeleted'
    out '^charlie: as in version [0-9]* already$'
    [ "$(lines alpha)" -eq 2 ] || fail 'a dry run restored'

    # One that is in use is left out, and told; the others are restored.
    exec 3>>"$scratch/mnt/alpha/events.jsonl"
    run 75 snapshot restore first
    err 'session alpha is in use on host'
    out '^bravo: undeleted'
    exec 3>&-
    [ "$(lines alpha)" -eq 2 ] || fail 'a session in use was restored'
    [ "$(lines bravo)" -eq 1 ] || fail 'the mount does not show what came out of the trash'

    run 0 snapshot restore --json first
    json 'map(select(.session == "alpha"))[0].outcome == "restored"'
    json 'map(select(.session == "bravo"))[0].outcome == "unchanged"'
    [ "$(lines alpha)" -eq 1 ] || fail 'the mount does not show what was restored'
    [ -e "$scratch/mnt/alpha/plan.md" ] && fail 'a later file is there still'
    [ -e "$scratch/mnt/chuck" ] || fail 'a session lost its later name'
    [ -e "$scratch/mnt/delta" ] || fail 'a session that is not in the snapshot is gone'
    run 0 snapshot restore second --session alpha
    [ "$(lines alpha)" -eq 2 ] || fail 'the state before is not restored'
    run 66 snapshot restore nothing
    run 66 snapshot restore first --session 'nobody-*'
}

delete_them() {
    run 0 snapshot delete -n first
    out 'would be deleted'
    run 66 snapshot delete first nothing
    run 0 snapshot list --json
    json 'map(.name) | index("first") == null and length == 2'
    run 66 snapshot show first
}

scenario() {
    mount_it
    for name in alpha bravo charlie; do
        session "$name"
    done
    make_them
    change_them
    compare_them
    restore_copies
    restore_in_place
    delete_them
    unmount_it
    run 0 fsck
}

on_both snapshot
finish
