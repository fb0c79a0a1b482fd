/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/lease.h"

#include <stdio.h>

#include "tree/commit.h"
#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/leasewait.h"
#include "tree/table.h"
#include "tree/versions.h"

/** How often a recall starts again because changes came in between, before it is refused. */
#define RECALL_TRIES 3
/** For so long what a close(2) leaves behind is waited for. */
#define CLOSING_NS 200000000
/** By then an answer that was under way has reached the kernel. */
#define SWEEP_NS 100000000
/** Who waits for a lease asks again after this at the earliest, … */
#define LEASEWAIT_MIN_NS 20000000
/** … and whether it was interrupted so often. */
#define LOOK_FOR_SIGNALS_NS 20000000

void lease_granted(struct session *session, uint64_t host, uint64_t token)
{
    const struct duty recalled = {.kinds = DUTY_RECALL, .recalled = token};

    session->token = token;
    session->host = host;
    session->asked = false;
    atomic_store(&session->wanted, 0);
    if (session->early == token)
        worker_note(session, &recalled);
}

/** Under a new grant: what is here has to be the head that came with it. */
static int catch_up(struct session *session, const struct lease *lease)
{
    int rc = HF_OK;

    if (!session->loaded || lease->head.version != session->version) {
        rc = session_load(session, &lease->head, NULL);
        worker_invalidate(session);
    }
    return rc;
}

/** A time of CLOCK_BOOTTIME as the tree's clock tells it, as one of timer_now(): soon, and not too soon. */
static int64_t soon(const struct tree *tree, int64_t boottime)
{
    int64_t rest = boottime - clock_boottime(tree->clock);

    if (rest < LEASEWAIT_MIN_NS)
        rest = LEASEWAIT_MIN_NS;
    return timer_now() + (rest < LEASEWAIT_EVERY_NS ? rest : LEASEWAIT_EVERY_NS);
}

/** Asks once. HF_PENDING: again at *ret_at. */
static int ask_store(struct session *session, uint64_t host, uint32_t wait_ms,
                     struct lease *ret_lease, int64_t *ret_at)
{
    struct tree *tree = session->tree;
    int64_t again = 0;
    int rc = store_lease_ask(tree->store, host, session->sid, wait_ms, ret_lease, &again, NULL);

    if (rc == HF_PENDING)
        *ret_at = soon(tree, again);
    return rc;
}

static bool is_interrupted(const struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;

    return atomic_load(&tree->closing) || (kernel->interrupted && kernel->interrupted(kernel->arg));
}

/** Waits for an answer of the store, until `at`. False: interrupted. Locked. */
static bool wait_for_answer(struct session *session, uint64_t answers, int64_t at)
{
    while (!is_interrupted(session->tree)) {
        int64_t until = timer_now() + LOOK_FOR_SIGNALS_NS;
        struct timespec time;

        if (session->answers != answers || timer_now() >= at)
            return true;
        if (until > at)
            until = at;
        time = (struct timespec){.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
        pthread_cond_clockwait(&session->cond, &session->lock, CLOCK_MONOTONIC, &time);
    }
    return false;
}

/** In the queue for a lease that is pinned elsewhere, for `wait_ms` or until a signal comes. Locked, and let go
 *  meanwhile. */
static int wait_in_queue(struct session *session, uint64_t host, uint32_t wait_ms,
                         struct lease *ret_lease)
{
    struct tree *tree = session->tree;
    uint64_t answers;
    int64_t at = 0;
    int rc;

    for (;;) {
        answers = session->answers;
        pthread_mutex_unlock(&session->lock);
        rc = ask_store(session, host, wait_ms, ret_lease, &at);
        pthread_mutex_lock(&session->lock);
        if (rc != HF_PENDING)
            return rc;
        if (!wait_for_answer(session, answers, at))
            break;
    }
    if (!leasewait_any(session))
        store_lease_withdraw(tree->store, host, session->sid, NULL);
    return HF_INTR;
}

/** Asks the store. Locked, and let go meanwhile. */
static int acquire(struct session *session, uint64_t host, uint32_t wait_ms,
                   struct lease *ret_lease)
{
    int rc;

    /* With a place in the queue for one who waits: it is pinned elsewhere, as far as is known here. */
    if (session->asked)
        return wait_ms > 0 ? wait_in_queue(session, host, wait_ms, ret_lease) : HF_BUSY;
    pthread_mutex_unlock(&session->lock);
    rc = store_lease_acquire(session->tree->store, host, session->sid, 0, ret_lease, NULL);
    pthread_mutex_lock(&session->lock);
    if (rc == HF_BUSY && wait_ms > 0)
        rc = wait_in_queue(session, host, wait_ms, ret_lease);
    return rc;
}

/** Another thread asks for the lease, or gives it back: waits for that. */
static int wait_for_another(struct session *session)
{
    while (session->acquiring) {
        int64_t until = timer_now() + LOOK_FOR_SIGNALS_NS;
        const struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};

        pthread_cond_clockwait(&session->cond, &session->lock, CLOCK_MONOTONIC, &time);
        if (session->acquiring && is_interrupted(session->tree))
            return HF_INTR;
    }
    return HF_OK;
}

