/* SPDX-License-Identifier: Apache-2.0 */
#include "server/waiting.h"

#include <assert.h>
#include <event2/util.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/htable.h"
#include "server/ahead.h"
#include "server/peer.h"
#include "server/request.h"
#include "store/store.h"
#include "wire/convert.h"

/* What waits for one lease on behalf of one host session. */
struct wait {
    struct task task;
    struct hnode node;
    struct waits *waits;
    struct store *store;
    uint64_t host, sid;
    struct request *requests; /* first come first */
    uint32_t wait_ms;         /* the patience of the most patient */
    bool busy;                /* a worker has it, or will */
    bool again;               /* something has happened since the worker asked */
    bool queued;              /* the store may have it in its queue */
    int64_t due;              /* ask again then; INT64_MAX: not by time */
};

struct waits {
    struct event_base *loop;
    struct workers *workers;
    struct event *timer;
    pthread_mutex_t
        lock;            /* guards what follows and all waits; the pool's and the loop's under it */
    struct htable table; /* of waits */
    int64_t armed;       /* when the timer goes off */
    bool frozen;
};

/* --- the table ------------------------------------------------------------------------------------ */

static uint64_t hash_of(const struct store *store, uint64_t host, uint64_t sid)
{
    return htable_hash_u64((uintptr_t)store ^ htable_hash_u64(host ^ htable_hash_u64(sid)));
}

static struct wait *find(struct waits *waits, const struct store *store, uint64_t host,
                         uint64_t sid)
{
    struct hnode *node = htable_find(&waits->table, hash_of(store, host, sid));

    for (; node; node = htable_next(node)) {
        struct wait *wait = HTABLE_ENTRY(node, struct wait, node);

        if (wait->store == store && wait->host == host && wait->sid == sid)
            return wait;
    }
    return NULL;
}

static void run(struct task *task);

static struct wait *find_or_add(struct waits *waits, struct store *store, uint64_t host,
                                uint64_t sid)
{
    struct wait *wait = find(waits, store, host, sid);

    if (wait)
        return wait;
    wait = calloc(1, sizeof *wait);
    if (!wait)
        return NULL;
    wait->task.run = run;
    wait->waits = waits;
    wait->store = store;
    wait->host = host;
    wait->sid = sid;
    wait->due = INT64_MAX;
    if (htable_insert(&waits->table, &wait->node, hash_of(store, host, sid)) != HF_OK) {
        free(wait);
        return NULL;
    }
    return wait;
}

static void add_request(struct wait *wait, struct request *request)
{
    struct request **link = &wait->requests;

    while (*link)
        link = &(*link)->next;
    request->next = NULL;
    request->asked = false;
    *link = request;
}

/* The lock is held. */
static void submit(struct wait *wait)
{
    if (wait->busy) {
        wait->again = true;
        return;
    }
    wait->busy = true;
    workers_submit(wait->waits->workers, &wait->task);
}

/* --- the timer ------------------------------------------------------------------------------------ */

/* The lock is held. */
static void arm(struct waits *waits, int64_t due)
{
    int64_t wait_ns = due - clock_boottime(&clock_system);
    struct timeval tv;

    if (due >= waits->armed)
        return;
    if (wait_ns < 1000000)
        wait_ns = 1000000;
    waits->armed = due;
    tv.tv_sec = wait_ns / 1000000000;
    tv.tv_usec = wait_ns % 1000000000 / 1000;
    (void)event_add(waits->timer, &tv);
}

struct due_scan {
    int64_t now, next;
};

static void scan_due(struct hnode *node, void *arg)
{
    struct wait *wait = HTABLE_ENTRY(node, struct wait, node);
    struct due_scan *scan = arg;

    if (wait->busy)
        return;
    if (wait->due <= scan->now)
        submit(wait);
    else if (wait->due < scan->next)
        scan->next = wait->due;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct waits *waits = arg;
    struct due_scan scan = {clock_boottime(&clock_system), INT64_MAX};

    (void)fd;
    (void)what;
    pthread_mutex_lock(&waits->lock);
    waits->armed = INT64_MAX;
    if (!waits->frozen)
        htable_each(&waits->table, scan_due, &scan);
    if (scan.next != INT64_MAX)
        arm(waits, scan.next);
    pthread_mutex_unlock(&waits->lock);
}

