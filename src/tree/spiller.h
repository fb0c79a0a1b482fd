/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Moves what a long write has left in a session's sink to the store, while the writer goes on. One thread, started
 * when it is first needed, and one session at a time: who finds it busy does the work itself.
 *
 * Nothing depends on it: what it could not move stays in the sink, for the next spill or commit to try, and to fail.
 */
#ifndef TREE_SPILLER_H
#define TREE_SPILLER_H

#include <pthread.h>
#include <stdbool.h>

struct session;
struct tree;

struct spiller {
    pthread_mutex_t lock; /* guards what follows; nothing is acquired under it */
    pthread_cond_t offered;
    struct session *session; /* in the thread's hands; pinned */
    bool again;              /* more of it has come meanwhile */
    bool stop, started;
    pthread_t thread;
};

void spiller_init(struct tree *tree);
void spiller_release(struct tree *tree);
/** Ends the thread, after what it has begun. Nothing is taken any more. */
void spiller_stop(struct tree *tree);
/** Takes a session on, or more of it. False: it is busy with another, or has stopped. The caller has pinned it. */
bool spiller_offer(struct session *session);

#endif
