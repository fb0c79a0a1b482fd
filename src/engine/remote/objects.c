/* SPDX-License-Identifier: Apache-2.0 */
/* Objects, and what brings objects with it: in frames of bounded size, several at a time. */
#include <stdlib.h>

#include "engine/remote/engine.h"
#include "engine/remote/order.h"
#include "store/closure.h"

#define PUTS_AT_ONCE 4
#define IDS_AT_ONCE 4096
#define NODE_BYTES 128 /* of a message around an object's content, at most */

/* --- putting ------------------------------------------------------------------------------------------ */

/* One frame of objects on its way. */
struct parcel {
    struct wire_arena arena;
    Holdfast__Wire__Request request;
    Holdfast__Wire__PutRequest put;
    struct call *call;
};

static int parcel_send(struct parcel *parcel, struct link *link, uint64_t host,
                       const struct object *objects, size_t n, struct hf_error *err)
{
    int rc;

    *parcel = (struct parcel){.request = HOLDFAST__WIRE__REQUEST__INIT,
                              .put = HOLDFAST__WIRE__PUT_REQUEST__INIT};
    parcel->request.op_case = HOLDFAST__WIRE__REQUEST__OP_PUT;
    parcel->request.put = &parcel->put;
    parcel->put.host = host;
    rc = wire_fill_objects(objects, n, &parcel->arena, &parcel->put.objects, err);
    parcel->put.n_objects = n;
    return rc == HF_OK ? link_begin(link, &parcel->request, 0, &parcel->call, err) : rc;
}

/* Waits for the answer; frees what was sent. */
static int parcel_end(struct parcel *parcel, struct link *link, struct hf_error *err)
{
    Holdfast__Wire__Frame *frame;
    int rc = HF_OK;

    if (parcel->call)
        rc = link_next(link, parcel->call, &frame, err);
    if (parcel->call && rc == HF_OK) {
        rc = wire_read_status(frame->reply, err);
        holdfast__wire__frame__free_unpacked(frame, NULL);
    }
    link_end(link, parcel->call);
    wire_arena_free(&parcel->arena);
    *parcel = (struct parcel){0};
    return rc;
}

/* How many of `objects` make a frame. */
static size_t frame_of(const struct object *objects, size_t n)
{
    size_t bytes = 0, count = 0;

    while (count < n && (count == 0 || bytes + objects[count].content.len < WIRE_BATCH_BYTES))
        bytes += objects[count++].content.len + NODE_BYTES;
    return count;
}

/* Sends `objects`, `at_once` frames ahead of the answers. */
static int send_parcels(struct link *link, uint64_t host, const struct object *objects, size_t n,
                        size_t at_once, struct hf_error *err)
{
    struct parcel parcels[PUTS_AT_ONCE] = {0};
    int rc = HF_OK, ended;
    size_t turn = 0;

    for (size_t count; n > 0 && rc == HF_OK; objects += count, n -= count) {
        count = frame_of(objects, n);
        rc = parcel_end(&parcels[turn], link, err);
        if (rc == HF_OK)
            rc = parcel_send(&parcels[turn], link, host, objects, count, err);
        turn = (turn + 1) % at_once;
    }
    for (size_t i = 0; i < at_once; i++) {
        ended = parcel_end(&parcels[(turn + i) % at_once], link, rc == HF_OK ? err : NULL);
        rc = rc == HF_OK ? ended : rc;
    }
    return rc;
}

/* Chunks in any order, as the server may handle requests; then nodes, one frame after the other. */
int remote_upload(struct store *store, uint64_t host, const struct object *objects, size_t n,
                  struct hf_error *err)
{
    struct link *link = &remote_store_of(store)->link;
    struct object *ordered;
    size_t nchunks = 0;
    int rc;

    if (frame_of(objects, n) == n)
        return send_parcels(link, host, objects, n, 1, err);
    ordered = reallocarray(NULL, n, sizeof *ordered);
    if (!ordered)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = remote_order(objects, n, ordered, &nchunks, err);
    if (rc == HF_OK)
        rc = send_parcels(link, host, ordered, nchunks, PUTS_AT_ONCE, err);
    if (rc == HF_OK)
        rc = send_parcels(link, host, ordered + nchunks, n - nchunks, 1, err);
    free(ordered);
    return rc;
}

int remote_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
               struct hf_error *err)
{
    return remote_upload(store, host, objects, n, err);
}

/* --- getting ------------------------------------------------------------------------------------------ */

/* Ids that are asked for in one request, and how far the answer has come. */
struct wanted {
    const struct object_hasher *hasher;
    const struct object_id *ids;
    struct buf *contents;
    size_t n, done;
};

