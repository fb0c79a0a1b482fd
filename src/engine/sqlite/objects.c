/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/engine.h"
#include "engine/sqlite/incoming.h"

struct put_write {
    struct write write;
    struct incoming incoming;
};

static int run_put(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct put_write *put = (struct put_write *)write;
    int rc = incoming_check(&put->incoming, transaction, err);

    return rc == HF_OK ? incoming_insert(&put->incoming, transaction, err) : rc;
}

int sqlite_put(struct store *base, uint64_t host, const struct object *objects, size_t n,
               struct hf_error *err)
{
    (void)host;
    struct sqlite_store *store = sqlite_store_of(base);
    struct put_write put = {.write = {.run = run_put}};
    int rc = incoming_prepare(&put.incoming, store, objects, n, NULL, err);

    if (rc == HF_OK)
        rc = writer_do(&store->writer, &put.write, err);
    incoming_free(&put.incoming);
    return rc;
}

int sqlite_get(struct store *base, const struct object_id *ids, size_t n, struct buf *ret_contents,
               struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    if (n > 1) /* one look at the log's index for all */
        rc = db_run(reader, QUERY_BEGIN_READ, DB_NO_VALUES, err);
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = object_read(reader, &base->info.hasher, &ids[i], &ret_contents[i], err);
    if (n > 1)
        db_end(reader);
    readers_give(&store->readers, reader);
    return rc;
}

int sqlite_missing(struct store *base, uint64_t host, const struct object_id *ids, size_t n,
                   bool *ret_missing, struct hf_error *err)
{
    (void)host;
    struct sqlite_store *store = sqlite_store_of(base);
    struct db *reader;
    enum object_kind kind;
    uint64_t seq, generation;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = object_seek(reader, &ids[i], &seq, &kind, &generation, err);
        if (rc >= 0)
            ret_missing[i] = rc == 0;
    }
    readers_give(&store->readers, reader);
    return rc < 0 ? rc : HF_OK;
}
