#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The policy of a store: shown, set, refused, applied; to an embedded store and to a server's.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

file=sqlite:$scratch/store.db
state=$scratch/session-state
policy=$scratch/policy.yaml

run 66 retention show --store "$file"
err 'no store'

mkdir -p "$state/alpha" "$state/bravo"
echo one >"$state/alpha/file"
echo two >"$state/bravo/file"
run 0 adopt --store "$file" "$state"

# once URL: everything that holds of any store.
once() {
    export HOLDFAST_STORE="$1"

    # The built-in policy counts, and what is shown can be set.
    run 0 retention show
    err 'built-in'
    cp "$scratch/out" "$policy"
    run 0 retention show --json
    json '.source == "built-in" and (.policy | contains("trash:"))'
    run 0 retention set "$policy"
    run 0 retention show
    err "The policy of "
    cmp -s "$policy" "$scratch/out" || fail 'what was set is not what is shown'
    run 0 retention set - <"$policy"
    run 0 retention set --default
    run 0 retention show
    err 'built-in'

    # What is no policy is refused, and leaves the one that is there.
    printf 'trash:\n  - keep: 1d\n' >"$policy"
    run 0 retention set "$policy"
    printf 'trash:\n  - kep: 1d\n' >"$scratch/wrong"
    run 78 retention set "$scratch/wrong"
    err "$scratch/wrong: line 2, column 5 of the policy: .*'kep'"
    run 78 retention set - </dev/null
    err 'empty'
    run 66 retention set "$scratch/nowhere"
    run 64 retention set
    run 64 retention set --default "$policy"
    run 0 retention show
    out 'keep: 1d'
    run 0 retention show --default
    out 'keep: 30d'
    printf '{}\n' >"$policy"
    run 0 retention set -n "$policy"
    out ' is a policy; nothing is changed'
    run 0 retention show
    out 'keep: 1d'

    # Nothing that a policy can name: a dry run and the deed say so.
    run 0 retention apply --dry-run
    out '^Nothing to let go'
    run 0 retention apply --json
    json '. == []'

    # Snapshots are the quickest to make old: one that is not the last goes.
    printf 'snapshots:\n  - {names: "test-*", last: 1}\n' >"$policy"
    run 0 retention set "$policy"
    for n in 1 2 3; do
        run 0 snapshot create "test-$n"
    done
    run 0 retention apply -n
    out '^snapshot  *test-1 .*snapshots .test-\*.: only the last 1$'
    out '^snapshot  *test-2 '
    out '^ *2  snapshot  *snapshots .test-\*.: only the last 1$'
    out '^Nothing was changed'
    grep -q test-3 "$scratch/out" && fail 'the last one would go'
    run 0 retention apply -n --json
    json 'length == 2 and all(.what == "snapshot" and (.rule | startswith("snapshots")))'
    run 0 retention apply
    out '^ *2  snapshot '
    out "holdfast gc"
    run 0 snapshot list --json
    json 'length == 1 and .[0].name == "test-3"'
    run 0 retention apply
    out '^Nothing to let go'
    run 0 snapshot delete test-3
    run 0 retention set --default

    # Idle sessions go to the trash, and out of it.
    printf 'idle:\n  - {sessions: alpha, after: 1s}\n' >"$policy"
    run 0 retention set "$policy"
    sleep 1.1
    run 0 retention apply
    out '^ *1  session to trash '
    run 0 session list --json
    json 'length == 1 and .[0].name == "bravo"'
    printf 'trash:\n  - {keep: 1s}\n' >"$policy"
    run 0 retention set "$policy"
    sleep 1.1
    run 0 retention apply
    out '^ *1  trashed session '
    run 0 stats --json
    json '.trashed == 0'
    run 0 retention set --default
}

once "$file"

# The same over the network.
rm -f "$scratch"/store.db*
mkdir -p "$state/alpha" "$state/bravo"
echo one >"$state/alpha/file"
echo two >"$state/bravo/file"
run 0 adopt --store "$file" "$state"
run 0 cert init --dir "$scratch/pki" --name localhost
run 0 cert issue admin --role admin --dir "$scratch/pki" -o "$scratch/admin.pem"
run 0 cert issue agent --role agent --dir "$scratch/pki" -o "$scratch/agent.pem"
"$holdfast" serve --store "$file" --listen 127.0.0.1:0 --pki "$scratch/pki" 2>"$scratch/serve.log" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 200); do
    port=$(sed -n 's/.* on 127.0.0.1:\([0-9]*\),.*/\1/p' "$scratch/serve.log")
    [ -n "$port" ] && break
    sleep 0.05
done
once "holdfast://localhost:$port?cert=$scratch/admin.pem"

# An agent may not change what is kept.
run 77 retention set "$policy" --store "holdfast://localhost:$port?cert=$scratch/agent.pem"
kill "$server"
wait "$server" || fail 'the server did not end as it should'
finish
