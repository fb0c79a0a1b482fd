/* SPDX-License-Identifier: Apache-2.0 */
/* The checked front of every engine: programming errors are asserted, bad requests are answered with a
 * sentence, and nothing else happens here. */
#include "store/store.h"

#include <assert.h>
#include <string.h>

#include "store/engine.h"
#include "store/name.h"
#include "store/retention.h"

/* Versions, tokens and numbers of rescues in copies go no higher: more always fit, also after a restore has raised
 * them. */
#define COPIED_MAX (1ULL << 62)

void store_close(struct store *store)
{
    if (store)
        store->ops->close(store);
}

const struct store_info *store_info(const struct store *store)
{
    assert(store);
    return &store->info;
}

static int check_writable(const struct store *store, struct hf_error *err)
{
    assert(store);
    if (store->info.read_only)
        return hf_fail(err, HF_ROFS, "the store %s is open read-only", store->info.location);
    return HF_OK;
}

static int check_sid(uint64_t sid, struct hf_error *err)
{
    if (sid == SHARED_SID || sid > SID_MAX)
        return hf_fail(err, HF_INVAL, "%llu is not the number of a session",
                       (unsigned long long)sid);
    return HF_OK;
}

/* --- objects ---------------------------------------------------------------------------------- */

int store_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
              struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(objects || n == 0);
    if (rc != HF_OK || n == 0)
        return rc;
    rc = store->ops->put(store, host, objects, n, err);
    if (rc == HF_OK)
        tally_put(&store->tally, objects, n);
    return rc;
}

int store_get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
              struct hf_error *err)
{
    int rc;

    assert(store && ((ids && ret_contents) || n == 0));
    if (n == 0)
        return HF_OK;
    rc = store->ops->get(store, ids, n, ret_contents, err);
    if (rc == HF_OK)
        tally_got(&store->tally, ret_contents, n);
    return rc;
}

int store_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                  bool *ret_missing, struct hf_error *err)
{
    int rc = host != 0 ? check_writable(store, err) : HF_OK; /* the answer is written down */

    assert(store && ((ids && ret_missing) || n == 0));
    if (rc != HF_OK || n == 0)
        return rc;
    return store->ops->missing(store, host, ids, n, ret_missing, err);
}

/* --- sessions --------------------------------------------------------------------------------- */

int store_session_list(struct store *store, const struct session_filter *filter,
                       session_visit_fn visit, void *arg, struct hf_error *err)
{
    static const struct session_filter every;

    assert(store && visit);
    return store->ops->session_list(store, filter ? filter : &every, visit, arg, err);
}

int store_session_find(struct store *store, const char *name, struct session_head *ret_head,
                       struct hf_error *err)
{
    int rc;

    assert(store && name && ret_head);
    rc = session_name_check(name, err);
    return rc != HF_OK ? rc : store->ops->session_find(store, name, ret_head, err);
}

int store_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                       struct hf_error *err)
{
    assert(store && ret_head);
    return store->ops->session_head(store, sid, ret_head, err);
}

int store_session_create(struct store *store, uint64_t host, const char *name,
                         const struct commit *first, struct lease *ret_lease, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(name && first && ret_lease && (first->objects || first->nobjects == 0));
    if (rc == HF_OK)
        rc = session_name_check(name, err);
    if (rc == HF_OK && (first->sid != 0 || first->token != 0 || first->base_version != 0))
        rc = hf_fail(err, HF_INVAL, "the first commit of a session has no session, token or base");
    if (rc == HF_OK)
        rc = store->ops->session_create(store, host, name, first, ret_lease, err);
    if (rc == HF_OK)
        tally_put(&store->tally, first->objects, first->nobjects);
    return rc;
}

int store_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         const char *name, enum session_rename_mode mode, uint64_t other_token,
                         struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(name && mode >= RENAME_SESSION_NEW && mode <= RENAME_SESSION_EXCHANGE);
    if (rc == HF_OK)
        rc = check_sid(sid, err);
    if (rc == HF_OK)
        rc = session_name_check(name, err);
    return rc != HF_OK
               ? rc
               : store->ops->session_rename(store, host, sid, token, name, mode, other_token, err);
}

