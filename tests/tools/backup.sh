#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# backup and restore: a store is copied, destroyed, and brought back.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

export HOLDFAST_STORE="sqlite:$scratch/store.db"
backup=sqlite:$scratch/backup.db
state=$scratch/session-state

# assert_content STORE SESSION FILE: the file is what it was in the plain directory.
assert_content() {
    "$holdfast" session cat --store "$1" "$2:$3" >"$scratch/content" 2>"$scratch/err" ||
        fail "$2:$3 cannot be read: $(cat "$scratch/err")"
    cmp -s "$scratch/content" "$aside/$2/$3" || fail "$2:$3 is not what it was"
}

mkdir -p "$state/alpha/sub" "$state/bravo"
{
    head -c 30000 /dev/urandom
    printf 'find-me-again'
    head -c 30000 /dev/urandom
} >"$state/alpha/sub/data"
echo note >"$state/bravo/note"
run 0 adopt "$state"
aside=$(echo "$state".adopted-*)

# What is not there, and what cannot be.
run 64 backup
run 66 backup "$backup"
err "'holdfast backup --create' makes one"
run 65 backup "$HOLDFAST_STORE"
err 'same store'
run 66 restore "$backup"
run 64 restore --as x "$backup"
run 64 restore --at a --snapshot b "$backup"

# What goes wrong or changes nothing makes no store.
run 0 backup --create --dry-run "$backup"
out 'it would be made'
run 66 backup --create --snapshot nothing "$backup"
err "there is no snapshot nothing"
[ -e "$scratch/backup.db" ] && fail 'a backup that was not made left a store behind'

run 0 backup --create "$backup"
out '^backup-[0-9]*T[0-9]*Z in .*: [0-9]* of [0-9]* sessions had changed'
run 0 backup create --json "$backup"
json '.changed == 0 and .objects == 0 and .damaged == 0'
run 0 backup list "$backup"
out '^BACKUP '
out '^backup-'
run 0 backup list --json "$backup"
json 'length >= 1' # two that began in one second and saw the same are one
first=$(jq -r '.[0].backup' "$scratch/out")
run 0 backup verify --against "$HOLDFAST_STORE" "$backup"
out 'is sound'

# The backup falls behind, and says so.
run 0 session rename bravo charlie
mkdir -p "$scratch/more/delta"
echo more >"$scratch/more/delta/more"
run 0 adopt "$scratch/more"
run 75 backup verify --against "$HOLDFAST_STORE" "$backup"
out 'delta is not in the backup'
run 0 backup --dry-run "$backup"
out 'delta is not in the backup'
run 0 backup "$backup"
run 0 backup --dry-run "$backup"
out 'has every session'
run 0 backup --create --session 'al*' "sqlite:$scratch/part.db"
run 66 session show --store "sqlite:$scratch/part.db" delta
run 66 backup --session 'zz*' "$backup"

# The store is lost, and comes back as it was.
rm -f "$scratch"/store.db*
run 66 restore --at backup-nothing "$backup"
[ -e "$scratch/store.db" ] && fail 'a restore of what is not there made a store'
run 0 restore --dry-run --json "$backup"
json '[.[].session] | index("alpha") != null and index("charlie") != null'
run 0 restore "$backup"
out 'came from the backup'
run 0 fsck
assert_content "$HOLDFAST_STORE" alpha sub/data
run 0 session cat charlie:note
out '^note$'
run 66 session show bravo
run 66 restore --session nothing "$backup"
err "there is no session 'nothing' in the backup"
run 73 restore "$backup"
err 'has sessions'
# It goes on where the lost one did.
run 0 session delete delta
# A host that still believes in a lease of the lost store has a token far below any that is granted here.
run 0 lease audit --json
json 'map(select(.event == "grant")) | length > 0 and all(.token > 4294967296)'
run 0 backup "$backup"
run 0 backup verify --against "$HOLDFAST_STORE" "$backup"

# As an older backup has seen it.
run 0 restore --store "sqlite:$scratch/then.db" --at "$first" "$backup"
run 0 session show --store "sqlite:$scratch/then.db" bravo
run 66 session show --store "sqlite:$scratch/then.db" delta
run 66 restore --store "sqlite:$scratch/none.db" --at backup-none "$backup"

# Single sessions, into a store in use.
run 0 restore --session delta "$backup"
run 0 session cat delta:more
out '^more$'
run 0 restore --session alpha --as alpha-again "$backup"
run 73 restore --session alpha --as alpha-again "$backup"
"$holdfast" session cat alpha-again:sub/data | cmp -s - "$aside/alpha/sub/data" ||
    fail 'alpha-again is not alpha'
run 66 restore --session nobody "$backup"
run 0 fsck

finish
