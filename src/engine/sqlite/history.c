/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

int history_row_read(sqlite3_stmt *statement, struct history_entry *ret_entry, struct hf_error *err)
{
    struct history_entry entry = {0};
    int rc = db_verify(statement, "history", 0, 8, err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 2, entry.root.bytes, OBJECT_ID_SIZE, false, err);
    if (rc != HF_OK)
        return rc;
    entry.sid = db_column_uint(statement, 0);
    entry.version = db_column_uint(statement, 1);
    entry.time = db_column_int(statement, 3);
    entry.host = db_column_uint(statement, 4);
    entry.token = db_column_uint(statement, 5);
    entry.bytes = db_column_uint(statement, 6);
    entry.files = db_column_uint(statement, 7);
    *ret_entry = entry;
    return HF_OK;
}

static int visit_entry(struct db *reader, sqlite3_stmt *statement, struct host_row *host,
                       history_visit_fn visit, void *arg, struct hf_error *err)
{
    struct history_entry entry;
    int rc = history_row_read(statement, &entry, err);

    if (rc == HF_OK && entry.host != host->host) {
        *host = (struct host_row){0};
        rc = host_row_load(reader, entry.host, host, err);
        if (rc == HF_NOENT)
            rc = HF_OK;
        host->host = entry.host;
    }
    if (rc != HF_OK)
        return rc;
    entry.host_name = host->identity.host_name;
    return visit(&entry, arg);
}

int sqlite_history(struct store *base, uint64_t sid, uint64_t from, uint64_t limit,
                   history_visit_fn visit, void *arg, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct host_row host = {0};
    struct session_row row;
    sqlite3_stmt *statement = NULL;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = session_row_load(reader, sid, &row, err);
    if (rc == HF_OK)
        rc = db_start(reader, QUERY_HISTORY_READ,
                      DB_VALUES(db_uint(sid), db_uint(from > INT64_MAX ? INT64_MAX : from),
                                db_int(limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit)),
                      &statement, err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1)
        rc = visit_entry(reader, statement, &host, visit, arg, err);
    db_done(statement);
    readers_give(&store->readers, reader);
    return rc;
}

/* --- roots ---------------------------------------------------------------------------------------- */

/* One visit of all roots, in one read transaction. */
struct roots_visit {
    struct db *reader;
    root_visit_fn visit;
    void *arg;
    struct hf_error *err;
    struct session_row session; /* the last one asked for */
    bool loaded;
    const char *label; /* of the snapshot being visited */
    int64_t time;
    uint64_t versions; /* rows of history that the sessions say there are, less those seen */
    uint64_t pins;     /* the same of the snapshot being visited */
};

/* Tells the root with what its session's row says of it. */
static int tell(struct roots_visit *roots, struct root_info *root)
{
    if (!roots->loaded || roots->session.sid != root->sid) {
        int rc = session_row_load(roots->reader, root->sid, &roots->session, roots->err);

        if (rc != HF_OK)
            return rc == HF_NOENT ? hf_fail(roots->err, HF_CORRUPT,
                                            "a session that is referred to is missing: %llu",
                                            (unsigned long long)root->sid)
                                  : rc;
        roots->loaded = true;
    }
    root->session_name = roots->session.name;
    root->trashed = roots->session.state == SESSION_TRASHED;
    return roots->visit(root, roots->arg);
}

static int tell_head(struct roots_visit *roots, sqlite3_stmt *statement)
{
    struct session_row row;
    struct root_info root = {.kind = ROOT_HEAD};
    int rc = session_row_read(statement, &row, roots->err);

    if (rc == HF_OK)
        roots->versions += row.versions;
    if (rc != HF_OK || !row.has_root)
        return rc;
    root.sid = row.sid;
    root.version = row.version;
    root.root = row.root;
    root.time = row.time;
    root.bytes = row.bytes;
    root.files = row.files;
    return tell(roots, &root);
}

static int tell_version(struct roots_visit *roots, sqlite3_stmt *statement)
{
    struct history_entry entry;
    struct root_info root = {.kind = ROOT_HISTORY};
    int rc = history_row_read(statement, &entry, roots->err);

    if (rc != HF_OK)
        return rc;
    roots->versions--;
    root.sid = entry.sid;
    root.version = entry.version;
    root.root = entry.root;
    root.time = entry.time;
    root.bytes = entry.bytes;
    root.files = entry.files;
    return tell(roots, &root);
}

