/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/checksum.h"

/* Another process may hold the writer's lock for this long before it is taken for stuck. */
#define BUSY_LIMIT_NS (60 * 1000000000LL)
#define BUSY_FIRST_NS 20000
#define BUSY_LONGEST_NS 2000000

struct db_value db_text(const char *text)
{
    if (!text)
        return (struct db_value){.type = DB_NULL};
    return (struct db_value){.type = DB_TEXT, .data = text, .len = strlen(text)};
}

/* --- errors ----------------------------------------------------------------------------------- */

static int status_of(int code, int system_error)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return HF_NOSPC;
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_CORRUPTFS)
            return HF_CORRUPT;
        if (code == SQLITE_IOERR_NOMEM)
            return HF_NOMEM;
        if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
            return HF_FAILED;
        if (system_error == EDQUOT)
            return HF_QUOTA;
        return system_error == ENOSPC || code == SQLITE_IOERR_SHMSIZE ? HF_NOSPC : HF_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return HF_CORRUPT;
    case SQLITE_NOMEM:
        return HF_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return HF_TIMEOUT;
    case SQLITE_READONLY:
        return HF_ROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return HF_ACCESS;
    case SQLITE_CANTOPEN:
        return system_error ? hf_status_from_errno(system_error) : HF_IO;
    case SQLITE_TOOBIG:
        return HF_TOOBIG;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* a statement that does not fit the schema: the schema is not ours any more */
        return HF_CORRUPT;
    default:
        return HF_IO;
    }
}

int db_fail(struct db *db, int code, struct hf_error *err)
{
    int system_error = db->handle ? sqlite3_system_errno(db->handle) : 0;
    int status = status_of(code, system_error);
    const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
    const char *path = db->handle ? sqlite3_db_filename(db->handle, "main") : NULL;

    if (status == HF_TIMEOUT)
        return hf_fail(err, status, "another process keeps the store file locked");
    if (status == HF_NOSPC)
        return hf_fail(err, status, "no space left for the store file");
    if (status == HF_ROFS) /* readers, too, share an index of the log beside it */
        return hf_fail(err, status, "the store file%s%s or its directory cannot be written",
                       path ? " " : "", path ? path : "");
    if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN)
        return hf_fail(err, status, "the store file: %s%s%s", text, system_error ? ": " : "",
                       system_error ? strerror(system_error) : "");
    return hf_fail(err, status, "the store file: %s", text);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Waits for another process in short steps: a writer's lock is seldom held for a millisecond. */
static int wait_while_busy(void *arg, int count)
{
    struct timespec pause = {0};
    int64_t step = BUSY_FIRST_NS;
    int64_t slept = 0;

    (void)arg;
    for (int i = 0; i < count && step < BUSY_LONGEST_NS; i++) {
        slept += step;
        step += step / 2;
    }
    if (slept + (int64_t)count * BUSY_LONGEST_NS / 2 > BUSY_LIMIT_NS)
        return 0;
    pause.tv_nsec = step < BUSY_LONGEST_NS ? step : BUSY_LONGEST_NS;
    nanosleep(&pause, NULL);
    return 1;
}

