#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tar: into a session, and out of it again, with hard links, symbolic links, holes and xattrs.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs tar

pack() {
    tar -C "$1" --format=posix --sort=name --numeric-owner --sparse --xattrs --xattrs-include='user.*' -cf - .
}

unpack() {
    mkdir "$1"
    tar -C "$1" --numeric-owner --sparse --xattrs --xattrs-include='user.*' -xpf -
}

start_mount
make_tree "$scratch/original" || skip "the filesystem of $scratch keeps no xattrs"
pack "$scratch/original" | unpack "$session/copy"
alike "$scratch/original" "$session/copy"
pack "$session/copy" | unpack "$scratch/back"
alike "$scratch/original" "$scratch/back"
pack "$scratch/original" | tar -C "$session/copy" --numeric-owner --compare -f -
allocated=$(stat -c '%b * %B' "$session/copy/sparse")
[ $((allocated)) -lt 1000000 ] || fail "a sparse file takes $((allocated)) bytes"

# Over what is there: everything is replaced, and hard links are made anew.
pack "$scratch/original" >"$scratch/archive"
tar -C "$session/copy" --numeric-owner --sparse --xattrs --xattrs-include='user.*' -xpf "$scratch/archive"
alike "$scratch/original" "$session/copy"

# Many small files, as a source tree has them.
mkdir -p "$scratch/source"
for i in $(seq 40); do
    mkdir "$scratch/source/dir-$i"
    for j in $(seq 25); do seq "$i" "$((i * j))" >"$scratch/source/dir-$i/file-$j.c"; done
done
pack "$scratch/source" | unpack "$session/source"
alike "$scratch/source" "$session/source"
finish
start_mount
alike "$scratch/original" "$session/copy"
stop_mount
