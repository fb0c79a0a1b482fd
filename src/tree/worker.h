/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The thread that does what must not be done under a lock or on the engine's thread: it obeys the
 * store's events, tells the kernel what to forget, and evicts idle sessions. First in, first out.
 */
#ifndef TREE_WORKER_H
#define TREE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "store/store.h"

struct session;
struct tree;

struct work;

struct worker {
    pthread_mutex_t lock; /* everything here */
    pthread_cond_t cond;
    struct work *first, **last;
    bool stop, started, busy;
    atomic_bool evicting; /* not guarded: a look for what to evict is queued */
    pthread_t thread;
};

int worker_start(struct tree *tree);
/** Does what is queued, then ends the thread. */
void worker_stop(struct tree *tree);
/** Queues an event of the store. The listener of the tree. */
void worker_event(const struct store_event *event, void *arg);
/** Queues the kernel's invalidation of all it knows of a session. */
void worker_invalidate(struct session *session);
/** Queues a look for sessions to evict, before its time. */
void worker_evict(struct tree *tree);
/** Invalidates all that the kernel knows of a session, at once; no lock is held. */
void kernel_forget_session(struct session *session);
/** Invalidates the listing of the top directory and what it was told is not there. */
void kernel_forget_top(struct tree *tree);

#endif
