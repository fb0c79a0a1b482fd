#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SQLite in each journal mode: writers and a reader in processes of their own; no transaction is lost or torn.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs sqlite3

writers=4
transactions=40

query() {
    sqlite3 -cmd '.timeout 60000' "$@"
}

# write_some FILE WRITER: transactions that move an amount from one account to another
write_some() {
    local i
    for i in $(seq "$transactions"); do
        echo 'BEGIN IMMEDIATE;'
        echo "UPDATE account SET amount = amount - $i WHERE id = $((($2 + i) % 8));"
        echo "UPDATE account SET amount = amount + $i WHERE id = $((($2 + 3 * i + 1) % 8));"
        echo "INSERT INTO entry VALUES ($2, $i, randomblob(700));"
        echo 'COMMIT;'
    done | query -bail "$1"
}

# watch FILE: until told to stop, looks for a state between transactions
watch() {
    while [ ! -e "$scratch/stop" ]; do
        [ "$(query "$1" 'SELECT sum(amount) FROM account;')" = 8000 ] || return 1
    done
}

try_mode() {
    local mode=$1 file=$session/$1.db writer pids=() reader
    query "$file" "PRAGMA journal_mode=$mode; CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER);
        CREATE TABLE entry(writer, number, filler, PRIMARY KEY(writer, number));
        WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i < 7) INSERT INTO account SELECT i, 1000 FROM n;" \
        >"$scratch/out"
    same 'journal mode' "$mode" "$(cat "$scratch/out")"
    rm -f "$scratch/stop"
    watch "$file" &
    reader=$!
    for writer in $(seq "$writers"); do
        write_some "$file" "$writer" &
        pids+=($!)
    done
    for writer in "${pids[@]}"; do
        wait "$writer" || fail "a writer in mode $mode failed"
    done
    : >"$scratch/stop"
    wait "$reader" || fail "a reader in mode $mode saw half a transaction"
}

# check MODE...: that all is there
check() {
    local mode
    for mode in "$@"; do
        same "integrity in mode $mode" ok "$(query "$session/$mode.db" 'PRAGMA integrity_check;')"
        same "transactions in mode $mode" $((writers * transactions)) \
            "$(query "$session/$mode.db" 'SELECT count(*) FROM entry WHERE length(filler) = 700;')"
        same "the sum in mode $mode" 8000 "$(query "$session/$mode.db" 'SELECT sum(amount) FROM account;')"
    done
}

start_mount
for mode in wal delete truncate; do try_mode $mode; done
check wal delete truncate
query "$session/wal.db" 'VACUUM;'
remount
check wal delete truncate
finish
