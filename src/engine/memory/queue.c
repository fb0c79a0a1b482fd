/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "engine/memory/world.h"

/* A wait never sleeps longer than this without looking at the store's clock, which a test may turn. */
#define LOOK_AGAIN_NS 20000000

/* --- the queue ------------------------------------------------------------------------------------ */

static struct lease_waiter *find_waiter(struct memory_session *session, uint64_t host)
{
    for (size_t i = 0; i < session->nqueue; i++)
        if (session->queue[i].host == host)
            return &session->queue[i];
    return NULL;
}

static void drop_waiter(struct memory_session *session, uint64_t host)
{
    size_t kept = 0;

    for (size_t i = 0; i < session->nqueue; i++)
        if (session->queue[i].host != host)
            session->queue[kept++] = session->queue[i];
    session->nqueue = kept;
}

/* The host's entry, a new one at the end if it has none that counts. */
static int take_waiter(struct memory_store *handle, struct memory_session *session, uint64_t host,
                       uint32_t wait_ms, struct lease_waiter **ret_waiter, struct hf_error *err)
{
    int64_t now = clock_boottime(handle->clock);
    struct lease_waiter *waiter = find_waiter(session, host);
    int rc;

    if (waiter && lease_waiter_absent(waiter, &session->lease, now)) {
        drop_waiter(session, host);
        waiter = NULL;
    }
    if (!waiter) {
        rc = memory_reserve(&session->queue, &session->queue_cap, session->nqueue, sizeof *waiter,
                            err);
        if (rc != HF_OK)
            return rc;
        waiter = &session->queue[session->nqueue++];
        *waiter = (struct lease_waiter){.host = host, .started = now};
    }
    waiter->wait_ms = wait_ms;
    *ret_waiter = waiter;
    return HF_OK;
}

uint64_t memory_queue_heir(struct memory_store *handle, const struct memory_session *session)
{
    int64_t now = clock_boottime(handle->clock);

    for (size_t i = 0; i < session->nqueue; i++) {
        const struct lease_waiter *waiter = &session->queue[i];

        if (memory_host_alive(handle->world, waiter->host) &&
            lease_waiter_inherits(waiter, &session->lease, now))
            return waiter->host;
    }
    return 0;
}

static void tell_answered(struct memory_store *handle, const struct memory_session *session,
                          uint64_t host)
{
    struct store_event event = {.kind = EVENT_LEASE_ANSWERED, .sid = session->head.sid};

    memory_tell(handle->world, host, &event);
}

void memory_queue_follow(struct memory_store *handle, struct memory_session *session,
                         const struct lease_request *request, const struct lease_step *step)
{
    if (step->inherited)
        find_waiter(session, request->heir)->granted = step->row.token;
    if (step->audience == LEASE_TELL_FIRST) {
        uint64_t next = memory_queue_heir(handle, session);

        if (next != 0)
            tell_answered(handle, session, next);
    }
    for (size_t i = 0; step->audience == LEASE_TELL_ALL && i < session->nqueue; i++)
        if (session->queue[i].granted == 0)
            tell_answered(handle, session, session->queue[i].host);
    if (request->verb == LEASE_END)
        session->nqueue = 0;
}

void memory_queue_forget(struct memory_world *world, uint64_t host)
{
    for (size_t sid = 1; sid < world->nsessions; sid++) {
        struct memory_session *session = memory_session_of(world, sid);

        if (session)
            drop_waiter(session, host);
    }
}

/* --- asking --------------------------------------------------------------------------------------- */

/* Whoever was first gets what a dead host still holds. */
static int serve_heir(struct memory_store *handle, struct memory_session *session,
                      struct hf_error *err)
{
    struct lease_request dead = {.verb = LEASE_HOLDER_DEAD};
    struct lease_step step;

    if (session->lease.state == LEASE_FREE ||
        memory_host_alive(handle->world, session->lease.host) ||
        memory_queue_heir(handle, session) == 0)
        return HF_OK;
    return memory_lease_apply(handle, session, &dead, NULL, &step, err);
}

