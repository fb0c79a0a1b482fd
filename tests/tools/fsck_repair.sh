#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fsck --repair: with a backup, and without.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

export HOLDFAST_STORE="sqlite:$scratch/store.db"
backup=sqlite:$scratch/backup.db
state=$scratch/session-state

mkdir -p "$state/alpha/sub"
{
    head -c 30000 /dev/urandom
    printf 'find-me-again'
    head -c 30000 /dev/urandom
} >"$state/alpha/sub/data"
run 0 adopt "$state"
aside=$(echo "$state".adopted-*)
run 0 backup --create "$backup"
run 0 fsck --repair
out 'is sound'

at=$(grep -abo find-me-again "$scratch/store.db" | head -n 1 | cut -d : -f 1)
if [ -z "$at" ]; then
    fail 'the content is not in the store file as it is'
    finish
fi
printf F | dd of="$scratch/store.db" bs=1 seek="$at" conv=notrunc 2>"$scratch/dd" || fail dd
cp "$scratch/store.db" "$scratch/damaged.db"
run 64 fsck --from "$backup"
run 65 fsck --repair --dry-run --from "$backup"
out 'objects can be mended'
run 65 fsck
run 0 fsck --repair --from "$backup"
out '1 objects are mended'
out 'is sound'
"$holdfast" session cat alpha:sub/data | cmp -s - "$aside/alpha/sub/data" || fail 'alpha is not what it was'
run 65 fsck --store "sqlite:$scratch/damaged.db" --repair
out '^path: alpha@[0-9]*:sub/data cannot be read'
finish
