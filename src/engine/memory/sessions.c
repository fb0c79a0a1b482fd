/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/memory/world.h"

/* FNV-1a (G. Fowler, L. C. Noll, P. Vo). */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3ULL;
    return hash;
}

struct memory_session *memory_session_of(struct memory_world *world, uint64_t sid)
{
    struct memory_session *session = sid < world->nsessions ? world->sessions[sid] : NULL;

    return session && !session->purged ? session : NULL;
}

int memory_session_live(struct memory_world *world, uint64_t sid,
                        struct memory_session **ret_session, struct hf_error *err)
{
    struct memory_session *session = memory_session_of(world, sid);

    if (!session || session->state != SESSION_LIVE)
        return hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    *ret_session = session;
    return HF_OK;
}

struct memory_session *memory_session_find_name(struct memory_world *world, const char *name)
{
    struct hnode *node = htable_find(&world->names, hash_name(name));

    for (; node; node = htable_next(node)) {
        struct memory_session *session = HTABLE_ENTRY(node, struct memory_session, by_name);

        if (strcmp(session->name, name) == 0)
            return session;
    }
    return NULL;
}

void memory_session_tell_changed(struct memory_world *world, uint64_t but, uint64_t sid)
{
    struct store_event event = {.kind = EVENT_SESSIONS_CHANGED, .sid = sid};

    memory_tell_others(world, but, &event);
}

int memory_session_find(struct store *store, const char *name, struct session_head *ret_head,
                        struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_find_name(handle->world, name);
    if (session)
        *ret_head = session->head;
    else
        rc = hf_fail(err, HF_NOENT, "there is no session %s", name);
    memory_leave(handle);
    return rc;
}

int memory_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                        struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_session_live(handle->world, sid, &session, err);
    if (rc == HF_OK)
        *ret_head = session->head;
    memory_leave(handle);
    return rc;
}

/* --- listing ---------------------------------------------------------------------------------------- */

static bool equal(const char *wanted, const char *have)
{
    return !wanted || (have && strcmp(wanted, have) == 0);
}

static bool matches(const struct memory_session *session, const struct session_filter *filter)
{
    const struct meta_strings *meta = &session->meta;

    return session->state == (filter->trashed ? SESSION_TRASHED : SESSION_LIVE) &&
           (filter->sid == 0 || filter->sid == session->head.sid) &&
           (!filter->name_glob || fnmatch(filter->name_glob, session->name, 0) == 0) &&
           equal(filter->repository, meta->repository) && equal(filter->branch, meta->branch) &&
           equal(filter->cwd, meta->cwd) && equal(filter->git_root, meta->git_root) &&
           session->head.time >= filter->changed_since &&
           (!filter->after || strcmp(session->name, filter->after) > 0);
}

static int compare_name(const void *a, const void *b)
{
    const struct memory_session *const *left = a, *const *right = b;
    int order = strcmp((*left)->name, (*right)->name);

    if (order == 0)
        order = (*left)->head.sid < (*right)->head.sid ? -1 : 1;
    return order;
}

static int visit_session(const struct memory_world *world, const struct memory_session *session,
                         session_visit_fn visit, void *arg)
{
    const struct memory_host *host = memory_host_of(world, session->lease.host);
    bool held = session->lease.state != LEASE_FREE && host && host->alive;
    struct session_info info = {
        .head = session->head,
        .name = session->name,
        .state = session->state,
        .created = session->created,
        .trashed = session->trashed,
        .meta = {.bytes = session->head.bytes, .files = session->head.files},
        .holder = held ? session->lease.host : 0,
        .holder_name = held ? host->identity.host_name : NULL,
    };

    meta_strings_lend(&session->meta, &info.meta);
    return visit(&info, arg);
}

int memory_session_list(struct store *store, const struct session_filter *filter,
                        session_visit_fn visit, void *arg, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    struct memory_session **found = NULL;
    size_t n = 0;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    found = calloc(world->nsessions, sizeof(*found));
    if (!found)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t sid = 1; found && sid < world->nsessions; sid++) {
        struct memory_session *session = memory_session_of(world, sid);

        if (session && matches(session, filter))
            found[n++] = session;
    }
    if (n > 0)
        qsort(found, n, sizeof(*found), compare_name);
    if (filter->limit > 0 && n > filter->limit)
        n = filter->limit;
    for (size_t i = 0; rc == HF_OK && i < n; i++)
        rc = visit_session(world, found[i], visit, arg);
    memory_leave(handle);
    free(found);
    return rc;
}

/* --- making ----------------------------------------------------------------------------------------- */

void memory_session_clear(struct memory_session *session)
{
    free(session->name);
    free(session->pinned_by);
    free(session->queue);
    free(session->versions);
    meta_strings_free(&session->meta);
}

void memory_session_free(struct memory_session *session)
{
    if (session)
        memory_session_clear(session);
    free(session);
}

