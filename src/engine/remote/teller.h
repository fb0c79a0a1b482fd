/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tells the listener of a host session what happened, in order, from a thread of its own: the connection goes on
 * while the listener calls the store.
 */
#ifndef ENGINE_REMOTE_TELLER_H
#define ENGINE_REMOTE_TELLER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/types.h"

struct teller {
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex; /**< guards what follows; not held while the listener is called */
    pthread_cond_t changed;
    struct store_listener listener; /**< event NULL: nobody listens */
    struct store_event *events;     /**< a ring */
    size_t first, n, cap;
    bool missed; /**< there was no memory for an event */
    bool calling, stopping;
};

void teller_init(struct teller *teller);
/** From now on `listener` (NULL: nobody) is told; what was not told yet is forgotten. When this returns, the one
 *  before is not being called any more, unless it is the caller itself. The same listener again hears EVENT_MISSED
 *  for what was forgotten, and is not waited for. */
int teller_listen(struct teller *teller, const struct store_listener *listener,
                  struct hf_error *err);
/** Queues an event; any thread. */
void teller_tell(struct teller *teller, const struct store_event *event);
/** Ends the thread after the call under way. Idempotent. */
void teller_stop(struct teller *teller);

#endif
