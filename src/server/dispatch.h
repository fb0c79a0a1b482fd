/* SPDX-License-Identifier: Apache-2.0 */
/** What a request of each kind does: one table, one handler each (handlers.h). */
#ifndef SERVER_DISPATCH_H
#define SERVER_DISPATCH_H

#include <stdbool.h>

#include "server/workers.h"
#include "wire/holdfast.pb-c.h"

struct operation;
struct peer;

/** The operation for a kind of request; never NULL: one that this version does not know is refused. */
const struct operation *dispatch_find(Holdfast__Wire__Request__OpCase kind);
/** Whether it stands in its peer's queue. Heartbeats do not, nor what is answered without the store. */
bool operation_is_queued(const struct operation *operation);
/** Whether none may overtake it. */
bool operation_is_barrier(const struct operation *operation);
/** Whether its answer may be large. */
bool operation_is_bulk(const struct operation *operation);
/** For logs: "commit". */
const char *operation_name(const struct operation *operation);

/** The task of a request: authorizes it, runs its handler, answers. On a worker. */
void dispatch_run(struct task *task);

/** A frame of a greeted peer, or a Hello. On the loop's thread. Takes over the frame. */
void dispatch_frame(struct peer *peer, Holdfast__Wire__Frame *frame, size_t size);

#endif
