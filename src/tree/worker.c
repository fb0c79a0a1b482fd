/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/worker.h"

#include <time.h>

#include "tree/events.h"
#include "tree/evict.h"
#include "tree/table.h"

/** How often idle sessions are looked for. */
#define EVICT_EVERY_NS 10000000000LL

/* --- noting -------------------------------------------------------------------------------------- */

static void merge(struct duty *duty, const struct duty *more)
{
    int64_t at = more->at;

    if (duty->kinds != 0 && duty->at < at)
        at = duty->at;
    duty->kinds |= more->kinds;
    if (more->lost > duty->lost)
        duty->lost = more->lost;
    if (more->recalled > duty->recalled)
        duty->recalled = more->recalled;
    if (more->version > duty->version)
        duty->version = more->version;
    duty->at = at;
}

/** worker.lock is held. */
static void enlist(struct worker *worker, struct session *session, const struct duty *duty)
{
    if (session->duty.kinds == 0) {
        table_pin(session);
        session->duty_next = NULL;
        *worker->last = session;
        worker->last = &session->duty_next;
    }
    merge(&session->duty, duty);
    pthread_cond_signal(&worker->cond);
}

void worker_note(struct session *session, const struct duty *duty)
{
    struct worker *worker = &session->tree->worker;

    pthread_mutex_lock(&worker->lock);
    enlist(worker, session, duty);
    pthread_mutex_unlock(&worker->lock);
}

void worker_hurry(struct session *session)
{
    struct worker *worker = &session->tree->worker;

    pthread_mutex_lock(&worker->lock);
    if (session->duty.kinds != 0 && session->duty.at != 0) {
        session->duty.at = 0;
        pthread_cond_signal(&worker->cond);
    }
    pthread_mutex_unlock(&worker->lock);
}

void worker_chore(struct tree *tree, enum chore chore, int64_t delay)
{
    struct worker *worker = &tree->worker;

    pthread_mutex_lock(&worker->lock);
    worker->chores |= chore;
    if (chore == CHORE_HOST_LOST)
        worker->host_lost_at = delay > 0 ? timer_now() + delay : 0;
    pthread_cond_signal(&worker->cond);
    pthread_mutex_unlock(&worker->lock);
}

void worker_invalidate(struct session *session)
{
    const struct duty duty = {.kinds = DUTY_FORGET};

    worker_note(session, &duty);
}

void worker_tell(struct session *session)
{
    const struct duty duty = {.kinds = DUTY_TELL};

    worker_note(session, &duty);
}

void worker_drop(struct session *session)
{
    const struct duty duty = {.kinds = DUTY_DROP};

    worker_note(session, &duty);
}

void worker_evict(struct tree *tree)
{
    worker_chore(tree, CHORE_EVICT, 0);
}

/* --- events -------------------------------------------------------------------------------------- */

/** A recall of what is not in memory; when there are too many, the leases are compared with the store's. */
static void note_orphan(struct worker *worker, const struct store_event *event)
{
    if (worker->norphans < ORPHANS_MAX)
        worker->orphans[worker->norphans++] = (struct orphan){event->sid, event->token};
    else
        worker->chores |= CHORE_MISSED;
    worker->chores |= CHORE_ORPHANS;
}

/** What an event asks to be done about its session; 0: nothing. */
static struct duty duty_of(const struct store_event *event)
{
    struct duty duty = {0};

    switch (event->kind) {
    case EVENT_HEAD_MOVED:
        duty = (struct duty){.kinds = DUTY_MOVED, .version = event->version};
        break;
    case EVENT_LEASE_RECALLED:
        duty = (struct duty){.kinds = DUTY_RECALL, .recalled = event->token};
        break;
    case EVENT_LEASE_LOST:
        duty = (struct duty){.kinds = DUTY_LOST, .lost = event->token};
        break;
    case EVENT_LEASE_ANSWERED:
        duty.kinds = DUTY_ANSWERED;
        break;
    case EVENT_SESSIONS_CHANGED:
        duty.kinds = event->sid != SHARED_SID ? DUTY_NAMES : 0;
        break;
    default:
        break;
    }
    return duty;
}

/** What it asks to be done about the mount. worker.lock is held. */
static unsigned chores_of(struct worker *worker, const struct store_event *event)
{
    switch (event->kind) {
    case EVENT_HOSTS_CHANGED:
        worker->other_hosts = event->other_hosts;
        if (event->other_hosts > worker->most_hosts)
            worker->most_hosts = event->other_hosts;
        return CHORE_HOSTS;
    case EVENT_LOCKS_CHANGED:
        return CHORE_LOCKS;
    case EVENT_SESSIONS_CHANGED:
        return CHORE_TOP;
    case EVENT_MISSED:
        return CHORE_MISSED;
    case EVENT_HOST_LOST:
        worker->host_lost_at = 0;
        return CHORE_HOST_LOST;
    default:
        return 0;
    }
}

