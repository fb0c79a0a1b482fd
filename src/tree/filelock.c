/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/filelock.h"

#include <stdlib.h>

#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/lease.h"
#include "tree/leasewait.h"
#include "tree/table.h"

/** Tickets of waits in the shared tree; those of the lock table are below. */
#define SHARED_TICKET (1ULL << 63)

struct filelock_wait {
    struct filelock_wait *next;
    struct tree *tree;
    struct lock_request request;
    lock_done_fn done;
    void *arg;
    uint64_t ticket;
    bool local; /* it waits in the local table, as local_ticket */
    uint64_t local_ticket;
};

void filelocks_init(struct filelocks *filelocks)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&filelocks->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    filelocks->next_ticket = SHARED_TICKET;
}

static void answer(struct filelock_wait *wait, int status)
{
    wait->done(status, wait->arg);
    free(wait);
}

/** Takes it off the list and tells who waits; of a grant not before the kernel knows what others have written. */
static void finish(struct filelock_wait *wait, int status)
{
    struct tree *tree = wait->tree;
    struct filelock_wait **at = &tree->filelocks.waits;

    while (*at && *at != wait)
        at = &(*at)->next;
    if (*at)
        *at = wait->next;
    if (status != HF_OK || table_exclusive(tree->shared)) {
        answer(wait, status);
        return;
    }
    wait->next = tree->filelocks.granted;
    tree->filelocks.granted = wait;
    worker_chore(tree, CHORE_LOCKS, 0);
}

/** What was written under a lock is there for who has it next, also through a file that was open before. */
static void look_at_content(struct tree *tree)
{
    struct session *shared = tree->shared;

    pthread_mutex_lock(&shared->lock);
    if (shared->loaded)
        session_refresh(shared);
    pthread_mutex_unlock(&shared->lock);
}

static void answer_granted(struct tree *tree)
{
    struct filelock_wait *wait, *next;

    pthread_mutex_lock(&tree->filelocks.lock);
    wait = tree->filelocks.granted;
    tree->filelocks.granted = NULL;
    pthread_mutex_unlock(&tree->filelocks.lock);
    if (wait)
        look_at_content(tree);
    for (; wait; wait = next) {
        next = wait->next;
        answer(wait, HF_OK);
    }
}

static void cancel(struct filelock_wait *wait, int status)
{
    if (wait->local && lock_cancel(wait->tree->locks, wait->local_ticket, status))
        return; /* local_done() finishes it */
    finish(wait, status);
}

static void forget_owed(struct tree *tree);

void filelocks_clear(struct tree *tree)
{
    struct filelocks *filelocks = &tree->filelocks;
    struct filelock_wait *wait;

    pthread_mutex_lock(&filelocks->lock);
    while (filelocks->waits)
        cancel(filelocks->waits, HF_INTR);
    forget_owed(tree);
    while ((wait = filelocks->granted) != NULL) {
        filelocks->granted = wait->next;
        answer(wait, HF_OK);
    }
    pthread_mutex_unlock(&filelocks->lock);
    pthread_mutex_destroy(&filelocks->lock);
}

/** What was unlocked here and not yet in the store. Until it is, this mount keeps others out for nobody. */
struct owed_unlock {
    struct owed_unlock *next;
    struct store_lock lock;
};

static struct store_lock store_lock_of(const struct lock_request *request)
{
    return (struct store_lock){
        .ino = INODE_INO(request->inode),
        .kind = request->kind,
        .type = request->type,
        .start = request->start,
        .end = request->end,
        .owner = request->owner,
        .pid = request->pid,
    };
}

/** Tells the store of unlocks that it could not be told of. filelocks.lock is held. */
static int pay_unlocks(struct tree *tree)
{
    struct owed_unlock *owed;

    while ((owed = tree->filelocks.owed) != NULL) {
        int rc = store_lock_set(tree->store, tree_host(tree), &owed->lock, NULL, NULL);

        if (rc != HF_OK)
            return rc;
        tree->filelocks.owed = owed->next;
        free(owed);
    }
    return HF_OK;
}

