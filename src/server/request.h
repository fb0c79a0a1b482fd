/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One request of a peer, from its frame to its last answer.
 *
 *     read --> peer's queue --> worker: dispatch_run() --> answered
 *                                  |        ^
 *                                  |        +-- a further part, once the peer has taken the last ones
 *                                  +--> waiting (for a lease) --> answered by waiting.c
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "server/list.h"
#include "server/quota.h"
#include "server/workers.h"
#include "store/types.h"
#include "wire/arena.h"
#include "wire/holdfast.pb-c.h"

struct operation;
struct peer;

/** How far an answer in parts has come. */
struct progress {
    bool begun;
    uint64_t next;                    /**< the item or row that comes next */
    uint64_t shown;                   /**< items so far */
    char after[SESSION_NAME_MAX + 1]; /**< the last name */
    struct list list;                 /**< what is read and not sent */
};

struct request {
    struct task task; /**< while it is with the workers */
    struct request *next;
    struct peer *peer; /**< a reference */
    const struct operation *operation;
    Holdfast__Wire__Frame *frame; /**< owned */
    const Holdfast__Wire__Request *message;
    uint64_t id;
    struct quota *quota; /**< what it counts against; NULL: none */
    uint64_t charge;
    struct wire_arena arena; /**< of the answer, or of the part of it, under way */
    struct progress progress;
    bool queued;    /**< it counts among those of its peer that are at work */
    bool more;      /**< set by a handler: this was a part, call it again */
    bool asked;     /**< waiting.c: the store has been asked for it */
    bool cancelled; /**< waiting.c */
};

/** Takes over the frame in any case. NULL: no memory. */
struct request *request_new(struct peer *peer, Holdfast__Wire__Frame *frame, size_t size);
/** A copy that lives until the reply is sent, for what a reply borrows. NULL: no memory. */
void *request_keep(struct request *request, const void *data, size_t size, struct hf_error *err);
/** It goes on without a worker: its peer's next may begin. */
void request_unqueue(struct request *request);
/** Ends it, answered or not; its peer's next may begin. */
void request_end(struct request *request);
/** Sends `reply`, or what `status` and `err` say. */
void request_answer(struct request *request, int status, const struct hf_error *err,
                    Holdfast__Wire__Reply *reply);
/** The same, then request_end(). */
void request_finish(struct request *request, int status, const struct hf_error *err,
                    Holdfast__Wire__Reply *reply);

#endif
