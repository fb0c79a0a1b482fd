/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/loose.h"

#include "engine/sqlite/session_row.h"

int loose_note(struct transaction *transaction, uint64_t host, uint64_t seq, struct hf_error *err)
{
    return db_run_summed(transaction->db, QUERY_LOOSE_INSERT, "loose",
                         DB_VALUES(db_uint(host), db_uint(seq), db_int(transaction->now)), err);
}

int loose_drop(struct db *db, const struct loose *loose, struct hf_error *err)
{
    return db_run(db, QUERY_LOOSE_DELETE,
                  DB_VALUES(db_uint(loose->host), db_uint(loose->seq), db_int(loose->time)), err);
}

int loose_read(struct db *db, const struct loose *after, struct loose *ret_loose, size_t n,
               size_t *ret_n, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    size_t got = 0;
    int rc =
        db_start(db, QUERY_LOOSE_AFTER,
                 DB_VALUES(db_uint(after->host), db_uint(after->seq), db_uint(n)), &statement, err);

    while (rc == HF_OK && got < n && (rc = db_next(db, statement, err)) == 1) {
        rc = db_verify(statement, "loose", 0, 3, err);
        ret_loose[got++] = (struct loose){.host = db_column_uint(statement, 0),
                                          .seq = db_column_uint(statement, 1),
                                          .time = db_column_int(statement, 2)};
    }
    if (rc == HF_OK)
        *ret_n = got;
    return rc;
}

/* --- hosts -------------------------------------------------------------------------------------- */

/* When the end of a host was noticed: 1, 0 when it was not, or a failure. */
static int read_gone(struct db *db, uint64_t host, int64_t *ret_gone, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_LOOSE_HOST_READ, DB_VALUES(db_uint(host)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc <= 0)
        return rc;
    rc = db_verify(statement, "loose_host", 0, 2, err);
    if (rc != HF_OK)
        return rc;
    *ret_gone = db_column_int(statement, 1);
    return 1;
}

static int review_host(struct transaction *transaction, uint64_t host, struct hf_error *err)
{
    struct db *db = transaction->db;
    struct host_row row = {0};
    int64_t gone = 0;
    int rc = host_row_load(db, host, &row, err);

    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    if (rc == HF_OK && row.alive)
        return db_run(db, QUERY_LOOSE_HOST_DELETE, DB_VALUES(db_uint(host)), err);
    rc = read_gone(db, host, &gone, err);
    /* What a clock that was wrong has noted in the future is noted anew. */
    if (rc == 0 || (rc == 1 && gone > transaction->now))
        return db_run_summed(db, QUERY_LOOSE_HOST_WRITE, "loose_host",
                             DB_VALUES(db_uint(host), db_int(transaction->now)), err);
    return rc < 0 ? rc : HF_OK;
}

/* The next host with loose objects after `*host`: 1, 0, or a failure. */
static int next_host(struct db *db, uint64_t *host, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_LOOSE_NEXT_HOST, DB_VALUES(db_uint(*host)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc < 0)
        return rc;
    *host = rc == 1 ? db_column_uint(statement, 0) : 0;
    return *host != 0;
}

/* Forgets those that have no loose objects any more. */
static int forget_hosts(struct db *db, struct hf_error *err)
{
    return db_run(db, QUERY_LOOSE_HOST_TRIM, DB_NO_VALUES, err);
}

int loose_review_hosts(struct transaction *transaction, struct hf_error *err)
{
    uint64_t host = 0;
    int rc;

    while ((rc = next_host(transaction->db, &host, err)) == 1)
        if ((rc = review_host(transaction, host, err)) != HF_OK)
            return rc;
    return rc == HF_OK ? forget_hosts(transaction->db, err) : rc;
}

int loose_is_over(struct db *db, uint64_t host, int64_t now, struct hf_error *err)
{
    int64_t gone = 0;
    int rc = read_gone(db, host, &gone, err);

    return rc == 1 ? gone <= now - LOOSE_GRACE_NS : rc;
}
