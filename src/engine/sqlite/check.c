/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "engine/sqlite/incoming.h"
#include "engine/sqlite/leases.h"
#include "engine/sqlite/schema.h"

#define OBJECTS_AT_ONCE 64

/* One check, in one read transaction but for the objects. Each part runs to its end and reports what it
 * finds; a callback that returns something else than 0 ends it all. */
struct check {
    struct sqlite_store *store;
    struct db *reader;
    check_report_fn report;
    void *arg;
    int stop;              /* what the callback returned */
    struct hf_error error; /* of the last call */
    uint64_t rows;         /* of the part, so far */
    uint64_t last;         /* its last row's number */
};

static void tell(struct check *check, const struct check_finding *finding)
{
    if (check->stop == 0)
        check->stop = check->report(finding, check->arg);
}

static void find(struct check *check, int status, const char *what, const char *message)
{
    tell(check, &(struct check_finding){.status = status, .what = what, .message = message});
}

static void find_session(struct check *check, const char *what, uint64_t sid, uint64_t version,
                         const char *message)
{
    tell(check, &(struct check_finding){.status = HF_CORRUPT,
                                        .what = what,
                                        .message = message,
                                        .has_session = true,
                                        .sid = sid,
                                        .version = version});
}

/* --- the file's own structure ----------------------------------------------------------------------- */

static void check_structure(struct check *check)
{
    DB_STATEMENT_AUTO *statement = NULL;
    const char *message;
    int rc = db_start(check->reader, QUERY_INTEGRITY, DB_NO_VALUES, &statement, &check->error);

    while (rc >= 0 && check->stop == 0 &&
           (rc = db_next(check->reader, statement, &check->error)) == 1) {
        message = db_column_text(statement, 0);
        if (!message || strcmp(message, "ok") != 0)
            find(check, HF_CORRUPT, "file", message ? message : "damaged");
    }
    if (rc < 0)
        find(check, rc, "file", check->error.message);
}

static void check_schema(struct check *check)
{
    char finding[256];
    int rc = schema_compare(check->reader, finding, sizeof finding, &check->error);

    if (rc != HF_OK)
        find(check, rc, "schema", check->error.message);
    else if (finding[0])
        find(check, HF_CORRUPT, "schema", finding);
}

/* A number, and what it is to be. */
static void check_number(struct check *check, const char *what, const char *sql, int64_t wanted)
{
    char message[160];
    int64_t number;
    int rc = db_number(check->reader, sql, &number, &check->error);

    if (rc != HF_OK) {
        find(check, rc, what, check->error.message);
    } else if (number != wanted) {
        snprintf(message, sizeof message, "%s is %lld where it should be %lld", sql,
                 (long long)number, (long long)wanted);
        find(check, HF_CORRUPT, what, message);
    }
}

static void check_header(struct check *check)
{
    struct store_row row = {0};
    int rc = store_row_load(check->reader, &row, &check->error);

    if (rc != HF_OK)
        find(check, rc, "store", check->error.message);
    else
        check_number(check, "header", "PRAGMA user_version", (int64_t)row.schema);
    check_number(check, "header", "PRAGMA application_id", SCHEMA_APPLICATION_ID);
    check_number(check, "store", "SELECT count(*) FROM store", 1);
}

/* --- objects ---------------------------------------------------------------------------------------- */

/* `rc`: what the row's checksum says. */
static void check_object(struct check *check, int rc, const struct object_row *row)
{
    BUF_AUTO content = {0};

    if (rc == HF_OK)
        rc = object_read_row(check->reader, &check->store->base.info.hasher, row, &content,
                             &check->error);
    if (rc != HF_OK)
        tell(check, &(struct check_finding){.status = rc,
                                            .what = "object",
                                            .message = check->error.message,
                                            .has_object = true,
                                            .object = row->id});
}

/* A slice of them in the order of their numbers. Returns whether there may be more. */
static bool check_slice(struct check *check)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row;
    int n = 0;
    int rc = db_start(check->reader, QUERY_OBJECT_ALL,
                      DB_VALUES(db_uint(check->last), db_int(OBJECTS_AT_ONCE)), &statement,
                      &check->error);

    while (rc >= 0 && check->stop == 0 &&
           (rc = db_next(check->reader, statement, &check->error)) == 1) {
        n++;
        check->last = db_column_uint(statement, 0);
        if ((rc = object_row_take(statement, &row, &check->error)) != HF_OK)
            find(check, rc, "object", check->error.message);
        else
            check_object(check, db_verify(statement, "object", 1, 7, &check->error), &row);
        rc = 0;
    }
    if (rc < 0)
        find(check, rc, "object", check->error.message);
    return rc >= 0 && check->stop == 0 && n == OBJECTS_AT_ONCE;
}

