/* SPDX-License-Identifier: Apache-2.0 */
/** The workload `sqlite`: a database file in the directory, one transaction after the other. */
#include <sqlite3.h>
#include <stdio.h>

#include "bench/bench.h"

#define TRANSACTIONS 1000
#define ROW_BYTES 200

/* One setting of the database, and the names of its two figures. */
struct setting {
    const char *journal, *synchronous;
    const char *latency, *rate;
};

static const struct setting settings[] = {
    {"WAL", "FULL", "wal_full", "wal_full_rate"},
    {"WAL", "NORMAL", "wal_normal", "wal_normal_rate"},
    {"DELETE", "FULL", "delete_full", "delete_full_rate"},
    {"DELETE", "NORMAL", "delete_normal", "delete_normal_rate"},
};

static int fail(sqlite3 *db, const struct setting *setting, struct hf_error *err)
{
    return hf_fail(err, HF_IO, "SQLite, journal mode %s: %s", setting->journal,
                   db ? sqlite3_errmsg(db) : "out of memory");
}

/* As the agent's own tool makes it: a table of the things to do. */
static int prepare(struct bench *bench, const struct setting *setting, sqlite3 **ret_db,
                   struct hf_error *err)
{
    char path[BENCH_PATH], sql[256];
    int rc;

    bench_path(bench, path, "%s.db", setting->latency);
    rc = sqlite3_open(path, ret_db);
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode = %s; PRAGMA synchronous = %s;"
             "CREATE TABLE todos (id INTEGER PRIMARY KEY, status TEXT NOT NULL, event BLOB);",
             setting->journal, setting->synchronous);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*ret_db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? HF_OK : fail(*ret_db, setting, err);
}

/* Each row is a transaction of its own. */
static int insert(struct bench *bench, sqlite3 *db, const struct setting *setting,
                  struct samples *samples, struct hf_error *err)
{
    uint64_t rows = bench_scaled(bench, TRANSACTIONS, 10);
    uint8_t row[ROW_BYTES];
    sqlite3_stmt *stmt;
    int rc = HF_OK;

    if (sqlite3_prepare_v2(db, "INSERT INTO todos (status, event) VALUES ('pending', ?)", -1, &stmt,
                           NULL) != SQLITE_OK)
        return fail(db, setting, err);
    for (uint64_t i = 0; i < rows && rc == HF_OK; i++) {
        int64_t begin;

        content_event(&bench->content, row, sizeof row);
        begin = samples_now();
        sqlite3_bind_blob(stmt, 1, row, sizeof row, SQLITE_STATIC);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            rc = fail(db, setting, err);
        sqlite3_reset(stmt);
        if (rc == HF_OK)
            rc = bench_took(samples, begin, err);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int measure(struct bench *bench, const struct setting *setting, struct hf_error *err)
{
    struct samples samples = {0};
    sqlite3 *db = NULL;
    double rate = 0;
    int rc = prepare(bench, setting, &db, err);

    if (rc == HF_OK)
        rc = insert(bench, db, setting, &samples, err);
    if (sqlite3_close(db) != SQLITE_OK && rc == HF_OK)
        rc = fail(db, setting, err);
    if (rc == HF_OK) {
        rate = samples_rate(&samples);
        rc = figures_add_samples(&bench->figures, setting->latency, &samples, err);
    }
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, setting->rate, FIGURE_PER_SECOND, rate, err);
    samples_free(&samples);
    return rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && rc == HF_OK; i++)
        rc = measure(bench, &settings[i], err);
    return rc;
}

const struct workload workload_sqlite = {
    .name = "sqlite",
    .summary = "SQLite transactions: WAL, DELETE; FULL, NORMAL",
    .run = run,
};
