/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/schema.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#define HEADER_SIZE 100
#define MAGIC "SQLite format 3"
#define PAGE_SIZE 1024
#define TRIES_MAX 5000

/* --- whose file it is ------------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int judge(const char *path, const uint8_t *header, int64_t size, enum schema_file *ret_file,
                 struct hf_error *err)
{
    uint32_t application;

    if (size == 0) {
        *ret_file = SCHEMA_EMPTY;
        return HF_OK;
    }
    if (size < HEADER_SIZE || memcmp(header, MAGIC, sizeof MAGIC) != 0)
        return hf_fail(err, HF_INVAL, "%s is not a holdfast store", path);
    application = big_endian(header + 68);
    if (application == SCHEMA_APPLICATION_ID)
        *ret_file = SCHEMA_STORE;
    else if (application == 0 && size <= PAGE_SIZE && header[HEADER_SIZE + 3] == 0 &&
             header[HEADER_SIZE + 4] == 0)
        *ret_file = SCHEMA_EMPTY; /* no table in it: one that was being made */
    else
        return hf_fail(err, HF_INVAL,
                       "%s is an SQLite file of another program, not a holdfast store", path);
    return HF_OK;
}

static int read_header(sqlite3_file *file, const char *path, enum schema_file *ret_file,
                       struct hf_error *err)
{
    uint8_t header[HEADER_SIZE + 8] = {0};
    sqlite3_int64 size = 0;
    int code = file->pMethods->xFileSize(file, &size);

    if (code == SQLITE_OK && size > 0)
        code = file->pMethods->xRead(file, header, sizeof header, 0);
    if (code == SQLITE_IOERR_SHORT_READ)
        code = SQLITE_OK;
    if (code != SQLITE_OK)
        return hf_fail(err, HF_IO, "cannot read %s: %s", path, sqlite3_errstr(code));
    return judge(path, header, size, ret_file, err);
}

int schema_identify(const char *path, const char *vfs_name, enum schema_file *ret_file,
                    struct hf_error *err)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
    sqlite3_file *file;
    const char *name;
    int exists = 0, code, rc;

    if (!vfs)
        return hf_fail(err, HF_INVAL, "there is no VFS named %s", vfs_name ? vfs_name : "");
    if (vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &exists) == SQLITE_OK && !exists) {
        *ret_file = SCHEMA_ABSENT;
        return HF_OK;
    }
    file = calloc(1, (size_t)vfs->szOsFile);
    name = sqlite3_create_filename(path, "", "", 0, NULL);
    if (!file || !name) {
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    } else if ((code = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB,
                                  NULL)) != SQLITE_OK) {
        rc = hf_fail(err, errno ? hf_status_from_errno(errno) : HF_IO, "cannot open %s: %s", path,
                     errno ? strerror(errno) : sqlite3_errstr(code));
    } else {
        rc = read_header(file, path, ret_file, err);
    }
    if (file && file->pMethods)
        file->pMethods->xClose(file);
    free(file);
    sqlite3_free_filename(name);
    return rc;
}

/* --- making and upgrading ---------------------------------------------------------------------------- */

static int newest(void)
{
    return migrations[migration_count - 1].number;
}

static int set_number(struct db *db, const char *pragma, int number, struct hf_error *err)
{
    char sql[64];

    snprintf(sql, sizeof sql, "PRAGMA %s=%d", pragma, number);
    return db_script(db, sql, err);
}

static int migrate(struct db *db, int64_t from, struct hf_error *err)
{
    int rc = db_add_row_sum(db, err);

    for (size_t i = 0; i < migration_count && rc == HF_OK; i++)
        if (migrations[i].number > from)
            rc = db_script(db, migrations[i].sql, err);
    return rc == HF_OK ? set_number(db, "user_version", newest(), err) : rc;
}

static int insert_first_rows(struct db *db, const struct store_create_options *create, int64_t now,
                             struct hf_error *err)
{
    static const struct session_meta unknown;
    struct session_row shared = {.state = SESSION_LIVE, .created = now, .time = now};
    struct store_row row = {.schema = (uint64_t)newest(),
                            .chunker = create->chunker,
                            .strict = create->strict,
                            .keyed = create->keyed,
                            .created = now,
                            .next_sid = 1,
                            .next_host = 1,
                            .generation = 1,
                            .sessions = 1,
                            .next_rescue = 1};
    int rc;

    if (row.chunker.max == 0)
        row.chunker = CHUNKER_DEFAULT;
    uuid_generate(row.uuid);
    if (row.keyed && create->key)
        memcpy(row.key, create->key, sizeof row.key);
    else if (row.keyed && RAND_bytes(row.key, sizeof row.key) != 1)
        return hf_fail(err, HF_IO, "no random bytes to be had for the store's key");
    rc = store_row_write(db, &row, err);
    if (rc == HF_OK)
        rc = session_row_insert(db, &shared, err);
    return rc == HF_OK ? session_meta_write(db, SHARED_SID, &unknown, err) : rc;
}

static int count_tables(struct db *db, int64_t *ret_count, struct hf_error *err)
{
    return db_number(db, "SELECT count(*) FROM sqlite_schema", ret_count, err);
}

/* In a transaction: makes the store unless somebody has been faster. */
static int make(struct db *db, const struct store_create_options *create, int64_t now,
                struct hf_error *err)
{
    int64_t tables;
    int rc = count_tables(db, &tables, err);

    if (rc != HF_OK || tables > 0)
        return rc;
    rc = migrate(db, 0, err);
    if (rc == HF_OK)
        rc = set_number(db, "application_id", SCHEMA_APPLICATION_ID, err);
    return rc == HF_OK ? insert_first_rows(db, create, now, err) : rc;
}

