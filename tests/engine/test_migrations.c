/* SPDX-License-Identifier: Apache-2.0 */
/* Stores that older programs made, of every schema there has been, are brought up to date. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"
#include "engine/sqlite/schema.h"

/* What a store of schema 1 holds, but for the checksums: two hosts; session 1, which is live; session 2 in the trash
 * since 77, and renamed before; 3 in the trash, of which the audit trail has forgotten it; a snapshot and a rescue. */
static const char rows[] =
    "INSERT INTO store VALUES (1, 1, x'000102030405060708090a0b0c0d0e0f', 4096, 16384, 65536, 0, "
    "NULL, 5, 4, 3, 1, 0,"
    " 0);"
    "INSERT INTO session VALUES (0, '', 1, 5, 0, x'', 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0);"
    "INSERT INTO session VALUES (1, 'alpha', 1, 6, 2, zeroblob(32), 8, 0, 30, 1, 2, 7, 0, 0, 6, 0, "
    "NULL, 0);"
    "INSERT INTO session VALUES (2, 'beta', 2, 6, 1, zeroblob(32), 9, 0, 30, 1, 1, 1, 0, 0, 6, 0, "
    "NULL, 0);"
    "INSERT INTO session VALUES (3, 'gamma', 2, 6, 1, zeroblob(32), 9, 0, 30, 1, 1, 1, 0, 0, 6, 0, "
    "NULL, 0);"
    "INSERT INTO session_meta VALUES (0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);"
    "INSERT INTO session_meta VALUES (1, '/src', NULL, NULL, 'main', NULL, NULL, NULL, 0);"
    "INSERT INTO session_meta VALUES (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);"
    "INSERT INTO session_meta VALUES (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0);"
    "INSERT INTO history VALUES (1, 1, zeroblob(32), 7, 1, 7, 30, 1, 0);"
    "INSERT INTO history VALUES (1, 2, zeroblob(32), 8, 1, 7, 30, 1, 0);"
    "INSERT INTO history VALUES (2, 1, zeroblob(32), 9, 1, 1, 30, 1, 0);"
    "INSERT INTO history VALUES (3, 1, zeroblob(32), 9, 1, 1, 30, 1, 0);"
    "INSERT INTO host VALUES (1, zeroblob(16), zeroblob(16), zeroblob(16), 1, 11, 'old', '/mnt', "
    "2, 5, 0);"
    "INSERT INTO host VALUES (2, zeroblob(16), zeroblob(16), zeroblob(16), 2, 12, 'old', NULL, 2, "
    "5, 0);"
    "INSERT INTO audit VALUES (1, 70, 9, 2, 1, 1, NULL, 0);"
    "INSERT INTO audit VALUES (2, 75, 10, 2, 1, 1, NULL, 0);"
    "INSERT INTO audit VALUES (3, 77, 9, 2, 1, 1, NULL, 0);"
    "INSERT INTO snapshot VALUES (1, 'monday', 9, 2, 2, 0);"
    "INSERT INTO snapshot_root VALUES (1, 1, 1, zeroblob(32), 7, 30, 1, 0);"
    "INSERT INTO snapshot_root VALUES (1, 2, 1, zeroblob(32), 9, 30, 1, 0);"
    "INSERT INTO rescue VALUES (5, 1, 1, zeroblob(32), 9, 1, 6, 30, 1, 'why', 0);";

struct fixture {
    char folder[64];
    char path[128];
    char url[160];
    struct store *store;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/holdfast-migrations-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->folder);
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s", fixture->path);
    *state = fixture;
    return 0;
}

static void remove_files(const struct fixture *fixture)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    char name[160];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", fixture->path, ends[i]);
        unlink(name);
    }
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->store)
        store_close(fixture->store);
    remove_files(fixture);
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture);
    return 0;
}

/* --- making an old one -------------------------------------------------------------------------------------- */

