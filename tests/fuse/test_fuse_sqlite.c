/* SPDX-License-Identifier: Apache-2.0 */
/** SQLite databases in the mount, written by several processes at once, in each journal mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "mounted.h"

#define WRITERS 4
#define TRANSACTIONS 25
#define ROWS 10
#define BUSY_MS 60000

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db = NULL;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        return NULL;
    sqlite3_busy_timeout(db, BUSY_MS);
    return db;
}

static int run_sql(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);

    if (rc != SQLITE_OK)
        fprintf(stderr, "%s: %s\n", sql, message ? message : "?");
    sqlite3_free(message);
    return rc;
}

static int64_t query_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

/** Each transaction adds ROWS rows and moves the sum of all; both must always agree. */
static int write_rows(const char *path, int writer)
{
    sqlite3 *db = open_database(path);
    char sql[160];

    if (!db)
        return 1;
    for (int t = 0; t < TRANSACTIONS; t++) {
        if (run_sql(db, "BEGIN IMMEDIATE") != SQLITE_OK)
            return 2;
        for (int r = 0; r < ROWS; r++) {
            snprintf(sql, sizeof sql,
                     "INSERT INTO item VALUES(%d, %d, %d, hex(randomblob(300)));"
                     "UPDATE total SET n = n + %d",
                     writer, t, r, r);
            if (run_sql(db, sql) != SQLITE_OK)
                return 3;
        }
        if (run_sql(db, "COMMIT") != SQLITE_OK)
            return 4;
        if (query_number(db, "SELECT (SELECT sum(r) FROM item) = (SELECT n FROM total)") != 1)
            return 5;
    }
    return sqlite3_close(db) == SQLITE_OK ? 0 : 6;
}

static void check_integrity(const char *path)
{
    sqlite3 *db = open_database(path);
    sqlite3_stmt *stmt = NULL;

    assert_non_null(db);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
    assert_int_equal(query_number(db, "SELECT count(*) FROM item"), WRITERS * TRANSACTIONS * ROWS);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void write_together(struct mounted *m, const char *mode)
{
    char path[160], sql[64];
    pid_t pids[WRITERS];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s", mounted_path(m, mode));
    db = open_database(path);
    assert_non_null(db);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", mode);
    assert_int_equal(run_sql(db, sql), SQLITE_OK);
    assert_int_equal(run_sql(db, "CREATE TABLE item(w, t, r, data, PRIMARY KEY(w, t, r));"
                                 "CREATE TABLE total(n); INSERT INTO total VALUES(0)"),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = mounted_fork();
        if (pids[i] == 0)
            _exit(write_rows(path, i));
    }
    for (int i = 0; i < WRITERS; i++) {
        int wait_status;

        assert_int_equal(waitpid(pids[i], &wait_status, 0), pids[i]);
        assert_int_equal(wait_status, 0);
    }
    check_integrity(path);
    mounted_stop(m);
    mounted_start(m, NULL);
    check_integrity(path);
}

static void a_wal_database_survives_several_writers(void **state)
{
    write_together(*state, "WAL");
}

static void a_database_with_deleted_journals_survives_several_writers(void **state)
{
    write_together(*state, "DELETE");
}

static void a_database_with_truncated_journals_survives_several_writers(void **state)
{
    write_together(*state, "TRUNCATE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wal_database_survives_several_writers),
        cmocka_unit_test(a_database_with_deleted_journals_survives_several_writers),
        cmocka_unit_test(a_database_with_truncated_journals_survives_several_writers),
    };

    mounted_require();
    return cmocka_run_group_tests(tests, mounted_setup, mounted_teardown);
}
