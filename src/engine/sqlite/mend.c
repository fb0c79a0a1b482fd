/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/incoming.h"
#include "engine/sqlite/session_row.h"

#define ROWS_MAX 16

struct mend_write {
    struct write write;
    struct sqlite_store *store;
    const struct object_id *id;
    const struct object *good; /* or NULL */
    struct incoming incoming;  /* the same, in case that it is missing */
    bool sound, changed;
};

/* Whether damage is what a failure tells of. */
static bool is_damage(int status)
{
    return status == HF_CORRUPT || status == HF_MISSING;
}

/* Reads a row as a reader does, then its checksum: HF_OK, or what is wrong with it. */
static int examine(struct mend_write *mend, struct db *db, sqlite3_stmt *statement,
                   struct object_row *ret_row, struct buf *content, bool *ret_readable,
                   struct hf_error *err)
{
    int rc = object_row_take(statement, ret_row, err);

    if (rc == HF_OK)
        rc = object_read_row(db, &mend->store->base.info.hasher, ret_row, content, err);
    *ret_readable = rc == HF_OK;
    return rc == HF_OK ? db_verify(statement, "object", 1, 7, err) : rc;
}

/* Keeps the row aside, as it was found. */
static int put_aside(struct mend_write *mend, struct transaction *transaction,
                     sqlite3_stmt *statement, struct hf_error *err)
{
    struct slice packed = db_column_blob(statement, OBJECT_ROW_PACKED);
    uint64_t last;
    int rc = query_number(transaction->db, QUERY_QUARANTINE_LAST, &last, err);

    if (rc != HF_OK)
        return rc;
    return db_run_summed(
        transaction->db, QUERY_QUARANTINE_INSERT, "quarantine",
        DB_VALUES(db_uint(last + 1), db_int(transaction->now),
                  db_blob(mend->id->bytes, OBJECT_ID_SIZE), db_int(db_column_int(statement, 3)),
                  db_int(db_column_int(statement, 4)), db_int(db_column_int(statement, 5)),
                  db_int(db_column_int(statement, 6)), db_blob(packed.data, packed.len)),
        err);
}

/* Writes the row anew where it is: what is packed against it reads again. */
static int rewrite(struct mend_write *mend, struct transaction *transaction, uint64_t seq,
                   bool hidden, enum object_kind kind, struct slice content, struct hf_error *err)
{
    BUF_AUTO packed = {0};
    struct object_row row = {
        .seq = seq, .id = *mend->id, .kind = kind, .hidden = hidden, .size = content.len};

    row.generation = transaction->writer->generation;
    if (object_pack(content, slice_of(NULL, 0), &packed, &row.encoding) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    row.packed = buf_slice(&packed);
    return object_row_rewrite(transaction->db, &row, err);
}

/* Mends one row that has this id. Of one that is readable the checksum alone is wrong. */
static int mend_row(struct mend_write *mend, struct transaction *transaction, uint64_t seq,
                    struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    BUF_AUTO content = {0};
    struct object_row row = {0};
    struct hf_error why;
    bool hidden, readable;
    int shown;
    int rc =
        db_start(transaction->db, QUERY_OBJECT_OF_MEND, DB_VALUES(db_uint(seq)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(transaction->db, statement, err);
    if (rc <= 0)
        return rc;
    hidden = db_column_int(statement, 3) < 0;
    rc = examine(mend, transaction->db, statement, &row, &content, &readable, &why);
    if (rc == HF_OK) {
        shown = collection_shows(&transaction->writer->collection, transaction->db, seq, err);
        mend->sound |= shown == 1 && !hidden; /* else it is about to go: missing */
        return shown < 0 ? shown : HF_OK;
    }
    if (!is_damage(rc))
        return hf_fail(err, rc, "%s", why.message);
    mend->changed = true;
    rc = put_aside(mend, transaction, statement, err);
    db_done(statement);
    statement = NULL;
    if (rc != HF_OK)
        return rc;
    if (readable)
        return rewrite(mend, transaction, seq, hidden, row.kind, buf_slice(&content), err);
    if (mend->good)
        return rewrite(mend, transaction, seq, hidden, mend->good->kind, mend->good->content, err);
    rc = writer_settle(transaction->writer, err); /* so that the number is not used again */
    return rc == HF_OK ? db_run(transaction->db, QUERY_OBJECT_DELETE, DB_VALUES(db_uint(seq)), err)
                       : rc;
}

static int run_mend(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct mend_write *mend = (struct mend_write *)write;
    uint64_t seqs[ROWS_MAX];
    int n = object_rows_of(transaction->db, mend->id, seqs, ROWS_MAX, err);
    int rc = n < 0 ? n : HF_OK;

    mend->sound = mend->changed = false;
    for (int i = 0; i < n && rc == HF_OK; i++)
        rc = mend_row(mend, transaction, seqs[i], err);
    if (rc != HF_OK)
        return rc;
    if (mend->changed) /* what anybody remembers of it */
        return writer_move_collection(transaction->writer, &transaction->writer->collection, true,
                                      err);
    if (mend->sound)
        return hf_fail(err, HF_EXIST, "the object in the store is sound");
    if (!mend->good)
        return hf_fail(err, HF_NOENT, "the object is not in the store");
    rc = incoming_check(&mend->incoming, transaction, err);
    return rc == HF_OK ? incoming_insert(&mend->incoming, transaction, err) : rc;
}

int sqlite_mend(struct store *base, const struct object_id *id, const struct object *good,
                struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct mend_write mend = {
        .write = {.run = run_mend, .sync = true}, .store = store, .id = id, .good = good};
    struct object plain = {0};
    int rc = HF_OK;

    if (good) {
        plain = *good;
        plain.has_base = false;
        rc = incoming_prepare(&mend.incoming, store, &plain, 1, NULL, err);
    }
    if (rc == HF_OK)
        rc = writer_do(&store->writer, &mend.write, err);
    incoming_free(&mend.incoming);
    return rc;
}
