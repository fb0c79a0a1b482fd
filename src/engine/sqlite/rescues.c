/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

int rescue_row_read(sqlite3_stmt *statement, struct rescue_info *ret_info, struct hf_error *err)
{
    struct rescue_info info = {0};
    int rc = db_verify(statement, "rescue", 0, 10, err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 3, info.root.bytes, OBJECT_ID_SIZE, false, err);
    if (rc != HF_OK)
        return rc;
    info.id = db_column_uint(statement, 0);
    info.sid = db_column_uint(statement, 1);
    info.version = db_column_uint(statement, 2);
    info.time = db_column_int(statement, 4);
    info.host = db_column_uint(statement, 5);
    info.token = db_column_uint(statement, 6);
    info.bytes = db_column_uint(statement, 7);
    info.files = db_column_uint(statement, 8);
    info.reason = db_column_text(statement, 9);
    *ret_info = info;
    return HF_OK;
}

/* --- listing -------------------------------------------------------------------------------------- */

static int visit_rescue(struct db *reader, sqlite3_stmt *statement, rescue_visit_fn visit,
                        void *arg, struct hf_error *err)
{
    struct host_row host = {0};
    struct session_row row;
    struct rescue_info info;
    int rc = rescue_row_read(statement, &info, err);

    if (rc == HF_OK)
        rc = session_row_load(reader, info.sid, &row, err);
    if (rc == HF_NOENT)
        return hf_fail(err, HF_CORRUPT, "the session of rescue version %llu is missing",
                       (unsigned long long)info.id);
    if (rc != HF_OK)
        return rc;
    rc = host_row_load(reader, info.host, &host, err);
    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    info.session_name = row.name;
    info.trashed = row.state == SESSION_TRASHED;
    info.host_name = host.identity.host_name;
    return visit(&info, arg);
}

static int visit_rescues(struct db *reader, uint64_t sid, rescue_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct session_row row;
    int rc = HF_OK;

    if (sid == UINT64_MAX) {
        rc = db_start(reader, QUERY_RESCUE_ALL, DB_NO_VALUES, &statement, err);
    } else {
        rc = session_row_load(reader, sid, &row, err);
        if (rc == HF_OK)
            rc = db_start(reader, QUERY_RESCUE_OF, DB_VALUES(db_uint(sid)), &statement, err);
    }
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1)
        rc = visit_rescue(reader, statement, visit, arg, err);
    return rc;
}

int sqlite_rescue_list(struct store *base, uint64_t sid, rescue_visit_fn visit, void *arg,
                       struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_run(reader, QUERY_BEGIN_READ, DB_NO_VALUES, err);
    if (rc == HF_OK)
        rc = visit_rescues(reader, sid, visit, arg, err);
    db_end(reader);
    readers_give(&store->readers, reader);
    return rc;
}

/* --- forgetting ----------------------------------------------------------------------------------- */

struct drop_write {
    struct write write;
    uint64_t sid, rescue;
};

static int run_drop(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct drop_write *drop = (struct drop_write *)write;
    struct db *db = transaction->db;
    int rc =
        db_run(db, QUERY_RESCUE_DELETE, DB_VALUES(db_uint(drop->sid), db_uint(drop->rescue)), err);

    if (rc == HF_OK && sqlite3_changes(db->handle) == 0)
        rc = hf_fail(err, HF_NOENT, "the session has no rescue version %llu",
                     (unsigned long long)drop->rescue);
    return rc;
}

int sqlite_rescue_drop(struct store *base, uint64_t sid, uint64_t rescue, struct hf_error *err)
{
    struct drop_write drop = {.write = {.run = run_drop}, .sid = sid, .rescue = rescue};

    return writer_do(&sqlite_store_of(base)->writer, &drop.write, err);
}
