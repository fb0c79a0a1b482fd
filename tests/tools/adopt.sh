#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Adopting a plain tree: what arrives, what is refused, and going on after an interruption.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state

# make_tree DIR SESSIONS: plain sessions as the agent leaves them
make_tree() {
    mkdir -m 700 "$1" "$1/.session-operation-locks"
    for n in $(seq "$2"); do
        mkdir -p "$1/session-$n/checkpoints" "$1/session-$n/files"
        seq "$n" $((n + 3000)) >"$1/session-$n/events.jsonl"
        head -c $((n * 7000)) /dev/urandom >"$1/session-$n/files/data"
        ln "$1/session-$n/files/data" "$1/session-$n/checkpoints/same"
        ln -s files/data "$1/session-$n/symlink"
        : >"$1/session-$n/inuse.999999999.lock"
        : >"$1/.session-operation-locks/session-$n.lock"
    done
}

# compare SESSION: a session in the store against the original in $aside
compare() {
    for file in events.jsonl files/data checkpoints/same; do
        "$holdfast" session cat "$1:$file" | cmp - "$aside/$1/$file" || fail "$1/$file differs"
    done
}

# Nothing there.
run 0 adopt
out 'nothing to adopt: .*/.copilot/session-state does not exist'
run 66 adopt "$state"
mkdir "$state"
run 0 adopt "$state"
out 'nothing to adopt: .* is empty'
rmdir "$state"
[ -e "$scratch/store.db" ] && fail 'a store was made for nothing'

# A dry run changes nothing.
make_tree "$state" 4
chmod 751 "$state"
run 0 adopt --dry-run "$state"
out '^copy .* session-3$'
out 'Would copy 4 sessions'
[ -e "$scratch/store.db" ] && fail 'a dry run made a store'

# The default place.
mkdir -p "$HOME/.copilot"
mv "$state" "$HOME/.copilot/session-state"
run 0 adopt
out 'Adopted 4 sessions'
aside=$(echo "$HOME"/.copilot/session-state.adopted-*)
for n in 1 2 3 4; do compare "session-$n"; done
rmdir "$HOME/.copilot/session-state" || fail 'what is left is not empty'
mv "$aside" "$state"

# Again, with the same content: nothing is copied, and the originals give way.
run 0 session list --json
cp "$scratch/out" "$scratch/before"
run 0 adopt "$state"
out '4 of them were in the store already'
run 0 session list --json
cmp -s "$scratch/before" "$scratch/out" || fail 'adopting again changed the store'
[ "$(stat -c %a "$state")" = 751 ] || fail 'the mode of the directory is another'
aside=$(echo "$state".adopted-*)
rmdir "$state"
mv "$aside" "$state"

# One more, one that differs: refused before anything is copied.
cp -a "$state/session-1" "$state/session-new"
echo more >>"$state/session-2/events.jsonl"
run 73 adopt "$state"
err "the store has another session 'session-2': events.jsonl: "
err '1 names are taken'
run 0 session list 'session-new'
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'something was copied in spite of a conflict'
[ -d "$state/session-2" ] || fail 'the originals were moved in spite of a conflict'
mv "$state/session-2" "$state/session-2b"
run 0 adopt "$state"
out '3 of them were in the store already'
aside=$(echo "$state".adopted-*)
compare session-2b
compare session-new
rm -rf "$aside"
rmdir "$state"

# In use.
make_tree "$state" 1
sleep 60 &
agent=$!
echo "$agent" >"$state/session-1/inuse.$agent.lock"
run 75 adopt --store "sqlite:$scratch/other.db" "$state"
err "session 'session-1' is in use: the process of inuse.$agent.lock is alive"
kill "$agent"
wait "$agent" 2>/dev/null
run 0 adopt --store "sqlite:$scratch/other.db" "$state"
rmdir "$state"
rm -rf "$state".adopted-*

# Not a directory, and a mount.
: >"$scratch/file"
run 66 adopt "$scratch/file"
run 65 adopt /proc
err 'is a mount point'

# Killed at many moments, first of all while the store is made: the originals are whole, and the next run
# goes on.
make_tree "$state" 12
cp -a "$state" "$scratch/reference"
code=137
for delay in 0.004 0.008 0.012 0.016 0.02 0.024 0.03 0.04 0.06 0.08 0.1 0.13 0.17 0.2 0.25 0.3; do
    [ "$code" -eq 137 ] || break
    # Half of them go on with what the one before left, the others begin with a new store.
    case $delay in *[48]) rm -f "$scratch/store.db" "$scratch"/store.db-* ;; esac
    timeout --foreground -s KILL "$delay" "$holdfast" adopt "$state" >"$scratch/out" 2>&1
    code=$?
    originals=$state
    [ -d "$state/session-1" ] || originals=$(echo "$state".adopted-*)
    diff -r --no-dereference "$scratch/reference" "$originals" >"$scratch/diff" ||
        fail "killed after $delay s: the originals are not what they were: $(cat "$scratch/diff")"
done
case $code in
137) run 0 adopt "$state" ;;
0) ;;
124) ;; # it ended by itself in the moment in which it was to be killed
*) fail "after a kill: exit code $code: $(cat "$scratch/out")" ;;
esac
aside=
for dir in "$state".adopted-*; do [ -d "$dir/session-1" ] && aside=$dir; done
for n in $(seq 12); do compare "session-$n"; done
run 0 session list 'holdfast-adopt-*'
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'a working name is left'
run 0 session list --json
[ "$(grep -c '"name"' "$scratch/out")" -eq 12 ] || fail 'not all sessions arrived'
run 0 fsck
finish
