/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists. What the store lets one read from some row on is read part by part, so that no call of the store waits
 * for a slow peer; the rest is gathered at once and then sent in parts.
 */
#include <stdio.h>
#include <string.h>

#include "server/authorize.h"
#include "server/handlers.h"
#include "server/peer.h"
#include "server/tenants.h"
#include "wire/convert.h"

/* What a visitor returns when a part is full. */
#define STOP 1

struct listing {
    struct request *request;
    struct list *list;
    uint64_t left; /* that may still be shown */
    struct hf_error *err;
};

static struct listing listing_of(struct request *request, struct hf_error *err)
{
    return (struct listing){request, &request->progress.list, UINT64_MAX, err};
}

static bool shows(const struct listing *listing, const char *session)
{
    return authorize_shows(&listing->request->peer->principal, session);
}

/* Adds what a wire_fill_*() with that status has made. */
static int add(struct listing *listing, int status, void *message)
{
    return status == HF_OK ? list_add(listing->list, message, listing->err) : status;
}

static struct wire_arena *arena_of(struct listing *listing)
{
    struct wire_arena *arena = list_arena(listing->list);

    if (!arena)
        (void)hf_fail(listing->err, HF_NOMEM, "out of memory");
    return arena;
}

/* Answers with the next part of what is gathered. `more`: the store has more, too. */
static int answer(struct request *request, Holdfast__Wire__Reply__ResultCase result, bool more,
                  Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct list *list = &request->progress.list;

    request->more = more || list_has_more(list);
    return list_fill(list, result, &request->arena, reply, err);
}

/* --- sessions ------------------------------------------------------------------------------------- */

static int visit_session(const struct session_info *info, void *arg)
{
    struct listing *listing = arg;
    struct progress *progress = &listing->request->progress;
    Holdfast__Wire__SessionInfo *message = NULL;
    struct wire_arena *arena;
    int rc;

    snprintf(progress->after, sizeof progress->after, "%s", info->name);
    if (!shows(listing, info->name))
        return HF_OK;
    arena = arena_of(listing);
    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_session_info(info, arena, &message, listing->err);
    rc = add(listing, rc, message);
    if (rc != HF_OK)
        return rc;
    visible_note(listing->request->peer, info->head.sid);
    progress->shown++;
    return --listing->left == 0 || list_is_full(listing->list) ? STOP : HF_OK;
}

int handle_session_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    struct progress *progress = &request->progress;
    struct session_filter filter;
    char after[sizeof progress->after];
    uint64_t limit;
    int rc = wire_read_filter(request->message->session_list, &request->arena, &filter, err);

    if (rc != HF_OK)
        return rc;
    limit = filter.limit;
    filter.limit = 0; /* of those that are shown */
    if (limit)
        listing.left = limit - progress->shown;
    if (progress->after[0]) {
        memcpy(after, progress->after, sizeof after);
        filter.after = after;
    }
    list_clear(&progress->list);
    rc = store_session_list(request->peer->tenant->store, &filter, visit_session, &listing, err);
    if (rc < 0)
        return rc;
    return answer(request, HOLDFAST__WIRE__REPLY__RESULT_SESSIONS, rc == STOP && listing.left > 0,
                  reply, err);
}

/* --- history -------------------------------------------------------------------------------------- */

static int visit_history(const struct history_entry *entry, void *arg)
{
    struct listing *listing = arg;
    struct progress *progress = &listing->request->progress;
    Holdfast__Wire__HistoryEntry *message = NULL;
    struct wire_arena *arena = arena_of(listing);
    int rc;

    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_history(entry, arena, &message, listing->err);
    rc = add(listing, rc, message);
    if (rc != HF_OK)
        return rc;
    progress->shown++;
    progress->next = entry->version - 1;
    if (--listing->left == 0)
        return STOP;
    return list_is_full(listing->list) && progress->next > 0 ? STOP : HF_OK;
}

int handle_history(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__HistoryRequest *history = request->message->history;
    struct listing listing = listing_of(request, err);
    struct progress *progress = &request->progress;
    int rc;

    if (history->limit)
        listing.left = history->limit - progress->shown;
    list_clear(&progress->list);
    rc = store_history(request->peer->tenant->store, history->sid,
                       progress->shown ? progress->next : history->from,
                       history->limit ? listing.left : 0, visit_history, &listing, err);
    if (rc < 0)
        return rc;
    return answer(request, HOLDFAST__WIRE__REPLY__RESULT_HISTORY, rc == STOP && listing.left > 0,
                  reply, err);
}

/* --- the audit trail ------------------------------------------------------------------------------ */

static int visit_audit(const struct audit_entry *entry, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__AuditEntry *message = NULL;
    struct wire_arena *arena = arena_of(listing);
    int rc;

    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_audit(entry, arena, &message, listing->err);
    rc = add(listing, rc, message);
    if (rc != HF_OK)
        return rc;
    listing->request->progress.shown++;
    listing->request->progress.next = entry->id + 1;
    return list_is_full(listing->list) ? STOP : HF_OK;
}