/** An unlock cannot be refused: it is owed. Without memory the lock stays in the store until the mount ends. */
static void owe_unlock(struct tree *tree, const struct store_lock *lock)
{
    struct owed_unlock *owed = malloc(sizeof *owed), **at = &tree->filelocks.owed;

    if (!owed)
        return;
    *owed = (struct owed_unlock){.lock = *lock};
    while (*at)
        at = &(*at)->next;
    *at = owed;
}

static void forget_owed(struct tree *tree)
{
    struct owed_unlock *owed;

    while ((owed = tree->filelocks.owed) != NULL) {
        tree->filelocks.owed = owed->next;
        free(owed);
    }
}

static int set_in_store(struct tree *tree, const struct lock_request *request)
{
    struct store_lock lock = store_lock_of(request);
    int rc = pay_unlocks(tree);

    if (rc == HF_OK)
        rc = store_lock_set(tree->store, tree_host(tree), &lock, NULL, NULL);
    if (rc != HF_OK && lock.type == LOCK_TYPE_NONE) {
        owe_unlock(tree, &lock);
        rc = HF_OK;
    }
    return rc;
}

/** The local table granted it at last; the store is asked now. */
static void local_done(int status, void *arg)
{
    struct filelock_wait *wait = arg;
    struct tree *tree = wait->tree;
    struct lock_request undo = wait->request;
    int rc = status;

    pthread_mutex_lock(&tree->filelocks.lock);
    wait->local = false;
    if (rc == HF_OK)
        rc = set_in_store(tree, &wait->request);
    if (status == HF_OK && rc != HF_OK) {
        undo.type = LOCK_TYPE_NONE;
        lock_set(tree->locks, &undo, false, NULL, NULL, NULL);
    }
    if (rc != HF_AGAIN)
        finish(wait, rc);
    pthread_mutex_unlock(&tree->filelocks.lock);
}

/** One try of a request in the shared tree, in both tables; filelocks.lock is held. HF_AGAIN: another
 *  host's lock is in the way. HF_PENDING: `wait` (if given) waits in the local table. */
static int try_both(struct tree *tree, const struct lock_request *request,
                    struct filelock_wait *wait)
{
    struct lock_request other;
    int rc;

    if (lock_test(tree->locks, request, &other)) {
        if (!wait)
            return HF_AGAIN;
        wait->local = true;
        rc = lock_set(tree->locks, request, true, local_done, wait, &wait->local_ticket);
        if (rc != HF_PENDING)
            wait->local = false;
        if (rc != HF_OK)
            return rc;
    }
    rc = set_in_store(tree, request);
    if (rc != HF_OK)
        return rc;
    return lock_set(tree->locks, request, false, NULL, NULL, NULL);
}

static int unlock_both(struct tree *tree, const struct lock_request *request)
{
    int rc = set_in_store(tree, request);

    if (rc != HF_OK)
        return rc;
    return lock_set(tree->locks, request, false, NULL, NULL, NULL);
}

/** A request that may wait. HF_PENDING: it does, and `done` comes later. */
static int wait_for_both(struct tree *tree, const struct lock_request *request, lock_done_fn done,
                         void *arg, uint64_t *ret_ticket)
{
    struct filelock_wait *wait = calloc(1, sizeof *wait);
    int rc;

    if (!wait)
        return HF_NOMEM;
    *wait = (struct filelock_wait){.tree = tree,
                                   .request = *request,
                                   .done = done,
                                   .arg = arg,
                                   .ticket = tree->filelocks.next_ticket++,
                                   .next = tree->filelocks.waits};
    tree->filelocks.waits = wait;
    *ret_ticket = wait->ticket;
    rc = try_both(tree, request, wait);
    if (rc == HF_AGAIN || rc == HF_PENDING)
        return HF_PENDING;
    tree->filelocks.waits = wait->next;
    free(wait);
    return rc;
}

