/* SPDX-License-Identifier: Apache-2.0 */
#include "store/contact.h"

#include <assert.h>
#include <stddef.h>

/* Every transition that there is; contact_step() asserts that it makes no other. */
static const struct transition {
    enum contact_state from;
    enum contact_event event;
    enum contact_state to;
} transitions[] = {
    {CONTACT_NONE, CONTACT_REGISTERED, CONTACT_LIVE},
    {CONTACT_NONE, CONTACT_REGISTERED, CONTACT_FENCED}, /* the answer took too long */
    {CONTACT_NONE, CONTACT_RENEWED, CONTACT_NONE},      /* of a host session that is dead since */
    {CONTACT_NONE, CONTACT_CUT, CONTACT_NONE},
    {CONTACT_NONE, CONTACT_TICK, CONTACT_NONE},
    {CONTACT_NONE, CONTACT_REFUSED, CONTACT_NONE},
    {CONTACT_NONE, CONTACT_CLOSED, CONTACT_ENDED},

    {CONTACT_LIVE, CONTACT_REGISTERED, CONTACT_LIVE},
    {CONTACT_LIVE, CONTACT_REGISTERED, CONTACT_FENCED},
    {CONTACT_LIVE, CONTACT_RENEWED, CONTACT_LIVE},
    {CONTACT_LIVE, CONTACT_RENEWED, CONTACT_FENCED},
    {CONTACT_LIVE, CONTACT_CUT, CONTACT_AWAY},
    {CONTACT_LIVE, CONTACT_CUT, CONTACT_FENCED},
    {CONTACT_LIVE, CONTACT_TICK, CONTACT_LIVE},
    {CONTACT_LIVE, CONTACT_TICK, CONTACT_FENCED},
    {CONTACT_LIVE, CONTACT_REFUSED, CONTACT_NONE},
    {CONTACT_LIVE, CONTACT_CLOSED, CONTACT_ENDED},

    {CONTACT_AWAY, CONTACT_REGISTERED, CONTACT_LIVE},
    {CONTACT_AWAY, CONTACT_REGISTERED, CONTACT_FENCED},
    {CONTACT_AWAY, CONTACT_RENEWED, CONTACT_AWAY}, /* answered before the connection broke */
    {CONTACT_AWAY, CONTACT_RENEWED, CONTACT_FENCED},
    {CONTACT_AWAY, CONTACT_CUT, CONTACT_AWAY}, /* a try to connect has failed */
    {CONTACT_AWAY, CONTACT_CUT, CONTACT_FENCED},
    {CONTACT_AWAY, CONTACT_TICK, CONTACT_AWAY},
    {CONTACT_AWAY, CONTACT_TICK, CONTACT_FENCED},
    {CONTACT_AWAY, CONTACT_REFUSED, CONTACT_NONE},
    {CONTACT_AWAY, CONTACT_CLOSED, CONTACT_ENDED},

    {CONTACT_FENCED, CONTACT_REGISTERED, CONTACT_LIVE},
    {CONTACT_FENCED, CONTACT_REGISTERED, CONTACT_FENCED},
    {CONTACT_FENCED, CONTACT_RENEWED, CONTACT_LIVE},
    {CONTACT_FENCED, CONTACT_RENEWED, CONTACT_FENCED},
    {CONTACT_FENCED, CONTACT_CUT, CONTACT_FENCED},
    {CONTACT_FENCED, CONTACT_TICK, CONTACT_FENCED},
    {CONTACT_FENCED, CONTACT_REFUSED, CONTACT_NONE},
    {CONTACT_FENCED, CONTACT_CLOSED, CONTACT_ENDED},

    {CONTACT_ENDED, CONTACT_REGISTERED, CONTACT_ENDED},
    {CONTACT_ENDED, CONTACT_RENEWED, CONTACT_ENDED},
    {CONTACT_ENDED, CONTACT_CUT, CONTACT_ENDED},
    {CONTACT_ENDED, CONTACT_TICK, CONTACT_ENDED},
    {CONTACT_ENDED, CONTACT_REFUSED, CONTACT_ENDED},
    {CONTACT_ENDED, CONTACT_CLOSED, CONTACT_ENDED},
};

