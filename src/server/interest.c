/* SPDX-License-Identifier: Apache-2.0 */
#include "server/interest.h"

void interest_init(struct interest *interest)
{
    *interest = (struct interest){0};
    pthread_mutex_init(&interest->lock, NULL);
}

void interest_release(struct interest *interest)
{
    sid_set_release(&interest->sids);
    pthread_mutex_destroy(&interest->lock);
}

void interest_limit(struct interest *interest, bool once)
{
    pthread_mutex_lock(&interest->lock);
    interest->once = once;
    pthread_mutex_unlock(&interest->lock);
}

/* The lock is held. */
static void add(struct interest *interest, uint64_t sid)
{
    if (sid_set_add(&interest->sids, sid) == HF_NOMEM)
        interest->all = true;
}

bool interest_renew(struct interest *interest, uint64_t sid)
{
    bool reached;

    pthread_mutex_lock(&interest->lock);
    reached = interest->all || sid_set_reaches(&interest->sids, sid);
    if (reached)
        add(interest, sid);
    pthread_mutex_unlock(&interest->lock);
    return reached;
}

bool interest_note(struct interest *interest, uint64_t sid)
{
    bool before;

    pthread_mutex_lock(&interest->lock);
    before = interest->all || sid_set_has(&interest->sids, sid);
    add(interest, sid);
    pthread_mutex_unlock(&interest->lock);
    return before;
}

void interest_told(struct interest *interest, uint64_t sid, uint64_t version)
{
    size_t place = sid % INTEREST_TOLD;

    pthread_mutex_lock(&interest->lock);
    add(interest, sid);
    /* Answers may overtake each other. */
    if (interest->told[place].sid != sid || interest->told[place].version < version) {
        interest->told[place].sid = sid;
        interest->told[place].version = version;
    }
    pthread_mutex_unlock(&interest->lock);
}

/* The lock is held. */
static bool concerns(struct interest *interest, const struct store_event *event)
{
    size_t place = event->sid % INTEREST_TOLD;
    bool known = interest->told[place].sid == event->sid;

    if (!sid_set_has(&interest->sids, event->sid))
        return false;
    if (known && interest->told[place].version >= event->version)
        return false; /* no news, so that the next one still is */
    if (known)
        sid_set_remove(&interest->sids, event->sid);
    return true;
}

bool interest_event(struct interest *interest, const struct store_event *event)
{
    bool told;

    if (event->kind != EVENT_HEAD_MOVED)
        return true;
    pthread_mutex_lock(&interest->lock);
    told = !interest->once || interest->all || concerns(interest, event);
    pthread_mutex_unlock(&interest->lock);
    return told;
}