int db_open(const char *path, int flags, const char *vfs, struct db *ret_db, struct hf_error *err)
{
    struct db db = {0};
    int code;

    code =
        sqlite3_open_v2(path, &db.handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    if (code == SQLITE_OK) {
        sqlite3_busy_handler(db.handle, wait_while_busy, NULL);
        sqlite3_db_config(db.handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db.handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        *ret_db = db;
        return HF_OK;
    }
    code = db_fail(&db, code, err);
    db_close(&db);
    return code;
}

void db_close(struct db *db)
{
    for (int i = 0; i < QUERY_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    *db = (struct db){0};
}

int db_script(struct db *db, const char *sql, struct hf_error *err)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? HF_OK : db_fail(db, code, err);
}

int db_number(struct db *db, const char *sql, int64_t *ret_number, struct hf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    int rc;

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret_number = sqlite3_column_int64(statement, 0);
        rc = HF_OK;
    } else {
        rc = db_fail(db, code, err);
    }
    sqlite3_finalize(statement);
    return rc;
}

/* --- statements ------------------------------------------------------------------------------- */

static int prepare(struct db *db, enum query query, struct hf_error *err)
{
    int code;

    if (db->statements[query])
        return HF_OK;
    code = sqlite3_prepare_v3(db->handle, query_sql[query], -1, SQLITE_PREPARE_PERSISTENT,
                              &db->statements[query], NULL);
    return code == SQLITE_OK ? HF_OK : db_fail(db, code, err);
}

static int bind(sqlite3_stmt *statement, int index, const struct db_value *value)
{
    switch (value->type) {
    case DB_INT:
        return sqlite3_bind_int64(statement, index, value->number);
    case DB_TEXT:
        return sqlite3_bind_text64(statement, index, value->data, value->len, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(statement, index, value->data ? value->data : "", value->len,
                                   SQLITE_STATIC);
    case DB_NULL:
        break;
    }
    return sqlite3_bind_null(statement, index);
}

int db_start(struct db *db, enum query query, const struct db_value *values, size_t n,
             sqlite3_stmt **ret_statement, struct hf_error *err)
{
    int rc = prepare(db, query, err);
    int code = SQLITE_OK;

    if (rc != HF_OK)
        return rc;
    db->executed++;
    for (size_t i = 0; i < n && code == SQLITE_OK; i++)
        code = bind(db->statements[query], (int)i + 1, &values[i]);
    if (code != SQLITE_OK)
        return db_fail(db, code, err);
    *ret_statement = db->statements[query];
    return HF_OK;
}

int db_next(struct db *db, sqlite3_stmt *statement, struct hf_error *err)
{
    int code = sqlite3_step(statement);

    if (code == SQLITE_ROW)
        return 1;
    return code == SQLITE_DONE ? 0 : db_fail(db, code, err);
}

void db_done(sqlite3_stmt *statement)
{
    if (statement)
        sqlite3_reset(statement);
}

int db_run(struct db *db, enum query query, const struct db_value *values, size_t n,
           struct hf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = db_start(db, query, values, n, &statement, err);

    if (rc != HF_OK)
        return rc;
    rc = db_next(db, statement, err);
    db_done(statement);
    return rc < 0 ? rc : HF_OK;
}

void db_end(struct db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        db_run(db, QUERY_ROLLBACK, DB_NO_VALUES, NULL);
}

/* --- checksums -------------------------------------------------------------------------------- */

static int sum_values(const char *table, const struct db_value *values, size_t n, int64_t *ret_sum)
{
    struct checksum sum;

    checksum_start(&sum, table);
    for (size_t i = 0; i < n; i++) {
        if (values[i].type == DB_INT)
            checksum_int(&sum, values[i].number);
        else if (values[i].type == DB_BLOB)
            checksum_blob(&sum, values[i].data, values[i].len);
        else
            checksum_text(&sum, values[i].data);
    }
    return checksum_end(&sum, ret_sum);
}

static int sum_columns(const char *table, sqlite3_stmt *statement, int first, int end,
                       int64_t *ret_sum)
{
    struct checksum sum;
    struct slice blob;

    checksum_start(&sum, table);
    for (int i = first; i < end; i++) {
        switch (sqlite3_column_type(statement, i)) {
        case SQLITE_INTEGER:
            checksum_int(&sum, sqlite3_column_int64(statement, i));
            break;
        case SQLITE_BLOB:
            blob = db_column_blob(statement, i);
            checksum_blob(&sum, blob.data, blob.len);
            break;
        default:
            checksum_text(&sum, db_column_text(statement, i));
            break;
        }
    }
    return checksum_end(&sum, ret_sum);
}

int db_run_summed_with(struct db *db, enum query query, const char *table,
                       const struct db_value *values, size_t n, const struct db_value *more,
                       size_t nmore, struct hf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int at = (int)n + 1;
    int code = SQLITE_OK;
    int64_t sum;
    int rc = sum_values(table, values, n, &sum);

    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    rc = db_start(db, query, values, n, &statement, err);
    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < nmore && code == SQLITE_OK; i++)
        code = bind(statement, at++, &more[i]);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, at, sum);
    rc = code == SQLITE_OK ? db_next(db, statement, err) : db_fail(db, code, err);
    db_done(statement);
    return rc < 0 ? rc : HF_OK;
}

int db_run_summed(struct db *db, enum query query, const char *table, const struct db_value *values,
                  size_t n, struct hf_error *err)
{
    return db_run_summed_with(db, query, table, values, n, DB_NO_VALUES, err);
}

int db_verify(sqlite3_stmt *statement, const char *table, int first, int columns,
              struct hf_error *err)
{
    int64_t sum;
    int end = first + columns;
    int rc = sum_columns(table, statement, first, end, &sum);

    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    if (sqlite3_column_type(statement, end) != SQLITE_INTEGER ||
        sqlite3_column_int64(statement, end) != sum)
        return hf_fail(err, HF_CORRUPT, "a row of the table %s does not fit its checksum", table);
    return HF_OK;
}

static void row_sum(sqlite3_context *context, int n, sqlite3_value **values)
{
    struct checksum sum;
    int64_t result;

    checksum_start(&sum, (const char *)sqlite3_value_text(values[0]));
    for (int i = 1; i < n; i++) {
        switch (sqlite3_value_type(values[i])) {
        case SQLITE_INTEGER:
            checksum_int(&sum, sqlite3_value_int64(values[i]));
            break;
        case SQLITE_BLOB:
            checksum_blob(&sum, sqlite3_value_blob(values[i]),
                          (size_t)sqlite3_value_bytes(values[i]));
            break;
        default:
            checksum_text(&sum, (const char *)sqlite3_value_text(values[i]));
            break;
        }
    }
    if (checksum_end(&sum, &result) == HF_OK)
        sqlite3_result_int64(context, result);
    else
        sqlite3_result_error_nomem(context);
}

int db_add_row_sum(struct db *db, struct hf_error *err)
{
    int code = sqlite3_create_function_v2(db->handle, "row_sum", -1,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                          NULL, row_sum, NULL, NULL, NULL);

    return code == SQLITE_OK ? HF_OK : db_fail(db, code, err);
}

/* --- columns ---------------------------------------------------------------------------------- */

uint64_t db_column_uint(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

int64_t db_column_int(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_int64(statement, column);
}

const char *db_column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

struct slice db_column_blob(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);

    return slice_of(data, (size_t)sqlite3_column_bytes(statement, column));
}

int db_column_bytes(sqlite3_stmt *statement, int column, void *ret_bytes, size_t len,
                    bool allow_empty, struct hf_error *err)
{
    struct slice blob = db_column_blob(statement, column);

    if (blob.len == len)
        memcpy(ret_bytes, blob.data, len);
    else if (allow_empty && blob.len == 0)
        memset(ret_bytes, 0, len);
    else
        return hf_fail(err, HF_CORRUPT, "a value of %zu bytes in the store file has %zu", len,
                       blob.len);
    return HF_OK;
}
