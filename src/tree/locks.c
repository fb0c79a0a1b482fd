/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/locks.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/htable.h"

/** A lock that is held. Ranges of one owner on one inode never overlap. */
struct held {
    struct held *next;
    struct lock_request is; /* type READ or WRITE */
};

/** A request that waits. It owns the locks that its grant needs, so that granting cannot fail. */
struct waiter {
    struct waiter *next; /* in its inode's queue, then in a list of completions */
    struct waiter *prev_waiting, *next_waiting;
    struct hnode by_ticket;
    uint64_t ticket;
    struct lock_request request;
    struct held *spare[2];
    lock_done_fn done;
    void *arg;
    int status;
    struct waiter *visit_next, *visit_from; /* while a cycle is looked for */
    uint64_t visit_round;
};

/** An inode with locks; forgotten when it has none and nobody waits. */
struct locked_inode {
    struct hnode node;
    uint64_t inode;
    struct held *held;
    struct waiter *queue; /* in order of arrival */
    struct locked_inode *next_revoked;
};

struct lock_table {
    pthread_mutex_t mutex;  /* guards everything below */
    struct htable inodes;   /* of struct locked_inode */
    struct htable tickets;  /* of struct waiter */
    struct waiter *waiting; /* all waiters, in no order */
    uint64_t last_ticket, last_round;
};

struct lock_table *lock_table_new(void)
{
    struct lock_table *table = calloc(1, sizeof *table);

    if (table)
        pthread_mutex_init(&table->mutex, NULL);
    return table;
}

/* --- inodes ------------------------------------------------------------------------------------ */

static struct locked_inode *find_inode(const struct lock_table *table, uint64_t inode)
{
    struct hnode *node = htable_find(&table->inodes, htable_hash_u64(inode));

    /* The hash is a bijection of 64 bits: equal hashes are equal inodes. */
    return node ? HTABLE_ENTRY(node, struct locked_inode, node) : NULL;
}

static struct locked_inode *make_inode(struct lock_table *table, uint64_t inode)
{
    struct locked_inode *in = find_inode(table, inode);

    if (in)
        return in;
    in = calloc(1, sizeof *in);
    if (!in)
        return NULL;
    in->inode = inode;
    if (htable_insert(&table->inodes, &in->node, htable_hash_u64(inode)) != HF_OK) {
        free(in);
        return NULL;
    }
    return in;
}

static void forget_if_unused(struct lock_table *table, struct locked_inode *in)
{
    if (in->held || in->queue)
        return;
    htable_remove(&table->inodes, &in->node);
    free(in);
}

/* --- ranges ------------------------------------------------------------------------------------ */

static bool overlap(const struct lock_request *a, const struct lock_request *b)
{
    return a->start <= b->end && b->start <= a->end;
}

static bool same_owner(const struct lock_request *a, const struct lock_request *b)
{
    return a->kind == b->kind && a->owner == b->owner;
}

static bool in_the_way(const struct lock_request *held, const struct lock_request *wanted)
{
    return held->kind == wanted->kind && held->owner != wanted->owner && overlap(held, wanted) &&
           (held->type == LOCK_TYPE_WRITE || wanted->type == LOCK_TYPE_WRITE);
}

static struct held *first_conflict(const struct locked_inode *in, const struct lock_request *wanted)
{
    struct held *first = NULL;

    if (wanted->type == LOCK_TYPE_NONE)
        return NULL;
    for (struct held *l = in->held; l; l = l->next)
        if (in_the_way(&l->is, wanted) && (!first || l->is.start < first->is.start))
            first = l;
    return first;
}

static struct held *take_spare(struct held *spare[2])
{
    struct held *l = spare[0] ? spare[0] : spare[1];

    assert(l);
    spare[spare[0] ? 0 : 1] = NULL;
    return l;
}

static void add_held(struct locked_inode *in, struct held *l, const struct lock_request *is)
{
    l->is = *is;
    l->next = in->held;
    in->held = l;
}

/** Takes the range of `cut` out of the owner's lock at *link. Returns the link to go on from. */
static struct held **cut_range(struct locked_inode *in, struct held **link,
                               const struct lock_request *cut, struct held *spare[2])
{
    struct held *l = *link;
    struct lock_request right = l->is;
    bool left_stays = l->is.start<cut->start, right_stays = l->is.end> cut->end;

    if (left_stays && right_stays) {
        l->is.end = cut->start - 1;
        right.start = cut->end + 1;
        link = &l->next;
        add_held(in, take_spare(spare), &right);
        return link;
    }
    if (left_stays)
        l->is.end = cut->start - 1;
    else if (right_stays)
        l->is.start = cut->end + 1;
    if (left_stays || right_stays)
        return &l->next;
    *link = l->next;
    free(l);
    return link;
}