int store_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err)
{
    int rc = check_writable(store, err);

    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK ? rc : store->ops->session_delete(store, host, sid, token, err);
}

int store_session_undelete(struct store *store, uint64_t sid, const char *name,
                           struct hf_error *err)
{
    int rc = check_writable(store, err);

    if (rc == HF_OK)
        rc = check_sid(sid, err);
    if (rc == HF_OK && name)
        rc = session_name_check(name, err);
    return rc != HF_OK ? rc : store->ops->session_undelete(store, sid, name, err);
}

int store_session_purge(struct store *store, uint64_t sid, struct hf_error *err)
{
    int rc = check_writable(store, err);

    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK ? rc : store->ops->session_purge(store, sid, err);
}

/* --- commits ---------------------------------------------------------------------------------- */

int store_commit(struct store *store, uint64_t host, const struct commit *commit,
                 uint64_t *ret_version, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(commit && ret_version && (commit->objects || commit->nobjects == 0));
    if (rc == HF_OK && commit->sid != SHARED_SID)
        rc = check_sid(commit->sid, err);
    if (rc == HF_OK && commit->sid == SHARED_SID && commit->token != 0)
        rc = hf_fail(err, HF_INVAL, "the shared tree is committed without a lease");
    if (rc == HF_OK)
        rc = store->ops->commit(store, host, commit, ret_version, err);
    if (rc == HF_OK)
        tally_put(&store->tally, commit->objects, commit->nobjects);
    return rc;
}

int store_sync(struct store *store, struct hf_error *err)
{
    assert(store);
    return store->info.read_only ? HF_OK : store->ops->sync(store, err);
}

int store_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                  history_visit_fn visit, void *arg, struct hf_error *err)
{
    assert(store && visit);
    return store->ops->history(store, sid, from, limit, visit, arg, err);
}

int store_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                       uint64_t *ret_dropped, struct hf_error *err)
{
    uint64_t dropped;
    int rc = check_writable(store, err);

    assert(versions || n == 0);
    if (rc == HF_OK && n > HISTORY_DROP_MAX)
        rc = hf_fail(err, HF_TOOBIG, "%d versions at most are forgotten at a time, and not %zu",
                     HISTORY_DROP_MAX, n);
    if (rc != HF_OK)
        return rc;
    return store->ops->history_drop(store, sid, versions, n, ret_dropped ? ret_dropped : &dropped,
                                    err);
}

int store_rescue(struct store *store, uint64_t host, const struct commit *commit,
                 const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(commit && reason && ret_rescue_id && (commit->objects || commit->nobjects == 0));
    if (rc == HF_OK && commit->sid != SHARED_SID)
        rc = check_sid(commit->sid, err);
    if (rc == HF_OK)
        rc = store->ops->rescue(store, host, commit, reason, ret_rescue_id, err);
    if (rc == HF_OK)
        tally_put(&store->tally, commit->objects, commit->nobjects);
    return rc;
}

int store_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                      struct hf_error *err)
{
    assert(store && visit);
    return store->ops->rescue_list(store, sid, visit, arg, err);
}

int store_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue, struct hf_error *err)
{
    int rc = check_writable(store, err);

    return rc != HF_OK ? rc : store->ops->rescue_drop(store, sid, rescue, err);
}

/* --- host sessions and leases ------------------------------------------------------------------ */

int store_host_register(struct store *store, const struct host_identity *identity,
                        const struct store_listener *listener, uint64_t *ret_host,
                        struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(identity && identity->host_name && ret_host && (!listener || listener->event));
    return rc != HF_OK ? rc : store->ops->host_register(store, identity, listener, ret_host, err);
}

int store_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err)
{
    int rc = check_writable(store, err);

    return rc != HF_OK ? rc : store->ops->host_heartbeat(store, host, err);
}

