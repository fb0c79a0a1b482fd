/* SPDX-License-Identifier: Apache-2.0 */
#include "server/request.h"

#include <stdlib.h>
#include <string.h>

#include "server/dispatch.h"
#include "server/peer.h"
#include "server/server_state.h"
#include "wire/convert.h"

/* What a request costs besides its bytes: many small ones cost memory too. */
#define OVERHEAD 2048

struct request *request_new(struct peer *peer, Holdfast__Wire__Frame *frame, size_t size)
{
    struct request *request = calloc(1, sizeof *request);

    if (!request) {
        holdfast__wire__frame__free_unpacked(frame, NULL);
        return NULL;
    }
    request->task.run = dispatch_run;
    request->peer = peer_ref(peer);
    request->frame = frame;
    request->message = frame->request;
    request->id = frame->id;
    request->operation = dispatch_find(frame->request->op_case);
    request->charge = size + OVERHEAD;
    request->quota = quota_take(peer->server->quotas, &peer->share, request->charge);
    return request;
}

void *request_keep(struct request *request, const void *data, size_t size, struct hf_error *err)
{
    void *copy = wire_arena_alloc(&request->arena, size);

    if (!copy)
        (void)hf_fail(err, HF_NOMEM, "out of memory");
    else
        memcpy(copy, data, size);
    return copy;
}

void request_unqueue(struct request *request)
{
    if (!request->queued)
        return;
    request->queued = false;
    peer_request_done(request->peer, operation_is_barrier(request->operation));
}

void request_end(struct request *request)
{
    struct peer *peer = request->peer;

    list_clear(&request->progress.list);
    wire_arena_free(&request->arena);
    holdfast__wire__frame__free_unpacked(request->frame, NULL);
    request_unqueue(request);
    quota_give(peer->server->quotas, request->quota, request->charge);
    free(request);
    peer_unref(peer);
}

void request_answer(struct request *request, int status, const struct hf_error *err,
                    Holdfast__Wire__Reply *reply)
{
    wire_fill_status(status, err, reply);
    peer_reply(request->peer, request->id, reply);
    wire_arena_free(&request->arena);
}

void request_finish(struct request *request, int status, const struct hf_error *err,
                    Holdfast__Wire__Reply *reply)
{
    request_answer(request, status, err, reply);
    request_end(request);
}
