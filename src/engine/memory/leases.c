/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "engine/memory/world.h"

/* A wait never sleeps longer than this without looking at the store's clock, which a test may turn. */
#define LOOK_AGAIN_NS 20000000

/* --- the audit trail ------------------------------------------------------------------------------ */

int memory_audit_add(struct memory_store *handle, enum audit_event event, uint64_t sid,
                     uint64_t host, uint64_t token, const char *detail, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_audit entry = {clock_realtime(handle->clock), event, sid, host, token, NULL};
    int rc = memory_reserve(&world->audit, &world->audit_cap, world->naudit, sizeof entry, err);

    if (rc != HF_OK)
        return rc;
    if (detail && !(entry.detail = strdup(detail)))
        return hf_fail(err, HF_NOMEM, "out of memory");
    world->audit[world->naudit++] = entry;
    return HF_OK;
}

int memory_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                 struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; rc == HF_OK && i < world->naudit; i++) {
        const struct memory_audit *row = &world->audit[i];
        struct audit_entry entry = {i + 1,     row->time,  row->event, row->sid,
                                    row->host, row->token, row->detail};

        if (entry.id >= from && (sid == UINT64_MAX || sid == entry.sid))
            rc = visit(&entry, arg);
    }
    memory_leave(handle);
    return rc;
}

/* --- one request ---------------------------------------------------------------------------------- */

/* Writes what a step says; fails before it changes anything. */
static int write_step(struct memory_store *handle, struct memory_session *session,
                      const struct lease_request *request, const char *text,
                      const struct lease_step *step, struct hf_error *err)
{
    bool refused = request->verb == LEASE_REFUSE;
    char *pinned_by = refused ? strdup(text) : NULL;
    int rc = refused && !pinned_by ? hf_fail(err, HF_NOMEM, "out of memory") : HF_OK;

    for (size_t i = 0; rc == HF_OK && i < step->naudits; i++)
        rc = memory_audit_add(handle, step->audits[i].event, session->head.sid,
                              step->audits[i].host, step->audits[i].token, text, err);
    if (rc != HF_OK) {
        free(pinned_by);
        return rc;
    }
    if (refused || !step->row.refused) {
        free(session->pinned_by);
        session->pinned_by = pinned_by;
    }
    session->lease = step->row;
    pthread_cond_broadcast(&handle->world->changed);
    return HF_OK;
}

int memory_lease_apply(struct memory_store *handle, struct memory_session *session,
                       const struct lease_request *request, const char *text,
                       struct lease_step *ret_step, struct hf_error *err)
{
    struct lease_step step;
    int rc = lease_step(&session->lease, request, &step, err);

    if (rc == HF_OK && (step.changed || step.naudits || request->verb == LEASE_REFUSE))
        rc = write_step(handle, session, request, text, &step, err);
    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < step.ntells; i++) {
        struct store_event event = {
            .kind = step.tells[i].kind, .sid = session->head.sid, .token = step.tells[i].token};

        memory_tell(handle->world, step.tells[i].host, &event);
    }
    *ret_step = step;
    return HF_OK;
}

int memory_lease_check(struct memory_store *handle, struct memory_session *session, uint64_t host,
                       uint64_t token, struct hf_error *err)
{
    int rc = lease_check_commit(&session->lease, host, token, err);

    if (rc != HF_OK)
        memory_audit_add(handle, AUDIT_FENCED, session->head.sid, host, token, NULL, NULL);
    return rc;
}

/* --- acquiring -------------------------------------------------------------------------------------- */

static struct lease_info info_of(const struct memory_world *world,
                                 const struct memory_session *session)
{
    const struct memory_host *host = memory_host_of(world, session->lease.host);

    return (struct lease_info){
        .sid = session->head.sid,
        .session_name = session->name,
        .state = session->lease.state,
        .token = session->lease.token,
        .host = session->lease.host,
        .host_name = host ? host->identity.host_name : NULL,
        .mount_point = host ? host->identity.mount_point : NULL,
        .pid = host ? host->identity.pid : 0,
        .since = session->lease.since,
        .pinned_by = session->pinned_by,
        .holder_alive = host && host->alive,
    };
}