void worker_event(const struct store_event *event, void *arg)
{
    struct tree *tree = arg;
    struct worker *worker = &tree->worker;
    struct duty duty = duty_of(event);
    struct session *session = duty.kinds != 0 ? table_peek(tree, event->sid) : NULL;

    if (event->kind == EVENT_HOSTS_CHANGED && event->other_hosts > 0)
        atomic_store(&tree->other_hosts, event->other_hosts);
    pthread_mutex_lock(&worker->lock);
    worker->chores |= chores_of(worker, event);
    if (session)
        enlist(worker, session, &duty);
    else if (event->kind == EVENT_LEASE_RECALLED)
        note_orphan(worker, event);
    pthread_cond_signal(&worker->cond);
    pthread_mutex_unlock(&worker->lock);
    table_put(session);
}

/* --- the thread -------------------------------------------------------------------------------- */

/** The first session whose time has come, off the list; NULL: none, and *ret_next is when the first will be. */
static struct session *take_session(struct worker *worker, int64_t now, struct duty *ret_todo,
                                    int64_t *ret_next)
{
    struct session *session;

    for (struct session **at = &worker->first; (session = *at); at = &session->duty_next) {
        if (session->duty.at > now) {
            if (session->duty.at < *ret_next)
                *ret_next = session->duty.at;
            continue;
        }
        *at = session->duty_next;
        if (!*at)
            worker->last = at;
        *ret_todo = session->duty;
        session->duty = (struct duty){0};
        return session;
    }
    return NULL;
}

/** The chores whose time has come. */
static unsigned take_chores(struct worker *worker, int64_t now, int64_t *ret_next)
{
    unsigned chores = worker->chores;

    if (chores & CHORE_HOST_LOST && worker->host_lost_at > now) {
        chores &= ~(unsigned)CHORE_HOST_LOST;
        if (worker->host_lost_at < *ret_next)
            *ret_next = worker->host_lost_at;
    }
    worker->chores &= ~chores;
    return chores;
}

static void sleep_until(struct worker *worker, int64_t at)
{
    const struct timespec until = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

    pthread_cond_timedwait(&worker->cond, &worker->lock, &until);
}

/** Does one thing, if its time has come. worker.lock is held, and let go meanwhile. */
static bool do_something(struct tree *tree, int64_t now, int64_t *ret_next)
{
    struct worker *worker = &tree->worker;
    unsigned chores = take_chores(worker, now, ret_next);
    struct session *session = NULL;
    struct duty duty;

    if (chores == 0)
        session = take_session(worker, now, &duty, ret_next);
    if (chores == 0 && !session)
        return false;
    pthread_mutex_unlock(&worker->lock);
    if (chores & CHORE_EVICT)
        evict_idle(tree);
    if (chores != 0)
        events_mount(tree, chores);
    if (session) {
        events_session(session, &duty);
        table_put(session);
    }
    pthread_mutex_lock(&worker->lock);
    return true;
}

static void *worker_main(void *arg)
{
    struct tree *tree = arg;
    struct worker *worker = &tree->worker;
    int64_t evict_at = timer_now() + EVICT_EVERY_NS, now, next;

    pthread_mutex_lock(&worker->lock);
    while (!worker->stop) {
        now = timer_now();
        next = evict_at;
        if (now >= evict_at) {
            worker->chores |= CHORE_EVICT;
            evict_at = now + EVICT_EVERY_NS;
        }
        if (!do_something(tree, now, &next))
            sleep_until(worker, next);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

int worker_start(struct tree *tree)
{
    struct worker *worker = &tree->worker;
    pthread_condattr_t attr;

    pthread_mutex_init(&worker->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->cond, &attr);
    pthread_condattr_destroy(&attr);
    worker->last = &worker->first;
    if (pthread_create(&worker->thread, NULL, worker_main, tree) != 0)
        return HF_NOMEM;
    worker->started = true;
    return HF_OK;
}

static void drop_list(struct worker *worker)
{
    struct session *session;

    while ((session = worker->first) != NULL) {
        worker->first = session->duty_next;
        session->duty = (struct duty){0};
        table_put(session);
    }
    worker->last = &worker->first;
}

void worker_stop(struct tree *tree)
{
    struct worker *worker = &tree->worker;

    if (!worker->started)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_signal(&worker->cond);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    worker->started = false;
    drop_list(worker);
    pthread_cond_destroy(&worker->cond);
    pthread_mutex_destroy(&worker->lock);
}
