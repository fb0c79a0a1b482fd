/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/timer.h"

#include <time.h>

#include "tree/commit.h"
#include "tree/table.h"

/** When a commit failed for want of room, it is tried again after this. */
#define RETRY_NS 1000000000LL

int64_t timer_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void timer_set(struct session *session, int64_t at)
{
    struct timer *timer = &session->tree->timer;

    pthread_mutex_lock(&timer->lock);
    if (timer->stop) { /* the end of the mount commits what is left */
        pthread_mutex_unlock(&timer->lock);
        return;
    }
    if (session->timer_at == 0) {
        table_pin(session);
        session->timer_next = timer->sessions;
        timer->sessions = session;
        session->timer_at = at;
    } else if (at < session->timer_at) {
        session->timer_at = at;
    }
    pthread_cond_signal(&timer->cond);
    pthread_mutex_unlock(&timer->lock);
}

/** The session that is due first, or NULL. */
static struct session **earliest(struct timer *timer)
{
    struct session **first = NULL;

    for (struct session **s = &timer->sessions; *s; s = &(*s)->timer_next)
        if (!first || (*s)->timer_at < (*first)->timer_at)
            first = s;
    return first;
}

static void commit_session(struct session *session)
{
    int rc;

    pthread_mutex_lock(&session->lock);
    session->due = 0;
    session_settle(session);
    rc = session_commit(session, session->change_seq, false);
    if (rc != HF_OK && session->phase == PHASE_DIRTY && session->due == 0) {
        session->due = timer_now() + RETRY_NS;
        timer_set(session, session->due);
    }
    pthread_mutex_unlock(&session->lock);
}

static void wait_until(struct timer *timer, int64_t at)
{
    struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

    pthread_cond_timedwait(&timer->cond, &timer->lock, &until);
}

static struct session *take_due(struct timer *timer)
{
    struct session **first, *session;

    while (!timer->stop) {
        first = earliest(timer);
        if (!first) {
            pthread_cond_wait(&timer->cond, &timer->lock);
            continue;
        }
        session = *first;
        if (session->timer_at > timer_now()) {
            wait_until(timer, session->timer_at);
            continue;
        }
        *first = session->timer_next;
        session->timer_next = NULL;
        session->timer_at = 0;
        return session;
    }
    return NULL;
}

static void *timer_main(void *arg)
{
    struct tree *tree = arg;
    struct timer *timer = &tree->timer;
    struct session *session;

    pthread_mutex_lock(&timer->lock);
    while ((session = take_due(timer)) != NULL) {
        pthread_mutex_unlock(&timer->lock);
        commit_session(session);
        table_put(session);
        pthread_mutex_lock(&timer->lock);
    }
    pthread_mutex_unlock(&timer->lock);
    return NULL;
}

void timer_init(struct tree *tree)
{
    struct timer *timer = &tree->timer;
    pthread_condattr_t attr;

    pthread_mutex_init(&timer->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&timer->cond, &attr);
    pthread_condattr_destroy(&attr);
}

void timer_release(struct tree *tree)
{
    struct timer *timer = &tree->timer;

    pthread_cond_destroy(&timer->cond);
    pthread_mutex_destroy(&timer->lock);
}

int timer_start(struct tree *tree)
{
    struct timer *timer = &tree->timer;

    if (pthread_create(&timer->thread, NULL, timer_main, tree) != 0)
        return HF_NOMEM;
    timer->started = true;
    return HF_OK;
}

void timer_stop(struct tree *tree)
{
    struct timer *timer = &tree->timer;
    struct session *session;

    if (!timer->started)
        return;
    pthread_mutex_lock(&timer->lock);
    timer->stop = true;
    pthread_cond_signal(&timer->cond);
    pthread_mutex_unlock(&timer->lock);
    pthread_join(timer->thread, NULL);
    while ((session = timer->sessions) != NULL) {
        timer->sessions = session->timer_next;
        session->timer_at = 0;
        table_put(session);
    }
    timer->started = false;
}