static bool touches(const struct lock_request *a, const struct lock_request *b)
{
    return overlap(a, b) || (a->end != UINT64_MAX && a->end + 1 == b->start) ||
           (b->end != UINT64_MAX && b->end + 1 == a->start);
}

/** Widens `grown` over the owner's locks of the same type that it touches, and removes those. */
static void absorb(struct locked_inode *in, struct lock_request *grown)
{
    for (struct held **link = &in->held, *l; (l = *link);) {
        if (!same_owner(&l->is, grown) || l->is.type != grown->type || !touches(&l->is, grown)) {
            link = &l->next;
            continue;
        }
        if (l->is.start < grown->start)
            grown->start = l->is.start;
        if (l->is.end > grown->end)
            grown->end = l->is.end;
        *link = l->next;
        free(l);
    }
}

/** Carries out a request that nothing is in the way of. Uses at most both spares. */
static void apply(struct locked_inode *in, const struct lock_request *request,
                  struct held *spare[2])
{
    struct lock_request grown = *request;

    /* One lock at most sticks out on both sides of the range, as an owner's ranges do not overlap. */
    for (struct held **link = &in->held, *l; (l = *link);) {
        if (same_owner(&l->is, request) && overlap(&l->is, request))
            link = cut_range(in, link, request, spare);
        else
            link = &l->next;
    }
    if (request->type == LOCK_TYPE_NONE)
        return;
    absorb(in, &grown);
    add_held(in, take_spare(spare), &grown);
}

/* --- waiting ----------------------------------------------------------------------------------- */

static void free_waiter(struct waiter *w)
{
    free(w->spare[0]);
    free(w->spare[1]);
    free(w);
}

static void end_wait(struct lock_table *table, struct waiter **link, int status,
                     struct waiter **ended)
{
    struct waiter *w = *link;

    *link = w->next;
    htable_remove(&table->tickets, &w->by_ticket);
    if (w->prev_waiting)
        w->prev_waiting->next_waiting = w->next_waiting;
    else
        table->waiting = w->next_waiting;
    if (w->next_waiting)
        w->next_waiting->prev_waiting = w->prev_waiting;
    w->status = status;
    w->next = NULL;
    while (*ended)
        ended = &(*ended)->next;
    *ended = w;
}

/** Grants what can be granted now, in order of arrival. */
static void wake(struct lock_table *table, struct locked_inode *in, struct waiter **ended)
{
    for (struct waiter **link = &in->queue, *w; (w = *link);) {
        if (first_conflict(in, &w->request)) {
            link = &w->next;
            continue;
        }
        apply(in, &w->request, w->spare);
        end_wait(table, link, HF_OK, ended);
    }
}

/** Runs completions. Called without the mutex. */
static void complete(struct waiter *ended)
{
    for (struct waiter *next; ended; ended = next) {
        next = ended->next;
        ended->done(ended->status, ended->arg);
        free_waiter(ended);
    }
}

static struct waiter *new_waiter(const struct lock_request *request, lock_done_fn done, void *arg)
{
    struct waiter *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->request = *request;
    w->done = done;
    w->arg = arg;
    w->spare[0] = malloc(sizeof *w->spare[0]);
    w->spare[1] = malloc(sizeof *w->spare[1]);
    if (w->spare[0] && w->spare[1])
        return w;
    free_waiter(w);
    return NULL;
}

static int start_wait(struct lock_table *table, struct locked_inode *in, struct waiter *w)
{
    struct waiter **link = &in->queue;

    w->ticket = ++table->last_ticket;
    if (htable_insert(&table->tickets, &w->by_ticket, htable_hash_u64(w->ticket)) != HF_OK)
        return HF_NOMEM;
    while (*link)
        link = &(*link)->next;
    *link = w;
    w->next_waiting = table->waiting;
    if (table->waiting)
        table->waiting->prev_waiting = w;
    table->waiting = w;
    return HF_PENDING;
}

/* --- deadlock ---------------------------------------------------------------------------------- */

/*
 * The kernel does not say whether a record lock is a POSIX lock or an OFD lock. For OFD locks no
 * deadlock may be reported: any thread that shares the open file can end it. What is known:
 *   - An OFD owner is one open file, so it cannot hold a lock on one file and wait for another: a
 *     cycle through several files has POSIX owners wherever it crosses.
 *   - A process is one POSIX owner. Two owners of one process in a cycle: at least one is an OFD.
 * So a cycle counts when its owners belong to different processes. What remains is a cycle on one file
 * between OFD locks of several processes, each waiting for the other: it is reported too.
 */