int handle_audit(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__AuditRequest *audit = request->message->audit;
    struct listing listing = listing_of(request, err);
    struct progress *progress = &request->progress;
    int rc;

    list_clear(&progress->list);
    rc = store_audit(request->peer->tenant->store, audit->sid,
                     progress->shown ? progress->next : audit->from, visit_audit, &listing, err);
    if (rc < 0)
        return rc;
    return answer(request, HOLDFAST__WIRE__REPLY__RESULT_AUDIT, rc == STOP, reply, err);
}

/* --- what is gathered at once --------------------------------------------------------------------- */

static int visit_host(const struct host_info *info, void *arg)
{
    struct listing *listing = arg;
    struct host_info shown = *info;
    struct host_identity identity = info->identity;
    Holdfast__Wire__HostInfo *message = NULL;
    struct wire_arena *arena = arena_of(listing);
    const char *slash = identity.principal ? strchr(identity.principal, '/') : NULL;
    int rc;

    if (!arena)
        return HF_NOMEM;
    if (slash) /* "tenant/name", and the tenant is this one */
        identity.principal = slash + 1;
    if (!authorize_shows_host(&listing->request->peer->principal, &identity))
        shown.identity = (struct host_identity){.ttl_ms = info->identity.ttl_ms};
    rc = wire_fill_host_info(&shown, arena, &message, listing->err);
    return add(listing, rc, message);
}

static int visit_lease(const struct lease_info *info, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__LeaseInfo *message = NULL;
    struct wire_arena *arena;
    int rc;

    if (!shows(listing, info->session_name))
        return HF_OK;
    arena = arena_of(listing);
    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_lease_info(info, arena, &message, listing->err);
    return add(listing, rc, message);
}

static int visit_snapshot(const struct snapshot_info *info, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__SnapshotInfo *message = NULL;
    struct wire_arena *arena = arena_of(listing);
    int rc;

    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_snapshot(info, arena, &message, listing->err);
    return add(listing, rc, message);
}

static int visit_root(const struct root_info *info, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__RootInfo *message = NULL;
    struct wire_arena *arena;
    int rc;

    if (!shows(listing, info->session_name))
        return HF_OK;
    arena = arena_of(listing);
    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_root(info, arena, &message, listing->err);
    return add(listing, rc, message);
}

static int visit_finding(const struct check_finding *finding, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__Finding *message = NULL;
    struct wire_arena *arena = arena_of(listing);
    int rc;

    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_finding(finding, arena, &message, listing->err);
    return add(listing, rc, message);
}

static int visit_rescue(const struct rescue_info *info, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__RescueInfo *message = NULL;
    struct wire_arena *arena;
    int rc;

    if (!shows(listing, info->session_name))
        return HF_OK;
    arena = arena_of(listing);
    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_rescue(info, arena, &message, listing->err);
    return add(listing, rc, message);
}

static int visit_pin(const struct pin_info *pin, void *arg)
{
    struct listing *listing = arg;
    Holdfast__Wire__PinInfo *message = NULL;
    struct wire_arena *arena;
    int rc;

    if (!shows(listing, pin->session_name))
        return HF_OK;
    arena = arena_of(listing);
    if (!arena)
        return HF_NOMEM;
    rc = wire_fill_pin(pin, arena, &message, listing->err);
    return add(listing, rc, message);
}

/* Drops the part that was sent. True: it was the first call, and the store is to be read. */
static bool begins(struct request *request)
{
    struct progress *progress = &request->progress;

    if (progress->shown++ == 0)
        return true;
    list_drop(&progress->list);
    return false;
}

int handle_host_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    int rc = HF_OK;

    if (begins(request))
        rc = store_host_list(request->peer->tenant->store, visit_host, &listing, err);
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_HOSTS, false, reply, err)
                       : rc;
}

int handle_lease_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    int rc = HF_OK;

    if (begins(request))
        rc = store_lease_list(request->peer->tenant->store, visit_lease, &listing, err);
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_LEASES, false, reply, err)
                       : rc;
}

int handle_snapshot_list(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    int rc = HF_OK;

    if (begins(request))
        rc = store_snapshot_list(request->peer->tenant->store, visit_snapshot, &listing, err);
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_SNAPSHOTS, false, reply, err)
                       : rc;
}

int handle_roots(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    int rc = HF_OK;

    if (begins(request))
        rc = store_roots(request->peer->tenant->store, visit_root, &listing, err);
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_ROOTS, false, reply, err)
                       : rc;
}

int handle_check(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    int rc = HF_OK;

    if (begins(request))
        rc = store_check(request->peer->tenant->store, visit_finding, &listing, err);
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_FINDINGS, false, reply, err)
                       : rc;
}

int handle_rescue_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    int rc = HF_OK;

    if (begins(request))
        rc = store_rescue_list(request->peer->tenant->store, request->message->rescue_list->sid,
                               visit_rescue, &listing, err);
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_RESCUES, false, reply, err)
                       : rc;
}

int handle_snapshot_pins(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err)
{
    struct listing listing = listing_of(request, err);
    const char *name;
    int rc = HF_OK;

    if (begins(request)) {
        rc = wire_read_text(request->message->snapshot_pins->name, "name", &request->arena, &name,
                            err);
        if (rc == HF_OK)
            rc = store_snapshot_pins(request->peer->tenant->store, name, visit_pin, &listing, err);
    }
    return rc == HF_OK ? answer(request, HOLDFAST__WIRE__REPLY__RESULT_PINS, false, reply, err)
                       : rc;
}