/* --- asking --------------------------------------------------------------------------------------- */

static void answer(struct request *requests, int status, const struct lease *lease,
                   const struct hf_error *err)
{
    struct request *request;

    while ((request = requests)) {
        Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
        struct hf_error failure = *err;
        int rc = status;

        requests = request->next;
        if (rc == HF_OK)
            rc = wire_fill_lease(lease, &request->arena, &reply.lease, &failure);
        if (rc == HF_OK) {
            reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_LEASE;
            interest_told(&request->peer->interest, lease->sid, lease->head.version);
            ahead_fill(request, &lease->head, &reply);
        }
        request_finish(request, rc, &failure, &reply);
    }
}

/* Takes out those that have been asked for (`all`), or those of them that were cancelled. The lock is held. */
static struct request *take_out(struct wait *wait, bool all)
{
    struct request *taken = NULL, **end = &taken, **link = &wait->requests;
    struct request *request;

    while ((request = *link)) {
        if (!(all ? request->asked : request->cancelled)) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        request->next = NULL;
        *end = request;
        end = &request->next;
    }
    return taken;
}

static bool mark_asked(struct wait *wait)
{
    for (struct request *request = wait->requests; request; request = request->next)
        request->asked = true;
    return wait->requests != NULL;
}

static bool any_unasked(const struct wait *wait)
{
    for (const struct request *request = wait->requests; request; request = request->next)
        if (!request->asked)
            return true;
    return false;
}

/* Nobody wants the lease any more: gives back the place in the queue, or what was granted just now. */
static void give_back(struct wait *wait, bool granted, const struct lease *lease)
{
    if (granted)
        (void)store_lease_release(wait->store, wait->host, wait->sid, lease->token, NULL);
    else if (wait->queued)
        (void)store_lease_withdraw(wait->store, wait->host, wait->sid, NULL);
    wait->queued = false;
}

/* One turn, the lock held before and after. True: another one, now. */
static bool turn(struct wait *wait)
{
    struct waits *waits = wait->waits;
    struct hf_error err = {0}, interrupted;
    struct lease lease = {0};
    struct request *done, *cancelled;
    int64_t due = INT64_MAX;
    uint32_t wait_ms = wait->wait_ms;
    bool wanted = mark_asked(wait), left;
    int rc = HF_PENDING;

    wait->again = false;
    pthread_mutex_unlock(&waits->lock);
    if (wanted)
        rc = store_lease_ask(wait->store, wait->host, wait->sid, wait_ms, &lease, &due, &err);
    else
        give_back(wait, false, NULL);
    pthread_mutex_lock(&waits->lock);
    if (!wanted)
        return wait->requests != NULL;
    wait->queued = rc == HF_PENDING;
    wait->due = due;
    done = rc == HF_PENDING ? NULL : take_out(wait, true);
    cancelled = take_out(wait, false);
    left = !done && !wait->requests;
    pthread_mutex_unlock(&waits->lock);
    if (rc == HF_OK && left)
        give_back(wait, true, &lease);
    answer(done, rc, &lease, &err);
    (void)hf_fail(&interrupted, HF_INTR, "the wait was given up");
    answer(cancelled, HF_INTR, NULL, &interrupted);
    pthread_mutex_lock(&waits->lock);
    return wait->again || any_unasked(wait) || (!wait->requests && wait->queued);
}

static void run(struct task *task)
{
    struct wait *wait = (struct wait *)task;
    struct waits *waits = wait->waits;
    bool over;

    pthread_mutex_lock(&waits->lock);
    while (!waits->frozen && turn(wait))
        ;
    wait->busy = false;
    over = !wait->requests;
    if (over)
        htable_remove(&waits->table, &wait->node);
    else
        arm(waits, wait->due);
    pthread_mutex_unlock(&waits->lock);
    if (over)
        free(wait);
}

/* --- calls ---------------------------------------------------------------------------------------- */

