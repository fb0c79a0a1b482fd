/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A request on its way, and its answer: queued by a caller's thread, carried by the link.
 *
 *          by the loop or its caller  handed over           last part came, or it failed
 *     QUEUED ------------------> SENDING ----------> SENT -------------------------------> DONE
 *       ^                                             |
 *       +---------------------------------------------+
 *                      the connection broke: again, marked `retry`
 *
 * Who gives up while it is SENT leaves it to the link, which frees it with its last part. Plain data: the mutex
 * of the link guards every call.
 */
#ifndef ENGINE_REMOTE_CALL_H
#define ENGINE_REMOTE_CALL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "wire/holdfast.pb-c.h"

enum call_state { CALL_QUEUED, CALL_SENDING, CALL_SENT, CALL_DONE };

/** One frame of an answer. */
struct call_part {
    struct call_part *next;
    Holdfast__Wire__Frame *frame;
    size_t size; /**< as encoded */
};

struct call {
    struct call *prev, *next; /* in the list of those that wait, or of those that were sent */
    enum call_state state;    /* CALL_QUEUED and the others: which list; DONE: none */
    Holdfast__Wire__Request *request; /* the caller's; NULL once it has left */
    uint64_t host;                    /* host session that it names, or 0 */
    bool registers;                   /* its answer is a host session of this handle */
    bool left;                        /* nobody waits any more */
    bool begun;                       /* the caller has taken a part: it cannot be asked again */
    uint64_t id;                      /* on the present connection */
    unsigned sends;                   /* how often it was sent */
    size_t bytes;                     /* encoded */
    int64_t started, sent;            /* CLOCK_BOOTTIME, ns */
    struct call_part *parts, **end;   /* that the caller has not taken yet */
    size_t parts_bytes;
    struct hf_error failure; /* DONE without a last part: why */
    pthread_cond_t moved;    /* with the link's mutex */
};

/** A double-ended list in the order of the requests. All zero: empty. */
struct call_list {
    struct call *first, *last;
};

/** A call that is in no list yet. NULL: no memory. */
struct call *call_new(Holdfast__Wire__Request *request, uint64_t host);
void call_free(struct call *call);

void call_list_append(struct call_list *list, struct call *call);
/** Puts `call` before all others. */
void call_list_prepend(struct call_list *list, struct call *call);
void call_list_remove(struct call_list *list, struct call *call);
/** The one with this id, or NULL. */
struct call *call_list_find(const struct call_list *list, uint64_t id);

/** Adds a part, which owns `frame`. HF_NOMEM (the caller keeps the frame). */
int call_add_part(struct call *call, Holdfast__Wire__Frame *frame, size_t size);
/** Takes the first part, or NULL; the caller frees the frame. */
Holdfast__Wire__Frame *call_take_part(struct call *call);
/** Forgets the parts that were not taken. */
void call_drop_parts(struct call *call);

#endif