int store_host_detach(struct store *store, uint64_t host, uint32_t grace_ms, struct hf_error *err)
{
    int rc = check_writable(store, err);

    if (rc == HF_OK && !store->ops->host_detach)
        rc = hf_fail(err, HF_UNSUPPORTED,
                     "a host session is detached where it is kept: by the server");
    return rc != HF_OK ? rc : store->ops->host_detach(store, host, grace_ms, err);
}

int store_host_end(struct store *store, uint64_t host, struct hf_error *err)
{
    int rc = check_writable(store, err);

    return rc != HF_OK ? rc : store->ops->host_end(store, host, err);
}

int64_t store_host_deadline(struct store *store, uint64_t host)
{
    return store->ops->host_deadline(store, host);
}

int64_t store_away_since(struct store *store)
{
    return store->ops->away_since ? store->ops->away_since(store) : 0;
}

int store_host_list(struct store *store, host_visit_fn visit, void *arg, struct hf_error *err)
{
    assert(store && visit);
    return store->ops->host_list(store, visit, arg, err);
}

int store_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                        struct lease *ret_lease, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(ret_lease);
    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK ? rc : store->ops->lease_acquire(store, host, sid, wait_ms, ret_lease, err);
}

int store_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                    struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(ret_lease && ret_again);
    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK
               ? rc
               : store->ops->lease_ask(store, host, sid, wait_ms, ret_lease, ret_again, err);
}

int store_lease_withdraw(struct store *store, uint64_t host, uint64_t sid, struct hf_error *err)
{
    int rc = check_writable(store, err);

    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK ? rc : store->ops->lease_withdraw(store, host, sid, err);
}

int store_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                        struct hf_error *err)
{
    int rc = check_writable(store, err);

    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK ? rc : store->ops->lease_release(store, host, sid, token, err);
}

int store_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                       const char *pinned_by, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(pinned_by);
    if (rc == HF_OK)
        rc = check_sid(sid, err);
    return rc != HF_OK ? rc : store->ops->lease_refuse(store, host, sid, token, pinned_by, err);
}

int store_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                      struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(reason);
    if (rc == HF_OK)
        rc = check_sid(sid, err);
    if (rc == HF_OK && reason[0] == '\0')
        rc = hf_fail(err, HF_INVAL, "breaking a lease needs a reason");
    return rc != HF_OK ? rc : store->ops->lease_break(store, sid, token, reason, err);
}

int store_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    assert(store && visit);
    return store->ops->lease_list(store, visit, arg, err);
}

int store_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                struct hf_error *err)
{
    assert(store && visit);
    return store->ops->audit(store, sid, from, visit, arg, err);
}

/* --- locks in the shared tree ------------------------------------------------------------------ */

static int check_lock(const struct store_lock *lock, struct hf_error *err)
{
    if (lock->kind != LOCK_POSIX && lock->kind != LOCK_FLOCK)
        return hf_fail(err, HF_INVAL, "%d is not a kind of lock", (int)lock->kind);
    if (lock->type != LOCK_TYPE_NONE && lock->type != LOCK_TYPE_READ &&
        lock->type != LOCK_TYPE_WRITE)
        return hf_fail(err, HF_INVAL, "%d is not a type of lock", (int)lock->type);
    if (lock->start > lock->end)
        return hf_fail(err, HF_INVAL, "a lock cannot end before it starts");
    if (lock->kind == LOCK_FLOCK && (lock->start != 0 || lock->end != UINT64_MAX))
        return hf_fail(err, HF_INVAL, "flock(2) locks whole files only");
    return HF_OK;
}

int store_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                   struct store_lock *ret_conflict, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(lock);
    if (rc == HF_OK)
        rc = check_lock(lock, err);
    return rc != HF_OK ? rc : store->ops->lock_set(store, host, lock, ret_conflict, err);
}

int store_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err)
{
    int rc;

    assert(store && lock && ret_conflict);
    rc = check_lock(lock, err);
    return rc != HF_OK ? rc : store->ops->lock_test(store, host, lock, ret_conflict, err);
}

