/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/lease.h"

#include <stdio.h>

#include "tree/commit.h"
#include "tree/handle.h"
#include "tree/table.h"
#include "tree/versions.h"

/** How often a recall starts again because changes came in between, before it is refused. */
#define RECALL_TRIES 3
/** For so long what a close(2) leaves behind is waited for. */
#define CLOSING_NS 200000000

int lease_acquire(struct session *session)
{
    struct tree *tree = session->tree;
    struct lease lease;
    int rc;

    if (session->acquiring) {
        pthread_cond_wait(&session->cond, &session->lock);
        return HF_OK;
    }
    session->acquiring = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_lease_acquire(tree->store, tree->host, session->sid, tree->options.wait_ms, &lease,
                             NULL);
    pthread_mutex_lock(&session->lock);
    session->acquiring = false;
    pthread_cond_broadcast(&session->cond);
    if (rc != HF_OK)
        return rc;
    if (!session->loaded || lease.head.version != session->version) {
        rc = session_load(session, &lease.head, NULL);
        worker_invalidate(session);
    }
    session->token = lease.token;
    return rc;
}

/** The lock that somebody has on the session's lease file: it was made to hold the lease. */
static bool lease_file_lock(struct session *session, struct lock_request *ret_lock)
{
    struct lock_request any = {.inode = session_number(session, LEASE_INO),
                               .type = LOCK_TYPE_WRITE,
                               .end = UINT64_MAX,
                               .owner = UINT64_MAX}; /* nobody's */

    any.kind = LOCK_FLOCK;
    if (lock_test(session->tree->locks, &any, ret_lock))
        return true;
    any.kind = LOCK_POSIX;
    return lock_test(session->tree->locks, &any, ret_lock);
}

/** "pid N (command)". */
static void name_process(pid_t pid, char *text, size_t size)
{
    char command[32];

    if (pid <= 0) /* OFD locks are nobody's */
        snprintf(text, size, "an open file");
    else if (process_command(pid, command, sizeof command))
        snprintf(text, size, "pid %d (%s)", (int)pid, command);
    else
        snprintf(text, size, "pid %d", (int)pid);
}

bool lease_pinned_by(struct session *session, char *text, size_t size)
{
    uint64_t first = session->sid << 40;
    pid_t claimant = claims_holder(session->tree->claims, session->sid);
    struct lock_request lock;
    char process[64];

    if (lease_file_lock(session, &lock)) {
        name_process((pid_t)lock.pid, process, sizeof process);
        snprintf(text, size, "held by %s", process);
        return true;
    }
    for (struct tree_handle *h = session->open_handles; h; h = h->next)
        if (h->writes) {
            name_process(h->pid, process, sizeof process);
            snprintf(text, size, "%s is open for writing by %s",
                     h->inode->name ? h->inode->name : "a file", process);
            return true;
        }
    if (lock_count(session->tree->locks, first, first | NODE_INO_MAX) > 0) {
        snprintf(text, size, "a file in it is locked");
        return true;
    }
    if (claimant != 0) {
        name_process(claimant, process, sizeof process);
        snprintf(text, size, "it is claimed by %s", process);
        return true;
    }
    return false;
}

/**
 * Whether only files pin it that a program has closed. The kernel answers close(2) before it sends the release:
 * who asks for the session right after another's close would find it in use.
 */
static bool only_closing(struct session *session)
{
    uint64_t first = session->sid << 40;
    bool locked = lock_count(session->tree->locks, first, first | NODE_INO_MAX) > 0;

    if (claims_holder(session->tree->claims, session->sid) != 0)
        return false;
    for (struct tree_handle *h = session->open_handles; h; h = h->next)
        if ((h->writes || locked) && !atomic_load(&h->closing))
            return false;
    return true;
}

