/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "bench/hostlog.h"

/* The rows and indexes that a commit touches in a store (src/engine/sqlite/sql), but for their checksums. */
static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "CREATE TABLE object (seq INTEGER PRIMARY KEY, key INTEGER NOT NULL, rest BLOB NOT NULL,"
    " encoding INTEGER NOT NULL, size INTEGER NOT NULL, base INTEGER, packed BLOB NOT NULL);"
    "CREATE INDEX object_by_key ON object (key);"
    "CREATE TABLE history (sid INTEGER, version INTEGER, root BLOB NOT NULL, time INTEGER,"
    " PRIMARY KEY (sid, version)) WITHOUT ROWID;"
    "CREATE TABLE session (sid INTEGER PRIMARY KEY, version INTEGER, root BLOB NOT NULL);";

static const char *const texts[] = {
    "INSERT INTO object (key, rest, encoding, size, base, packed) VALUES (?, ?, ?, ?, 1, ?)",
    "INSERT INTO history VALUES (?, ?, ?, 0)",
    "INSERT OR REPLACE INTO session VALUES (?, ?, ?)",
    "BEGIN",
    "COMMIT",
};

enum { INSERT_OBJECT, INSERT_HISTORY, MOVE_HEAD, BEGIN, COMMIT, STATEMENTS };

#define SESSIONS 64

/* A row of `object`, packed before the clock is read. */
struct row {
    struct object_id id;
    size_t size;
    enum object_encoding encoding;
    struct buf packed;
};

struct bare {
    sqlite3 *db;
    sqlite3_stmt *stmts[STATEMENTS];
    struct row *rows; /* HOSTLOG_OBJECTS for each commit, the root last */
    uint64_t commits;
};

static int fail(const struct bare *bare, struct hf_error *err)
{
    return hf_fail(err, HF_IO, "SQLite: %s", sqlite3_errmsg(bare->db));
}

static int pack_rows(struct bench *bench, struct bare *bare, struct hostlog *log, uint64_t commit,
                     struct hf_error *err)
{
    uint8_t text[HOSTLOG_PART];
    int rc;

    content_event(&bench->content, text, sizeof text);
    rc = hostlog_step(log, text, err);

    for (size_t i = 0; i < HOSTLOG_OBJECTS && rc == HF_OK; i++) {
        struct row *row = &bare->rows[commit * HOSTLOG_OBJECTS + i];
        const struct object *object = &hostlog_objects(log)[i];

        row->id = object->id;
        row->size = object->content.len;
        rc = object_pack(object->content, (struct slice){0}, &row->packed, &row->encoding);
        if (rc != HF_OK)
            hf_fail(err, rc, "out of memory");
    }
    return rc;
}

static int make_rows(struct bench *bench, struct bare *bare, struct hf_error *err)
{
    const struct object_hasher plain = {0};
    struct hostlog *log = hostlog_new(&plain);
    int rc = HF_OK;

    bare->rows = calloc(bare->commits, HOSTLOG_OBJECTS * sizeof *bare->rows);
    if (!bare->rows || !log)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    for (uint64_t i = 0; i < bare->commits && rc == HF_OK; i++)
        rc = pack_rows(bench, bare, log, i, err);
    hostlog_free(log);
    return rc;
}

static int open_database(struct bench *bench, struct bare *bare, struct hf_error *err)
{
    char path[BENCH_PATH];
    int rc = sqlite3_open(bench_path(bench, path, "bare.db"), &bare->db);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(bare->db, schema, NULL, NULL, NULL);
    for (int i = 0; i < STATEMENTS && rc == SQLITE_OK; i++)
        rc = sqlite3_prepare_v2(bare->db, texts[i], -1, &bare->stmts[i], NULL);
    return rc == SQLITE_OK ? HF_OK : fail(bare, err);
}

static int step(const struct bare *bare, int which, struct hf_error *err)
{
    int rc = sqlite3_step(bare->stmts[which]);

    sqlite3_reset(bare->stmts[which]);
    return rc == SQLITE_DONE ? HF_OK : fail(bare, err);
}

static int insert_object(const struct bare *bare, const struct row *row, struct hf_error *err)
{
    sqlite3_stmt *stmt = bare->stmts[INSERT_OBJECT];

    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)object_id_hash(&row->id));
    sqlite3_bind_blob(stmt, 2, row->id.bytes + 8, OBJECT_ID_SIZE - 8, SQLITE_STATIC);
    sqlite3_bind_int(stmt, 3, (int)row->encoding);
    sqlite3_bind_int64(stmt, 4, (sqlite3_int64)row->size);
    sqlite3_bind_blob(stmt, 5, row->packed.data, (int)row->packed.len, SQLITE_STATIC);
    return step(bare, INSERT_OBJECT, err);
}

/* History and head have the same first three columns. */
static int insert_version(const struct bare *bare, int which, uint64_t commit,
                          const struct object_id *root, struct hf_error *err)
{
    sqlite3_stmt *stmt = bare->stmts[which];

    sqlite3_bind_int64(stmt, 1, (sqlite3_int64)(commit % SESSIONS));
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)(commit / SESSIONS));
    sqlite3_bind_blob(stmt, 3, root->bytes, OBJECT_ID_SIZE, SQLITE_STATIC);
    return step(bare, which, err);
}

static int insert_commit(const struct bare *bare, uint64_t commit, struct hf_error *err)
{
    const struct row *rows = &bare->rows[commit * HOSTLOG_OBJECTS];
    const struct object_id *root = &rows[HOSTLOG_OBJECTS - 1].id;
    int rc = HF_OK;

    for (size_t i = 0; i < HOSTLOG_OBJECTS && rc == HF_OK; i++)
        rc = insert_object(bare, &rows[i], err);
    if (rc == HF_OK)
        rc = insert_version(bare, INSERT_HISTORY, commit, root, err);
    return rc == HF_OK ? insert_version(bare, MOVE_HEAD, commit, root, err) : rc;
}

/* So many transactions, as even as can be. */
static int insert_all(const struct bare *bare, uint64_t transactions, struct hf_error *err)
{
    uint64_t left = 0; /* of the commits of this transaction */
    int rc = HF_OK;

    for (uint64_t i = 0; i < bare->commits && rc == HF_OK; i++) {
        if (left == 0) {
            left = (bare->commits - i) / transactions--;
            rc = step(bare, BEGIN, err);
        }
        if (rc == HF_OK)
            rc = insert_commit(bare, i, err);
        if (rc == HF_OK && --left == 0)
            rc = step(bare, COMMIT, err);
        if (rc == HF_OK)
            rc = bench_go_on(err);
    }
    return rc;
}

static void clear(struct bare *bare)
{
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(bare->stmts[i]);
    sqlite3_close(bare->db);
    for (uint64_t i = 0; bare->rows && i < bare->commits * HOSTLOG_OBJECTS; i++)
        buf_free(&bare->rows[i].packed);
    free(bare->rows);
}

int bare_measure(struct bench *bench, uint64_t commits, uint64_t transactions, double *ret_rate,
                 struct hf_error *err)
{
    struct bare bare = {.commits = commits};
    int64_t begin;
    int rc = make_rows(bench, &bare, err);

    if (rc == HF_OK)
        rc = open_database(bench, &bare, err);
    begin = samples_now();
    if (rc == HF_OK)
        rc = insert_all(&bare, transactions, err);
    if (rc == HF_OK)
        *ret_rate = (double)commits * 1e9 / (double)(samples_now() - begin);
    clear(&bare);
    return rc;
}