/* --- snapshots --------------------------------------------------------------------------------- */

int store_snapshot_create(struct store *store, const char *name, const char *const *globs, size_t n,
                          struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(name && (globs || n == 0));
    if (rc == HF_OK)
        rc = snapshot_name_check(name, err);
    return rc != HF_OK ? rc : store->ops->snapshot_create(store, name, globs, n, err);
}

int store_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                        struct hf_error *err)
{
    assert(store && visit);
    return store->ops->snapshot_list(store, visit, arg, err);
}

int store_snapshot_delete(struct store *store, const char *name, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(name);
    if (rc == HF_OK)
        rc = snapshot_name_check(name, err);
    return rc != HF_OK ? rc : store->ops->snapshot_delete(store, name, err);
}

int store_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err)
{
    assert(store && visit);
    return store->ops->roots(store, visit, arg, err);
}

int store_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                        struct hf_error *err)
{
    int rc;

    assert(store && name && visit);
    rc = snapshot_name_check(name, err);
    return rc != HF_OK ? rc : store->ops->snapshot_pins(store, name, visit, arg, err);
}

/* --- copies ------------------------------------------------------------------------------------ */

/* Numbers that another store has given: those of a healthy one are far below. */
static int check_numbers(uint64_t version, uint64_t bytes, uint64_t files, struct hf_error *err)
{
    if (version == 0 || version > COPIED_MAX || bytes > INT64_MAX || files > INT64_MAX)
        return hf_fail(err, HF_INVAL, "a copy has a version %llu of %llu bytes in %llu files",
                       (unsigned long long)version, (unsigned long long)bytes,
                       (unsigned long long)files);
    return HF_OK;
}

static int check_copied_name(uint64_t sid, const char *name, struct hf_error *err)
{
    int rc;

    if (sid == SHARED_SID)
        return name[0] == '\0' ? HF_OK : hf_fail(err, HF_INVAL, "the shared tree has no name");
    rc = check_sid(sid, err);
    return rc == HF_OK ? session_name_check(name, err) : rc;
}

static int check_versions(const struct session_copy *copy, struct hf_error *err)
{
    uint64_t before = 0;
    int rc = HF_OK;

    for (size_t i = 0; i < copy->nversions && rc == HF_OK; i++) {
        const struct history_entry *entry = &copy->versions[i];

        rc = check_numbers(entry->version, entry->bytes, entry->files, err);
        if (rc == HF_OK && entry->version <= before)
            rc = hf_fail(err, HF_INVAL, "the versions of a copy do not grow");
        before = entry->version;
    }
    return rc;
}

static int check_copy(const struct session_copy *copy, struct hf_error *err)
{
    int rc = check_copied_name(copy->sid, copy->name, err);

    if (rc == HF_OK && copy->state != SESSION_LIVE &&
        (copy->state != SESSION_TRASHED || copy->sid == SHARED_SID))
        rc = hf_fail(err, HF_INVAL, "a copied session is live or in the trash");
    if (rc == HF_OK)
        rc = check_numbers(1, copy->meta.bytes, copy->meta.files, err);
    if (rc == HF_OK && copy->token > COPIED_MAX)
        rc = hf_fail(err, HF_INVAL, "a copy has a fencing token beyond all bounds");
    return rc == HF_OK ? check_versions(copy, err) : rc;
}

static int check_pins(const struct snapshot_copy *copy, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < copy->npins && rc == HF_OK; i++) {
        const struct pin_info *pin = &copy->pins[i];

        rc = check_numbers(pin->version, pin->bytes, pin->files, err);
        if (rc == HF_OK)
            rc = check_copied_name(pin->sid, pin->session_name, err);
        if (rc == HF_OK && i > 0 && pin->sid <= pin[-1].sid)
            rc = hf_fail(err, HF_INVAL, "the sessions of a snapshot's copy do not grow");
    }
    return rc;
}