static int lock_shared(struct tree_handle *handle, const struct lock_request *request, bool wait,
                       lock_done_fn done, void *arg, uint64_t *ret_ticket)
{
    struct tree *tree = handle->session->tree;
    int rc;

    if (atomic_load(&handle->lost))
        return HF_IO;
    pthread_mutex_lock(&tree->filelocks.lock);
    handle->inode->store_locked = true;
    if (request->kind == LOCK_FLOCK)
        handle->flock_owner = request->owner;
    else
        handle->posix_owner = request->owner;
    if (request->type == LOCK_TYPE_NONE)
        rc = unlock_both(tree, request);
    else if (wait)
        rc = wait_for_both(tree, request, done, arg, ret_ticket);
    else
        rc = try_both(tree, request, NULL);
    pthread_mutex_unlock(&tree->filelocks.lock);
    if (rc == HF_OK && request->type != LOCK_TYPE_NONE)
        look_at_content(tree);
    return rc;
}

void filelock_retry(struct tree *tree)
{
    struct filelock_wait *next;
    int rc;

    pthread_mutex_lock(&tree->filelocks.lock);
    pay_unlocks(tree);
    for (struct filelock_wait *w = tree->filelocks.waits; w; w = next) {
        next = w->next;
        if (w->local)
            continue;
        rc = try_both(tree, &w->request, w);
        if (rc != HF_AGAIN && rc != HF_PENDING)
            finish(w, rc);
    }
    pthread_mutex_unlock(&tree->filelocks.lock);
    answer_granted(tree);
}

/**
 * The host session has ended, and with it every lock that was set under it: other hosts may have had them since.
 * Files that had one are of no use any more until they are opened again: what their programs believe about them
 * does not hold. So all that is asked of them fails.
 */
void filelock_lost(struct tree *tree)
{
    struct session *shared = tree->shared;
    uint64_t number, self;

    pthread_mutex_lock(&tree->filelocks.lock);
    forget_owed(tree);
    pthread_mutex_unlock(&tree->filelocks.lock);
    do {
        self = 0;
        pthread_mutex_lock(&shared->lock);
        for (struct tree_handle *h = shared->open_handles; h && self == 0; h = h->next) {
            number = session_number(shared, h->inode->ino);
            if (!lock_held_through(tree->locks, number, (uint64_t)(uintptr_t)h))
                continue;
            atomic_store(&h->lost, true);
            self = (uint64_t)(uintptr_t)h;
        }
        pthread_mutex_unlock(&shared->lock);
        if (self != 0) /* who waits for it here asks the store now */
            lock_release_handle(tree->locks, number, self);
    } while (self != 0);
}

/* --- within a session ----------------------------------------------------------------------------- */

/** Takes the lease, and the lock before the session is let go: so a recall sees it. */
static int lock_session(struct tree_handle *handle, const struct lock_request *request, bool wait,
                        lock_done_fn done, void *arg, uint64_t *ret_ticket)
{
    struct session *session = handle->session;
    int rc;

    if (session->view || request->type == LOCK_TYPE_NONE) {
        rc = lock_set(session->tree->locks, request, wait, done, arg, ret_ticket);
        lease_eased(session);
        return rc;
    }
    rc = session_admit_now(session);
    if (rc == HF_BUSY) /* as if the whole session were locked */
        return wait ? leasewait_park(session, request, done, arg, ret_ticket) : HF_AGAIN;
    if (rc != HF_OK)
        return rc;
    rc = lock_set(session->tree->locks, request, wait, done, arg, ret_ticket);
    kernel_tell_news(session); /* of what came with the lease */
    session_unlock(session);
    return rc;
}

int tree_lock(struct tree_handle *handle, const struct lock_request *request, bool wait,
              lock_done_fn done, void *arg, uint64_t *ret_ticket)
{
    uint64_t ticket;

    if (!ret_ticket)
        ret_ticket = &ticket;
    if (handle->session->sid == SHARED_SID)
        return lock_shared(handle, request, wait, done, arg, ret_ticket);
    return lock_session(handle, request, wait, done, arg, ret_ticket);
}

