/* SPDX-License-Identifier: Apache-2.0 */
#include "server/ahead.h"

#include <stdlib.h>
#include <string.h>

#include "server/peer.h"
#include "server/tenants.h"
#include "store/delta.h"
#include "wire/convert.h"

static const Holdfast__Wire__Ahead *wish_of(const Holdfast__Wire__Request *message)
{
    switch ((int)message->op_case) {
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_FIND:
        return message->session_find->ahead;
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_HEAD:
        return message->session_head->ahead;
    case HOLDFAST__WIRE__REQUEST__OP_LEASE_ACQUIRE:
        return message->lease_acquire->ahead;
    default:
        return NULL;
    }
}

/* A copy that lives as long as the reply, which borrows ids and such contents as are sent as they are. */
static struct object *keep_objects(struct request *request, const struct delta *delta)
{
    struct object *objects =
        request_keep(request, delta->objects, delta->n * sizeof *objects, NULL);

    for (size_t i = 0; objects && i < delta->n; i++) {
        struct slice *content = &objects[i].content;

        content->data = request_keep(request, content->data, content->len, NULL);
        if (!content->data)
            objects = NULL;
    }
    return objects;
}

static void send_delta(struct request *request, const struct delta *delta,
                       Holdfast__Wire__Reply *reply)
{
    const struct object *objects = delta->n > 0 ? keep_objects(request, delta) : NULL;

    if (objects &&
        wire_fill_objects(objects, delta->n, &request->arena, &reply->ahead, NULL) == HF_OK)
        reply->n_ahead = delta->n;
}

void ahead_fill(struct request *request, const struct session_head *head,
                Holdfast__Wire__Reply *reply)
{
    const Holdfast__Wire__Ahead *wish = wish_of(request->message);
    const struct object_id none = {0};
    struct object_id known;
    struct delta *delta;
    size_t budget;
    bool knows;

    if (!wish || wish->budget == 0 || object_id_equal(&head->root, &none))
        return;
    knows = wish->known.len == OBJECT_ID_SIZE;
    if (knows)
        memcpy(known.bytes, wish->known.data, OBJECT_ID_SIZE);
    if (knows && object_id_equal(&known, &head->root))
        return;
    delta = malloc(sizeof *delta);
    if (!delta)
        return;
    budget = wish->budget < AHEAD_BYTES_MAX ? wish->budget : AHEAD_BYTES_MAX;
    (void)delta_gather(request->peer->tenant->store, &head->root, knows ? &known : NULL, budget,
                       delta);
    send_delta(request, delta, reply);
    delta_free(delta);
    free(delta);
}
