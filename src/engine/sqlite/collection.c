/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/collection.h"

#include "engine/sqlite/marks.h"

int collection_take(sqlite3_stmt *statement, struct collection *ret_collection,
                    struct hf_error *err)
{
    int rc = db_verify(statement, "collection", 0, 4, err);
    int64_t phase = db_column_int(statement, 1);

    if (rc == HF_OK && (phase < COLLECTION_IDLE || phase > COLLECTION_SWEEPING))
        rc = hf_fail(err, HF_CORRUPT, "a collection is in no known phase");
    if (rc == HF_OK)
        *ret_collection = (struct collection){.phase = (enum collection_phase)phase,
                                              .newest = db_column_uint(statement, 2),
                                              .unswept = db_column_uint(statement, 3)};
    return rc;
}

int collection_load(struct db *db, struct collection *ret_collection, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_COLLECTION_READ, DB_NO_VALUES, &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc == 0)
        return hf_fail(err, HF_CORRUPT, "the row of the table collection is missing");
    return rc == 1 ? collection_take(statement, ret_collection, err) : rc;
}

int collection_write(struct db *db, const struct collection *collection, struct hf_error *err)
{
    return db_run_summed(db, QUERY_COLLECTION_WRITE, "collection",
                         DB_VALUES(db_int(1), db_int(collection->phase),
                                   db_uint(collection->newest), db_uint(collection->unswept)),
                         err);
}

/* 1, 0, or a failure. */
static int stays(const struct collection *collection, struct db *db, uint64_t seq, unsigned planes,
                 struct hf_error *err)
{
    if (collection->phase != COLLECTION_SWEEPING || seq > collection->unswept)
        return 1;
    return marks_look_up(db, seq, planes, err);
}

int collection_shows(const struct collection *collection, struct db *db, uint64_t seq,
                     struct hf_error *err)
{
    return stays(collection, db, seq, MARK_REACHED, err);
}

int collection_keeps(const struct collection *collection, struct db *db, uint64_t seq,
                     struct hf_error *err)
{
    return stays(collection, db, seq, MARK_REACHED | MARK_LEANED, err);
}

int collection_note(const struct collection *collection, struct db *db, uint64_t seq, bool base,
                    struct hf_error *err)
{
    if (collection->phase != COLLECTION_MARKING || seq > collection->newest)
        return HF_OK;
    return db_run_summed(db, QUERY_FOUND_INSERT, "found", DB_VALUES(db_uint(seq), db_int(base)),
                         err);
}