static bool allowed(enum contact_state from, enum contact_event event, enum contact_state to)
{
    for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++)
        if (transitions[i].from == from && transitions[i].event == event && transitions[i].to == to)
            return true;
    return false;
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* `span`, a tenth of it sooner or later. */
static int64_t jittered(int64_t span, uint32_t jitter)
{
    return span - span / 10 + span / 5 * (jitter >> 16) / 65535;
}

void contact_init(struct contact *contact, uint32_t ttl_ms)
{
    int64_t ttl = (int64_t)ttl_ms * 1000000;
    int64_t margin = ttl / 10 > CONTACT_MARGIN_MIN_NS ? ttl / 10 : CONTACT_MARGIN_MIN_NS;

    contact->state = CONTACT_NONE;
    contact->ttl = ttl;
    contact->margin = at_most(margin, ttl / 2);
    atomic_init(&contact->deadline, 0);
    contact->next = 0;
    contact->retry = at_most(CONTACT_RETRY_NS, ttl / 3);
}

/* What the store granted, counted from before it was asked. An answer that was overtaken by a later one
 * changes nothing. */
static void renew(struct contact *contact, int64_t now, int64_t sent, uint32_t jitter)
{
    int64_t deadline = sent + contact->ttl - contact->margin;

    if (deadline <= contact_deadline(contact))
        return;
    atomic_store(&contact->deadline, deadline);
    if (contact->state != CONTACT_AWAY)
        contact->next = now + jittered(contact->ttl / 3, jitter);
}

static void forget(struct contact *contact, enum contact_state state, int64_t now)
{
    atomic_store(&contact->deadline, 0);
    contact->state = state;
    contact->next = now;
}

static void cut(struct contact *contact, int64_t now, uint32_t jitter)
{
    if (contact->state == CONTACT_LIVE) {
        contact->state = CONTACT_AWAY;
        contact->next = now; /* the store waits HOST_RECONNECT_MS for a host that comes back */
    } else {
        contact->next = now + jittered(contact->retry, jitter);
    }
}

/* What is due is being done by the caller; until it is answered, it is tried again. */
static void tick(struct contact *contact, int64_t now, uint32_t jitter)
{
    if (now >= contact->next)
        contact->next = now + jittered(contact->retry, jitter);
}

static void take(struct contact *contact, enum contact_event event, int64_t now, int64_t sent,
                 uint32_t jitter)
{
    switch (event) {
    case CONTACT_REGISTERED:
        contact->state = CONTACT_LIVE;
        renew(contact, now, sent, jitter);
        break;
    case CONTACT_RENEWED:
        if (contact->state == CONTACT_NONE)
            break;
        if (contact->state == CONTACT_FENCED)
            contact->state = CONTACT_LIVE;
        renew(contact, now, sent, jitter);
        break;
    case CONTACT_CUT:
        cut(contact, now, jitter);
        break;
    case CONTACT_TICK:
        tick(contact, now, jitter);
        break;
    case CONTACT_REFUSED:
        if (contact->state != CONTACT_NONE)
            forget(contact, CONTACT_NONE, now);
        break;
    case CONTACT_CLOSED:
        forget(contact, CONTACT_ENDED, INT64_MAX);
        break;
    }
}

enum contact_state contact_step(struct contact *contact, enum contact_event event, int64_t now,
                                int64_t sent, uint32_t jitter)
{
    enum contact_state from = contact->state;

    if (from == CONTACT_ENDED)
        return from;
    take(contact, event, now, sent, jitter);
    if ((contact->state == CONTACT_LIVE || contact->state == CONTACT_AWAY) &&
        now >= contact_deadline(contact))
        contact->state = CONTACT_FENCED;
    assert(allowed(from, event, contact->state));
    return contact->state;
}

const char *contact_state_name(enum contact_state state)
{
    static const char *const names[] = {"none", "live", "away", "fenced", "ended"};

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}
