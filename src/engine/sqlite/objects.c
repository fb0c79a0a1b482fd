/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/engine.h"
#include "engine/sqlite/hosts.h"
#include "engine/sqlite/limit.h"
#include "engine/sqlite/loose.h"

#define ASKED_AT_ONCE 256 /* in one transaction */

struct put_write {
    struct write write;
    struct incoming incoming;
};

static int run_put(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct put_write *put = (struct put_write *)write;
    int rc = host_admit(transaction, put->incoming.host, err);

    if (rc == HF_OK)
        rc = limit_put(transaction, &put->incoming, err);
    if (rc == HF_OK)
        rc = incoming_check(&put->incoming, transaction, err);
    return rc == HF_OK ? incoming_insert(&put->incoming, transaction, err) : rc;
}

int sqlite_put(struct store *base, uint64_t host, const struct object *objects, size_t n,
               struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct put_write put = {.write = {.run = run_put}};
    int rc = incoming_prepare(&put.incoming, store, objects, n, NULL, err);

    put.incoming.host = host;
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

/* --- what is missing ---------------------------------------------------------------------------- */

struct missing_write {
    struct write write;
    uint64_t host;
    const struct object_id *ids;
    size_t n;
    bool *missing;
};

/* What is there is loose from now on: the answer holds. */
static int run_missing(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct missing_write *ask = (struct missing_write *)write;
    enum object_kind kind = 0;
    uint64_t seq = 0;
    int rc = host_admit(transaction, ask->host, err);

    for (size_t i = 0; i < ask->n && rc >= 0; i++) {
        rc = object_rely(transaction, &ask->ids[i], &seq, &kind, err);
        ask->missing[i] = rc == 0;
        if (rc == 1)
            rc = loose_note(transaction, ask->host, seq, err);
    }
    return rc < 0 ? rc : HF_OK;
}

/* On behalf of a host session. */
static int ask_lastingly(struct sqlite_store *store, uint64_t host, const struct object_id *ids,
                         size_t n, bool *missing, struct hf_error *err)
{
    struct missing_write ask = {.write = {.run = run_missing}, .host = host};
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i += ask.n) {
        ask.ids = ids + i;
        ask.missing = missing + i;
        ask.n = n - i < ASKED_AT_ONCE ? n - i : ASKED_AT_ONCE;
        rc = writer_do(&store->writer, &ask.write, err);
    }
    return rc;
}

static int ask_once(struct sqlite_store *store, const struct object_id *ids, size_t n,
                    bool *missing, struct hf_error *err)
{
    struct collection collection;
    struct db *reader;
    enum object_kind kind;
    uint64_t seq;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_run(reader, QUERY_BEGIN_READ, DB_NO_VALUES, err);
    if (rc == HF_OK)
        rc = collection_load(reader, &collection, err);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = object_seek(reader, &collection, &ids[i], &seq, &kind, err);
        missing[i] = rc == 0;
    }
    db_end(reader);
    readers_give(&store->readers, reader);
    return rc < 0 ? rc : HF_OK;
}

int sqlite_missing(struct store *base, uint64_t host, const struct object_id *ids, size_t n,
                   bool *ret_missing, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    bool *missing = calloc(n, sizeof *missing);
    int rc;

    if (!missing)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = host != 0 ? ask_lastingly(store, host, ids, n, missing, err)
                   : ask_once(store, ids, n, missing, err);
    if (rc == HF_OK)
        memcpy(ret_missing, missing, n * sizeof *missing);
    free(missing);
    return rc;
}
