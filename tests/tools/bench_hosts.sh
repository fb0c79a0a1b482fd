#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `holdfast bench` with two mounts of a server's store: the workloads between hosts yield their figures, and nothing is
# left behind. Needs FUSE.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

dir=$scratch/mnt
peer=$scratch/peer
second=
stop_both() {
    [ -n "$second" ] && kill -KILL "$second" 2>/dev/null
    fusermount3 -uzq "$peer" 2>/dev/null
    stop_live
}
trap stop_both EXIT

# bench WORKLOAD ARGUMENT...: at the smallest scale, as JSON.
bench() {
    workload=$1
    shift
    run 0 bench --json --scale 1 --workload "$workload" "$@" "$dir"
    [ -z "$(ls -A "$dir")" ] || fail "$workload leaves behind $(ls -A "$dir")"
}

# latency NAME, value NAME UNIT: a figure of the last workload.
latency() {
    json ".workloads.$workload.$1 | .unit == \"us\" and .count > 0 and .p50_us > 0 and .p50_us <= .max_us"
}
value() {
    json ".workloads.$workload.$1 | .unit == \"$2\" and .value > 0"
}

served hosts --max-host-connections 80
mount_it
mkdir "$peer"
"$holdfast" mount --foreground "$peer" 2>"$scratch/peer.log" &
second=$!
until_true 'the other mount answers' mountpoint -q "$peer" || exit 1

bench handover --peer "$peer" --store "$HOLDFAST_STORE"
latency handover
latency held
latency round_trip
json ".workloads.handover.extra_round_trips.unit == \"ratio\""
value handover_held_ratio ratio

bench visible --peer "$peer"
latency append
latency append_to_seen
latency close_to_seen

bench locks --peer "$peer"
latency flock
latency fcntl
value shared_rate per_second
latency alternating
value alternating_rate per_second
latency contended
value contended_rate per_second

bench server --store "$HOLDFAST_STORE"
latency commit_1_host
latency commit_64_hosts
value commits_1_host per_second
value commits_64_hosts per_second
value hosts_ratio ratio
value p99_p50_ratio ratio
value commits_per_transaction count
value bare_sqlite per_second
value bare_ratio ratio
run 0 session list --json
json 'length == 0'

# Between a mount and itself, and between mounts of two stores, nothing changes hands.
run 64 bench --workload handover "$dir"
err "needs --peer"
run 64 bench --workload handover --peer "$dir" "$dir"
err 'are one mount'
mkdir "$scratch/plain" 2>/dev/null
if [ "$(stat -c %d "$scratch/plain")" != "$(stat -c %d "$dir")" ]; then
    run 64 bench --workload visible --peer "$scratch/plain" "$dir"
    err 'does not show what is in'
    [ -z "$(ls -A "$scratch/plain")" ] || fail 'something was left in a directory that is no peer'
fi

run 0 umount "$dir"
run 0 umount "$peer"
wait "$second" || fail "the other mount ended badly: $(cat "$scratch/peer.log")"
second=
wait "$daemon" || fail "the mount ended badly: $(cat "$scratch/mount.log")"
daemon=
end_server

# Cold: a new daemon for each walk.
embedded alone
run 0 mount "$dir"
echo "'$holdfast' umount '$dir' && '$holdfast' mount '$dir'" >"$scratch/remount"
bench list --remount "sh '$scratch/remount'"
for walk in few_ls few_find few_sessions many_ls many_find many_sessions; do
    value "${walk}_cold" per_second
    value "${walk}_warm" per_second
done
run 0 umount "$dir"
finish
