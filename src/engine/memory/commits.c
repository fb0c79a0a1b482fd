/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"

static int copy_string(const char *from, char **ret_to)
{
    *ret_to = from ? strdup(from) : NULL;
    return from && !*ret_to ? HF_NOMEM : HF_OK;
}

int memory_meta_copy(const struct session_meta *meta, struct meta_strings *ret_strings)
{
    struct meta_strings copy = {0};

    if (copy_string(meta->cwd, &copy.cwd) || copy_string(meta->git_root, &copy.git_root) ||
        copy_string(meta->repository, &copy.repository) ||
        copy_string(meta->branch, &copy.branch) || copy_string(meta->name, &copy.name) ||
        copy_string(meta->created_at, &copy.created_at) ||
        copy_string(meta->updated_at, &copy.updated_at)) {
        meta_strings_free(&copy);
        return HF_NOMEM;
    }
    *ret_strings = copy;
    return HF_OK;
}

static int check_limits(const struct memory_world *world, const struct memory_session *session,
                        const struct commit *commit, struct hf_error *err)
{
    struct limits_step step = {.session = session->head.sid == SHARED_SID ? "." : session->name,
                               .before = session->head.bytes,
                               .after = commit->meta.bytes,
                               .used = world->content_bytes};

    for (size_t i = 0; i < commit->nobjects; i++)
        step.added += commit->objects[i].content.len;
    return limits_admit(&world->limits, &step, err);
}

int memory_session_advance(struct memory_store *handle, struct memory_session *session,
                           uint64_t host, uint64_t token, const struct commit *commit,
                           const struct closure *closure, struct hf_error *err)
{
    struct meta_strings strings = {0};
    struct memory_version version = {
        .version = session->head.version + 1,
        .root = commit->root,
        .time = clock_realtime(handle->clock),
        .host = host,
        .token = token,
        .bytes = commit->meta.bytes,
        .files = commit->meta.files,
    };
    int rc = check_limits(handle->world, session, commit, err);

    if (rc == HF_OK)
        rc = memory_reserve(&session->versions, &session->versions_cap, session->nversions,
                            sizeof version, err);
    if (rc == HF_OK && commit->meta_strings_valid &&
        memory_meta_copy(&commit->meta, &strings) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = memory_objects_add(handle->world, closure, commit->objects, commit->nobjects, err);
    if (rc != HF_OK) {
        meta_strings_free(&strings);
        return rc;
    }
    session->versions[session->nversions++] = version;
    session->head.version = version.version;
    session->head.root = version.root;
    session->head.time = version.time;
    session->head.bytes = version.bytes;
    session->head.files = version.files;
    if (commit->meta_strings_valid) {
        meta_strings_free(&session->meta);
        session->meta = strings;
    }
    return HF_OK;
}

static int commit_to(struct memory_store *handle, uint64_t host, const struct commit *commit,
                     const struct closure *closure, uint64_t *ret_version, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_session *session = memory_session_of(world, commit->sid);
    struct store_event event = {.kind = EVENT_HEAD_MOVED, .sid = commit->sid};
    int rc = HF_OK;

    if (!session)
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)commit->sid);
    else if (commit->sid != SHARED_SID)
        rc = memory_lease_check(handle, session, host, commit->token, err);
    else if (host != 0)
        rc = memory_host_check(world, host, err);
    if (rc == HF_OK && commit->base_version != session->head.version)
        rc = hf_fail(err, HF_CONFLICT, "session %s is at version %llu, not %llu", session->name,
                     (unsigned long long)session->head.version,
                     (unsigned long long)commit->base_version);
    if (rc == HF_OK)
        rc = memory_session_advance(handle, session, host, commit->token, commit, closure, err);
    if (rc != HF_OK)
        return rc;
    *ret_version = event.version = session->head.version;
    memory_tell_others(world, host, &event);
    return HF_OK;
}

int memory_commit(struct store *store, uint64_t host, const struct commit *commit,
                  uint64_t *ret_version, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct closure closure = {0};
    int rc = closure_build(&store->info.hasher, commit->objects, commit->nobjects, &commit->root,
                           &closure, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_enter(handle, err);
    if (rc == HF_OK) {
        rc = commit_to(handle, host, commit, &closure, ret_version, err);
        memory_leave(handle);
    }
    closure_free(&closure);
    return rc;
}

int memory_sync(struct store *store, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc == HF_OK)
        memory_leave(handle);
    return rc;
}

static int visit_version(const struct memory_world *world, const struct memory_session *session,
                         const struct memory_version *version, history_visit_fn visit, void *arg)
{
    const struct memory_host *host = memory_host_of(world, version->host);
    struct history_entry entry = {
        .sid = session->head.sid,
        .version = version->version,
        .root = version->root,
        .time = version->time,
        .host = version->host,
        .host_name = host ? host->identity.host_name : NULL,
        .token = version->token,
        .bytes = version->bytes,
        .files = version->files,
    };

    return visit(&entry, arg);
}

int memory_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                   history_visit_fn visit, void *arg, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    uint64_t shown = 0;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_of(handle->world, sid);
    if (!session)
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    for (size_t i = session ? session->nversions : 0; rc == HF_OK && i-- > 0;) {
        if (session->versions[i].version > from || (limit > 0 && shown == limit))
            continue;
        shown++;
        rc = visit_version(handle->world, session, &session->versions[i], visit, arg);
    }
    memory_leave(handle);
    return rc;
}

static bool among(uint64_t version, const uint64_t *versions, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (versions[i] == version)
            return true;
    return false;
}