static void sleep_until(struct memory_store *handle, int64_t now, int64_t until)
{
    int64_t rest = until - now < LOOK_AGAIN_NS ? until - now : LOOK_AGAIN_NS;
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    rest += at.tv_nsec;
    at.tv_sec += rest / 1000000000;
    at.tv_nsec = rest % 1000000000;
    pthread_cond_timedwait(&handle->world->changed, &handle->world->mutex, &at);
}

/* Waits until the row says that asking again makes sense. The session may go meanwhile. */
static int wait_turn(struct memory_store *handle, struct memory_session *session,
                     const struct lease_waiter *waiter, struct hf_error *err)
{
    for (;;) {
        bool alive = memory_host_alive(handle->world, session->lease.host);
        int64_t now = clock_boottime(handle->clock), until;
        struct lease_info info;

        switch (lease_waiter_look(waiter, &session->lease, alive, now, &until)) {
        case LEASE_ASK_NOW:
            return HF_OK;
        case LEASE_GIVE_UP:
            info = info_of(handle->world, session);
            return lease_busy(&info, err);
        case LEASE_SLEEP:
            sleep_until(handle, now, until);
        }
        if (handle->killed)
            return hf_fail(err, HF_IO, "the host was killed");
    }
}

static int acquire(struct memory_store *handle, uint64_t host, uint64_t sid, uint32_t wait_ms,
                   struct lease *ret_lease, struct hf_error *err)
{
    struct lease_waiter waiter = {.started = clock_boottime(handle->clock), .wait_ms = wait_ms};

    for (;;) {
        struct memory_session *session;
        struct lease_request request = {.verb = LEASE_ASK, .host = host};
        struct lease_step step;
        int rc = memory_session_live(handle->world, sid, &session, err);

        if (rc != HF_OK)
            return rc;
        request.holder_alive = memory_host_alive(handle->world, session->lease.host);
        request.now = clock_realtime(handle->clock);
        rc = memory_lease_apply(handle, session, &request, NULL, &step, err);
        if (rc != HF_OK)
            return rc;
        if (step.outcome != LEASE_WAITING) {
            *ret_lease = (struct lease){sid, session->lease.token, session->head};
            return HF_OK;
        }
        waiter.token = session->lease.token;
        waiter.asked = clock_boottime(handle->clock);
        rc = wait_turn(handle, session, &waiter, err);
        if (rc != HF_OK)
            return rc;
    }
}

int memory_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                         struct lease *ret_lease, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    if (!memory_host_alive(handle->world, host))
        rc = hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
    else
        rc = acquire(handle, host, sid, wait_ms, ret_lease, err);
    memory_leave(handle);
    return rc;
}

/* --- the other requests ----------------------------------------------------------------------------- */

static int apply_to(struct store *store, uint64_t sid, const struct lease_request *request,
                    const char *text, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    struct lease_step step;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_of(handle->world, sid);
    if (session)
        rc = memory_lease_apply(handle, session, request, text, &step, err);
    else
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    memory_leave(handle);
    return rc;
}

int memory_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_RELEASE, .host = host, .token = token};

    return apply_to(store, sid, &request, NULL, err);
}

int memory_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                        const char *pinned_by, struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_REFUSE, .host = host, .token = token};

    return apply_to(store, sid, &request, pinned_by, err);
}

int memory_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                       struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_BREAK, .token = token};

    return apply_to(store, sid, &request, reason, err);
}

int memory_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t sid = 1; rc == HF_OK && sid < world->nsessions; sid++) {
        struct lease_info info = info_of(world, world->sessions[sid]);

        if (info.state != LEASE_FREE)
            rc = visit(&info, arg);
    }
    memory_leave(handle);
    return rc;
}
