/* SPDX-License-Identifier: Apache-2.0 */
#include "server/visible.h"

#include <stdio.h>
#include <stdlib.h>
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
    free(visible->bits);
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

static bool make_room(struct visible *visible, size_t byte)
{
    size_t size = visible->size ? visible->size : 64;
    uint8_t *bits;

    while (size <= byte)
        size *= 2;
    bits = realloc(visible->bits, size);
    if (!bits)
        return false;
    memset(bits + visible->size, 0, size - visible->size);
    visible->bits = bits;
    visible->size = size;
    return true;
}

/* Sets whether the session was shown. Returns whether it had been. */
static bool set_shown(struct visible *visible, uint64_t sid, bool shown)
{
    size_t byte = (size_t)(sid / 8);
    uint8_t bit = (uint8_t)(1u << (sid % 8));
    bool before = false;

    if (sid > SID_MAX)
        return false;
    pthread_mutex_lock(&visible->lock);
    if (byte < visible->size)
        before = (visible->bits[byte] & bit) != 0;
    if (shown && (byte < visible->size || make_room(visible, byte)))
        visible->bits[byte] |= bit;
    else if (!shown && byte < visible->size)
        visible->bits[byte] &= (uint8_t)~bit;
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
