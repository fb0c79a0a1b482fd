/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out what the plan says, by the calls that people's commands use. */
#include <assert.h>

#include "store/retention_rules.h"

struct apply {
    struct store *store;
    uint64_t host;
    struct retention_watch watch;
    struct retention_totals totals;
};

/* Another may have done it already. */
static bool is_gone(int rc)
{
    return rc == HF_NOENT;
}

static int drop_versions(struct apply *apply, const struct retention_action *actions, size_t n,
                         struct hf_error *err)
{
    uint64_t versions[RETENTION_AT_ONCE], dropped = 0;
    int rc = HF_OK;

    assert(n <= RETENTION_AT_ONCE);
    for (size_t i = 0; i < n; i++)
        versions[i] = actions[i].version;
    rc = store_history_drop(apply->store, actions[0].sid, versions, n, &dropped, err);
    if (rc == HF_OK)
        apply->totals.versions += dropped;
    return rc;
}

/* Under the session's lease, and only if it is at the version that was idle for so long. */
static int trash(struct apply *apply, const struct retention_action *action, struct hf_error *err)
{
    struct lease lease;
    int rc;

    if (apply->host == 0)
        return HF_BUSY;
    rc = store_lease_acquire(apply->store, apply->host, action->sid, 0, &lease, err);
    if (rc != HF_OK)
        return rc;
    if (lease.head.version == action->version)
        rc = store_session_delete(apply->store, apply->host, action->sid, lease.token, err);
    else
        rc = HF_BUSY;
    if (rc != HF_OK)
        (void)store_lease_release(apply->store, apply->host, action->sid, lease.token, NULL);
    return rc;
}

static int take_one(struct apply *apply, const struct retention_action *action,
                    struct hf_error *err)
{
    struct retention_totals *totals = &apply->totals;
    uint64_t *count = NULL;
    int rc;

    switch (action->kind) {
    case RETENTION_TRASH:
        rc = trash(apply, action, err);
        count = &totals->trashed;
        break;
    case RETENTION_PURGE:
        rc = store_session_purge(apply->store, action->sid, err);
        count = &totals->purged;
        break;
    case RETENTION_RESCUE:
        rc = store_rescue_drop(apply->store, action->sid, action->rescue, err);
        count = &totals->rescues;
        break;
    default:
        rc = store_snapshot_delete(apply->store, action->snapshot, err);
        count = &totals->snapshots;
        break;
    }
    if (rc == HF_OK)
        ++*count;
    return rc;
}

static int take(const struct retention_action *actions, size_t n, void *arg, struct hf_error *err)
{
    struct apply *apply = arg;
    int rc = actions[0].kind == RETENTION_VERSION ? drop_versions(apply, actions, n, err)
                                                  : take_one(apply, actions, err);

    if (actions[0].kind == RETENTION_TRASH && (rc == HF_BUSY || rc == HF_FENCED)) {
        apply->totals.skipped++;
        return HF_OK;
    }
    if (rc != HF_OK)
        return is_gone(rc) ? HF_OK : rc;
    for (size_t i = 0; i < n && apply->watch.visit && rc == HF_OK; i++)
        rc = apply->watch.visit(&actions[i], apply->watch.arg);
    return rc;
}

static int pause_apply(void *arg)
{
    const struct apply *apply = arg;

    return apply->watch.pause ? apply->watch.pause(apply->watch.arg) : 0;
}

int retention_apply(struct store *store, uint64_t host, const struct retention *policy, int64_t now,
                    const struct retention_watch *watch, struct retention_totals *ret_totals,
                    struct hf_error *err)
{
    struct apply apply = {.store = store, .host = host};
    const struct retention_steps steps = {take, pause_apply, &apply};
    int rc;

    if (watch)
        apply.watch = *watch;
    rc = retention_walk(store, policy, now, &steps, err);
    *ret_totals = apply.totals;
    return rc;
}