bool tree_lock_cancel(struct tree *tree, uint64_t ticket)
{
    bool found = false;

    if (leasewait_cancel(tree, ticket, &found))
        return found;
    if (!(ticket & SHARED_TICKET))
        return lock_cancel(tree->locks, ticket, HF_INTR);
    pthread_mutex_lock(&tree->filelocks.lock);
    for (struct filelock_wait *w = tree->filelocks.waits; w && !found; w = w->next)
        if (w->ticket == ticket) {
            found = true;
            cancel(w, HF_INTR);
            break;
        }
    pthread_mutex_unlock(&tree->filelocks.lock);
    return found;
}

/** Another host's lock in the shared tree that is in the way. */
static int test_store(struct tree *tree, const struct lock_request *request,
                      struct lock_request *ret_lock, bool *ret_found)
{
    struct store_lock other, lock = store_lock_of(request);
    int rc = store_lock_test(tree->store, tree_host(tree), &lock, &other, NULL);

    *ret_found = rc == HF_OK;
    if (rc == HF_OK)
        *ret_lock = (struct lock_request){.inode = request->inode,
                                          .kind = other.kind,
                                          .type = other.type,
                                          .start = other.start,
                                          .end = other.end,
                                          .pid = other.host == tree_host(tree) ? other.pid : 0};
    return rc == HF_NOENT ? HF_OK : rc;
}

int tree_lock_test(struct tree_handle *handle, const struct lock_request *request,
                   struct lock_request *ret_lock, bool *ret_found)
{
    struct tree *tree = handle->session->tree;

    *ret_found = lock_test(tree->locks, request, ret_lock);
    if (*ret_found || handle->session->sid != SHARED_SID)
        return HF_OK;
    return test_store(tree, request, ret_lock, ret_found);
}

/* --- closing -------------------------------------------------------------------------------------- */

/** Unlocks all that `owner` has on the file in the store; filelocks.lock is held. */
static void unlock_store(struct tree_handle *handle, enum lock_kind kind, uint64_t owner)
{
    struct session *session = handle->session;
    struct lock_request all = {.inode = session_number(session, handle->inode->ino),
                               .kind = kind,
                               .type = LOCK_TYPE_NONE,
                               .end = UINT64_MAX,
                               .owner = owner,
                               .handle = (uint64_t)(uintptr_t)handle};

    if (handle->inode->store_locked)
        set_in_store(session->tree, &all);
}

void filelock_close(struct tree_handle *handle, uint64_t owner)
{
    struct session *session = handle->session;
    struct tree *tree = session->tree;
    uint64_t number = session_number(session, handle->inode->ino);

    if (session->sid != SHARED_SID) {
        lock_release_owner(tree->locks, number, owner);
        lease_eased(session);
        return;
    }
    pthread_mutex_lock(&tree->filelocks.lock);
    unlock_store(handle, LOCK_POSIX, owner);
    lock_release_owner(tree->locks, number, owner);
    pthread_mutex_unlock(&tree->filelocks.lock);
}

void filelock_release(struct tree_handle *handle)
{
    struct session *session = handle->session;
    struct tree *tree = session->tree;
    uint64_t number = session_number(session, handle->inode->ino);
    uint64_t self = (uint64_t)(uintptr_t)handle;

    if (session->sid != SHARED_SID) {
        lock_release_handle(tree->locks, number, self);
        return;
    }
    pthread_mutex_lock(&tree->filelocks.lock);
    /* What came through the handle: a flock, or OFD locks, under the owner that was noted. */
    if (handle->flock_owner)
        unlock_store(handle, LOCK_FLOCK, handle->flock_owner);
    if (handle->posix_owner)
        unlock_store(handle, LOCK_POSIX, handle->posix_owner);
    lock_release_handle(tree->locks, number, self);
    pthread_mutex_unlock(&tree->filelocks.lock);
}
