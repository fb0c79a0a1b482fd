/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdlib.h>

#include "engine/memory/world.h"

/* No glob takes everything that has a root, the shared tree too. */
static bool wanted(const struct memory_session *session, const char *const *globs, size_t n)
{
    if (!session || session->state != SESSION_LIVE || session->head.version == 0)
        return false;
    if (n == 0)
        return true;
    for (size_t i = 0; session->head.sid != SHARED_SID && i < n; i++)
        if (fnmatch(globs[i], session->name, 0) == 0)
            return true;
    return false;
}

int memory_snapshot_add_pin(struct memory_snapshot *snapshot, const struct pin_info *info,
                            struct hf_error *err)
{
    struct memory_pin pin = {
        .name = strdup(info->session_name),
        .sid = info->sid,
        .version = info->version,
        .bytes = info->bytes,
        .files = info->files,
        .time = info->time,
        .root = info->root,
    };

    if (!pin.name)
        return hf_fail(err, HF_NOMEM, "out of memory");
    snapshot->pins[snapshot->npins++] = pin;
    snapshot->sessions += info->sid != SHARED_SID;
    return HF_OK;
}

static int take_pin(struct memory_snapshot *snapshot, const struct memory_session *session,
                    struct hf_error *err)
{
    const struct session_head *head = &session->head;
    struct pin_info pin = {
        .sid = head->sid,
        .session_name = session->name,
        .version = head->version,
        .root = head->root,
        .time = head->time,
        .bytes = head->bytes,
        .files = head->files,
    };

    return memory_snapshot_add_pin(snapshot, &pin, err);
}

static int take_pins(struct memory_world *world, const char *const *globs, size_t n,
                     struct memory_snapshot *snapshot, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t sid = 0; rc == HF_OK && sid < world->nsessions; sid++) {
        const struct memory_session *session = memory_session_of(world, sid);

        if (wanted(session, globs, n))
            rc = take_pin(snapshot, session, err);
    }
    return rc;
}

void memory_snapshot_free(struct memory_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->npins; i++)
        free(snapshot->pins[i].name);
    free(snapshot->pins);
    free(snapshot->name);
}

/* The place of `name` in the order of names; *ret_there: it is there. */
static size_t snapshot_place(const struct memory_world *world, const char *name, bool *ret_there)
{
    size_t i = 0;

    while (i < world->nsnapshots && strcmp(world->snapshots[i].name, name) < 0)
        i++;
    *ret_there = i < world->nsnapshots && strcmp(world->snapshots[i].name, name) == 0;
    return i;
}

struct memory_snapshot *memory_snapshot_find(struct memory_world *world, const char *name)
{
    bool there;
    size_t place = snapshot_place(world, name, &there);

    return there ? &world->snapshots[place] : NULL;
}

int memory_snapshot_insert(struct memory_world *world, const struct memory_snapshot *snapshot,
                           struct hf_error *err)
{
    bool there;
    size_t place = snapshot_place(world, snapshot->name, &there);
    int rc = memory_reserve(&world->snapshots, &world->snapshots_cap, world->nsnapshots,
                            sizeof *snapshot, err);

    if (rc != HF_OK)
        return rc;
    memmove(&world->snapshots[place + 1], &world->snapshots[place],
            (world->nsnapshots - place) * sizeof *snapshot);
    world->snapshots[place] = *snapshot;
    world->nsnapshots++;
    return HF_OK;
}

static int add_snapshot(struct memory_store *handle, const char *name, const char *const *globs,
                        size_t n, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_snapshot snapshot = {.time = clock_realtime(handle->clock)};
    int rc;

    if (memory_snapshot_find(world, name))
        return hf_fail(err, HF_EXIST, "there is a snapshot %s already", name);
    snapshot.name = strdup(name);
    snapshot.pins = calloc(world->nsessions, sizeof *snapshot.pins);
    rc = snapshot.name && snapshot.pins ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = take_pins(world, globs, n, &snapshot, err);
    if (rc == HF_OK && n > 0 && snapshot.npins == 0)
        rc = hf_fail(err, HF_NOENT, "no session matches");
    if (rc == HF_OK)
        rc = memory_snapshot_insert(world, &snapshot, err);
    if (rc != HF_OK)
        memory_snapshot_free(&snapshot);
    return rc;
}

int memory_snapshot_create(struct store *store, const char *name, const char *const *globs,
                           size_t n, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = add_snapshot(handle, name, globs, n, err);
    memory_leave(handle);
    return rc;
}

