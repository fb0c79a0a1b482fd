/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lease.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* Every transition that there is; lease_step() asserts that it makes no other. */
static const struct transition {
    enum lease_state from;
    enum lease_verb verb;
    enum lease_state to;
} transitions[] = {
    {LEASE_FREE, LEASE_ASK, LEASE_HELD},
    {LEASE_FREE, LEASE_HOLDER_GONE, LEASE_FREE},
    {LEASE_FREE, LEASE_HOLDER_DEAD, LEASE_FREE},

    {LEASE_HELD, LEASE_ASK, LEASE_HELD},     /* its holder again, or a takeover */
    {LEASE_HELD, LEASE_ASK, LEASE_RECALLED}, /* another, and the holder lives */
    {LEASE_HELD, LEASE_REFUSE, LEASE_HELD},
    {LEASE_HELD, LEASE_RELEASE, LEASE_FREE},
    {LEASE_HELD, LEASE_RELEASE, LEASE_HELD}, /* to the heir; so below */
    {LEASE_HELD, LEASE_BREAK, LEASE_FREE},
    {LEASE_HELD, LEASE_BREAK, LEASE_HELD},
    {LEASE_HELD, LEASE_END, LEASE_FREE},
    {LEASE_HELD, LEASE_HOLDER_GONE, LEASE_FREE},
    {LEASE_HELD, LEASE_HOLDER_GONE, LEASE_HELD},
    {LEASE_HELD, LEASE_HOLDER_DEAD, LEASE_HELD}, /* to the heir, or as it was */

    {LEASE_RECALLED, LEASE_ASK, LEASE_RECALLED}, /* one more who wants it, or its holder again */
    {LEASE_RECALLED, LEASE_ASK, LEASE_HELD},     /* the recalled holder died */
    {LEASE_RECALLED, LEASE_REFUSE, LEASE_HELD},
    {LEASE_RECALLED, LEASE_RELEASE, LEASE_FREE},
    {LEASE_RECALLED, LEASE_RELEASE, LEASE_HELD},
    {LEASE_RECALLED, LEASE_BREAK, LEASE_FREE},
    {LEASE_RECALLED, LEASE_BREAK, LEASE_HELD},
    {LEASE_RECALLED, LEASE_END, LEASE_FREE},
    {LEASE_RECALLED, LEASE_HOLDER_GONE, LEASE_FREE},
    {LEASE_RECALLED, LEASE_HOLDER_GONE, LEASE_HELD},
    {LEASE_RECALLED, LEASE_HOLDER_DEAD, LEASE_HELD},
    {LEASE_RECALLED, LEASE_HOLDER_DEAD, LEASE_RECALLED},
};

static bool allowed(enum lease_state from, enum lease_verb verb, enum lease_state to)
{
    for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++)
        if (transitions[i].from == from && transitions[i].verb == verb && transitions[i].to == to)
            return true;
    return false;
}

int lease_check_commit(const struct lease_row *row, uint64_t host, uint64_t token,
                       struct hf_error *err)
{
    if (row->state != LEASE_FREE && row->token == token && row->host == host)
        return HF_OK;
    return hf_fail(err, HF_FENCED,
                   "the lease was lost: fencing token %llu is not current (the last one is %llu%s)",
                   (unsigned long long)token, (unsigned long long)row->token,
                   row->state == LEASE_FREE ? ", and nobody holds it" : "");
}

static void audit(struct lease_step *step, enum audit_event event, uint64_t host, uint64_t token)
{
    assert(step->naudits < LEASE_AUDITS_MAX);
    step->audits[step->naudits].event = event;
    step->audits[step->naudits].host = host;
    step->audits[step->naudits++].token = token;
}

static void tell(struct lease_step *step, enum event_kind kind, const struct lease_row *row)
{
    assert(step->ntells < LEASE_TELLS_MAX);
    step->tells[step->ntells].kind = kind;
    step->tells[step->ntells].host = row->host;
    step->tells[step->ntells++].token = row->token;
}

static void grant(struct lease_step *step, uint64_t host, int64_t now, enum audit_event event)
{
    step->row.state = LEASE_HELD;
    step->row.token++;
    step->row.host = host;
    step->row.since = now;
    step->row.refused = false;
    audit(step, event, host, step->row.token);
}

