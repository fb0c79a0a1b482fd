/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/leasewait.h"

#include <stdlib.h>

#include "tree/kernel.h"
#include "tree/lease.h"
#include "tree/table.h"

/** Tickets of requests that were parked; those of the lock table are below. */
#define PARKED_TICKET (1ULL << 62)
/** They wait until they are interrupted. */
#define PATIENCE_MS UINT32_MAX

struct leasewait {
    struct leasewait *next;
    struct session *session; /* pinned */
    struct lock_request request;
    lock_done_fn done;
    void *arg;
    uint64_t ticket;
    bool local; /* it has the lease, and waits in the lock table, as local_ticket */
    uint64_t local_ticket;
    int status; /* the answer, when it is off the list */
};

void leasewaits_init(struct leasewaits *waits)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&waits->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    waits->next_ticket = PARKED_TICKET;
}

/** leasewaits.lock is held. */
static void unlink_wait(struct leasewaits *waits, struct leasewait *wait)
{
    struct leasewait **at = &waits->first;

    while (*at && *at != wait)
        at = &(*at)->next;
    if (*at)
        *at = wait->next;
}

/** Tells who waits; it is off the list. */
static void tell(struct leasewait *wait, int status)
{
    struct session *session = wait->session;

    wait->done(status, wait->arg);
    free(wait);
    table_put(session);
}

/** Takes it off the list and tells who waits. */
static void finish(struct leasewait *wait, int status)
{
    struct leasewaits *waits = &wait->session->tree->leasewaits;

    pthread_mutex_lock(&waits->lock);
    unlink_wait(waits, wait);
    pthread_mutex_unlock(&waits->lock);
    tell(wait, status);
}

static void local_done(int status, void *arg)
{
    finish(arg, status);
}

bool leasewait_any(struct session *session)
{
    struct leasewaits *waits = &session->tree->leasewaits;
    bool found = false;

    pthread_mutex_lock(&waits->lock);
    for (struct leasewait *w = waits->first; w && !found; w = w->next)
        found = w->session == session && !w->local;
    pthread_mutex_unlock(&waits->lock);
    return found;
}

/* --- parking ------------------------------------------------------------------------------------- */

static void look_soon(struct session *session, int64_t at)
{
    const struct duty duty = {.kinds = DUTY_ANSWERED, .at = at};

    worker_note(session, &duty);
}

int leasewait_park(struct session *session, const struct lock_request *request, lock_done_fn done,
                   void *arg, uint64_t *ret_ticket)
{
    struct leasewaits *waits = &session->tree->leasewaits;
    struct leasewait *wait = calloc(1, sizeof *wait), **at;

    if (!wait)
        return HF_NOMEM;
    table_pin(session);
    *wait = (struct leasewait){.session = session, .request = *request, .done = done, .arg = arg};
    pthread_mutex_lock(&waits->lock);
    wait->ticket = *ret_ticket = waits->next_ticket++;
    for (at = &waits->first; *at;)
        at = &(*at)->next;
    *at = wait; /* first come, first served */
    pthread_mutex_unlock(&waits->lock);
    look_soon(session, 0);
    return HF_PENDING;
}

bool leasewait_cancel(struct tree *tree, uint64_t ticket, bool *ret_found)
{
    struct leasewaits *waits = &tree->leasewaits;
    struct leasewait *wait;
    struct session *session = NULL;

    if ((ticket & PARKED_TICKET) == 0 || ticket & ~(2 * PARKED_TICKET - 1))
        return false;
    pthread_mutex_lock(&waits->lock);
    for (wait = waits->first; wait && wait->ticket != ticket;)
        wait = wait->next;
    *ret_found = wait != NULL;
    if (wait) {
        session = wait->session;
        table_pin(session);
        if (!wait->local)
            finish(wait, HF_INTR);
        else /* local_done() finishes it, or has just been called */
            lock_cancel(tree->locks, wait->local_ticket, HF_INTR);
    }
    pthread_mutex_unlock(&waits->lock);
    if (session)
        look_soon(session, 0); /* nobody may be waiting any more */
    table_put(session);
    return true;
}

void leasewaits_clear(struct tree *tree)
{
    struct leasewaits *waits = &tree->leasewaits;
    struct leasewait *wait;

    pthread_mutex_lock(&waits->lock);
    while ((wait = waits->first) != NULL) {
        if (wait->local && lock_cancel(tree->locks, wait->local_ticket, HF_INTR))
            continue; /* local_done() has taken it away */
        waits->first = wait->next;
        finish(wait, HF_INTR);
    }
    pthread_mutex_unlock(&waits->lock);
    pthread_mutex_destroy(&waits->lock);
}

/* --- asking -------------------------------------------------------------------------------------- */

/** Whether it is parked for the session's lease. leasewaits.lock is held. */
static bool is_parked(const struct leasewait *wait, const struct session *session)
{
    return wait->session == session && !wait->local;
}

/** The next that is parked for the session's lease. */
static struct leasewait *next_parked(struct session *session)
{
    struct leasewait *wait = session->tree->leasewaits.first;

    while (wait && !is_parked(wait, session))
        wait = wait->next;
    return wait;
}

/** The lease is here, and the session locked: on to the lock table with them. */
static void set_locks(struct session *session)
{
    struct tree *tree = session->tree;
    struct leasewait *wait, *answered = NULL, **last = &answered;

    pthread_mutex_lock(&tree->leasewaits.lock);
    while ((wait = next_parked(session)) != NULL) {
        wait->local = true;
        wait->status =
            lock_set(tree->locks, &wait->request, true, local_done, wait, &wait->local_ticket);
        if (wait->status == HF_PENDING)
            continue;
        unlink_wait(&tree->leasewaits, wait);
        wait->next = NULL;
        *last = wait;
        last = &wait->next;
    }
    pthread_mutex_unlock(&tree->leasewaits.lock);
    while ((wait = answered) != NULL) {
        answered = wait->next;
        tell(wait, wait->status);
    }
}

static void fail_all(struct session *session, int status)
{
    struct leasewaits *waits = &session->tree->leasewaits;
    struct leasewait *next;

    pthread_mutex_lock(&waits->lock);
    for (struct leasewait *wait = waits->first; wait; wait = next) {
        next = wait->next;
        if (is_parked(wait, session))
            finish(wait, status);
    }
    pthread_mutex_unlock(&waits->lock);
}

/** Whether asking again can help. */
static bool may_pass(int status)
{
    return status == HF_BUSY || status == HF_PENDING || status == HF_AGAIN ||
           status == HF_TIMEOUT || status == HF_FENCED || status == HF_INTR;
}

void leasewait_look(struct session *session)
{
    int64_t at = timer_now() + LEASEWAIT_EVERY_NS;
    int rc = HF_OK;

    if (!leasewait_any(session)) {
        lease_withdraw(session);
        return;
    }
    rc = lease_ask(session, PATIENCE_MS, &at);
    if (rc == HF_OK) /* it is granted, or was here already */
        rc = session_admit_now(session);
    if (rc == HF_OK && session->news) {
        kernel_tell_news(session); /* the lock was let go */
        session_unlock(session);
        rc = session_admit_now(session);
    }
    if (rc == HF_OK) {
        set_locks(session);
        session_unlock(session);
    } else if (may_pass(rc)) {
        look_soon(session, at);
    } else {
        fail_all(session, rc);
    }
}