struct memory_session *memory_session_new(const char *name, uint64_t sid, int64_t now)
{
    struct memory_session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->name = strdup(name);
    session->state = SESSION_LIVE;
    session->created = now;
    session->head.sid = sid;
    session->head.time = now;
    if (!session->name) {
        memory_session_free(session);
        return NULL;
    }
    return session;
}

int memory_session_add_shared(struct memory_world *world, int64_t now, struct hf_error *err)
{
    int rc =
        memory_reserve(&world->sessions, &world->sessions_cap, 0, sizeof(*world->sessions), err);

    if (rc != HF_OK)
        return rc;
    world->sessions[0] = memory_session_new("", SHARED_SID, now);
    if (!world->sessions[0])
        return hf_fail(err, HF_NOMEM, "out of memory");
    world->nsessions = 1;
    return HF_OK;
}

int memory_session_list_name(struct memory_world *world, struct memory_session *session,
                             struct hf_error *err)
{
    if (htable_insert(&world->names, &session->by_name, hash_name(session->name)) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return HF_OK;
}

/* Fills a session that nobody sees yet, up to its lease. */
static int begin_session(struct memory_store *handle, struct memory_session *session, uint64_t host,
                         const struct commit *first, const struct closure *closure,
                         struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct lease_request ask = {.verb = LEASE_ASK, .host = host};
    struct lease_step step;
    int rc = memory_reserve(&world->sessions, &world->sessions_cap, world->nsessions,
                            sizeof(*world->sessions), err);

    if (rc == HF_OK)
        rc = memory_session_advance(handle, session, host, host ? 1 : 0, first, closure, err);
    if (rc == HF_OK && host != 0)
        rc = memory_lease_apply(handle, session, &ask, NULL, &step, err);
    return rc == HF_OK ? memory_session_list_name(world, session, err) : rc;
}

static int create(struct memory_store *handle, uint64_t host, const char *name,
                  const struct commit *first, const struct closure *closure,
                  struct lease *ret_lease, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_session *session;
    int rc = host == 0 ? HF_OK : memory_host_check(world, host, err);

    if (rc != HF_OK)
        return rc;
    if (memory_session_find_name(world, name))
        return hf_fail(err, HF_EXIST, "there is a session %s already", name);
    if (world->nsessions > SID_MAX)
        return hf_fail(err, HF_NOSPC, "the store has had as many sessions as it can number");
    session = memory_session_new(name, world->nsessions, clock_realtime(handle->clock));
    if (!session)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = begin_session(handle, session, host, first, closure, err);
    if (rc != HF_OK) {
        memory_session_free(session);
        return rc;
    }
    world->sessions[world->nsessions++] = session;
    *ret_lease = (struct lease){session->head.sid, session->lease.token, session->head};
    memory_session_tell_changed(world, host, session->head.sid);
    return HF_OK;
}

int memory_session_create(struct store *store, uint64_t host, const char *name,
                          const struct commit *first, struct lease *ret_lease, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct closure closure = {0};
    int rc = closure_build(&store->info.hasher, first->objects, first->nobjects, &first->root,
                           &closure, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_enter(handle, err);
    if (rc == HF_OK) {
        rc = create(handle, host, name, first, &closure, ret_lease, err);
        memory_leave(handle);
    }
    closure_free(&closure);
    return rc;
}

/* --- the trash -------------------------------------------------------------------------------------- */

static int to_trash(struct memory_store *handle, struct memory_session *session, uint64_t host,
                    uint64_t token, struct hf_error *err)
{
    struct lease_request end = {.verb = LEASE_END, .host = host, .token = token};
    struct lease_step step;
    int rc = memory_lease_check(handle, session, host, token, err);

    if (rc == HF_OK)
        rc = memory_lease_apply(handle, session, &end, NULL, &step, err);
    if (rc != HF_OK)
        return rc;
    htable_remove(&handle->world->names, &session->by_name);
    session->state = SESSION_TRASHED;
    session->trashed = clock_realtime(handle->clock);
    return HF_OK;
}

int memory_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_session_live(handle->world, sid, &session, err);
    if (rc == HF_OK)
        rc = to_trash(handle, session, host, token, err);
    if (rc == HF_OK)
        memory_session_tell_changed(handle->world, host, sid);
    memory_leave(handle);
    return rc;
}

static int from_trash(struct memory_store *handle, struct memory_session *session, char *name,
                      struct hf_error *err)
{
    struct memory_world *world = handle->world;
    int rc;

