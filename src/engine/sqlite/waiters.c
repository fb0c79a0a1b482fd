/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/waiters.h"

#include "engine/sqlite/session_row.h"

static int read_row(sqlite3_stmt *statement, struct waiter_row *ret_row, struct hf_error *err)
{
    int rc = db_verify(statement, "waiter", 0, 8, err);

    if (rc != HF_OK)
        return rc;
    *ret_row = (struct waiter_row){.id = db_column_uint(statement, 0),
                                   .sid = db_column_uint(statement, 1),
                                   .waiter = {.host = db_column_uint(statement, 2),
                                              .granted = db_column_uint(statement, 3),
                                              .token = db_column_uint(statement, 4),
                                              .started = db_column_int(statement, 5),
                                              .asked = db_column_int(statement, 6),
                                              .wait_ms = (uint32_t)db_column_uint(statement, 7)}};
    return HF_OK;
}

int waiter_load(struct db *db, uint64_t sid, uint64_t host, struct waiter_row *ret_row,
                struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc =
        db_start(db, QUERY_WAITER_LOAD, DB_VALUES(db_uint(sid), db_uint(host)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc == 0)
        return HF_NOENT;
    return rc == 1 ? read_row(statement, ret_row, err) : rc;
}

int waiter_next(struct db *db, uint64_t sid, uint64_t *id, struct waiter_row *ret_row,
                struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc =
        db_start(db, QUERY_WAITER_AFTER, DB_VALUES(db_uint(sid), db_uint(*id)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc;
    rc = read_row(statement, ret_row, err);
    if (rc != HF_OK)
        return rc;
    *id = ret_row->id;
    return 1;
}

int waiter_write(struct db *db, struct waiter_row *row, struct hf_error *err)
{
    const struct lease_waiter *waiter = &row->waiter;
    bool is_new = row->id == 0;
    int rc = HF_OK;

    if (is_new) {
        rc = query_number(db, QUERY_WAITER_LAST, &row->id, err);
        row->id++;
    }
    if (rc != HF_OK)
        return rc;
    return db_run_summed(db, is_new ? QUERY_WAITER_INSERT : QUERY_WAITER_UPDATE, "waiter",
                         DB_VALUES(db_uint(row->id), db_uint(row->sid), db_uint(waiter->host),
                                   db_uint(waiter->granted), db_uint(waiter->token),
                                   db_int(waiter->started), db_int(waiter->asked),
                                   db_uint(waiter->wait_ms)),
                         err);
}

int waiter_drop(struct db *db, const struct waiter_row *row, struct hf_error *err)
{
    return row->id == 0 ? HF_OK : db_run(db, QUERY_WAITER_DELETE, DB_VALUES(db_uint(row->id)), err);
}

int waiters_clear_host(struct db *db, uint64_t host, struct hf_error *err)
{
    return db_run(db, QUERY_WAITER_CLEAR_HOST, DB_VALUES(db_uint(host)), err);
}

int waiters_clear_session(struct db *db, uint64_t sid, struct hf_error *err)
{
    return db_run(db, QUERY_WAITER_CLEAR_SESSION, DB_VALUES(db_uint(sid)), err);
}
