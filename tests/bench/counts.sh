#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# counts.sh HOLDFAST BUILD [--no-bounds]: what a mount does for one operation, counted and not timed, because a count is
# the same on every machine. Requests are those of the kernel, and the null filesystem shows what it asks at least
# (which is not the same for every kernel). Calls are the system calls of the mount's process, all threads, beside those
# that carry requests: what the store costs. What depends on chance is not counted: waiting for one another, getting
# memory, and folding the write-ahead log into the store's file, which reads and writes each page of it once.
#
# The bounds are a little above what was counted when they were set. Whoever makes an operation cheaper runs this
# with --no-bounds and lowers its bounds to about 10 % above the most that several runs print; who has to raise one says
# why in the commit.
set -euo pipefail

holdfast=$1
build=$2
bounded=${3:-}
for program in strace fusermount3; do
    command -v $program >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done
(: <>/dev/fuse) 2>/dev/null || { echo "skipped: /dev/fuse cannot be opened"; exit 77; }
strace -o /dev/null true 2>/dev/null || { echo "skipped: nothing can be traced here"; exit 77; }

# Operation, how many, and for each one: most requests beyond the null filesystem's, most calls.
operations='
append            200   0.5   8.9
append_fsync      200   0.5   10
append_held_open  200   0.2   0.1
checkpoint         40   1.1   22
sqlite_wal        200   6.9   13
sqlite_delete     100   14    34
read              200   1.1   5.2'

scratch=$(mktemp -d)
daemon=
point=$scratch/mnt
mkdir "$point"
end() {
    fusermount3 -uzq "$point" 2>/dev/null || true
    [ -z "$daemon" ] || wait "$daemon" || true
    rm -rf "$scratch"
}
trap end EXIT

# mount_it TRACE COMMAND...: under strace, in the foreground.
mount_it() {
    trace=$1
    shift
    strace -f -qq -y -s 0 -o "$trace" "$@" "$point" 2>"$scratch/log" &
    daemon=$!
    for _ in $(seq 1000); do
        mountpoint -q "$point" && ls "$point" >/dev/null && return
        sleep 0.02
    done
    echo "no mount: $(cat "$scratch/log")" >&2
    exit 1
}

unmount_it() {
    local status=0
    fusermount3 -u "$point"
    wait "$daemon" || status=$?
    daemon=
    [ $status -eq 0 ] || { echo "the mount ended with $status: $(cat "$scratch/log")" >&2; exit 1; }
}

# quiet: until the mount has nothing more to do. What it does now and then is in every count.
quiet() {
    local lines=-1
    while [ "$lines" != "$(wc -l <"$trace")" ]; do
        lines=$(wc -l <"$trace")
        sleep 0.2
    done
}

# count SYSTEM WHAT NUMBER: adds "WHAT requests calls" for each to SYSTEM's list.
count() {
    local from
    quiet
    from=$(wc -l <"$trace")
    "$build/tests/bench/operations" "$point/session" "$2" "$3"
    quiet
    tail -n +$((from + 1)) "$trace" | grep -v -E ' resumed>|\+\+\+ exited|--- SIG' |
        sed -E 's/^[0-9]+ +([a-z0-9_]+)\(([0-9]+<[^>]*>)?.*/\1 \2/' |
        grep -v -E '^(futex|mmap|munmap|mprotect|madvise|brk|rt_sigprocmask) ' >"$scratch/$1.$2" || true
    awk -v what="$2" -v n="$3" '/^(read|readv|splice) .*dev.fuse/ { requests++ }
        !/dev.fuse/ { calls++ }
        /^pwrite64 .*store.db>/ { calls -= 2 }
        END { printf "%s %.2f %.2f\n", what, requests / n, calls / n }' "$scratch/$1.$2" >>"$scratch/$1"
}

# count_all SYSTEM COMMAND...: the last one, which reads, in a mount that knows nothing yet if it can be had.
count_all() {
    local system=$1 what number
    shift
    mount_it "$scratch/trace-$system" "$@"
    mkdir "$point/session"
    "$build/tests/bench/operations" "$point/session" make 200
    while read -r what number _; do
        [ -n "$what" ] || continue
        if [ "$what" = read ] && [ "$system" = holdfast ]; then
            unmount_it
            mount_it "$scratch/trace-$system-cold" "$@"
        fi
        count "$system" "$what" "$number"
    done <<<"$operations"
    unmount_it
}

count_all null "$build/tests/bench/nullfs" -f
count_all holdfast "$holdfast" mount --foreground --store "sqlite:$scratch/store.db"

failures=0
printf '%-18s %10s %15s %10s\n' OPERATION REQUESTS 'OF THE NULL FS' CALLS
while read -r what _ most_requests most_calls; do
    [ -n "$what" ] || continue
    read -r _ requests calls < <(grep "^$what " "$scratch/holdfast")
    read -r _ null_requests _ < <(grep "^$what " "$scratch/null")
    printf '%-18s %10s %15s %10s\n' "$what" "$requests" "$null_requests" "$calls"
    awk -v a="$requests" -v b="$null_requests" -v most="$most_requests" 'BEGIN { exit a > b + most }' || {
        echo "failed: $what: more than $most_requests requests beyond the null filesystem's"
        failures=1
    }
    awk -v a="$calls" -v most="$most_calls" 'BEGIN { exit a > most }' || {
        echo "failed: $what: more than $most_calls calls; of all of them:"
        cut -d ' ' -f 1 "$scratch/holdfast.$what" | sort | uniq -c | sort -rn | head -n 12
        failures=1
    }
done <<<"$operations"
[ "$bounded" = --no-bounds ] || exit $failures
