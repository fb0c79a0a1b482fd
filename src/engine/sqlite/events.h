/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tells the listeners of this handle's host sessions what others have done, and looks after the dead: one
 * thread that wakes up with the bell, or when a TTL ends, reads the event table from where it was, and calls
 * the listeners in order.
 */
#ifndef ENGINE_SQLITE_EVENTS_H
#define ENGINE_SQLITE_EVENTS_H

#include <pthread.h>

#include "engine/sqlite/bell.h"
#include "store/types.h"

struct sqlite_store;

struct events {
    struct sqlite_store *store;
    pthread_mutex_t
        start_lock; /**< guards `started`; the writer, the readers and the bell come after it */
    bool started;
    pthread_t thread;

    /* The thread's. */
    uint64_t cursor; /**< id of the last event seen */
    bool missed;     /**< events went before they were seen, or were damaged */
    bool failed;     /**< reading failed, and is to be tried again soon */
    uint64_t exits;  /**< of the bell, when the hosts were last looked after */
};

void events_init(struct events *events, struct sqlite_store *store);
/** Watches the bell and starts the thread, unless that was done before. */
int events_start(struct events *events, struct hf_error *err);
/** Ends it; the bell must have been stopped. Idempotent. */
void events_stop(struct events *events);
void events_release(struct events *events);

#endif
