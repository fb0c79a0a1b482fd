#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the doctor finds. (What it says of this machine's FUSE depends on the machine.)
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

# doctor EXPECTATION ARGUMENT...: runs it; EXPECTATION is a level, a check and a pattern.
doctor() {
    pattern=$1
    shift
    "$holdfast" doctor "$@" >"$scratch/out" 2>"$scratch/err"
    code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 69 ] || fail "doctor $*: exit code $code"
    out "$pattern"
}

mkdir "$scratch/sessions"
doctor "^ok  *store  *sqlite:$scratch/data/holdfast/store.db does not exist yet"
doctor "^ok  *mount  *$HOME/.copilot/session-state is not mounted, and does not exist yet"
doctor "^ok  *mount  *$scratch/sessions is not mounted; " "$scratch/sessions"
[ -e "$scratch/data" ] && fail 'the doctor made something'
mkdir "$scratch/sessions/one"
doctor '^warning  *mount .*1 entries of its own' "$scratch/sessions"
out "holdfast adopt"
: >"$scratch/file"
doctor '^FAILED  *mount .*is not a directory' "$scratch/file"
[ "$code" -eq 69 ] || fail 'a failure was called healthy'
doctor '^warning  *mount  */proc is a mount of another kind (proc)' /proc
doctor '^ok  *clock'
doctor '^ok  *versions  *Linux .*libfuse 3'

# A store that is none.
echo 'this is no database, whatever its name says' >"$scratch/bad.db"
doctor '^FAILED  *store' --store "sqlite:$scratch/bad.db"
[ "$code" -eq 69 ] || fail 'a bad store was called healthy'
doctor '^FAILED  *store' --store gopher://nowhere

# JSON says the same.
run 69 doctor --json --store gopher://nowhere "$scratch/sessions"
json '.healthy == false and .failures >= 1 and (.findings | length) >= 6'
json '[.findings[] | select(.check == "store")][0] | .level == "failure" and .advice != null'
json '.warnings == ([.findings[] | select(.level == "warning")] | length)'
json '.failures == ([.findings[] | select(.level == "failure")] | length)'
finish