int memory_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; rc == HF_OK && i < handle->world->nsnapshots; i++) {
        const struct memory_snapshot *snapshot = &handle->world->snapshots[i];
        struct snapshot_info info = {snapshot->name, snapshot->time, snapshot->sessions};

        rc = visit(&info, arg);
    }
    memory_leave(handle);
    return rc;
}

int memory_snapshot_delete(struct store *store, const char *name, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    bool there;
    size_t place;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    place = snapshot_place(world, name, &there);
    if (there) {
        memory_snapshot_free(&world->snapshots[place]);
        world->nsnapshots--;
        memmove(&world->snapshots[place], &world->snapshots[place + 1],
                (world->nsnapshots - place) * sizeof(*world->snapshots));
    } else {
        rc = hf_fail(err, HF_NOENT, "there is no snapshot %s", name);
    }
    memory_leave(handle);
    return rc;
}

int memory_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    const struct memory_snapshot *snapshot;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    snapshot = memory_snapshot_find(handle->world, name);
    if (!snapshot)
        rc = hf_fail(err, HF_NOENT, "there is no snapshot %s", name);
    for (size_t i = 0; snapshot && rc == HF_OK && i < snapshot->npins; i++) {
        const struct memory_pin *pin = &snapshot->pins[i];

        rc = visit(&(struct pin_info){.sid = pin->sid,
                                      .session_name = pin->name,
                                      .version = pin->version,
                                      .root = pin->root,
                                      .time = pin->time,
                                      .bytes = pin->bytes,
                                      .files = pin->files},
                   arg);
    }
    memory_leave(handle);
    return rc;
}

/* --- roots ------------------------------------------------------------------------------------------ */

static struct root_info root_of(const struct memory_session *session, enum root_kind kind)
{
    return (struct root_info){
        .kind = kind,
        .sid = session->head.sid,
        .session_name = session->name,
        .trashed = session->state == SESSION_TRASHED,
        .version = session->head.version,
        .root = session->head.root,
        .time = session->head.time,
        .bytes = session->head.bytes,
        .files = session->head.files,
    };
}

static int visit_session_roots(const struct memory_session *session, root_visit_fn visit, void *arg)
{
    struct root_info root = root_of(session, ROOT_HEAD);
    int rc = session->head.version > 0 ? visit(&root, arg) : HF_OK;

    for (size_t i = 0; rc == HF_OK && i < session->nversions; i++) {
        const struct memory_version *version = &session->versions[i];

        root.kind = ROOT_HISTORY;
        root.version = version->version;
        root.root = version->root;
        root.time = version->time;
        root.bytes = version->bytes;
        root.files = version->files;
        rc = visit(&root, arg);
    }
    return rc;
}

static int visit_snapshot_roots(struct memory_world *world, const struct memory_snapshot *snapshot,
                                root_visit_fn visit, void *arg)
{
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < snapshot->npins; i++) {
        const struct memory_pin *pin = &snapshot->pins[i];
        const struct memory_session *session = memory_session_of(world, pin->sid);
        struct root_info root = {
            .kind = ROOT_SNAPSHOT,
            .sid = pin->sid,
            .session_name = pin->name,
            .trashed = session && session->state == SESSION_TRASHED,
            .version = pin->version,
            .root = pin->root,
            .time = snapshot->time,
            .bytes = pin->bytes,
            .files = pin->files,
            .label = snapshot->name,
        };
        rc = visit(&root, arg);
    }
    return rc;
}

static int visit_rescue_root(const struct memory_world *world, size_t i, root_visit_fn visit,
                             void *arg)
{
    const struct memory_rescue *rescue = &world->rescues[i];
    struct root_info root = root_of(world->sessions[rescue->sid], ROOT_RESCUE);

    root.version = rescue->version;
    root.root = rescue->root;
    root.time = rescue->time;
    root.bytes = rescue->bytes;
    root.files = rescue->files;
    root.label = rescue->reason;
    root.rescue = rescue->id;
    return visit(&root, arg);
}

int memory_roots_visit(struct memory_world *world, root_visit_fn visit, void *arg)
{
    int rc = HF_OK;

    for (size_t sid = 0; rc == HF_OK && sid < world->nsessions; sid++) {
        const struct memory_session *session = memory_session_of(world, sid);

        if (session)
            rc = visit_session_roots(session, visit, arg);
    }
    for (size_t i = 0; rc == HF_OK && i < world->nsnapshots; i++)
        rc = visit_snapshot_roots(world, &world->snapshots[i], visit, arg);
    for (size_t i = 0; rc == HF_OK && i < world->nrescues; i++)
        rc = visit_rescue_root(world, i, visit, arg);
    return rc;
}

int memory_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_roots_visit(handle->world, visit, arg);
    memory_leave(handle);
    return rc;
}