    if (memory_session_find_name(world, name))
        return hf_fail(err, HF_EXIST, "there is a session %s already", name);
    rc = memory_audit_add(handle, AUDIT_UNDELETE, session->head.sid, 0, session->lease.token, NULL,
                          err);
    if (rc != HF_OK)
        return rc;
    if (htable_insert(&world->names, &session->by_name, hash_name(name)) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    free(session->name);
    session->name = name;
    session->state = SESSION_LIVE;
    session->trashed = 0;
    memory_session_tell_changed(world, 0, session->head.sid);
    return HF_OK;
}

int memory_session_undelete(struct store *store, uint64_t sid, const char *name,
                            struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    char *copy;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_of(handle->world, sid);
    if (!session || session->state != SESSION_TRASHED) {
        rc = hf_fail(err, HF_NOENT, "there is no session %llu in the trash",
                     (unsigned long long)sid);
    } else if (!(copy = strdup(name ? name : session->name))) {
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    } else {
        rc = from_trash(handle, session, copy, err);
        if (rc != HF_OK)
            free(copy);
    }
    memory_leave(handle);
    return rc;
}

/* What is left keeps its number and its token from being used again. */
static void leave_token(struct memory_session *session)
{
    struct memory_session left = {.purged = true,
                                  .state = SESSION_TRASHED,
                                  .head.sid = session->head.sid,
                                  .lease = session->lease};

    memory_session_clear(session);
    *session = left;
}

int memory_session_purge(struct store *store, uint64_t sid, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_of(handle->world, sid);
    if (!session || session->state != SESSION_TRASHED)
        rc = hf_fail(err, HF_NOENT, "there is no session %llu in the trash",
                     (unsigned long long)sid);
    if (rc == HF_OK)
        rc =
            memory_audit_add(handle, AUDIT_PURGE, sid, 0, session->lease.token, session->name, err);
    if (rc == HF_OK) {
        memory_rescues_forget(handle->world, sid);
        leave_token(session);
        memory_session_tell_changed(handle->world, 0, sid);
    }
    memory_leave(handle);
    return rc;
}

/* --- renaming --------------------------------------------------------------------------------------- */

static int audit_rename(struct memory_store *handle, const struct memory_session *session,
                        const char *name, struct hf_error *err)
{
    char detail[2 * SESSION_NAME_MAX + 8];

    snprintf(detail, sizeof detail, "%s -> %s", session->name, name);
    return memory_audit_add(handle, AUDIT_RENAME, session->head.sid, session->lease.host,
                            session->lease.token, detail, err);
}

/* A node that was just removed always fits in again. */
static void set_name(struct memory_world *world, struct memory_session *session, char *name)
{
    session->name = name;
    htable_insert(&world->names, &session->by_name, hash_name(name));
}

static int exchange(struct memory_store *handle, struct memory_session *session,
                    struct memory_session *other, uint64_t host, uint64_t other_token,
                    struct hf_error *err)
{
    struct memory_world *world = handle->world;
    char *name = session->name, *other_name = other->name;
    int rc = memory_lease_check(handle, other, host, other_token, err);

    if (rc == HF_OK)
        rc = audit_rename(handle, session, other_name, err);
    if (rc == HF_OK)
        rc = audit_rename(handle, other, name, err);
    if (rc != HF_OK)
        return rc;
    htable_remove(&world->names, &session->by_name);
    htable_remove(&world->names, &other->by_name);
    set_name(world, session, other_name);
    set_name(world, other, name);
    memory_session_tell_changed(world, host, other->head.sid);
    return HF_OK;
}

static int replace(struct memory_store *handle, struct memory_session *session,
                   struct memory_session *other, uint64_t host, const char *name,
                   uint64_t other_token, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    char *copy = strdup(name);
    int rc = copy ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    if (rc == HF_OK && other)
        rc = to_trash(handle, other, host, other_token, err);
    if (rc == HF_OK)
        rc = audit_rename(handle, session, name, err);
    if (rc != HF_OK) {
        free(copy);
        return rc;
    }
    if (other)
        memory_session_tell_changed(world, host, other->head.sid);
    htable_remove(&world->names, &session->by_name);
    free(session->name);
    set_name(world, session, copy);
    return HF_OK;
}

static int rename_session(struct memory_store *handle, struct memory_session *session,
                          uint64_t host, const char *name, enum session_rename_mode mode,
                          uint64_t other_token, struct hf_error *err)
{
    struct memory_session *other = memory_session_find_name(handle->world, name);

    if (other == session)
        return HF_OK;
    if (other && mode == RENAME_SESSION_NEW)
        return hf_fail(err, HF_EXIST, "there is a session %s already", name);
    if (!other && mode == RENAME_SESSION_EXCHANGE)
        return hf_fail(err, HF_NOENT, "there is no session %s", name);
    if (mode == RENAME_SESSION_EXCHANGE)
        return exchange(handle, session, other, host, other_token, err);
    return replace(handle, session, other, host, name, other_token, err);
}

int memory_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          const char *name, enum session_rename_mode mode, uint64_t other_token,
                          struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_session_live(handle->world, sid, &session, err);
    if (rc == HF_OK)
        rc = memory_lease_check(handle, session, host, token, err);
    if (rc == HF_OK)
        rc = rename_session(handle, session, host, name, mode, other_token, err);
    if (rc == HF_OK)
        memory_session_tell_changed(handle->world, host, sid);
    memory_leave(handle);
    return rc;
}
