/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/leases.h"
#include "engine/sqlite/hosts.h"

#include <stdio.h>

#include "base/clock.h"
#include "engine/sqlite/waiters.h"

/* --- steps -------------------------------------------------------------------------------------- */

static void set_pinned_by(struct session_row *row, const struct lease_request *request,
                          const char *text)
{
    if (request->verb == LEASE_REFUSE) {
        row->pinned = true;
        snprintf(row->pinned_by, sizeof row->pinned_by, "%s", text);
    } else if (!row->lease.refused) {
        row->pinned = false;
        row->pinned_by[0] = '\0';
    }
}

bool waiter_is_present(struct transaction *transaction, const struct waiter_row *row,
                       const struct lease_row *lease, int64_t now)
{
    return row->waiter.started <= now && !lease_waiter_absent(&row->waiter, lease, now) &&
           host_is_alive(sqlite_store_at(transaction), transaction->db, row->waiter.host);
}

/* The next of the queue who is there, after place `*id`; those who are not are taken out. */
static int next_present(struct transaction *transaction, const struct session_row *session,
                        uint64_t *id, struct waiter_row *ret_row, struct hf_error *err)
{
    int64_t now = clock_boottime(sqlite_store_at(transaction)->clock);
    int rc;

    while ((rc = waiter_next(transaction->db, session->sid, id, ret_row, err)) == 1) {
        if (waiter_is_present(transaction, ret_row, &session->lease, now))
            return 1;
        rc = waiter_drop(transaction->db, ret_row, err);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

/* Who gets a lease that leaves its holder: its place is 0 when nobody does. */
static int find_heir(struct transaction *transaction, const struct session_row *session,
                     struct waiter_row *ret_heir, struct hf_error *err)
{
    int64_t now = clock_boottime(sqlite_store_at(transaction)->clock);
    uint64_t id = 0;
    int rc;

    while ((rc = next_present(transaction, session, &id, ret_heir, err)) == 1)
        if (lease_waiter_inherits(&ret_heir->waiter, &session->lease, now))
            return HF_OK;
    *ret_heir = (struct waiter_row){0};
    return rc;
}

static bool leaves_holder(enum lease_verb verb)
{
    return verb == LEASE_RELEASE || verb == LEASE_BREAK || verb == LEASE_HOLDER_GONE ||
           verb == LEASE_HOLDER_DEAD;
}

static int tell_lease(struct transaction *transaction, enum event_kind kind, uint64_t sid,
                      uint64_t host, uint64_t token, struct hf_error *err)
{
    struct store_event event = {.kind = kind, .sid = sid, .token = token};

    return event_row_insert(transaction, &event, 0, host, err);
}

/* Tells those who wait that there is news of the lease; `session` is as the step left it. */
static int tell_queue(struct transaction *transaction, const struct session_row *session,
                      enum lease_audience audience, struct hf_error *err)
{
    struct waiter_row row;
    uint64_t id = 0;
    int rc = 0;

    while (audience != LEASE_TELL_NOBODY &&
           (rc = next_present(transaction, session, &id, &row, err)) == 1) {
        if (row.waiter.granted != 0)
            continue;
        rc = tell_lease(transaction, EVENT_LEASE_ANSWERED, session->sid, row.waiter.host,
                        session->lease.token, err);
        if (rc != HF_OK || audience == LEASE_TELL_FIRST)
            return rc;
    }
    return rc;
}

static int write_step(struct transaction *transaction, const struct session_row *session,
                      const struct lease_step *step, const char *text, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < step->naudits; i++)
        rc = audit_row_insert(transaction, step->audits[i].event, session->sid,
                              step->audits[i].host, step->audits[i].token, text, err);
    for (size_t i = 0; rc == HF_OK && i < step->ntells; i++)
        rc = tell_lease(transaction, step->tells[i].kind, session->sid, step->tells[i].host,
                        step->tells[i].token, err);
    return rc;
}

int lease_decide(struct transaction *transaction, struct session_row *row,
                 const struct lease_request *given, const char *text, struct lease_step *ret_step,
                 struct hf_error *err)
{
    struct lease_request request = *given;
    struct waiter_row heir = {0};
    struct lease_step step;
    int rc;

    request.now = transaction->now;
    rc = lease_step(&row->lease, &request, &step, err);
    if (rc == HF_OK && row->lease.state != LEASE_FREE && leaves_holder(request.verb)) {
        rc = find_heir(transaction, row, &heir, err);
        request.heir = heir.waiter.host;
        if (rc == HF_OK)
            rc = lease_step(&row->lease, &request, &step, err);
    }
    if (rc == HF_OK)
        rc = write_step(transaction, row, &step, text, err);
    if (rc != HF_OK)
        return rc;
    row->lease = step.row;
    set_pinned_by(row, &request, text);
    if (step.inherited) {
        heir.waiter.granted = step.row.token;
        rc = waiter_write(transaction->db, &heir, err);
    }
    if (rc == HF_OK)
        rc = tell_queue(transaction, row, step.audience, err);
    if (rc == HF_OK && request.verb == LEASE_END)
        rc = waiters_clear_session(transaction->db, row->sid, err);
    if (step.changed && transaction->hosts > 1)
        transaction->ring = true; /* somebody may be waiting for it */
    *ret_step = step;
    return rc;
}

int lease_admit(struct write *write, struct transaction *transaction, const struct session_row *row,
                uint64_t host, uint64_t token, struct hf_error *err)
{
    int rc = lease_check_commit(&row->lease, host, token, err);

    if (rc != HF_OK &&
        audit_row_insert(transaction, AUDIT_FENCED, row->sid, host, token, NULL, NULL) == HF_OK)
        write->keep = true;
    return rc;
}

/* --- the other requests --------------------------------------------------------------------------- */

struct step_write {
    struct write write;
    uint64_t sid;
    struct lease_request request;
    const char *text;
};

static int run_step(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct step_write *change = (struct step_write *)write;
    struct session_row row;
    struct lease_step step;
    int rc = session_row_load(transaction->db, change->sid, &row, err);

    if (rc == HF_OK)
        rc = lease_decide(transaction, &row, &change->request, change->text, &step, err);
    if (rc == HF_OK)
        rc = session_row_lease(transaction->db, &row, err);
    if (rc == HF_OK && transaction->hosts > 1)
        transaction->ring = true;
    return rc;
}

static int take_step(struct store *base, uint64_t sid, const struct lease_request *request,
                     const char *text, struct hf_error *err)
{
    struct step_write change = {
        .write = {.run = run_step}, .sid = sid, .request = *request, .text = text};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}

int sqlite_lease_release(struct store *base, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_RELEASE, .host = host, .token = token};

    return take_step(base, sid, &request, NULL, err);
}

int sqlite_lease_refuse(struct store *base, uint64_t host, uint64_t sid, uint64_t token,
                        const char *pinned_by, struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_REFUSE, .host = host, .token = token};

    return take_step(base, sid, &request, pinned_by, err);
}

int sqlite_lease_break(struct store *base, uint64_t sid, uint64_t token, const char *reason,
                       struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_BREAK, .token = token};

    return take_step(base, sid, &request, reason, err);
}