static void check_objects(struct check *check)
{
    check->last = 0;
    while (check_slice(check))
        continue;
}

/* --- rows ------------------------------------------------------------------------------------------- */

typedef void (*row_fn)(struct check *check, sqlite3_stmt *statement);

/* Verifies every row that a query gives, and lets `look` (or NULL) say more about each sound one. */
static void check_rows(struct check *check, enum query query, const char *table, int columns,
                       row_fn look)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(check->reader, query, DB_NO_VALUES, &statement, &check->error);

    check->rows = check->last = 0;
    while (rc >= 0 && check->stop == 0 &&
           (rc = db_next(check->reader, statement, &check->error)) == 1) {
        check->rows++;
        rc = db_verify(statement, table, 0, columns, &check->error);
        if (rc != HF_OK)
            find(check, rc, table, check->error.message);
        else if (look)
            look(check, statement);
        rc = 0;
    }
    if (rc < 0)
        find(check, rc, table, check->error.message);
}

/* The rows of a query with one parameter, counted. */
static uint64_t count_of(struct check *check, enum query query, uint64_t key)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(check->reader, query, DB_VALUES(db_uint(key)), &statement, &check->error);

    if (rc == HF_OK)
        rc = db_next(check->reader, statement, &check->error);
    return rc == 1 ? db_column_uint(statement, 0) : UINT64_MAX;
}

/* The newest version of history must be the head. */
static void compare_head(struct check *check, const struct session_row *row)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct history_entry entry;
    int rc = db_start(check->reader, QUERY_HISTORY_READ,
                      DB_VALUES(db_uint(row->sid), db_int(INT64_MAX), db_int(1)), &statement,
                      &check->error);

    if (rc == HF_OK)
        rc = db_next(check->reader, statement, &check->error);
    if (rc == 0 && row->version == 0)
        return;
    if (rc == 1)
        rc = history_row_read(statement, &entry, &check->error);
    else if (rc == 0)
        rc = hf_fail(&check->error, HF_CORRUPT, "the session has no history");
    if (rc != HF_OK)
        find_session(check, "history", row->sid, row->version, check->error.message);
    else if (entry.version != row->version || !object_id_equal(&entry.root, &row->root))
        find_session(check, "head", row->sid, row->version,
                     "the head is not the newest version of the history");
}

static void look_at_session(struct check *check, sqlite3_stmt *statement)
{
    struct session_row row;
    const char *fault;

    if (session_row_read(statement, &row, &check->error) != HF_OK) {
        find(check, HF_CORRUPT, "session", check->error.message);
        return;
    }
    fault = lease_row_fault(&row.lease);
    if (fault)
        find_session(check, "lease", row.sid, row.version, fault);
    if (row.state < SESSION_LIVE || row.state > SESSION_PURGED)
        find_session(check, "session", row.sid, row.version,
                     "the session is neither live nor in the trash nor forgotten");
    if (row.has_root != (row.version > 0))
        find_session(check, "head", row.sid, row.version, "the head has a version, but no root");
    if (count_of(check, QUERY_HISTORY_COUNT, row.sid) != row.versions)
        find_session(check, "history", row.sid, row.version, "versions of the history are missing");
    if (count_of(check, QUERY_META_COUNT, row.sid) != (row.state != SESSION_PURGED))
        find_session(check, "session_meta", row.sid, row.version,
                     "the index row is missing, or one is left");
    compare_head(check, &row);
}

static void look_at_history(struct check *check, sqlite3_stmt *statement)
{
    uint64_t sid = db_column_uint(statement, 0);

    if (sid != check->last && count_of(check, QUERY_SESSION_COUNT, sid) != 1)
        find_session(check, "history", sid, db_column_uint(statement, 1),
                     "there is a history without its session");
    check->last = sid;
}

static void look_at_snapshot(struct check *check, sqlite3_stmt *statement)
{
    if (count_of(check, QUERY_SNAPSHOT_COUNT, db_column_uint(statement, 0)) !=
        db_column_uint(statement, 4))
        find(check, HF_CORRUPT, "snapshot", "roots of a snapshot are missing");
}

static void look_at_number(struct check *check, sqlite3_stmt *statement, const char *table)
{
    uint64_t id = db_column_uint(statement, 0);
    char message[100];

    if (check->last != 0 && id != check->last + 1) {
        snprintf(message, sizeof message, "rows before number %llu of the table %s are missing",
                 (unsigned long long)id, table);
        find(check, HF_CORRUPT, table, message);
    }
    check->last = id;
}