static int tell_rescue(struct roots_visit *roots, sqlite3_stmt *statement)
{
    struct root_info root = {.kind = ROOT_RESCUE};
    int rc = db_verify(statement, "rescue", 0, 10, roots->err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 3, root.root.bytes, OBJECT_ID_SIZE, false, roots->err);
    if (rc != HF_OK)
        return rc;
    root.rescue = db_column_uint(statement, 0);
    root.sid = db_column_uint(statement, 1);
    root.version = db_column_uint(statement, 2);
    root.time = db_column_int(statement, 4);
    root.bytes = db_column_uint(statement, 7);
    root.files = db_column_uint(statement, 8);
    root.label = db_column_text(statement, 9);
    return tell(roots, &root);
}

static int tell_pin(struct roots_visit *roots, sqlite3_stmt *statement)
{
    struct root_info root = {.kind = ROOT_SNAPSHOT, .label = roots->label, .time = roots->time};
    int rc = db_verify(statement, "snapshot_root", 0, 7, roots->err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 3, root.root.bytes, OBJECT_ID_SIZE, false, roots->err);
    if (rc != HF_OK)
        return rc;
    roots->pins--;
    root.sid = db_column_uint(statement, 1);
    root.version = db_column_uint(statement, 2);
    root.bytes = db_column_uint(statement, 5);
    root.files = db_column_uint(statement, 6);
    return tell(roots, &root);
}

static int tell_all(struct roots_visit *roots, enum query query, const struct db_value *values,
                    size_t n, int (*tell_one)(struct roots_visit *, sqlite3_stmt *))
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(roots->reader, query, values, n, &statement, roots->err);

    while (rc == HF_OK && (rc = db_next(roots->reader, statement, roots->err)) == 1)
        rc = tell_one(roots, statement);
    return rc;
}

/* A row that damage hides is missed by nobody else: and who collects garbage must see every root. */
static int check_none_left(const struct roots_visit *roots, uint64_t left, const char *table)
{
    if (left == 0)
        return HF_OK;
    return hf_fail(roots->err, HF_CORRUPT, "rows of the table %s are missing, or too many", table);
}

static int tell_versions(struct roots_visit *roots)
{
    int rc = tell_all(roots, QUERY_HISTORY_ALL, DB_NO_VALUES, tell_version);

    return rc == HF_OK ? check_none_left(roots, roots->versions, "history") : rc;
}

static int tell_snapshot(struct roots_visit *roots, sqlite3_stmt *statement)
{
    int rc = db_verify(statement, "snapshot", 0, 5, roots->err);

    if (rc != HF_OK)
        return rc;
    roots->label = db_column_text(statement, 1);
    roots->time = db_column_int(statement, 2);
    roots->pins = db_column_uint(statement, 4);
    rc = tell_all(roots, QUERY_SNAPSHOT_ROOTS, DB_VALUES(db_uint(db_column_uint(statement, 0))),
                  tell_pin);
    return rc == HF_OK ? check_none_left(roots, roots->pins, "snapshot_root") : rc;
}

int sqlite_roots(struct store *base, root_visit_fn visit, void *arg, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct roots_visit roots = {.visit = visit, .arg = arg, .err = err};
    int rc = readers_take(&store->readers, &roots.reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_run(roots.reader, QUERY_BEGIN_READ, DB_NO_VALUES, err);
    if (rc == HF_OK) {
        rc = tell_all(&roots, QUERY_SESSION_ALL, DB_NO_VALUES, tell_head);
        if (rc == HF_OK)
            rc = tell_versions(&roots);
        if (rc == HF_OK)
            rc = tell_all(&roots, QUERY_SNAPSHOT_ALL, DB_NO_VALUES, tell_snapshot);
        if (rc == HF_OK)
            rc = tell_all(&roots, QUERY_RESCUE_ALL, DB_NO_VALUES, tell_rescue);
        db_end(roots.reader);
    }
    readers_give(&store->readers, roots.reader);
    return rc;
}
