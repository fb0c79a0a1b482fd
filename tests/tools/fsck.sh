#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fsck: what it says of a sound store, of a damaged one, and of none.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state

run 66 fsck
err 'no store'

mkdir -p "$state/alpha" "$state/bravo"
{
    head -c 30000 /dev/urandom
    printf 'find-me-again'
    head -c 30000 /dev/urandom
} >"$state/alpha/data"
cp "$state/alpha/data" "$state/bravo/same"
echo other >"$state/bravo/other"
run 0 adopt "$state"

run 0 fsck
out ' is sound: [0-9]* roots reach [0-9]* objects$'
run 0 fsck --json
out '^\[\]$'

# One byte of a chunk that both sessions share.
at=$(grep -abo find-me-again "$scratch/store.db" | head -n 1 | cut -d : -f 1)
if [ -z "$at" ]; then
    fail "the content is not in the store file as it is"
    finish
fi
cp "$scratch/store.db" "$scratch/sound.db"
printf F | dd of="$scratch/store.db" bs=1 seek="$at" conv=notrunc 2>"$scratch/dd" || fail dd

run 65 fsck
out '^object: .*damaged'
out '^head: the head, version [0-9]* of session alpha is damaged: it needs object '
out '^head: the head, version [0-9]* of session bravo is damaged: it needs object '
out ' is damaged: [0-9]* findings$'
run 65 fsck --json
out '"what":"object"'
out '"what":"head".*"session":[0-9]'

# A store that is no store at all.
head -c 20000 /dev/urandom >"$scratch/store.db"
run 65 fsck
err '.'
cp "$scratch/sound.db" "$scratch/store.db"
run 0 fsck
# Who may not look says nothing about the store.
for call in check roots; do
    run 77 fsck --store "faulty($call@1:EACCES)+$HOLDFAST_STORE"
    grep -q damaged "$scratch/out" && fail "a check that was not allowed calls the store damaged"
done
finish