/* The next of the queue has what its holder had; the one behind it may ask it at once. */
static void bequeath(struct lease_step *step, const struct lease_request *request,
                     enum audit_event event)
{
    grant(step, request->heir, request->now, event);
    tell(step, EVENT_LEASE_ANSWERED, &step->row);
    step->inherited = true;
    step->audience = LEASE_TELL_FIRST;
}

static void make_free(struct lease_step *step)
{
    step->row.state = LEASE_FREE;
    step->row.host = 0;
    step->row.refused = false;
}

/* The holder has it no more. */
static void leave(struct lease_step *step, const struct lease_request *request,
                  enum audit_event event)
{
    audit(step, event, step->row.host, step->row.token);
    if (request->heir != 0)
        bequeath(step, request, AUDIT_GRANT);
    else
        make_free(step);
}

static void end_session(struct lease_step *step)
{
    audit(step, AUDIT_DELETE, step->row.host, step->row.token);
    make_free(step);
    step->audience = LEASE_TELL_ALL;
}

/* Somebody else wants a lease that a living host holds. Only the first recall under a token is worth a
 * line in the audit trail. */
static void recall(struct lease_step *step, const struct lease_row *row, uint64_t host)
{
    step->outcome = LEASE_WAITING;
    if (row->state == LEASE_RECALLED)
        return;
    step->row.state = LEASE_RECALLED;
    tell(step, EVENT_LEASE_RECALLED, row);
    if (!row->refused)
        audit(step, AUDIT_RECALL, host, row->token);
}

static void ask(struct lease_step *step, const struct lease_row *row,
                const struct lease_request *request)
{
    step->outcome = LEASE_GRANTED;
    if (row->state == LEASE_FREE)
        grant(step, request->host, request->now, AUDIT_GRANT);
    else if (row->host == request->host)
        step->outcome = LEASE_KEPT;
    else if (request->holder_alive)
        recall(step, row, request->host);
    else
        grant(step, request->host, request->now, AUDIT_TAKEOVER);
}

static void refuse(struct lease_step *step, const struct lease_row *row)
{
    step->row.state = LEASE_HELD;
    step->row.refused = true;
    step->audience = LEASE_TELL_ALL;
    if (!row->refused)
        audit(step, AUDIT_REFUSE, row->host, row->token);
}

/* Those that only the holder may ask for, with its token. */
static bool is_holders(enum lease_verb verb)
{
    return verb == LEASE_REFUSE || verb == LEASE_RELEASE || verb == LEASE_END;
}

static int check_break(const struct lease_row *row, uint64_t token, struct hf_error *err)
{
    if (row->state == LEASE_FREE)
        return hf_fail(err, HF_CONFLICT, "nobody holds the lease (its last token is %llu)",
                       (unsigned long long)row->token);
    if (row->token != token)
        return hf_fail(err, HF_CONFLICT, "the lease is held with token %llu, not %llu",
                       (unsigned long long)row->token, (unsigned long long)token);
    return HF_OK;
}

int lease_step(const struct lease_row *row, const struct lease_request *request,
               struct lease_step *ret_step, struct hf_error *err)
{
    struct lease_step step = {.outcome = LEASE_DONE, .row = *row};
    int rc = HF_OK;

    if (is_holders(request->verb))
        rc = lease_check_commit(row, request->host, request->token, err);
    else if (request->verb == LEASE_BREAK)
        rc = check_break(row, request->token, err);
    if (rc != HF_OK)
        return rc;
    switch (request->verb) {
    case LEASE_ASK:
        ask(&step, row, request);
        break;
    case LEASE_REFUSE:
        refuse(&step, row);
        break;
    case LEASE_RELEASE:
        leave(&step, request, AUDIT_RELEASE);
        break;
    case LEASE_BREAK:
        tell(&step, EVENT_LEASE_LOST, row);
        leave(&step, request, AUDIT_BREAK);
        break;
    case LEASE_END:
        end_session(&step);
        break;
    case LEASE_HOLDER_GONE:
        if (row->state != LEASE_FREE)
            leave(&step, request, AUDIT_RELEASE);
        break;
    case LEASE_HOLDER_DEAD:
        if (row->state != LEASE_FREE && request->heir != 0)
            bequeath(&step, request, AUDIT_TAKEOVER);
        break;
    }
    assert(allowed(row->state, request->verb, step.row.state));
    step.changed = step.row.state != row->state || step.row.token != row->token ||
                   step.row.refused != row->refused;
    *ret_step = step;
    return HF_OK;
}