int store_session_receive(struct store *store, const struct session_copy *copy,
                          struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(copy && copy->name && copy->versions && copy->nversions > 0);
    if (rc == HF_OK)
        rc = check_copy(copy, err);
    return rc != HF_OK ? rc : store->ops->session_receive(store, copy, err);
}

int store_rescue_receive(struct store *store, const uint8_t origin[UUID_SIZE],
                         const struct rescue_info *rescue, struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(origin && rescue && rescue->id > 0 && rescue->reason);
    if (rc == HF_OK && rescue->sid != SHARED_SID)
        rc = check_sid(rescue->sid, err);
    if (rc == HF_OK)
        rc = check_numbers(1, rescue->bytes, rescue->files, err);
    if (rc == HF_OK && (rescue->id > COPIED_MAX || rescue->version > COPIED_MAX))
        rc = hf_fail(err, HF_INVAL, "a rescue version has a number beyond all bounds");
    return rc != HF_OK ? rc : store->ops->rescue_receive(store, origin, rescue, err);
}

int store_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                           struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(copy && copy->name && (copy->pins || copy->npins == 0));
    if (rc == HF_OK)
        rc = snapshot_name_check(copy->name, err);
    if (rc == HF_OK)
        rc = check_pins(copy, err);
    return rc != HF_OK ? rc : store->ops->snapshot_receive(store, copy, err);
}

/* --- the whole store --------------------------------------------------------------------------- */

int store_setting_get(struct store *store, const char *name, struct buf *ret_text,
                      struct hf_error *err)
{
    int rc;

    assert(store && name && ret_text);
    rc = setting_name_check(name, err);
    return rc != HF_OK ? rc : store->ops->setting_get(store, name, ret_text, err);
}

/* A policy that cannot be read would stop whatever asks it. */
static int check_setting(const char *name, struct slice text, struct hf_error *err)
{
    struct retention *policy;
    int rc = setting_name_check(name, err);

    if (rc != HF_OK)
        return rc;
    if (strcmp(name, SETTING_ORIGIN) == 0)
        return hf_fail(err, HF_INVAL, "which store a copy is of cannot be set");
    if (text.len > SETTING_MAX)
        return hf_fail(err, HF_TOOBIG, "a setting may have %d bytes, and this has %zu", SETTING_MAX,
                       text.len);
    if (!text.data || strcmp(name, RETENTION_SETTING) != 0)
        return HF_OK;
    rc = retention_parse(text, &policy, err);
    if (rc == HF_OK)
        retention_free(policy);
    return rc;
}

int store_setting_set(struct store *store, const char *name, struct slice text,
                      struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(name && (text.data || text.len == 0));
    if (rc == HF_OK)
        rc = check_setting(name, text, err);
    return rc != HF_OK ? rc : store->ops->setting_set(store, name, text, err);
}

int store_collect(struct store *store, const struct collect_options *options,
                  struct collect_totals *ret_totals, struct hf_error *err)
{
    static const struct collect_options plain;
    int rc;

    assert(store && ret_totals);
    if (!options)
        options = &plain;
    rc = options->dry_run ? HF_OK : check_writable(store, err);
    if (rc == HF_OK && options->percent > 100)
        rc = hf_fail(err, HF_INVAL, "a collection may work 1 to 100 percent of the time");
    return rc != HF_OK ? rc : store->ops->collect(store, options, ret_totals, err);
}

int store_mend(struct store *store, const struct object_id *id, const struct object *good,
               struct hf_error *err)
{
    int rc = check_writable(store, err);

    assert(id);
    if (rc == HF_OK && good && !object_id_equal(id, &good->id))
        rc = hf_fail(err, HF_INVAL, "an object can be mended by one of the same id alone");
    return rc != HF_OK ? rc : store->ops->mend(store, id, good, err);
}

int store_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err)
{
    assert(store && ret_stats);
    return store->ops->stats(store, ret_stats, err);
}

int store_check(struct store *store, check_report_fn report, void *arg, struct hf_error *err)
{
    assert(store && report);
    return store->ops->check(store, report, arg, err);
}
