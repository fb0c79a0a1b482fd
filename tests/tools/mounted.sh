#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What was adopted looks the same through a mount; and the commands beside a live and a dead mount. Needs FUSE.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

if ! { : <>/dev/fuse; } 2>/dev/null || ! command -v fusermount3 >/dev/null; then
    echo '/dev/fuse cannot be opened, or fusermount3 is not installed: skipped'
    exit 77
fi

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state
daemon=
clean_up() {
    [ -n "$daemon" ] && kill -KILL "$daemon" 2>/dev/null
    fusermount3 -uzq "$state" 2>/dev/null
    fusermount3 -uzq "$scratch/other" 2>/dev/null
    rm -rf "$scratch"
}
trap clean_up EXIT

# mount_it: mounts in a process whose number we know, and which may open few files
mount_it() {
    (
        # shellcheck disable=SC3045 # every shell that is a sh on Linux has it
        ulimit -n 128
        exec "$holdfast" mount --foreground "$state" 2>"$scratch/log"
    ) &
    daemon=$!
    for _ in $(seq 500); do
        mountpoint -q "$state" && ls "$state" >/dev/null && return
        sleep 0.02
    done
    fail "the mount does not answer: $(cat "$scratch/log")"
    exit 1
}

# look DIR: everything that stat, readlink and a checksum tell of a tree. Directories' sizes and link counts are
# the filesystem's own business.
look() {
    (
        cd "$1" || exit 1
        find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort
        find . -mindepth 1 -type d -printf '%p %y %m %U %G %T@\n' | sort
        find . -type f -print0 | sort -z | xargs -0 sha256sum
        find . -type f -links +1 -printf '%i %p\n' | sort -k2 | awk '{ if (!n[$1]) n[$1] = ++c; print n[$1], $2 }'
    )
}

mkdir -m 700 "$state" "$state/.session-operation-locks"
: >"$state/.session-operation-locks/one.lock"
mkdir -p "$state/one/checkpoints/deep/er" "$state/two"
seq 20000 >"$state/one/events.jsonl"
ln "$state/one/events.jsonl" "$state/one/checkpoints/deep/er/again"
ln -s ../events.jsonl "$state/one/checkpoints/link"
head -c 3000000 /dev/urandom >"$state/two/data"
truncate -s 9000000 "$state/two/data"
mkfifo -m 604 "$state/two/fifo"
printf 'x' >"$state/two/a name with spaces, and $(printf '\303\251')"
: >"$state/two/$(printf 'bytes\377')"
touch -h -d '2021-03-04 05:06:07.123456789' "$state/two/data" "$state/one/checkpoints/link"
chmod 4711 "$state/two/data"
touch -d '2020-01-02 03:04:05.987654321' "$state/two" "$state/one"
look "$state" >"$scratch/before"

run 0 adopt "$state"
mount_it
look "$state" >"$scratch/after"
diff "$scratch/before" "$scratch/after" >"$scratch/diff" ||
    fail "the mount differs from the originals: $(cat "$scratch/diff")"

# Beside a live mount.
run 65 adopt "$state"
err 'is a mount point'
run 0 doctor "$state"
out "^ok  *mount .* answers"
echo more >>"$state/two/$(printf 'bytes\377')"
run 0 session show two
out "^Held by .*:$state (pid $daemon)$"
run 0 session show --json two
json ".lease | .holder.pid == $daemon and .holder.alive and .token >= 1"
run 0 session list
out '^two .*[^ ]'

# Each close is a version, and can be read again.
for n in 1 2 3; do echo "line $n" >>"$state/one/notes"; done
run 0 session log one
head=$(awk 'NR == 2 { print $1 }' "$scratch/out")
run 0 session cat "one@$head:notes"
[ "$(wc -l <"$scratch/out")" -eq 3 ] || fail 'the head does not have all lines'
run 0 session cat "one@$((head - 1)):notes"
[ "$(wc -l <"$scratch/out")" -eq 2 ] || fail 'the version before does not have one line less'

# What agents have open takes no descriptors of the daemon.
mkdir "$state/many"
for n in $(seq 300); do echo "$n" >"$state/many/$n"; done
tail -q -n 0 -f "$state"/many/* >/dev/null 2>&1 &
reader=$!
for _ in $(seq 500); do
    [ "$(find "/proc/$reader/fd" -lname "$state/many/*" | wc -l)" -eq 300 ] && break
    sleep 0.02
done
open=$(find "/proc/$reader/fd" -lname "$state/many/*" | wc -l)
[ "$open" -eq 300 ] || fail "only $open of 300 files could be opened"
echo more >>"$state/many/1" || fail 'with many files open nothing can be written'
kill "$reader"
wait "$reader" 2>/dev/null

# A dead one.
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
daemon=
run 69 doctor "$state"
out '^FAILED  *mount .*is a stale mount'
out '^warning  *leases .*by mounts that are gone'
run 0 umount "$state"
run 0 session cat one:notes
[ "$(wc -l <"$scratch/out")" -eq 3 ] || fail 'something acknowledged was lost'

# Read-only: shows what is there and what others write, and changes nothing.
mount_it
"$holdfast" mount -o ro "$scratch/other" || fail 'a store cannot be mounted read-only'
cmp "$state/one/notes" "$scratch/other/one/notes" || fail 'the read-only mount shows something else'
echo 'line 4' >>"$state/one/notes"
cmp "$state/one/notes" "$scratch/other/one/notes" || fail 'the read-only mount does not see a close'
mkdir "$state/three"
[ -d "$scratch/other/three" ] || fail 'the read-only mount does not see a new session'
touch "$scratch/other/one/notes" 2>/dev/null && fail 'the read-only mount can be written'
"$holdfast" umount "$scratch/other" || fail 'the read-only mount cannot be unmounted'
run 0 umount "$state"
wait "$daemon" || fail 'the daemon did not end well'
daemon=

# Two mounts of one store append in turn: each close lets the other have the session.
mount_it
"$holdfast" mount "$scratch/other" || fail 'a store cannot be mounted twice'
for n in $(seq 40); do
    echo "one $n" >>"$state/one/turns" || fail "turn $n was refused"
    echo "two $n" >>"$scratch/other/one/turns" || fail "the other's turn $n was refused"
done
[ "$(wc -l <"$state/one/turns")" -eq 80 ] || fail 'a turn was lost'
"$holdfast" umount "$scratch/other"
run 0 umount "$state"
wait "$daemon"
daemon=
run 0 fsck

# Sessions that a mount would hide.
mkdir "$state/left-behind"
run 73 mount "$state"
err "1 session of its own.*holdfast adopt"
finish