static void look_at_audit(struct check *check, sqlite3_stmt *statement)
{
    look_at_number(check, statement, "audit");
}

static void look_at_event(struct check *check, sqlite3_stmt *statement)
{
    look_at_number(check, statement, "event");
}

static void check_counts(struct check *check)
{
    struct store_row row;

    if (store_row_load(check->reader, &row, &check->error) != HF_OK)
        return; /* reported already */
    check_number(check, "session", "SELECT count(*) FROM session", (int64_t)row.sessions);
    check_number(check, "host", "SELECT count(*) FROM host", (int64_t)row.next_host - 1);
}

/* When no collection is under way, nothing of one is left. */
static void check_collection(struct check *check)
{
    struct collection collection;

    check_number(check, "collection", "SELECT count(*) FROM collection", 1);
    check_rows(check, QUERY_COLLECTION_READ, "collection", 4, NULL);
    check_rows(check, QUERY_MARK_ALL, "mark", 3, NULL);
    check_rows(check, QUERY_FOUND_ALL, "found", 2, NULL);
    check_rows(check, QUERY_LOOSE_ALL, "loose", 3, NULL);
    check_rows(check, QUERY_LOOSE_HOST_ALL, "loose_host", 2, NULL);
    if (collection_load(check->reader, &collection, &check->error) != HF_OK)
        return; /* reported already */
    if (collection.phase != COLLECTION_SWEEPING && collection.unswept != 0)
        find(check, HF_CORRUPT, "collection", "there is something to sweep in the wrong phase");
    if (collection.phase != COLLECTION_IDLE)
        return;
    check_number(check, "mark", "SELECT count(*) FROM mark", 0);
    check_number(check, "found", "SELECT count(*) FROM found", 0);
}

/* Every object that is said to be in object_key is, and nothing else. */
static void check_keys(struct check *check)
{
    struct fresh_range range;
    char sql[200];

    check_number(check, "indexed", "SELECT count(*) FROM indexed", 1);
    if (fresh_read_range(check->reader, &range, &check->error) != HF_OK) {
        find(check, HF_CORRUPT, "indexed", check->error.message);
        return;
    }
    snprintf(sql, sizeof sql,
             "SELECT count(*) - (SELECT count(*) FROM object_key) FROM object WHERE seq <= %llu",
             (unsigned long long)range.indexed);
    check_number(check, "object_key", sql, 0);
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM object o WHERE seq <= %llu AND NOT EXISTS (SELECT 1 FROM object_key k"
        " WHERE k.key = o.key AND k.seq = o.seq)",
        (unsigned long long)range.indexed);
    check_number(check, "object_key", sql, 0);
}

static void check_all_rows(struct check *check)
{
    check_rows(check, QUERY_SESSION_ALL, "session", SESSION_ROW_COLUMNS - 1, look_at_session);
    check_rows(check, QUERY_META_ALL, "session_meta", 8, NULL);
    check_rows(check, QUERY_HISTORY_ALL, "history", 8, look_at_history);
    check_rows(check, QUERY_HOST_ALL, "host", HOST_ROW_COLUMNS - 1, NULL);
    check_rows(check, QUERY_EVENT_ALL, "event", 7, look_at_event);
    check_rows(check, QUERY_AUDIT_CHECK, "audit", 7, look_at_audit);
    check_rows(check, QUERY_WAITER_ALL, "waiter", 8, NULL);
    check_rows(check, QUERY_LOCK_ALL, "lock", 8, NULL);
    check_rows(check, QUERY_SNAPSHOT_ALL, "snapshot", 5, look_at_snapshot);
    check_rows(check, QUERY_SNAPSHOT_ROOTS_ALL, "snapshot_root", 8, NULL);
    check_rows(check, QUERY_RESCUE_ALL, "rescue", 10, NULL);
    check_rows(check, QUERY_SETTING_ALL, "setting", 2, NULL);
    check_rows(check, QUERY_QUARANTINE_ALL, "quarantine", 8, NULL);
    check_keys(check);
    check_collection(check);
    check_counts(check);
}

int sqlite_check(struct store *base, check_report_fn report, void *arg, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct check check = {.store = store, .report = report, .arg = arg};
    int rc = readers_take(&store->readers, &check.reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_run(check.reader, QUERY_BEGIN_READ, DB_NO_VALUES, err);
    if (rc == HF_OK) {
        check_header(&check);
        check_schema(&check);
        check_structure(&check);
        check_all_rows(&check);
        db_end(check.reader);
        check_objects(&check);
        rc = check.stop;
    }
    readers_give(&store->readers, check.reader);
    return rc;
}