int lease_acquire(struct session *session, uint32_t wait_ms)
{
    struct tree *tree = session->tree;
    uint64_t host = tree_host(tree);
    struct lease lease;
    int rc;

    if (session->acquiring)
        return wait_for_another(session);
    session->acquiring = true;
    rc = acquire(session, host, wait_ms, &lease);
    session->acquiring = false;
    pthread_cond_broadcast(&session->cond);
    if (rc != HF_OK || lease.token <= session->lost || host != tree_host(tree))
        return rc; /* what was taken away before it arrived has to be asked for again */
    /* Work that could not be saved while the lease was asked for is not loaded over. Nobody knows of the lease
     * then: it is given back when it is recalled. */
    if (session->phase != PHASE_CLEAN)
        return HF_FAILED;
    rc = catch_up(session, &lease);
    lease_granted(session, host, lease.token);
    return rc;
}

int lease_ask(struct session *session, uint32_t wait_ms, int64_t *ret_at)
{
    uint64_t host = tree_host(session->tree);
    struct lease lease;
    bool here, elsewhere;
    int rc;

    pthread_mutex_lock(&session->lock);
    here = session->token != 0;
    elsewhere = session->acquiring; /* a thread asks already */
    if (!here && !elsewhere)
        session->asked = true;
    pthread_mutex_unlock(&session->lock);
    if (here)
        return HF_OK;
    if (elsewhere || tree_is_fenced(session->tree))
        return HF_PENDING;
    rc = ask_store(session, host, wait_ms, &lease, ret_at);
    if (rc == HF_PENDING)
        return rc;
    pthread_mutex_lock(&session->lock);
    session->asked = false;
    pthread_mutex_unlock(&session->lock);
    return rc;
}

void lease_withdraw(struct session *session)
{
    struct tree *tree = session->tree;
    bool asked;

    pthread_mutex_lock(&session->lock);
    asked = session->asked && !session->acquiring && session->token == 0;
    if (asked)
        session->acquiring =
            true; /* or a grant would be given back with it that somebody just had */
    session->asked = false;
    pthread_mutex_unlock(&session->lock);
    if (!asked)
        return;
    store_lease_withdraw(tree->store, tree_host(tree), session->sid, NULL);
    pthread_mutex_lock(&session->lock);
    session->acquiring = false;
    pthread_cond_broadcast(&session->cond);
    pthread_mutex_unlock(&session->lock);
}