static void run(struct db *db, const char *sql)
{
    struct hf_error err = {0};

    if (db_script(db, sql, &err) != HF_OK)
        fail_msg("%s: %s", sql, err.message);
}

/* Fills in the checksums of a table as it is now. */
static void add_sums(struct db *db, const char *table)
{
    char sql[1024] = "", columns[600] = "";
    sqlite3_stmt *statement;

    snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s') WHERE name <> 'sum'",
             table);
    assert_int_equal(sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        size_t len = strlen(columns);

        snprintf(columns + len, sizeof columns - len, ", \"%s\"",
                 (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    snprintf(sql, sizeof sql, "UPDATE \"%s\" SET sum = row_sum('%s'%s)", table, table, columns);
    run(db, sql);
}

/* As a program of the time would have it: one that brought its stores up to date by what there was then. */
static void make_old(const struct fixture *fixture, int schema)
{
    static const char *const tables[] = {"session", "session_meta",  "history", "host",
                                         "audit",   "snapshot_root", "rescue",  "snapshot"};
    struct db db = {0};
    char sql[100];

    assert_int_equal(
        db_open(fixture->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL, &db, NULL), HF_OK);
    assert_int_equal(db_add_row_sum(&db, NULL), HF_OK);
    run(&db, "PRAGMA page_size=4096; BEGIN");
    run(&db, migrations[0].sql);
    run(&db, rows);
    add_sums(&db, "store");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        add_sums(&db, tables[i]);
    for (size_t i = 1; i < migration_count && migrations[i].number <= schema; i++)
        run(&db, migrations[i].sql);
    snprintf(sql, sizeof sql, "UPDATE store SET schema = %d", schema);
    run(&db, sql);
    add_sums(&db, "store");
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d; PRAGMA application_id=%d; COMMIT", schema,
             SCHEMA_APPLICATION_ID);
    run(&db, sql);
    db_close(&db);
}

static int64_t number_of(const struct fixture *fixture, const char *sql)
{
    struct db db = {0};
    int64_t number = -1;

    assert_int_equal(db_open(fixture->path, SQLITE_OPEN_READWRITE, NULL, &db, NULL), HF_OK);
    assert_int_equal(db_number(&db, sql, &number, NULL), HF_OK);
    db_close(&db);
    return number;
}

/* --- looking at it now -------------------------------------------------------------------------------------- */

static int count_finding(const struct check_finding *finding, void *arg)
{
    (void)finding;
    ++*(unsigned *)arg;
    return 0;
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    print_message("%s: %s\n", finding->what, finding->message);
    return count_finding(finding, arg);
}

static int see_host(const struct host_info *info, void *arg)
{
    assert_null(info->identity.principal);
    assert_int_equal(info->identity.ttl_ms, 0);
    assert_string_equal(info->identity.host_name, "old");
    assert_int_equal(info->identity.pid, 10 + info->host);
    assert_false(info->alive);
    ++*(unsigned *)arg;
    return 0;
}

static int see_session(const struct session_info *info, void *arg)
{
    static const char *const names[] = {"", "alpha", "beta", "gamma"};
    static const int64_t trashed[] = {0, 0, 77, 9};

    assert_in_range(info->head.sid, 1, 3);
    assert_string_equal(info->name, names[info->head.sid]);
    assert_int_equal(info->trashed, trashed[info->head.sid]);
    assert_int_equal(info->head.bytes, 30);
    ++*(unsigned *)arg;
    return 0;
}

static int see_pin(const struct pin_info *pin, void *arg)
{
    assert_string_equal(pin->session_name, pin->sid == 1 ? "alpha" : "beta");
    assert_int_equal(pin->version, 1);
    assert_int_equal(pin->time, pin->sid == 1 ? 7 : 9);
    ++*(unsigned *)arg;
    return 0;
}

static void look(const struct fixture *fixture)
{
    struct session_filter trash = {.trashed = true};
    unsigned hosts = 0, live = 0, trashed = 0, pins = 0, findings = 0;

    assert_int_equal(store_check(fixture->store, print_finding, &findings, NULL), HF_OK);
    assert_int_equal(findings, 0);
    assert_int_equal(store_host_list(fixture->store, see_host, &hosts, NULL), HF_OK);
    assert_int_equal(hosts, 2);
    assert_int_equal(store_session_list(fixture->store, NULL, see_session, &live, NULL), HF_OK);
    assert_int_equal(live, 1);
    assert_int_equal(store_session_list(fixture->store, &trash, see_session, &trashed, NULL),
                     HF_OK);
    assert_int_equal(trashed, 2);
    assert_int_equal(store_snapshot_pins(fixture->store, "monday", see_pin, &pins, NULL), HF_OK);
    assert_int_equal(pins, 2);
}

static void change(const struct fixture *fixture)
{
    struct host_identity identity = {.host_name = "new", .principal = "agent", .ttl_ms = 30000};
    struct lease lease;
    uint64_t host;

    assert_int_equal(store_host_register(fixture->store, &identity, NULL, &host, NULL), HF_OK);
    assert_int_equal(host, 3);
    assert_int_equal(store_lease_acquire(fixture->store, host, 1, 0, &lease, NULL), HF_OK);
    assert_int_equal(lease.token, 8);
    assert_int_equal(store_session_purge(fixture->store, 2, NULL), HF_OK);
    assert_int_equal(store_rescue_drop(fixture->store, 1, 5, NULL), HF_OK);
    assert_int_equal(number_of(fixture, "SELECT next_rescue FROM store"), 6);
}

static void open_store(struct fixture *fixture)
{
    struct hf_error err = {0};

    if (store_open(fixture->url, 0, NULL, NULL, &fixture->store, &err) != HF_OK)
        fail_msg("cannot open it: %s", err.message);
}

static void close_store(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
}

static void a_store_of_any_older_schema_is_brought_up_to_date(void **state)
{
    struct fixture *fixture = *state;
    int newest = migrations[migration_count - 1].number;

    for (size_t i = 0; i < migration_count; i++) {
        make_old(fixture, migrations[i].number);
        if (migrations[i].number < newest)
            assert_int_equal(
                store_open(fixture->url, STORE_READ_ONLY, NULL, NULL, &fixture->store, NULL),
                HF_ROFS);
        open_store(fixture);
        assert_int_equal(number_of(fixture, "PRAGMA user_version"), newest);
        look(fixture);
        change(fixture);
        close_store(fixture);
        open_store(fixture);
        close_store(fixture);
        remove_files(fixture);
    }
}

/* Also where every row is written anew. */
static void a_damaged_row_of_an_old_store_stays_one(void **state)
{
    static const char *const damages[] = {
        "UPDATE host SET pid = 4711 WHERE host = 1 RETURNING pid",
        "UPDATE session SET bytes = 4711 WHERE sid = 2 RETURNING bytes",
        "UPDATE snapshot_root SET bytes = 4711 WHERE sid = 2 RETURNING bytes",
        "UPDATE history SET bytes = 4711 WHERE sid = 2 RETURNING bytes",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        unsigned findings = 0;

        make_old(fixture, 1);
        assert_int_equal(number_of(fixture, damages[i]), 4711);
        open_store(fixture);
        assert_int_equal(store_check(fixture->store, count_finding, &findings, NULL), HF_OK);
        assert_true(findings > 0);
        close_store(fixture);
        remove_files(fixture);
    }
    make_old(fixture, 1);
    assert_int_equal(number_of(fixture, "UPDATE store SET next_sid = 4711 RETURNING next_sid"),
                     4711);
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &fixture->store, NULL), HF_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_store_of_any_older_schema_is_brought_up_to_date, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_row_of_an_old_store_stays_one, setup, teardown),
    };

    return cmocka_run_group_tests_name("migrations", tests, NULL, NULL);
}
