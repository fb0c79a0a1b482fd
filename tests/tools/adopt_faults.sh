#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Adopting into a store that fails at each call in turn: the originals are whole, the failure is told, and the
# next run makes it good.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

state=$scratch/session-state
store=sqlite:$scratch/store.db

mkdir -p "$state/one/sub" "$state/two" "$state/.shared"
seq 3000 >"$state/one/sub/file"
ln "$state/one/sub/file" "$state/one/link"
seq 4000 >"$state/two/other"
echo 'in the shared tree' >"$state/.shared/file"
cp -a "$state" "$scratch/reference"

# whole WHAT: the originals are in one of the two places, unchanged; puts them back to the first.
whole() {
    for dir in "$state".adopted-*; do
        [ -d "$dir" ] || continue
        if [ -d "$dir/one" ]; then
            rmdir "$state" || fail "$1: the directory is not empty after the swap"
            mv "$dir" "$state"
        else
            rmdir "$dir" || fail "$1: $dir is not empty"
        fi
    done
    diff -r --no-dereference "$scratch/reference" "$state" >"$scratch/diff" ||
        fail "$1: the originals are not what they were: $(cat "$scratch/diff")"
}

for error in EIO ENOSPC 'EIO!'; do
    for n in $(seq 32); do
        rm -f "$scratch/store.db" "$scratch"/store.db-*
        "$holdfast" adopt --store "faulty(any@$n:$error)+$store" "$state" >"$scratch/out" 2>"$scratch/err"
        code=$?
        whole "any@$n:$error"
        [ "$code" -eq 0 ] || [ -s "$scratch/err" ] || fail "any@$n:$error: exit code $code without a word"
        grep -q Sanitizer "$scratch/err" && fail "any@$n:$error: $(cat "$scratch/err")"
        [ "$code" -lt 126 ] || fail "any@$n:$error: exit code $code"
        run 0 adopt --store "$store" "$state"
        whole "after any@$n:$error"
        for file in sub/file link; do
            "$holdfast" session cat --store "$store" "one:$file" | cmp -s - "$state/one/$file" ||
                fail "after any@$n:$error: one/$file differs"
        done
        run 0 fsck --store "$store"
        [ "$failures" -eq 0 ] || exit 1
    done
done
finish
