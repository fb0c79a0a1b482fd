/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/sweep.h"

#include "engine/sqlite/incoming.h"

#define LOOKED_AT_ONCE 4096

/* Judges the row that the statement is on: 1 when there is something to do about it. */
static int judge(struct sweep *sweep, sqlite3_stmt *statement, struct sweep_item *ret_item)
{
    uint64_t seq = db_column_uint(statement, 0);
    bool leaned = marks_has(sweep->marks, seq, MARK_LEANED);
    bool hidden = db_column_int(statement, 1) < 0;

    sweep->looked++;
    sweep->at = seq - 1;
    if (marks_has(sweep->marks, seq, MARK_REACHED))
        return 0;
    sweep->hidden += leaned;
    if (leaned && hidden)
        return 0;
    *ret_item =
        (struct sweep_item){.seq = seq, .bytes = db_column_uint(statement, 2), .hide = leaned};
    return 1;
}

int sweep_look(struct sweep *sweep, struct sweep_item *ret_items, size_t max, size_t *ret_n,
               struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int looked = 0;
    size_t n = 0;
    int rc = db_start(sweep->db, QUERY_OBJECT_DOWNWARD,
                      DB_VALUES(db_uint(sweep->at), db_int(LOOKED_AT_ONCE)), &statement, err);

    while (rc == HF_OK && n < max) {
        rc = db_next(sweep->db, statement, err);
        if (rc <= 0)
            break;
        n += (size_t)judge(sweep, statement, &ret_items[n]);
        looked++;
        rc = HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (n < max && looked < LOOKED_AT_ONCE)
        sweep->at = 0;
    *ret_n = n;
    return HF_OK;
}

static int hide(struct db *db, uint64_t seq, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row;
    int rc = db_start(db, QUERY_OBJECT_GET_SEQ, DB_VALUES(db_uint(seq)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc <= 0)
        return rc;
    rc = db_verify(statement, "object", 1, 7, err);
    if (rc == HF_OK)
        rc = object_row_take_head(statement, &row, err);
    if (rc != HF_OK)
        return rc;
    db_done(statement);
    statement = NULL;
    return row.hidden ? HF_OK : object_row_hide(db, &row, err);
}

int sweep_apply(struct db *db, const struct sweep_item *item, struct hf_error *err)
{
    if (item->hide)
        return hide(db, item->seq, err);
    return db_run(db, QUERY_OBJECT_DELETE, DB_VALUES(db_uint(item->seq)), err);
}
