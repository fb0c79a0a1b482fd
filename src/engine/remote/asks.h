/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Leases that are asked for without waiting: the request is sent, and stays with the server, which answers when the
 * lease is granted or the patience is over. Asking again looks whether it has; leaving the queue cancels it.
 *
 *     ask --> sent --ask, no answer yet--> HF_PENDING
 *               |
 *               +--ask, answered--> the answer
 *               +--withdraw--> cancelled, and what was granted meanwhile given back
 *
 * One request for each session at a time. Thread safe.
 */
#ifndef ENGINE_REMOTE_ASKS_H
#define ENGINE_REMOTE_ASKS_H

#include <pthread.h>

#include "engine/remote/link.h"

struct ask;

struct asks {
    pthread_mutex_t mutex; /**< guards the list; taken before the link's */
    struct ask *first;
};

void asks_init(struct asks *asks);
/** Cancels what was not answered; before link_stop(). */
void asks_release(struct asks *asks, struct link *link);

#endif