/** Waits until nothing pins the lease, or something does that will not pass. Locked. */
static int wait_unpinned(struct session *session, uint64_t token, char *pin, size_t size)
{
    int64_t until = timer_now() + CLOSING_NS;
    const struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};

    for (;;) {
        while (session->acquiring)
            pthread_cond_wait(&session->cond, &session->lock);
        if (session->token != token)
            return HF_STALE;
        if (!lease_pinned_by(session, pin, size))
            return HF_OK;
        if (!only_closing(session) || timer_now() >= until)
            return HF_BUSY;
        pthread_cond_clockwait(&session->cond, &session->lock, CLOCK_MONOTONIC, &time);
    }
}

/**
 * The lease is as good as gone. Until the store knows, nobody asks for it again: it would answer that it is
 * held, under the token that it is about to take back. Locked.
 */
static void put_down(struct session *session)
{
    session->token = 0;
    session->releasing = false;
    session->acquiring = true;
}

/** Tells the store of a lease that was put down. Not locked. */
static void hand_over(struct session *session, uint64_t token)
{
    struct tree *tree = session->tree;

    store_lease_release(tree->store, tree->host, session->sid, token, NULL);
    pthread_mutex_lock(&session->lock);
    session->acquiring = false;
    pthread_cond_broadcast(&session->cond);
    pthread_mutex_unlock(&session->lock);
}

/** One try to be rid of the lease. 1: changes came in between. */
static int step_back(struct session *session, uint64_t token, char *pin, size_t size)
{
    int rc;

    pthread_mutex_lock(&session->lock);
    rc = wait_unpinned(session, token, pin, size);
    if (rc != HF_OK) {
        pthread_mutex_unlock(&session->lock);
        return rc;
    }
    session->releasing = true;
    rc = session_commit(session, session->change_seq, false);
    pthread_mutex_unlock(&session->lock);
    if (rc != HF_OK)
        return rc;
    kernel_forget_session(session);
    pthread_mutex_lock(&session->lock);
    rc = session->releasing && session->token == token &&
                 session->change_seq == session->committed_seq
             ? HF_OK
             : 1;
    if (rc == HF_OK)
        put_down(session);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

void lease_recalled(struct session *session, uint64_t token)
{
    struct tree *tree = session->tree;
    char pin[512] = "changes keep coming";
    int rc = 1;

    for (int i = 0; i < RECALL_TRIES && rc == 1; i++)
        rc = step_back(session, token, pin, sizeof pin);
    if (rc == HF_OK)
        hand_over(session, token);
    else if (rc == HF_BUSY || rc == 1)
        store_lease_refuse(tree->store, tree->host, session->sid, token, pin, NULL);
    else if (rc != HF_STALE)
        store_lease_refuse(tree->store, tree->host, session->sid, token,
                           "its changes cannot be committed", NULL);
}

void lease_taken(struct session *session, uint64_t token)
{
    pthread_mutex_lock(&session->lock);
    /* A commit under way may find out first, and start over with a new lease. */
    while (session->acquiring || session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    if (session->token == token)
        session_lost(session, "the lease was lost");
    pthread_mutex_unlock(&session->lock);
}

bool lease_drop(struct session *session)
{
    uint64_t token = 0;
    bool idle;

    pthread_mutex_lock(&session->lock);
    idle = session_is_idle(session) && !session->acquiring &&
           claims_holder(session->tree->claims, session->sid) == 0;
    if (idle && session->token != 0) {
        token = session->token;
        put_down(session);
    }
    pthread_mutex_unlock(&session->lock);
    if (token != 0)
        hand_over(session, token);
    return idle;
}

int lease_give_back(struct session *session)
{
    struct tree *tree = session->tree;
    uint64_t token;
    int rc;

    pthread_mutex_lock(&session->lock);
    rc = session_commit(session, session->change_seq, false);
    token = session->token;
    session->token = 0;
    pthread_mutex_unlock(&session->lock);
    if (token != 0 && !session->deleted)
        store_lease_release(tree->store, tree->host, session->sid, token, NULL);
    return rc;
}