void waiting_start(struct waits *waits, struct request *request, struct store *store, uint64_t host,
                   uint64_t sid, uint32_t wait_ms)
{
    struct hf_error err;
    struct wait *wait;

    request_unqueue(request); /* others of the peer need not wait for it */
    pthread_mutex_lock(&waits->lock);
    wait = find_or_add(waits, store, host, sid);
    if (wait) {
        if (wait_ms > wait->wait_ms)
            wait->wait_ms = wait_ms;
        add_request(wait, request);
        /* One whose connection closed before this has been looked for here already. */
        request->cancelled =
            peer_has_cancelled(request->peer, request->id) || peer_is_closed(request->peer);
        submit(wait);
    }
    pthread_mutex_unlock(&waits->lock);
    if (!wait) {
        (void)hf_fail(&err, HF_NOMEM, "out of memory");
        answer(request, HF_NOMEM, NULL, &err);
    }
}

void waiting_answered(struct waits *waits, const struct store *store, uint64_t host, uint64_t sid)
{
    struct wait *wait;

    pthread_mutex_lock(&waits->lock);
    wait = find(waits, store, host, sid);
    if (wait && !waits->frozen)
        submit(wait);
    pthread_mutex_unlock(&waits->lock);
}

struct missing {
    const struct store *store;
    uint64_t host;
};

static void ask_again(struct hnode *node, void *arg)
{
    struct wait *wait = HTABLE_ENTRY(node, struct wait, node);
    const struct missing *missing = arg;

    if (wait->store == missing->store && wait->host == missing->host)
        submit(wait);
}

void waiting_missed(struct waits *waits, const struct store *store, uint64_t host)
{
    struct missing missing = {store, host};

    pthread_mutex_lock(&waits->lock);
    if (!waits->frozen)
        htable_each(&waits->table, ask_again, &missing);
    pthread_mutex_unlock(&waits->lock);
}

struct leaving {
    const struct peer *peer;
    uint64_t id; /* 0: all */
    struct request *dropped;
};

/* A cancelled one waits for what the store says when it is being asked for just now; one whose connection is
 * gone does not. */
static void leave(struct hnode *node, void *arg)
{
    struct wait *wait = HTABLE_ENTRY(node, struct wait, node);
    struct leaving *leaving = arg;
    struct request *request, **link = &wait->requests;
    bool any = false;

    while ((request = *link)) {
        if (request->peer != leaving->peer || (leaving->id && request->id != leaving->id)) {
            link = &request->next;
            continue;
        }
        any = true;
        if (leaving->id && wait->busy) {
            request->cancelled = true;
            link = &request->next;
            continue;
        }
        *link = request->next;
        request->next = leaving->dropped;
        leaving->dropped = request;
    }
    if (any && !wait->requests)
        submit(wait);
}

static struct request *take_leaving(struct waits *waits, const struct peer *peer, uint64_t id)
{
    struct leaving leaving = {peer, id, NULL};

    pthread_mutex_lock(&waits->lock);
    htable_each(&waits->table, leave, &leaving);
    pthread_mutex_unlock(&waits->lock);
    return leaving.dropped;
}

void waiting_cancel(struct waits *waits, const struct peer *peer, uint64_t id)
{
    struct hf_error err;

    (void)hf_fail(&err, HF_INTR, "the wait was given up");
    answer(take_leaving(waits, peer, id), HF_INTR, NULL, &err);
}

void waiting_leave(struct waits *waits, const struct peer *peer)
{
    struct request *request, *dropped = take_leaving(waits, peer, 0);

    while ((request = dropped)) {
        dropped = request->next;
        request_end(request);
    }
}

void waits_freeze(struct waits *waits)
{
    pthread_mutex_lock(&waits->lock);
    waits->frozen = true;
    pthread_mutex_unlock(&waits->lock);
}

int waits_new(struct event_base *loop, struct workers *workers, struct waits **ret_waits,
              struct hf_error *err)
{
    struct waits *waits = calloc(1, sizeof *waits);

    if (waits)
        waits->timer = evtimer_new(loop, on_timer, waits);
    if (!waits || !waits->timer) {
        free(waits);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    waits->loop = loop;
    waits->workers = workers;
    waits->armed = INT64_MAX;
    pthread_mutex_init(&waits->lock, NULL);
    *ret_waits = waits;
    return HF_OK;
}

void waits_free(struct waits *waits)
{
    if (!waits)
        return;
    assert(waits->table.count == 0);
    event_free(waits->timer);
    htable_free(&waits->table);
    pthread_mutex_destroy(&waits->lock);
    free(waits);
}
