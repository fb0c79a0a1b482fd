/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/call.h"

#include <stdlib.h>
#include <time.h>

struct call *call_new(Holdfast__Wire__Request *request, uint64_t host)
{
    struct call *call = calloc(1, sizeof *call);
    pthread_condattr_t attributes;

    if (!call)
        return NULL;
    call->request = request;
    call->host = host;
    call->bytes = holdfast__wire__request__get_packed_size(request);
    call->end = &call->parts;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&call->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    return call;
}

void call_free(struct call *call)
{
    if (!call)
        return;
    call_drop_parts(call);
    pthread_cond_destroy(&call->moved);
    free(call);
}

/* --- lists ------------------------------------------------------------------------------------------ */

void call_list_append(struct call_list *list, struct call *call)
{
    call->next = NULL;
    call->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = call;
    list->last = call;
}

void call_list_prepend(struct call_list *list, struct call *call)
{
    call->prev = NULL;
    call->next = list->first;
    *(list->first ? &list->first->prev : &list->last) = call;
    list->first = call;
}

void call_list_remove(struct call_list *list, struct call *call)
{
    *(call->prev ? &call->prev->next : &list->first) = call->next;
    *(call->next ? &call->next->prev : &list->last) = call->prev;
    call->prev = call->next = NULL;
}

struct call *call_list_find(const struct call_list *list, uint64_t id)
{
    struct call *call = list->first;

    while (call && call->id != id)
        call = call->next;
    return call;
}

/* --- parts ------------------------------------------------------------------------------------------ */

int call_add_part(struct call *call, Holdfast__Wire__Frame *frame, size_t size)
{
    struct call_part *part = malloc(sizeof *part);

    if (!part)
        return HF_NOMEM;
    *part = (struct call_part){.frame = frame, .size = size};
    *call->end = part;
    call->end = &part->next;
    call->parts_bytes += size;
    return HF_OK;
}

Holdfast__Wire__Frame *call_take_part(struct call *call)
{
    struct call_part *part = call->parts;
    Holdfast__Wire__Frame *frame;

    if (!part)
        return NULL;
    frame = part->frame;
    call->parts = part->next;
    if (!call->parts)
        call->end = &call->parts;
    call->parts_bytes -= part->size;
    free(part);
    return frame;
}

void call_drop_parts(struct call *call)
{
    Holdfast__Wire__Frame *frame;

    while ((frame = call_take_part(call)))
        holdfast__wire__frame__free_unpacked(frame, NULL);
}
