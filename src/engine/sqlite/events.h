/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tells the listener of this handle's host session what others have done: a thread that wakes up with
 * the bell, reads the event table from where it was, and calls the listener in order.
 */
#ifndef ENGINE_SQLITE_EVENTS_H
#define ENGINE_SQLITE_EVENTS_H

#include <pthread.h>

#include "engine/sqlite/bell.h"
#include "store/types.h"

struct sqlite_store;

struct events {
    struct sqlite_store *store;
    uint64_t host; /**< whose events; 0: none yet */
    struct store_listener listener;
    uint64_t cursor; /**< id of the last event seen */
    bool missed;     /**< events went before they were seen, or were damaged */
    uint64_t exits;  /**< of the bell, when the hosts were last looked after */
    bool started;
    pthread_t thread;
};

/** Starts the thread for host session `host`, from the event after `cursor` on. */
int events_start(struct events *events, struct sqlite_store *store, uint64_t host,
                 const struct store_listener *listener, uint64_t cursor, struct hf_error *err);
/** Ends it; the bell must have been stopped. Idempotent. */
void events_stop(struct events *events);

#endif
