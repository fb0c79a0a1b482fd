/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"

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

/* Adds the entries of a step, all or none. */
static int add_audits(struct memory_store *handle, uint64_t sid, const struct lease_step *step,
                      const char *text, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    int rc = HF_OK;

    if (step->naudits > 1)
        rc = memory_reserve(&world->audit, &world->audit_cap, world->naudit + step->naudits - 1,
                            sizeof *world->audit, err);
    for (size_t i = 0; rc == HF_OK && i < step->naudits; i++)
        rc = memory_audit_add(handle, step->audits[i].event, sid, step->audits[i].host,
                              step->audits[i].token, i == 0 ? text : NULL, err);
    return rc;
}

/* Writes what a step says; fails before it changes anything. */
static int write_step(struct memory_store *handle, struct memory_session *session,
                      const struct lease_request *request, const char *text,
                      const struct lease_step *step, struct hf_error *err)
{
    bool refused = request->verb == LEASE_REFUSE;
    char *pinned_by = refused ? strdup(text) : NULL;
    int rc = refused && !pinned_by ? hf_fail(err, HF_NOMEM, "out of memory") : HF_OK;

    if (rc == HF_OK)
        rc = add_audits(handle, session->head.sid, step, text, err);
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
    struct lease_request full = *request;
    struct lease_step step;
    int rc;

    full.heir = memory_queue_heir(handle, session);
    full.now = clock_realtime(handle->clock);
    rc = lease_step(&session->lease, &full, &step, err);
    if (rc == HF_OK && (step.changed || step.naudits || request->verb == LEASE_REFUSE))
        rc = write_step(handle, session, request, text, &step, err);
    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < step.ntells; i++) {
        struct store_event event = {
            .kind = step.tells[i].kind, .sid = session->head.sid, .token = step.tells[i].token};

        memory_tell(handle->world, step.tells[i].host, &event);
    }
    memory_queue_follow(handle, session, &full, &step);
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

/* --- listing ---------------------------------------------------------------------------------------- */

struct lease_info memory_lease_info(struct memory_store *handle,
                                    const struct memory_session *session)
{
    const struct memory_host *host = memory_host_of(handle->world, session->lease.host);

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
        .expires = memory_host_expires(handle, session->lease.host),
    };
}

static int visit_lease(struct memory_store *handle, const struct memory_session *session,
                       lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct lease_info info = memory_lease_info(handle, session);
    const char **waiting = calloc(session->nqueue + 1, sizeof *waiting);
    int rc;

    if (!waiting)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < session->nqueue; i++) {
        const struct lease_waiter *waiter = &session->queue[i];

        if (waiter->granted == 0 &&
            !lease_waiter_absent(waiter, &session->lease, clock_boottime(handle->clock)))
            waiting[info.nwaiting++] =
                memory_host_of(handle->world, waiter->host)->identity.host_name;
    }
    info.waiting = waiting;
    rc = visit(&info, arg);
    free(waiting);
    return rc;
}

int memory_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t sid = 1; rc == HF_OK && sid < world->nsessions; sid++) {
        const struct memory_session *session = memory_session_of(world, sid);

        if (session && session->lease.state != LEASE_FREE)
            rc = visit_lease(handle, session, visit, arg, err);
    }
    memory_leave(handle);
    return rc;
}
