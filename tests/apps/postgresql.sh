#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL, as an ordinary user: a cluster is made, loaded, killed under load, and recovers with all it acknowledged.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs runuser
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -x "$bin/initdb" ] && [ -x "$bin/pgbench" ] || skip 'PostgreSQL is not installed'
user=postgres
id "$user" >/dev/null 2>&1 || user=nobody

cluster=$session/cluster
server=
export PGHOST=$scratch/socket PGPORT=54399 PGUSER=owner PGDATABASE=postgres

as_user() {
    (cd "$scratch/socket" && exec runuser -u "$user" -- "$@")
}

stop_server_hard() {
    local children
    [ -n "$server" ] || return 0
    children=$(pgrep -P "$server" || true)
    # shellcheck disable=SC2086 # several numbers
    kill -KILL "$server" $children 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap 'stop_server_hard; clean_up' EXIT

start_server() {
    (cd "$scratch/socket" && exec setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups \
        "$bin/postgres" -D "$cluster" -k "$scratch/socket" -p "$PGPORT" -c listen_addresses= \
        -c shared_buffers=16MB -c max_connections=12 -c wal_level=replica -c checkpoint_timeout=30s \
        >>"$scratch/log" 2>&1) &
    server=$!
    for _ in $(seq 600); do
        as_user "$bin/pg_isready" -q && return
        kill -0 "$server" || break
        sleep 0.1
    done
    fail "the server does not start: $(tail -n 20 "$scratch/log")"
}

ask() {
    as_user "$bin/psql" -XAtqc "$1"
}

check_sums() {
    local sums
    sums=$(ask 'SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
        (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history);')
    [ "$(tr '|' '\n' <<<"$sums" | sort -u | wc -l)" -eq 1 ] || fail "the sums disagree: $sums"
    as_user "$bin/pg_amcheck" --install-missing --heapallindexed --parent-check >"$scratch/out" 2>&1 ||
        fail "pg_amcheck: $(cat "$scratch/out")"
}

install -d -o "$user" "$scratch/socket"
start_mount
install -d -o "$user" -m 700 "$cluster"
as_user "$bin/initdb" -D "$cluster" -U "$PGUSER" -A trust --data-checksums -E UTF8 --no-locale >"$scratch/out" 2>&1 ||
    fail "initdb: $(cat "$scratch/out")"
start_server
as_user "$bin/pgbench" -iqs 2 >"$scratch/out" 2>&1 || fail "pgbench -i: $(cat "$scratch/out")"

# Killed in the middle of it.
as_user "$bin/pgbench" -nc 4 -j 2 -T 60 >"$scratch/out" 2>&1 &
load=$!
sleep 5
stop_server_hard
wait "$load" || true
acknowledged=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$scratch/out")
[ "${acknowledged:-0}" -gt 0 ] || fail "pgbench acknowledged nothing: $(cat "$scratch/out")"
start_server
grep -q 'redo starts at' "$scratch/log" || fail 'the server did not recover from anything'
[ "$(ask 'SELECT count(*) FROM pgbench_history;')" -ge "$acknowledged" ] || fail 'acknowledged transactions are gone'
check_sums

# It goes on, and ends cleanly.
as_user "$bin/pgbench" -nc 4 -j 2 -t 100 >"$scratch/out" 2>&1 || fail "pgbench: $(cat "$scratch/out")"
ask 'VACUUM FULL pgbench_accounts;'
kill -INT "$server"
wait "$server" || fail "the server did not end well: $(tail "$scratch/log")"
server=
as_user "$bin/pg_checksums" --check -D "$cluster" >"$scratch/out" 2>&1 || fail "pg_checksums: $(cat "$scratch/out")"
remount
start_server
check_sums
kill -INT "$server"
wait "$server"
server=
finish
