/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/lockwait.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/htable.h"

/** A request on its way. Freed with the second of: its completion, the return of lockwait_set(). */
struct lockwait {
    struct hnode node; /* by address of the request; in the table until it is answered */
    struct lockwaits *waits;
    struct tree *tree;
    fuse_req_t req;
    uint64_t ticket;
    int refs;
    bool ticketed, interrupted, answered;
};

struct lockwaits {
    pthread_mutex_t mutex; /* guards the table and the members of all struct lockwait */
    struct htable table;
};

struct lockwaits *lockwaits_new(void)
{
    struct lockwaits *waits = calloc(1, sizeof *waits);

    if (waits)
        pthread_mutex_init(&waits->mutex, NULL);
    return waits;
}

void lockwaits_free(struct lockwaits *waits)
{
    if (!waits)
        return;
    htable_free(&waits->table);
    pthread_mutex_destroy(&waits->mutex);
    free(waits);
}

static uint64_t hash_of(fuse_req_t req)
{
    return htable_hash_u64((uint64_t)(uintptr_t)req);
}

static void unref_locked(struct lockwait *wait)
{
    if (--wait->refs == 0)
        free(wait);
}

/** Takes the request out of the interrupts' sight; afterwards it may be answered. */
static void retire_locked(struct lockwait *wait)
{
    htable_remove(&wait->waits->table, &wait->node);
    wait->answered = true;
}

/**
 * The kernel interrupts a request, which libfuse keeps from being freed during this call; `arg` may have
 * become NULL when it has been answered. From within fuse_req_interrupt_func() the request must not be
 * answered: it has no ticket then yet.
 */
static void on_interrupt(fuse_req_t req, void *arg)
{
    struct lockwaits *waits = arg;
    struct tree *tree = NULL;
    struct hnode *node;
    uint64_t ticket = 0;

    if (!waits)
        return;
    pthread_mutex_lock(&waits->mutex);
    node = htable_find(&waits->table, hash_of(req));
    if (node) {
        struct lockwait *wait = HTABLE_ENTRY(node, struct lockwait, node);

        wait->interrupted = true;
        tree = wait->ticketed ? wait->tree : NULL;
        ticket = wait->ticket;
    }
    pthread_mutex_unlock(&waits->mutex);
    /* Tickets are not used again: one that has been served meanwhile names nothing. */
    if (tree)
        tree_lock_cancel(tree, ticket);
}

static void on_done(int status, void *arg)
{
    struct lockwait *wait = arg;
    struct lockwaits *waits = wait->waits;
    fuse_req_t req = wait->req;

    pthread_mutex_lock(&waits->mutex);
    retire_locked(wait);
    unref_locked(wait);
    pthread_mutex_unlock(&waits->mutex);
    fuse_reply_err(req, status ? hf_status_errno(status) : 0);
}

static struct lockwait *start(struct lockwaits *waits, struct tree *tree, fuse_req_t req)
{
    struct lockwait *wait = calloc(1, sizeof *wait);
    int status;

    if (!wait)
        return NULL;
    *wait = (struct lockwait){.waits = waits, .tree = tree, .req = req, .refs = 2};
    pthread_mutex_lock(&waits->mutex);
    status = htable_insert(&waits->table, &wait->node, hash_of(req));
    pthread_mutex_unlock(&waits->mutex);
    if (status == HF_OK)
        return wait;
    free(wait);
    return NULL;
}

/** The tree has answered at once: no completion comes. */
static void end_at_once(struct lockwait *wait, int status)
{
    struct lockwaits *waits = wait->waits;
    fuse_req_t req = wait->req;

    pthread_mutex_lock(&waits->mutex);
    retire_locked(wait);
    free(wait);
    pthread_mutex_unlock(&waits->mutex);
    fuse_reply_err(req, status ? hf_status_errno(status) : 0);
}

void lockwait_set(struct lockwaits *waits, struct tree *tree, fuse_req_t req,
                  struct tree_handle *handle, const struct lock_request *request)
{
    struct lockwait *wait = start(waits, tree, req);
    uint64_t ticket = 0;
    bool cancel;
    int status;

    if (!wait) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    fuse_req_interrupt_func(req, on_interrupt, waits);
    status = tree_lock(handle, request, true, on_done, wait, &ticket);
    if (status != HF_PENDING) {
        end_at_once(wait, status);
        return;
    }
    pthread_mutex_lock(&waits->mutex);
    wait->ticket = ticket;
    wait->ticketed = true;
    cancel = wait->interrupted && !wait->answered;
    unref_locked(wait);
    pthread_mutex_unlock(&waits->mutex);
    if (cancel)
        tree_lock_cancel(tree, ticket);
}
