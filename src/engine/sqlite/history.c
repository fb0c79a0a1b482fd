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

/* --- forgetting ----------------------------------------------------------------------------------- */

struct drop_write {
    struct write write;
    uint64_t sid;
    const uint64_t *versions;
    size_t n;
    uint64_t dropped;
};

static int drop_one(struct drop_write *drop, struct db *db, uint64_t version, struct hf_error *err)
{
    int rc = db_run(db, QUERY_HISTORY_DELETE, DB_VALUES(db_uint(drop->sid), db_uint(version)), err);

    if (rc == HF_OK)
        drop->dropped += (uint64_t)sqlite3_changes(db->handle);
    return rc;
}

static int run_drop(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct drop_write *drop = (struct drop_write *)write;
    struct session_row row;
    int rc = session_row_load(transaction->db, drop->sid, &row, err);

    drop->dropped = 0;
    for (size_t i = 0; i < drop->n && rc == HF_OK; i++)
        if (drop->versions[i] != row.version)
            rc = drop_one(drop, transaction->db, drop->versions[i], err);
    if (rc != HF_OK || drop->dropped == 0)
        return rc;
    if (drop->dropped >= row.versions)
        return hf_fail(err, HF_CORRUPT, "session %s has more versions than it should", row.name);
    row.versions -= drop->dropped;
    return session_row_move(transaction->db, &row, row.time, err);
}

int sqlite_history_drop(struct store *base, uint64_t sid, const uint64_t *versions, size_t n,
                        uint64_t *ret_dropped, struct hf_error *err)
{
    struct drop_write drop = {.write = {.run = run_drop}, .sid = sid, .versions = versions, .n = n};
    int rc = writer_do(&sqlite_store_of(base)->writer, &drop.write, err);

    if (rc == HF_OK)
        *ret_dropped = drop.dropped;
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

static int load_session(struct roots_visit *roots, uint64_t sid)
{
    int rc = HF_OK;

    if (!roots->loaded || roots->session.sid != sid)
        rc = session_row_load(roots->reader, sid, &roots->session, roots->err);
    roots->loaded = rc == HF_OK;
    return rc;
}

/* Tells the root with what its session's row says of it. A snapshot outlives the sessions that it pins, and says
 * itself what they were called. */
static int tell(struct roots_visit *roots, struct root_info *root)
{
    int rc = load_session(roots, root->sid);

    if (rc == HF_NOENT && root->kind != ROOT_SNAPSHOT)
        return hf_fail(roots->err, HF_CORRUPT, "a session that is referred to is missing: %llu",
                       (unsigned long long)root->sid);
    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    if (!root->session_name)
        root->session_name = roots->session.name;
    root->trashed = rc == HF_OK && roots->session.state == SESSION_TRASHED;
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
    struct rescue_info rescue;
    int rc = rescue_row_read(statement, &rescue, roots->err);

    if (rc != HF_OK)
        return rc;
    root.rescue = rescue.id;
    root.sid = rescue.sid;
    root.version = rescue.version;
    root.root = rescue.root;
    root.time = rescue.time;
    root.bytes = rescue.bytes;
    root.files = rescue.files;
    root.label = rescue.reason;
    return tell(roots, &root);
}

static int tell_pin(struct roots_visit *roots, sqlite3_stmt *statement)
{
    struct root_info root = {.kind = ROOT_SNAPSHOT, .label = roots->label, .time = roots->time};
    struct pin_info pin;
    int rc = pin_row_read(statement, &pin, roots->err);

    if (rc != HF_OK)
        return rc;
    roots->pins--;
    root.sid = pin.sid;
    root.session_name = pin.session_name;
    root.version = pin.version;
    root.root = pin.root;
    root.bytes = pin.bytes;
    root.files = pin.files;
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
