/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/copies.h"
#include "engine/sqlite/incoming.h"

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

int rescue_row_insert(struct db *db, const struct rescue_info *info, struct hf_error *err)
{
    return db_run_summed(db, QUERY_RESCUE_INSERT, "rescue",
                         DB_VALUES(db_uint(info->id), db_uint(info->sid), db_uint(info->version),
                                   db_blob(info->root.bytes, OBJECT_ID_SIZE), db_int(info->time),
                                   db_uint(info->host), db_uint(info->token), db_uint(info->bytes),
                                   db_uint(info->files), db_text(info->reason)),
                         err);
}

/* --- listing -------------------------------------------------------------------------------------- */

static int visit_rescue(struct db *reader, sqlite3_stmt *statement, rescue_visit_fn visit,
                        void *arg, struct hf_error *err)
{
    struct host_row host = {0};
    struct session_row row;
    struct rescue_info info = {0};
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

/* --- copies --------------------------------------------------------------------------------------- */

struct receive_write {
    struct write write;
    const uint8_t *origin;
    const struct rescue_info *rescue;
};

/* The one of this number that is here: 1 and it is the same, 0, or a failure. */
static int find_same(struct db *db, const struct rescue_info *rescue, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct rescue_info found;
    int rc = db_start(db, QUERY_RESCUE_LOAD, DB_VALUES(db_uint(rescue->id)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc;
    rc = rescue_row_read(statement, &found, err);
    if (rc == HF_OK && (found.sid != rescue->sid || !object_id_equal(&found.root, &rescue->root)))
        rc = hf_fail(err, HF_CONFLICT, "the rescue version %llu is another one here",
                     (unsigned long long)rescue->id);
    return rc == HF_OK ? 1 : rc;
}

static int use_number(struct db *db, uint64_t id, struct hf_error *err)
{
    struct store_row store;
    int rc = store_row_load(db, &store, err);

    if (rc != HF_OK || id < store.next_rescue)
        return rc;
    store.next_rescue = id + 1;
    return store_row_write(db, &store, err);
}

static int run_receive(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct receive_write *receive = (struct receive_write *)write;
    struct rescue_info here = *receive->rescue;
    struct session_row row;
    int rc = session_row_load(transaction->db, here.sid, &row, err);

    if (rc == HF_OK)
        rc = copy_admit(transaction, receive->origin, err);
    if (rc == HF_OK)
        rc = find_same(transaction->db, &here, err);
    if (rc != 0)
        return rc == 1 ? HF_OK : rc;
    rc = incoming_check_root(transaction, &here.root, err);
    if (rc == HF_OK)
        rc = copy_host(transaction, receive->origin, here.host, here.host_name, &here.host, err);
    if (rc == HF_OK)
        rc = use_number(transaction->db, here.id, err);
    return rc == HF_OK ? rescue_row_insert(transaction->db, &here, err) : rc;
}

int sqlite_rescue_receive(struct store *base, const uint8_t *origin,
                          const struct rescue_info *rescue, struct hf_error *err)
{
    struct receive_write receive = {
        .write = {.run = run_receive}, .origin = origin, .rescue = rescue};

    return writer_do(&sqlite_store_of(base)->writer, &receive.write, err);
}