/* The text of a statement that WAL mode is set by. It gives a row, which says what came of it. */
static int set_wal(struct db *db, struct hf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    int rc = HF_OK;

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        rc = db_fail(db, code, err);
    else if (strcmp(db_column_text(statement, 0), "wal") != 0)
        rc = hf_fail(err, HF_UNSUPPORTED, "the file system of the store cannot hold a shared log");
    sqlite3_finalize(statement);
    return rc;
}

/* The change to WAL mode needs the file for itself, and SQLite does not wait for that where two processes
 * wait for each other: true when it is worth another try. */
static bool try_again(int rc, int *tries)
{
    const struct timespec pause = {.tv_nsec = 1000000 * (1 + *tries % 7)};

    if (rc != HF_TIMEOUT || ++*tries > TRIES_MAX)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static int create_once(struct db *db, const struct store_create_options *create, int64_t now,
                       struct hf_error *err)
{
    static const struct store_create_options defaults;
    int rc = set_number(db, "page_size", PAGE_SIZE, err);

    if (rc == HF_OK)
        rc = db_script(
            db, "PRAGMA encoding='UTF-8'; PRAGMA auto_vacuum=INCREMENTAL; BEGIN IMMEDIATE", err);
    if (rc != HF_OK)
        return rc;
    rc = make(db, create ? create : &defaults, now, err);
    if (rc == HF_OK)
        rc = db_script(db, "COMMIT", err);
    db_end(db);
    return rc == HF_OK ? set_wal(db, err) : rc;
}

int schema_create(struct db *db, const struct store_create_options *create, int64_t now,
                  struct hf_error *err)
{
    int tries = 0;
    int rc;

    do
        rc = create_once(db, create, now, err);
    while (try_again(rc, &tries));
    return rc;
}

static int check_version(struct db *db, int64_t *ret_version, struct hf_error *err)
{
    int64_t version;
    int rc = db_number(db, "PRAGMA user_version", &version, err);

    if (rc != HF_OK)
        return rc;
    if (version > newest())
        return hf_fail(err, HF_NEWER,
                       "the store has schema %lld, and this program knows schemas up to %d: it was "
                       "written by a newer holdfast",
                       (long long)version, newest());
    if (version < 1)
        return hf_fail(err, HF_CORRUPT, "the store file has no valid schema number (%lld)",
                       (long long)version);
    *ret_version = version;
    return HF_OK;
}

/* In a transaction. */
static int upgrade(struct db *db, struct hf_error *err)
{
    struct store_row row;
    int64_t version;
    int rc = check_version(db, &version, err);

    if (rc == HF_OK && version < newest())
        rc = migrate(db, version, err);
    if (rc == HF_OK)
        rc = store_row_load(db, &row, err);
    if (rc != HF_OK || version == newest())
        return rc;
    row.schema = (uint64_t)newest();
    return store_row_write(db, &row, err);
}

int schema_upgrade(struct db *db, bool read_only, struct hf_error *err)
{
    int64_t version;
    int tries = 0;
    int rc = check_version(db, &version, err);

    if (rc != HF_OK)
        return rc;
    if (version < newest() && read_only)
        return hf_fail(err, HF_ROFS,
                       "the store has the older schema %lld; open it for writing once",
                       (long long)version);
    if (read_only)
        return HF_OK;
    do
        rc = set_wal(db, err);
    while (try_again(rc, &tries));
    if (rc != HF_OK || version == newest())
        return rc;
    rc = db_script(db, "BEGIN IMMEDIATE", err);
    if (rc == HF_OK)
        rc = upgrade(db, err);
    if (rc == HF_OK)
        rc = db_script(db, "COMMIT", err);
    db_end(db);
    return rc;
}

/* --- the schema's text -------------------------------------------------------------------------------- */

static bool same_text(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
    const char *left = db_column_text(a, column), *right = db_column_text(b, column);

    return left && right ? strcmp(left, right) == 0 : left == right;
}

/* Walks both; they are in the same order. */
static int compare_rows(struct db *db, sqlite3_stmt *have, struct db *model, sqlite3_stmt *want,
                        char *ret_finding, size_t size, struct hf_error *err)
{
    const char *name;
    int left, right;

    do {
        left = db_next(db, have, err);
        right = db_next(model, want, err);
        if (left < 0 || right < 0)
            return left < 0 ? left : right;
        if (left == 0 && right == 0)
            return HF_OK;
    } while (left == right && same_text(have, want, 0) && same_text(have, want, 1) &&
             same_text(have, want, 2) && same_text(have, want, 3));
    name = db_column_text(right ? want : have, 1);
    snprintf(ret_finding, size, "the definition of %s in the store file is not what it should be",
             name ? name : "a table");
    return HF_OK;
}

int schema_compare(struct db *db, char *ret_finding, size_t size, struct hf_error *err)
{
    struct db model = {0};
    sqlite3_stmt *have = NULL, *want = NULL;
    int rc = db_open(":memory:", SQLITE_OPEN_READWRITE, NULL, &model, err);

    ret_finding[0] = '\0';
    if (rc == HF_OK)
        rc = migrate(&model, 0, err);
    if (rc == HF_OK)
        rc = db_start(db, QUERY_SCHEMA_TEXT, DB_NO_VALUES, &have, err);
    if (rc == HF_OK)
        rc = db_start(&model, QUERY_SCHEMA_TEXT, DB_NO_VALUES, &want, err);
    if (rc == HF_OK)
        rc = compare_rows(db, have, &model, want, ret_finding, size, err);
    db_done(have);
    db_done(want);
    db_close(&model);
    return rc;
}
