#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rsync -aHAX: copies everything, and a second run finds nothing to do.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs rsync

copy() {
    rsync -aHAX --numeric-ids --sparse --itemize-changes "$@"
}

# still WHAT ARGUMENT...: a run that must find nothing to do
still() {
    local what=$1 changes
    shift
    changes=$(copy "$@")
    [ -z "$changes" ] || fail "$what transfers: $changes"
}

start_mount
make_tree "$scratch/original" || skip "the filesystem of $scratch keeps no xattrs"
copy "$scratch/original/" "$session/copy" >/dev/null
alike "$scratch/original" "$session/copy"
still 'the second run' "$scratch/original/" "$session/copy"
still 'a run by checksums' --checksum "$scratch/original/" "$session/copy"

echo 'one more' >>"$scratch/original/numbers"
rm "$scratch/original/many/file-7"
mv "$scratch/original/many/file-8" "$scratch/original/deep/file-8"
touch -d '2022-02-02' "$scratch/original/many" "$scratch/original/deep"
copy --delete --inplace --no-whole-file "$scratch/original/" "$session/copy" >"$scratch/changes"
alike "$scratch/original" "$session/copy"
grep -q '^>f.*numbers$' "$scratch/changes" || fail "the change was not seen: $(cat "$scratch/changes")"
! grep -q 'random' "$scratch/changes" || fail 'an unchanged file was transferred'
still 'the run after' --delete "$scratch/original/" "$session/copy"

copy "$session/copy/" "$session/again" >/dev/null
alike "$session/copy" "$session/again"
copy "$session/again/" "$scratch/back" >/dev/null
alike "$scratch/original" "$scratch/back"
finish
start_mount
still 'a run after remounts' --checksum --delete "$scratch/original/" "$session/copy"
stop_mount