static bool of_different_processes(const struct lock_request *request, const struct waiter *last)
{
    for (const struct waiter *a = last; a; a = a->visit_from) {
        if (a->request.pid && a->request.pid == request->pid)
            return false;
        for (const struct waiter *b = a->visit_from; b; b = b->visit_from)
            if (a->request.pid && a->request.pid == b->request.pid &&
                a->request.owner != b->request.owner)
                return false;
    }
    return true;
}

/** Adds the waiting requests of everyone who is in the way of `wanted` to the list to visit. */
static void visit_blockers(struct lock_table *table, const struct lock_request *wanted,
                           struct waiter *from, struct waiter **to_visit)
{
    const struct locked_inode *in = find_inode(table, wanted->inode);

    for (const struct held *l = in ? in->held : NULL; l; l = l->next) {
        if (!in_the_way(&l->is, wanted))
            continue;
        for (struct waiter *w = table->waiting; w; w = w->next_waiting) {
            if (!same_owner(&w->request, &l->is) || w->visit_round == table->last_round)
                continue;
            w->visit_round = table->last_round;
            w->visit_from = from;
            w->visit_next = *to_visit;
            *to_visit = w;
        }
    }
}

static bool waits_for_owner(const struct lock_table *table, const struct waiter *w, uint64_t owner)
{
    const struct locked_inode *in = find_inode(table, w->request.inode);

    for (const struct held *l = in ? in->held : NULL; l; l = l->next)
        if (l->is.owner == owner && in_the_way(&l->is, &w->request))
            return true;
    return false;
}

/** Whether the request, if it waited, would wait for itself: a walk along "waits for a lock of". */
static bool would_deadlock(struct lock_table *table, const struct lock_request *request)
{
    struct waiter *to_visit = NULL, *w;

    if (request->kind != LOCK_POSIX)
        return false;
    table->last_round++;
    visit_blockers(table, request, NULL, &to_visit);
    while ((w = to_visit)) {
        to_visit = w->visit_next;
        if (waits_for_owner(table, w, request->owner) && of_different_processes(request, w))
            return true;
        visit_blockers(table, &w->request, w, &to_visit);
    }
    return false;
}

/* --- calls ------------------------------------------------------------------------------------- */

/** flock(2) converts by letting go first: two shared holders who both convert do not wait for ever. */
static void drop_before_converting(struct lock_table *table, struct locked_inode *in,
                                   const struct lock_request *request, struct waiter **ended)
{
    struct held *none[2] = {NULL, NULL};
    struct lock_request drop = *request;

    drop.type = LOCK_TYPE_NONE;
    apply(in, &drop, none);
    wake(table, in, ended);
}

static int set_locked(struct lock_table *table, struct locked_inode *in, struct waiter **wp,
                      bool wait, struct waiter **ended)
{
    struct lock_request *request = &(*wp)->request;
    int status;

    if (!first_conflict(in, request)) {
        apply(in, request, (*wp)->spare);
        wake(table, in, ended);
        return HF_OK;
    }
    if (request->kind == LOCK_FLOCK)
        drop_before_converting(table, in, request, ended);
    if (!wait)
        return HF_AGAIN;
    if (would_deadlock(table, request))
        return HF_DEADLK;
    status = start_wait(table, in, *wp);
    if (status == HF_PENDING)
        *wp = NULL;
    return status;
}

int lock_set(struct lock_table *table, const struct lock_request *request, bool wait,
             lock_done_fn done, void *arg, uint64_t *ret_ticket)
{
    struct waiter *w, *waiting, *ended = NULL;
    struct locked_inode *in;
    int status = HF_NOMEM;

    if (request->start > request->end)
        return HF_INVAL;
    if (request->kind == LOCK_FLOCK && (request->start != 0 || request->end != UINT64_MAX))
        return HF_INVAL;
    waiting = w = new_waiter(request, done, arg);
    if (!w)
        return HF_NOMEM;
    pthread_mutex_lock(&table->mutex);
    in = make_inode(table, request->inode);
    if (in) {
        status = set_locked(table, in, &w, wait, &ended);
        if (status == HF_PENDING)
            *ret_ticket = waiting->ticket;
        forget_if_unused(table, in);
    }
    pthread_mutex_unlock(&table->mutex);
    if (w)
        free_waiter(w);
    complete(ended);
    return status;
}

bool lock_cancel(struct lock_table *table, uint64_t ticket, int status)
{
    struct waiter *ended = NULL;
    struct hnode *node;

    pthread_mutex_lock(&table->mutex);
    node = htable_find(&table->tickets, htable_hash_u64(ticket));
    if (node) {
        struct waiter *w = HTABLE_ENTRY(node, struct waiter, by_ticket);
        struct locked_inode *in = find_inode(table, w->request.inode);
        struct waiter **link = &in->queue;

        while (*link != w)
            link = &(*link)->next;
        end_wait(table, link, status, &ended);
        forget_if_unused(table, in);
    }
    pthread_mutex_unlock(&table->mutex);
    complete(ended);
    return node != NULL;
}

