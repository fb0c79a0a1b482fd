/* SPDX-License-Identifier: Apache-2.0 */
/* Objects. Their ids are capabilities within the tenant; the engine verifies what is put. */
#include <string.h>

#include "server/handlers.h"
#include "server/peer.h"
#include "server/tenants.h"
#include "wire/convert.h"

/* So many objects, of 64 KiB at most, go into one part of an answer. */
#define GET_AT_ONCE 32

int handle_put(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__PutRequest *put = request->message->put;
    struct object *objects;
    int rc = wire_read_objects(put->objects, put->n_objects, &request->arena, &objects, err);

    (void)reply;
    if (rc != HF_OK)
        return rc;
    return store_put(request->peer->tenant->store, put->host, objects, put->n_objects, err);
}

/* What was not packed is borrowed from the buffers, which do not live until the reply is sent. */
static int keep(struct request *request, const struct buf *contents, Holdfast__Wire__Content **list,
                size_t n, struct hf_error *err)
{
    for (size_t i = 0; i < n; i++) {
        ProtobufCBinaryData *bytes = &list[i]->content;
        uint8_t *copy;

        if (bytes->len == 0 || bytes->data != contents[i].data)
            continue;
        copy = wire_arena_alloc(&request->arena, bytes->len);
        if (!copy)
            return hf_fail(err, HF_NOMEM, "out of memory");
        memcpy(copy, bytes->data, bytes->len);
        bytes->data = copy;
    }
    return HF_OK;
}

static int fill_contents(struct request *request, const struct buf *contents, size_t n,
                         Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    Holdfast__Wire__Contents *message = wire_arena_alloc(&request->arena, sizeof *message);
    int rc;

    if (!message)
        return hf_fail(err, HF_NOMEM, "out of memory");
    holdfast__wire__contents__init(message);
    rc = wire_fill_contents(contents, n, &request->arena, &message->contents, err);
    if (rc == HF_OK)
        rc = keep(request, contents, message->contents, n, err);
    if (rc != HF_OK)
        return rc;
    message->n_contents = n;
    reply->contents = message;
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_CONTENTS;
    return HF_OK;
}

int handle_get(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct progress *progress = &request->progress;
    struct buf contents[GET_AT_ONCE] = {0};
    const struct object_id *ids;
    size_t n, all;
    int rc = wire_read_ids(request->message->get->ids, &ids, &all, err);

    if (rc != HF_OK)
        return rc;
    n = all - (size_t)progress->next < GET_AT_ONCE ? all - (size_t)progress->next : GET_AT_ONCE;
    rc = store_get(request->peer->tenant->store, ids + progress->next, n, contents, err);
    if (rc == HF_OK)
        rc = fill_contents(request, contents, n, reply, err);
    for (size_t i = 0; i < n; i++)
        buf_free(&contents[i]);
    progress->next += n;
    request->more = progress->next < all;
    return rc;
}

int handle_missing(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const struct object_id *ids;
    bool *missing;
    size_t n;
    int rc = wire_read_ids(request->message->missing->ids, &ids, &n, err);

    if (rc != HF_OK)
        return rc;
    missing = wire_arena_alloc(&request->arena, n + 1);
    if (!missing)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = store_missing(request->peer->tenant->store, request->message->missing->host, ids, n,
                       missing, err);
    if (rc != HF_OK)
        return rc;
    _Static_assert(sizeof(bool) == 1, "one byte each");
    reply->missing = (ProtobufCBinaryData){n, (uint8_t *)missing};
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_MISSING;
    return HF_OK;
}