/* Asks the holder, or takes the lease: 0, HF_PENDING, or a failure. */
static int request(struct memory_store *handle, struct memory_session *session,
                   struct lease_waiter *waiter, struct lease *ret_lease, struct hf_error *err)
{
    struct lease_request ask = {
        .verb = LEASE_ASK,
        .host = waiter->host,
        .holder_alive = memory_host_alive(handle->world, session->lease.host),
    };
    struct lease_step step;
    int rc = memory_lease_apply(handle, session, &ask, NULL, &step, err);

    if (rc != HF_OK)
        return rc;
    if (step.outcome == LEASE_WAITING) {
        waiter->token = session->lease.token;
        waiter->asked = clock_boottime(handle->clock);
        return HF_PENDING;
    }
    *ret_lease = (struct lease){session->head.sid, session->lease.token, session->head};
    return HF_OK;
}

/* What becomes of one who asks, as things are: 0, HF_PENDING until `ret_again`, HF_BUSY, or a failure. */
static int look(struct memory_store *handle, struct memory_session *session,
                struct lease_waiter *waiter, struct lease *ret_lease, int64_t *ret_again,
                struct hf_error *err)
{
    for (;;) {
        bool alive = memory_host_alive(handle->world, session->lease.host);
        struct lease_info info;
        int rc;

        switch (lease_waiter_look(waiter, &session->lease, alive, clock_boottime(handle->clock),
                                  ret_again)) {
        case LEASE_GIVE_UP:
            info = memory_lease_info(handle, session);
            return lease_busy(&info, err);
        case LEASE_SLEEP:
            return HF_PENDING;
        case LEASE_ASK_NOW:
            rc = request(handle, session, waiter, ret_lease, err);
            if (rc != HF_PENDING)
                return rc;
        }
    }
}

static int ask(struct memory_store *handle, uint64_t host, uint64_t sid, uint32_t wait_ms,
               struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    struct memory_session *session;
    struct lease_waiter *waiter;
    int rc = memory_host_check(handle->world, host, err);

    if (rc == HF_OK)
        rc = memory_session_live(handle->world, sid, &session, err);
    if (rc == HF_OK)
        rc = serve_heir(handle, session, err);
    if (rc == HF_OK)
        rc = take_waiter(handle, session, host, wait_ms, &waiter, err);
    if (rc != HF_OK)
        return rc;
    rc = look(handle, session, waiter, ret_lease, ret_again, err);
    if (rc != HF_PENDING) {
        drop_waiter(session, host);
        return rc;
    }
    return hf_fail(err, HF_PENDING, "the holder of session %s was asked for it", session->name);
}

int memory_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                     struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = ask(handle, host, sid, wait_ms, ret_lease, ret_again, err);
    memory_leave(handle);
    return rc;
}

static void sleep_until(struct memory_store *handle, int64_t until)
{
    int64_t rest = until - clock_boottime(handle->clock);
    struct timespec at;

    if (rest > LOOK_AGAIN_NS)
        rest = LOOK_AGAIN_NS;
    clock_gettime(CLOCK_MONOTONIC, &at);
    rest += at.tv_nsec;
    at.tv_sec += rest / 1000000000;
    at.tv_nsec = rest % 1000000000;
    pthread_cond_timedwait(&handle->world->changed, &handle->world->mutex, &at);
}

int memory_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                         struct lease *ret_lease, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int64_t again = 0;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    while ((rc = ask(handle, host, sid, wait_ms, ret_lease, &again, err)) == HF_PENDING) {
        sleep_until(handle, again);
        if (handle->killed) {
            rc = hf_fail(err, HF_IO, "the host was killed");
            break;
        }
        memory_hosts_tick(handle);
    }
    memory_leave(handle);
    return rc;
}

int memory_lease_withdraw(struct store *store, uint64_t host, uint64_t sid, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct lease_request give_back = {.verb = LEASE_RELEASE, .host = host};
    struct memory_session *session;
    struct lease_waiter *waiter;
    struct lease_step step;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_of(handle->world, sid);
    waiter = session ? find_waiter(session, host) : NULL;
    if (!session)
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    if (waiter && waiter->granted != 0 &&
        !lease_waiter_absent(waiter, &session->lease, clock_boottime(handle->clock))) {
        give_back.token = waiter->granted;
        rc = memory_lease_apply(handle, session, &give_back, NULL, &step, err);
    }
    if (rc == HF_OK)
        drop_waiter(session, host);
    memory_leave(handle);
    return rc;
}