void lease_answered(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    session->answers++;
    pthread_cond_broadcast(&session->cond);
    pthread_mutex_unlock(&session->lock);
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

/** Whether the lease of `token` may go now. HF_BUSY: something pins it; HF_AGAIN: something that will pass in a
 *  moment; HF_STALE: it may be on its way here; HF_NOENT: it is not held here. Locked. */
static int check_unpinned(struct session *session, uint64_t token, char *pin, size_t size)
{
    if (session->token != token && !session->acquiring && !session->asked)
        return HF_NOENT;
    if (session->token != token) {
        session->early = token;
        return HF_STALE;
    }
    if (session->phase == PHASE_LOST)
        return HF_STALE;
    if (!lease_pinned_by(session, pin, size))
        return HF_OK;
    return only_closing(session) && timer_now() < session->yield_by ? HF_AGAIN : HF_BUSY;
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
    atomic_store(&session->wanted, 0);
}

/** Tells the store of a lease that was put down. Not locked. */
static void hand_over(struct session *session, uint64_t token)
{
    /* An answer may have been on its way to the kernel when that was told to forget. */
    const struct duty sweep = {.kinds = DUTY_SWEEP, .at = timer_now() + SWEEP_NS};
    struct tree *tree = session->tree;

    store_lease_release(tree->store, session->host, session->sid, token, NULL);
    pthread_mutex_lock(&session->lock);
    session->acquiring = false;
    pthread_cond_broadcast(&session->cond);
    pthread_mutex_unlock(&session->lock);
    worker_note(session, &sweep);
}

/** One try to be rid of the lease. 1: changes came in between. */
static int step_back(struct session *session, uint64_t token, char *pin, size_t size)
{
    int rc;

    pthread_mutex_lock(&session->lock);
    rc = check_unpinned(session, token, pin, size);
    if (rc != HF_OK) {
        pthread_mutex_unlock(&session->lock);
        return rc;
    }
    session->releasing = true;
    rc = session_commit(session, session->change_seq, false);
    pthread_mutex_unlock(&session->lock);
    if (rc != HF_OK)
        return rc;
    if (!kernel_forget_session(session, false))
        return HF_NOMEM;
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

/** Gives the lease of `token` back if nothing pins it. HF_AGAIN: it will be looked at again. */
static int yield(struct session *session, uint64_t token, enum duty_kind kind, char *pin,
                 size_t size)
{
    struct duty again = {.kinds = kind, .recalled = token};
    int rc = 1;

    pthread_mutex_lock(&session->lock);
    if (session->yield_by == 0)
        session->yield_by = timer_now() + CLOSING_NS;
    again.at = session->yield_by;
    pthread_mutex_unlock(&session->lock);
    for (int i = 0; i < RECALL_TRIES && rc == 1; i++)
        rc = step_back(session, token, pin, size);
    if (rc == HF_AGAIN) {
        worker_note(session, &again);
        return rc;
    }
    pthread_mutex_lock(&session->lock);
    session->yield_by = 0;
    pthread_mutex_unlock(&session->lock);
    if (rc == HF_OK)
        hand_over(session, token);
    return rc;
}

void lease_recalled(struct session *session, uint64_t token)
{
    struct tree *tree = session->tree;
    char pin[512] = "changes keep coming";
    int rc = yield(session, token, DUTY_RECALL, pin, sizeof pin);

    if (rc == HF_NOENT) /* it was granted to a request that nobody waited for any more */
        store_lease_release(tree->store, tree_host(tree), session->sid, token, NULL);
    if (rc == HF_OK || rc == HF_AGAIN || rc == HF_STALE || rc == HF_NOENT)
        return;
    atomic_store(&session->wanted, token);
    store_lease_refuse(tree->store, tree_host(tree), session->sid, token,
                       rc == HF_BUSY || rc == 1 ? pin : "its changes cannot be committed", NULL);
}

void lease_yield(struct session *session)
{
    uint64_t token = atomic_load(&session->wanted);
    char pin[512];
    int rc = token != 0 ? yield(session, token, DUTY_YIELD, pin, sizeof pin) : HF_OK;

    if (rc == HF_STALE || rc == HF_NOENT)
        atomic_compare_exchange_strong(&session->wanted, &token, 0);
}

void lease_eased(struct session *session)
{
    const struct duty duty = {.kinds = DUTY_YIELD};

    if (atomic_load(&session->wanted) != 0)
        worker_note(session, &duty);
    else
        worker_hurry(session);
}

void lease_taken(struct session *session, uint64_t token)
{
    pthread_mutex_lock(&session->lock);
    if (token > session->lost)
        session->lost = token;
    /* A commit under way may find out first, and start over with a new lease. */
    while (session->sink_busy)
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
    uint64_t token, host;
    int rc;

    pthread_mutex_lock(&session->lock);
    rc = session_commit(session, session->change_seq, false);
    token = session->token;
    host = session->host;
    session->token = 0;
    pthread_mutex_unlock(&session->lock);
    if (token != 0 && !session->deleted)
        store_lease_release(tree->store, host, session->sid, token, NULL);
    return rc;
}
