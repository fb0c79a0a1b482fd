#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# smoke.sh HOLDFAST BUILD: at a hundredth of their sizes, every workload for one mount runs in the null filesystem,
# and a comparison with it makes a table. What is measured is of no matter.
set -euo pipefail

holdfast=$1
build=$2
here=$(dirname "$(readlink -f "$0")")
for program in fusermount3 jq python3; do
    command -v $program >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done
(: <>/dev/fuse) 2>/dev/null || { echo "skipped: /dev/fuse cannot be opened"; exit 77; }

scratch=$(mktemp -d)
end() {
    ! grep -qF " $scratch/null " /proc/self/mounts || fusermount3 -u "$scratch/null"
    rm -rf "$scratch"
}
trap end EXIT

fail() {
    echo "failed: $*" >&2
    exit 1
}

mkdir "$scratch/null"
"$build/tests/bench/nullfs" "$scratch/null"
"$holdfast" bench "$scratch/null" --scale 1 --json >"$scratch/null.json"
jq -e '.workloads | length > 0 and all(.[]; length > 0)' "$scratch/null.json" >/dev/null ||
    fail "a workload has no figures: $(cat "$scratch/null.json")"
[ -z "$(ls -A "$scratch/null")" ] || fail "the workloads left something behind: $(ls -A "$scratch/null")"

"$here/compare" --systems null,holdfast --workloads append --rounds 1 --scale 1 --on "$scratch/on" \
    --place "$scratch" --build "$build" --output "$scratch/results.json" >"$scratch/table"
jq -e '.runs | length == 2 and all(.[]; (.status // 0) == 0 and .figures.append.p50_us > 0)' \
    "$scratch/results.json" >/dev/null || fail "a run has no figures: $(cat "$scratch/results.json")"
grep -q '^append\.append  *[0-9]' "$scratch/table" || fail "the table has no appends: $(cat "$scratch/table")"
[ -z "$(ls -A "$scratch/on")" ] || fail "the comparison left something behind"