bool lock_test(struct lock_table *table, const struct lock_request *request,
               struct lock_request *ret_lock)
{
    struct locked_inode *in;
    struct held *l;

    pthread_mutex_lock(&table->mutex);
    in = find_inode(table, request->inode);
    l = in ? first_conflict(in, request) : NULL;
    if (l)
        *ret_lock = l->is;
    pthread_mutex_unlock(&table->mutex);
    return l != NULL;
}

/** Drops the locks on `inode` that `match` says, and wakes who waited for them. */
static void release(struct lock_table *table, uint64_t inode,
                    bool (*match)(const struct lock_request *held, uint64_t id), uint64_t id)
{
    struct waiter *ended = NULL;
    struct locked_inode *in;

    pthread_mutex_lock(&table->mutex);
    in = find_inode(table, inode);
    for (struct held **link = in ? &in->held : NULL, *l; link && (l = *link);) {
        if (!match(&l->is, id)) {
            link = &l->next;
            continue;
        }
        *link = l->next;
        free(l);
    }
    if (in) {
        wake(table, in, &ended);
        forget_if_unused(table, in);
    }
    pthread_mutex_unlock(&table->mutex);
    complete(ended);
}

static bool is_posix_of_owner(const struct lock_request *held, uint64_t owner)
{
    return held->kind == LOCK_POSIX && held->owner == owner;
}

void lock_release_owner(struct lock_table *table, uint64_t inode, uint64_t owner)
{
    release(table, inode, is_posix_of_owner, owner);
}

static bool is_through_handle(const struct lock_request *held, uint64_t handle)
{
    return held->handle == handle;
}

void lock_release_handle(struct lock_table *table, uint64_t inode, uint64_t handle)
{
    release(table, inode, is_through_handle, handle);
}

bool lock_held_through(struct lock_table *table, uint64_t inode, uint64_t handle)
{
    struct locked_inode *in;
    bool found = false;

    pthread_mutex_lock(&table->mutex);
    in = find_inode(table, inode);
    for (const struct held *l = in ? in->held : NULL; l && !found; l = l->next)
        found = is_through_handle(&l->is, handle);
    pthread_mutex_unlock(&table->mutex);
    return found;
}

/* --- ranges of inodes --------------------------------------------------------------------------- */

struct inode_range {
    struct lock_table *table;
    uint64_t first, last;
    int status;
    size_t held;
    struct locked_inode *revoked;
    struct waiter *ended;
};

static bool in_range(const struct inode_range *range, const struct locked_inode *in)
{
    return in->inode >= range->first && in->inode <= range->last;
}

static void revoke_inode(struct hnode *node, void *arg)
{
    struct locked_inode *in = HTABLE_ENTRY(node, struct locked_inode, node);
    struct inode_range *range = arg;

    if (!in_range(range, in))
        return;
    for (struct held *l; (l = in->held);) {
        in->held = l->next;
        free(l);
    }
    while (in->queue)
        end_wait(range->table, &in->queue, range->status, &range->ended);
    in->next_revoked = range->revoked;
    range->revoked = in;
}

void lock_revoke(struct lock_table *table, uint64_t first_inode, uint64_t last_inode, int status)
{
    struct inode_range range = {table, first_inode, last_inode, status, 0, NULL, NULL};

    pthread_mutex_lock(&table->mutex);
    htable_each(&table->inodes, revoke_inode, &range);
    for (struct locked_inode *in; (in = range.revoked);) {
        range.revoked = in->next_revoked;
        forget_if_unused(table, in);
    }
    pthread_mutex_unlock(&table->mutex);
    complete(range.ended);
}

static void count_inode(struct hnode *node, void *arg)
{
    struct locked_inode *in = HTABLE_ENTRY(node, struct locked_inode, node);
    struct inode_range *range = arg;

    if (!in_range(range, in))
        return;
    for (const struct held *l = in->held; l; l = l->next)
        range->held++;
}

size_t lock_count(struct lock_table *table, uint64_t first_inode, uint64_t last_inode)
{
    struct inode_range range = {table, first_inode, last_inode, HF_OK, 0, NULL, NULL};

    pthread_mutex_lock(&table->mutex);
    htable_each(&table->inodes, count_inode, &range);
    pthread_mutex_unlock(&table->mutex);
    return range.held;
}

void lock_table_free(struct lock_table *table)
{
    if (!table)
        return;
    lock_revoke(table, 0, UINT64_MAX, HF_INTR);
    htable_free(&table->inodes);
    htable_free(&table->tickets);
    pthread_mutex_destroy(&table->mutex);
    free(table);
}