static uint64_t drop_versions(struct memory_session *session, const uint64_t *versions, size_t n)
{
    size_t left = 0, before = session->nversions;

    for (size_t i = 0; i < before; i++) {
        const struct memory_version *version = &session->versions[i];

        if (version->version == session->head.version || !among(version->version, versions, n))
            session->versions[left++] = *version;
    }
    session->nversions = left;
    return before - left;
}

int memory_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                        uint64_t *ret_dropped, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_session *session;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    session = memory_session_of(handle->world, sid);
    if (session)
        *ret_dropped = drop_versions(session, versions, n);
    else
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    memory_leave(handle);
    return rc;
}

/* --- rescues ------------------------------------------------------------------------------------------ */

static int add_rescue(struct memory_store *handle, uint64_t host, const struct commit *commit,
                      const struct closure *closure, char *reason, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_rescue rescue = {
        .root = commit->root,
        .sid = commit->sid,
        .host = host,
        .token = commit->token,
        .version = commit->base_version,
        .bytes = commit->meta.bytes,
        .files = commit->meta.files,
        .time = clock_realtime(handle->clock),
        .reason = reason,
    };
    int rc =
        memory_reserve(&world->rescues, &world->rescues_cap, world->nrescues, sizeof rescue, err);

    if (rc == HF_OK)
        rc = memory_objects_add(world, closure, commit->objects, commit->nobjects, err);
    if (rc == HF_OK)
        rc = memory_audit_add(handle, AUDIT_RESCUE, commit->sid, host, commit->token, reason, err);
    if (rc == HF_OK) {
        rescue.id = ++world->last_rescue;
        world->rescues[world->nrescues++] = rescue;
    }
    return rc;
}

/* The number of one that was asked for before, and is asked for again; or 0. */
static uint64_t find_rescue(const struct memory_world *world, uint64_t host,
                            const struct commit *commit)
{
    for (size_t i = 0; i < world->nrescues; i++) {
        const struct memory_rescue *rescue = &world->rescues[i];

        if (rescue->sid == commit->sid && rescue->host == host && rescue->token == commit->token &&
            object_id_equal(&rescue->root, &commit->root))
            return rescue->id;
    }
    return 0;
}

static int rescue_to(struct memory_store *handle, uint64_t host, const struct commit *commit,
                     const struct closure *closure, const char *reason, uint64_t *ret_rescue_id,
                     struct hf_error *err)
{
    uint64_t before;
    char *copy;
    int rc;

    if (!memory_session_of(handle->world, commit->sid))
        return hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)commit->sid);
    before = find_rescue(handle->world, host, commit);
    if (before != 0) {
        *ret_rescue_id = before;
        return HF_OK;
    }
    copy = strdup(reason);
    if (!copy)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = add_rescue(handle, host, commit, closure, copy, err);
    if (rc == HF_OK)
        *ret_rescue_id = handle->world->last_rescue;
    else
        free(copy);
    return rc;
}

int memory_rescue(struct store *store, uint64_t host, const struct commit *commit,
                  const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct closure closure = {0};
    int rc = closure_build(&store->info.hasher, commit->objects, commit->nobjects, &commit->root,
                           &closure, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_enter(handle, err);
    if (rc == HF_OK) {
        rc = rescue_to(handle, host, commit, &closure, reason, ret_rescue_id, err);
        memory_leave(handle);
    }
    closure_free(&closure);
    return rc;
}

static int visit_rescue(struct memory_world *world, const struct memory_rescue *rescue,
                        rescue_visit_fn visit, void *arg)
{
    const struct memory_session *session = memory_session_of(world, rescue->sid);
    const struct memory_host *host = memory_host_of(world, rescue->host);
    struct rescue_info info = {
        .id = rescue->id,
        .sid = rescue->sid,
        .session_name = session->name,
        .trashed = session->state == SESSION_TRASHED,
        .version = rescue->version,
        .root = rescue->root,
        .time = rescue->time,
        .host = rescue->host,
        .host_name = host ? host->identity.host_name : NULL,
        .token = rescue->token,
        .bytes = rescue->bytes,
        .files = rescue->files,
        .reason = rescue->reason,
    };

    return visit(&info, arg);
}

int memory_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                       struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    if (sid != UINT64_MAX && !memory_session_of(world, sid))
        rc = hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)sid);
    for (size_t i = 0; rc == HF_OK && i < world->nrescues; i++)
        if (sid == UINT64_MAX || world->rescues[i].sid == sid)
            rc = visit_rescue(world, &world->rescues[i], visit, arg);
    memory_leave(handle);
    return rc;
}

/* Forgets those of a session; with `id` only that one. Returns how many. */
static size_t forget(struct memory_world *world, uint64_t sid, uint64_t id)
{
    size_t left = 0, before = world->nrescues;

    for (size_t i = 0; i < before; i++) {
        struct memory_rescue *rescue = &world->rescues[i];

        if (rescue->sid == sid && (id == 0 || rescue->id == id))
            free(rescue->reason);
        else
            world->rescues[left++] = *rescue;
    }
    world->nrescues = left;
    return before - left;
}

void memory_rescues_forget(struct memory_world *world, uint64_t sid)
{
    forget(world, sid, 0);
}

int memory_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    if (rescue == 0 || forget(handle->world, sid, rescue) == 0)
        rc = hf_fail(err, HF_NOENT, "the session has no rescue version %llu",
                     (unsigned long long)rescue);
    memory_leave(handle);
    return rc;
}