/* The store does not say of what kind an object is; only one can give this id. */
static int verify(const struct object_hasher *hasher, struct slice content,
                  const struct object_id *id, struct hf_error *err)
{
    static const enum object_kind kinds[] = {OBJECT_CHUNK, OBJECT_DIR, OBJECT_ROOT, OBJECT_FILE};
    char hex[OBJECT_ID_HEX_SIZE];
    struct object_id computed;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (object_id_compute(hasher, kinds[i], content.data, content.len, &computed) != HF_OK)
            return hf_fail(err, HF_NOMEM, "out of memory");
        if (object_id_equal(&computed, id))
            return HF_OK;
    }
    object_id_hex(id, hex);
    return hf_fail(err, HF_CORRUPT, "the store's server sent something else as object %s", hex);
}

static int take_contents(struct wanted *wanted, const Holdfast__Wire__Contents *message,
                         struct hf_error *err)
{
    int rc = HF_OK;

    if (message->n_contents > wanted->n - wanted->done)
        return hf_fail(err, HF_IO, "the store's server sent more objects than were asked for");
    for (size_t i = 0; i < message->n_contents && rc == HF_OK; i++) {
        struct buf *content = &wanted->contents[wanted->done];
        size_t before = content->len;

        rc = wire_read_content(message->contents[i], content, err);
        if (rc == HF_OK)
            rc = verify(wanted->hasher, slice_of(content->data + before, content->len - before),
                        &wanted->ids[wanted->done], err);
        if (rc != HF_OK)
            content->len = before;
        else
            wanted->done++;
    }
    return rc == HF_INVAL ? HF_CORRUPT : rc;
}

/* Takes the parts of an answer. HF_STALE: the rest is to be asked for again. */
static int take_parts(struct link *link, struct call *call, struct wanted *wanted,
                      struct hf_error *err)
{
    Holdfast__Wire__Frame *frame = NULL;
    bool more = true;
    int rc = HF_OK;

    while (rc == HF_OK && more) {
        rc = link_next(link, call, &frame, err);
        if (rc != HF_OK)
            return rc;
        more = frame->reply->more;
        rc = remote_check(frame->reply, HOLDFAST__WIRE__REPLY__RESULT_CONTENTS, err);
        if (rc == HF_OK)
            rc = take_contents(wanted, frame->reply->contents, err);
        holdfast__wire__frame__free_unpacked(frame, NULL);
    }
    if (rc == HF_OK && wanted->done < wanted->n)
        rc = hf_fail(err, HF_IO, "the store's server sent fewer objects than were asked for");
    return rc;
}

static int get_once(struct link *link, struct wanted *wanted, struct hf_error *err)
{
    Holdfast__Wire__GetRequest get = HOLDFAST__WIRE__GET_REQUEST__INIT;
    REMOTE_REQUEST(request, GET, get, &get);
    struct call *call = NULL;
    int rc;

    get.ids = wire_fill_ids(wanted->ids + wanted->done, wanted->n - wanted->done);
    rc = link_begin(link, &request, 0, &call, err);
    if (rc == HF_OK)
        rc = take_parts(link, call, wanted, err);
    link_end(link, call);
    return rc;
}

int remote_get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
               struct hf_error *err)
{
    int rc = HF_OK;

    if (stash_take(&remote_store_of(store)->stash, ids, n, ret_contents))
        return HF_OK;
    for (size_t count; n > 0 && rc == HF_OK; ids += count, ret_contents += count, n -= count) {
        struct wanted wanted = {
            .hasher = &store->info.hasher, .ids = ids, .contents = ret_contents};

        wanted.n = count = n < IDS_AT_ONCE ? n : IDS_AT_ONCE;
        do
            rc = get_once(&remote_store_of(store)->link, &wanted, err);
        while (rc == HF_STALE);
    }
    return rc;
}

/* --- looking ------------------------------------------------------------------------------------------ */

static int missing_once(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                        bool *ret_missing, struct hf_error *err)
{
    Holdfast__Wire__MissingRequest missing = HOLDFAST__WIRE__MISSING_REQUEST__INIT;
    REMOTE_REQUEST(request, MISSING, missing, &missing);
    Holdfast__Wire__Frame *frame;
    int rc;

    missing.ids = wire_fill_ids(ids, n);
    missing.host = host;
    rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT_MISSING, &frame, err);
    if (rc != HF_OK)
        return rc;
    if (frame->reply->missing.len != n)
        rc = hf_fail(err, HF_IO, "the store's server answered something else than was asked");
    for (size_t i = 0; rc == HF_OK && i < n; i++)
        ret_missing[i] = frame->reply->missing.data[i] != 0;
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

int remote_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                   bool *ret_missing, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t count; n > 0 && rc == HF_OK; ids += count, ret_missing += count, n -= count) {
        count = n < IDS_AT_ONCE ? n : IDS_AT_ONCE;
        rc = missing_once(store, host, ids, count, ret_missing, err);
    }
    return rc;
}
