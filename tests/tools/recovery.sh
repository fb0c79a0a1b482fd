#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Types the commands of docs/ops/recovery.md as they are written there, after what they are for has happened; a mount of
# the lost store that is still there writes nothing to the new one. Needs FUSE.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_fuse

old=
stop_old() {
    [ -n "$old" ] && kill -KILL "$old" 2>/dev/null
    fusermount3 -uzq "$scratch/old" 2>/dev/null
    stop_live
}
trap stop_old EXIT

embedded store
export BACKUP="sqlite:$scratch/backup.db"
mkdir "$scratch/bin" && ln -s "$holdfast" "$scratch/bin/holdfast"
PATH=$scratch/bin:$PATH

# type_chapter HEADING: each command of the chapter succeeds.
type_chapter() {
    awk -v heading="## $1" '/^## / { here = index($0, heading) == 1 } here && sub(/^    /, "")' \
        "$sources/docs/ops/recovery.md" >"$scratch/commands"
    [ -s "$scratch/commands" ] || fail "'$1' has no commands"
    while read -r command <&4; do
        sh -c "$command" >"$scratch/out" 2>"$scratch/err" || fail "$command: $(cat "$scratch/err")"
    done 4<"$scratch/commands"
}

mount_it
mkdir "$scratch/mnt/work"
{
    head -c 300000 /dev/urandom
    printf 'find-me-again'
    head -c 300000 /dev/urandom
} >"$scratch/plan"
cp "$scratch/plan" "$scratch/mnt/work/plan.md"
run 0 backup --create "$BACKUP"

# The store is lost under a mount that has a file open for writing.
old=$daemon
daemon=
exec 5>>"$scratch/mnt/work/plan.md"
rm -f "$scratch"/store.db*
type_chapter 'The store is gone'
(echo late >&5) 2>/dev/null
{ exec 5>&-; } 2>/dev/null
(echo late >"$scratch/mnt/work/late") 2>/dev/null && fail 'the mount of the lost store took a change'
kill -KILL "$old"
wait "$old" 2>/dev/null
old=
fusermount3 -uzq "$scratch/mnt"
mount_it
cmp "$scratch/plan" "$scratch/mnt/work/plan.md" || fail 'what came back is not what was lost'
[ ! -e "$scratch/mnt/work/late" ] || fail 'the mount of the lost store wrote to the new one'
echo more >"$scratch/mnt/work/more" || fail 'the restored store takes no changes'
type_chapter 'One session'
cmp "$scratch/plan" "$scratch/mnt/work-from-backup/plan.md" || fail 'work-from-backup is not what it was'
unmount_it

at=$(grep -abo find-me-again "$scratch/store.db" | head -n 1 | cut -d : -f 1)
[ -n "$at" ] || fail 'the content is not in the store file as it is'
printf F | dd of="$scratch/store.db" bs=1 seek="${at:-0}" conv=notrunc 2>"$scratch/dd" || fail dd
run 65 fsck
type_chapter 'Objects'
run 0 fsck
finish