const char *lease_row_fault(const struct lease_row *row)
{
    switch (row->state) {
    case LEASE_FREE:
        if (row->host != 0)
            return "the lease is free, but names a holder";
        return row->refused ? "the lease is free, but was refused" : NULL;
    case LEASE_HELD:
    case LEASE_RECALLED:
        if (row->host == 0)
            return "the lease is held by nobody";
        return row->token == 0 ? "the lease is held without a token" : NULL;
    }
    return "the lease is in no known state";
}

/* --- waiting --------------------------------------------------------------------------------- */

static int64_t ns_of_ms(uint64_t ms)
{
    return (int64_t)ms * 1000000;
}

/* The holder was recalled for it, and has said no. */
static bool was_refused(const struct lease_waiter *waiter, const struct lease_row *row)
{
    return row->state == LEASE_HELD && row->refused && row->token == waiter->token;
}

/* When it loses its patience, as the row is now. */
static int64_t end_of_patience(const struct lease_waiter *waiter, const struct lease_row *row)
{
    int64_t end = waiter->started + ns_of_ms(waiter->wait_ms);

    return was_refused(waiter, row) ? end : end + ns_of_ms(LEASE_RECALL_MS);
}

/* When the holder is recalled again for one that it has refused. */
static int64_t next_recall(const struct lease_waiter *waiter)
{
    int64_t wait = (waiter->asked - waiter->started) / 10;

    if (wait < ns_of_ms(LEASE_ASK_AGAIN_MS))
        wait = ns_of_ms(LEASE_ASK_AGAIN_MS);
    if (wait > ns_of_ms(LEASE_ASK_AGAIN_MAX_MS))
        wait = ns_of_ms(LEASE_ASK_AGAIN_MAX_MS);
    return waiter->asked + wait;
}

enum lease_patience lease_waiter_look(const struct lease_waiter *waiter,
                                      const struct lease_row *row, bool holder_alive, int64_t now,
                                      int64_t *ret_until)
{
    int64_t end = end_of_patience(waiter, row), until = end;

    if (row->state == LEASE_FREE || !holder_alive || row->host == waiter->host)
        return LEASE_ASK_NOW;
    if (now >= end)
        return LEASE_GIVE_UP;
    if (row->state == LEASE_HELD) {
        until = was_refused(waiter, row) ? next_recall(waiter) : now;
        if (now >= until)
            return LEASE_ASK_NOW;
    }
    *ret_until = until < end ? until : end;
    return LEASE_SLEEP;
}

bool lease_waiter_inherits(const struct lease_waiter *waiter, const struct lease_row *row,
                           int64_t now)
{
    return waiter->granted == 0 && row->host != waiter->host && now < end_of_patience(waiter, row);
}

bool lease_waiter_absent(const struct lease_waiter *waiter, const struct lease_row *row,
                         int64_t now)
{
    if (waiter->granted != 0)
        return row->host != waiter->host || row->token != waiter->granted;
    return now >= waiter->started +
                      ns_of_ms((uint64_t)waiter->wait_ms + LEASE_RECALL_MS + LEASE_ABSENT_MS);
}

static void format_time(int64_t time_ns, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(time_ns / 1000000000);
    struct tm parts;

    if (!gmtime_r(&seconds, &parts) || !strftime(ret_text, size, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(ret_text, size, "?");
}

int lease_busy(const struct lease_info *info, struct hf_error *err)
{
    char since[32], mount[300] = "";
    const char *why = info->pinned_by;

    format_time(info->since, since, sizeof since);
    if (info->mount_point)
        snprintf(mount, sizeof mount, ", mounted on %s", info->mount_point);
    if (!why)
        why = info->state == LEASE_RECALLED ? "it was asked for, and has not answered"
                                            : "it is being used";
    return hf_fail(err, HF_BUSY, "session %s is in use on host %s (process %u%s) since %s: %s",
                   info->session_name ? info->session_name : "?",
                   info->host_name ? info->host_name : "?", info->pid, mount, since, why);
}
