#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `holdfast bench` on a plain directory, and on a mount if there can be one: every workload yields its figures, and
# nothing is left behind.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq

dir=$scratch/dir
mkdir "$dir"
remounted=$scratch/remounted

# bench WORKLOAD ARGUMENT...: at the smallest scale, as JSON.
bench() {
    workload=$1
    shift
    run 0 bench --json --scale 1 --workload "$workload" "$@" "$dir"
    [ -z "$(ls -A "$dir")" ] || fail "$workload leaves behind $(ls -A "$dir")"
}

# latency NAME, value NAME UNIT, left_out NAME WHY: a figure of the last workload.
latency() {
    json ".workloads.$workload.$1 | .unit == \"us\" and .count > 0 and .p50_us > 0 and
        .p50_us <= .p90_us and .p90_us <= .p99_us and .p99_us <= .max_us"
}
value() {
    json ".workloads.$workload.$1 | .unit == \"$2\" and .value > 0"
}
left_out() {
    json ".workloads.$workload.$1.left_out == \"$2\""
}

# plain_workloads ARGUMENT...: those that need nothing but a directory.
plain_workloads() {
    bench append --seed 7 "$@"
    json '.scale_percent == 1 and .seed == 7'
    latency append
    latency append_fsync
    latency append_held_open
    latency append_200KiB_log
    latency append_200MiB_log
    value long_log_ratio ratio

    bench checkpoint "$@"
    value checkpoint MB/s
    latency checkpoint_file

    bench small "$@"
    for figure in create stat read unlink; do
        value "$figure" per_second
    done

    bench resume "$@"
    value warm MB/s

    bench seq "$@"
    for figure in write write_synced read; do
        value "$figure" MB/s
    done
}

plain_workloads
left_out read_cold 'needs --remount'
bench append
left_out written_per_byte 'needs --pid'
bench append --pid $$
json '.workloads.append.written_per_byte.value == 0'
bench checkpoint
left_out stored_per_byte 'needs --files'
bench checkpoint --files "$dir"
value stored_per_byte ratio
sleep 0 & # as what served the directory before it was remounted
ended=$!
wait $ended
bench checkpoint --files "$dir" --pid $ended --remount true
value stored_per_byte ratio
bench resume --remount "echo once >>'$remounted'"
value cold MB/s
[ "$(wc -l <"$remounted")" -eq 3 ] || fail 'it is made cold for each of three rounds'

bench sqlite
for setting in wal_full wal_normal delete_full delete_normal; do
    latency $setting
    value ${setting}_rate per_second
done

bench locks
for lock in flock fcntl shared; do
    latency $lock
    value ${lock}_rate per_second
done
left_out alternating 'needs --peer'
left_out contended_rate 'needs --peer'

bench list
for walk in few_ls few_find few_sessions many_ls many_find many_sessions; do
    value ${walk}_warm per_second
    left_out ${walk}_cold 'needs --remount'
done

# For people.
run 0 bench --scale 1 --workload append "$dir"
out '^append  *MEDIAN'
out '^  append_fsync  *[0-9.]* us'
out '^  written_per_byte  *left out: needs --pid'

# Wrong use.
run 64 bench run
err 'an operand is missing'
run 64 bench --workload apend "$dir"
err "there is no workload 'apend'; did you mean 'append'"
run 64 bench --workload append, --workload nonsense "$dir"
err "there is no workload 'nonsense'"
run 64 bench --scale 0 "$dir"
err 'scale must be'
run 64 bench --pid 12x "$dir"
err 'is no process id'
run 66 bench "$scratch/missing"
err 'cannot find'
touch "$scratch/file"
"$holdfast" bench "$scratch/file" 2>"$scratch/err" && fail 'a file is no directory'
err 'is not a directory'
run 66 bench --workload checkpoint --files "$scratch/missing" "$dir"
err 'checkpoint: cannot look at'
run 74 bench --workload seq --remount false "$dir"
err "seq: 'false' failed"
[ -z "$(ls -A "$dir")" ] || fail "a failure leaves behind $(ls -A "$dir")"

# Who stops it finds nothing of it.
"$holdfast" bench --workload seq --scale 1000 "$dir" >"$scratch/out" 2>"$scratch/err" &
pid=$!
until_true 'it begins' test -e "$dir/holdfast-bench-$pid-seq/large"
kill "$pid"
wait "$pid" && fail 'what was stopped is no success'
err 'interrupted'
[ -z "$(ls -A "$dir")" ] || fail "what was stopped leaves behind $(ls -A "$dir")"

# On a mount, which says what it writes.
if { : <>/dev/fuse; } 2>/dev/null && command -v fusermount3 >/dev/null; then
    embedded store
    dir=$scratch/mnt
    run 0 mount "$dir"
    plain_workloads --files "$scratch" --remount "'$holdfast' umount '$dir' && '$holdfast' mount '$dir'"
    value read_cold MB/s
    bench append
    value written_per_byte_fsync ratio
    run 0 umount "$dir"
    run 0 fsck
fi
finish
