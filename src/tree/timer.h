/* SPDX-License-Identifier: Apache-2.0 */
/** Commits sessions when their time has come: changes that no close follows. One thread. */
#ifndef TREE_TIMER_H
#define TREE_TIMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct session;
struct tree;

struct timer {
    pthread_mutex_t lock; /* everything here, and timer_next and timer_at of sessions */
    pthread_cond_t cond;
    struct session *sessions; /* waiting; each pinned by the list */
    bool stop, started;
    pthread_t thread;
};

/** A timer that is not running yet; ended with timer_release(). */
void timer_init(struct tree *tree);
void timer_release(struct tree *tree);
int timer_start(struct tree *tree);
/** Ends the thread and unpins what waits; nothing can be set any more. */
void timer_stop(struct tree *tree);
/** Nanoseconds of CLOCK_MONOTONIC. */
int64_t timer_now(void);
/** Sees to it that the session is committed at `at` (of timer_now()) or before. The caller has pinned it. */
void timer_set(struct session *session, int64_t at);

#endif
