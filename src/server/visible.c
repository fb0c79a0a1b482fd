/* SPDX-License-Identifier: Apache-2.0 */
#include "server/visible.h"

#include <stdio.h>
#include <string.h>

#include "server/authorize.h"
#include "server/peer.h"
#include "server/tenants.h"

void visible_init(struct visible *visible)
{
    *visible = (struct visible){0};
    pthread_mutex_init(&visible->lock, NULL);
}

void visible_release(struct visible *visible)
{
    sid_set_release(&visible->sids);
    pthread_mutex_destroy(&visible->lock);
}

static bool sees_everything(const struct peer *peer)
{
    return peer->principal.nglobs == 0 || peer->principal.role == ROLE_ADMIN;
}

/* --- names ---------------------------------------------------------------------------------------- */

static int take_name(const struct session_info *info, void *arg)
{
    char *name = arg;

    snprintf(name, SESSION_NAME_MAX + 1, "%s", info->name);
    return HF_OK;
}

int visible_name(uint64_t sid, char ret_name[SESSION_NAME_MAX + 1], void *arg, struct hf_error *err)
{
    struct store *store = ((struct peer *)arg)->tenant->store;
    char name[SESSION_NAME_MAX + 1] = "";
    struct session_filter filter = {.sid = sid};
    int rc;

    if (sees_everything(arg)) { /* the store says whether it is there */
        ret_name[0] = '\0';
        return HF_OK;
    }
    if (sid == SHARED_SID || sid > SID_MAX)
        return hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    rc = store_session_list(store, &filter, take_name, name, err);
    if (rc == HF_OK && name[0] == '\0') {
        filter.trashed = true;
        rc = store_session_list(store, &filter, take_name, name, err);
    }
    if (rc == HF_OK && name[0] == '\0')
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    if (rc == HF_OK)
        memcpy(ret_name, name, sizeof name);
    return rc;
}

/* --- what was shown ------------------------------------------------------------------------------- */

/* Sets whether the session was shown. Returns whether it had been. */
static bool set_shown(struct visible *visible, uint64_t sid, bool shown)
{
    bool before;

    pthread_mutex_lock(&visible->lock);
    before = sid_set_has(&visible->sids, sid);
    if (shown)
        (void)sid_set_add(&visible->sids,
                          sid); /* without memory it does not hear when it is hidden */
    else
        sid_set_remove(&visible->sids, sid);
    pthread_mutex_unlock(&visible->lock);
    return before;
}

void visible_note(struct peer *peer, uint64_t sid)
{
    if (sid != SHARED_SID && !sees_everything(peer))
        set_shown(&peer->visible, sid, true);
}

bool visible_event(struct peer *peer, const struct store_event *event)
{
    char name[SESSION_NAME_MAX + 1];
    bool shown, known, before;

    if (event->sid == SHARED_SID || sees_everything(peer))
        return true;
    known = visible_name(event->sid, name, peer, NULL) == HF_OK;
    shown = authorize_shows_event(&peer->principal, event, known ? name : NULL, NULL);
    before = set_shown(&peer->visible, event->sid, shown);
    return shown || (before && event->kind == EVENT_SESSIONS_CHANGED);
}
