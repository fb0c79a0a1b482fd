/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <uuid/uuid.h>

#include "engine/memory/world.h"

/* --- where from ------------------------------------------------------------------------------------- */

/* Whether copies from there may come here. */
static int check_origin(struct memory_store *handle, const uint8_t origin[UUID_SIZE],
                        struct hf_error *err)
{
    struct memory_world *world = handle->world;
    const struct memory_setting *known = memory_setting_find(world, SETTING_ORIGIN);
    char text[UUID_STR_LEN];
    const size_t len = sizeof text - 1;

    uuid_unparse_lower(origin, text);
    if (known && (known->text.len != len || memcmp(known->text.data, text, len) != 0))
        return hf_fail(err, HF_CONFLICT, "the sessions here are copies of another store");
    if (!known && (world->nsessions > 1 || world->sessions[SHARED_SID]->head.version > 0))
        return hf_fail(err, HF_CONFLICT, "the store has sessions of its own");
    return HF_OK;
}

/* Notes where copies come from when this is the first. */
static int note_origin(struct memory_store *handle, const uint8_t origin[UUID_SIZE],
                       struct hf_error *err)
{
    char text[UUID_STR_LEN];

    if (memory_setting_find(handle->world, SETTING_ORIGIN))
        return HF_OK;
    uuid_unparse_lower(origin, text);
    return memory_setting_write(handle->world, SETTING_ORIGIN, slice_of(text, sizeof text - 1),
                                err);
}

static int check_root(struct memory_world *world, const struct object_id *root,
                      struct hf_error *err)
{
    const struct memory_object *object = memory_object_find(world, root);

    if (!object)
        return hf_fail(err, HF_MISSING, "a root is not in the store");
    return object->kind == OBJECT_ROOT ? HF_OK
                                       : hf_fail(err, HF_CORRUPT, "what is to be a root is none");
}

/* The host that stands here for one of the other store: one that is gone. */
static int host_here(struct memory_store *handle, const uint8_t origin[UUID_SIZE], uint64_t host,
                     const char *name, uint64_t *ret_host, struct hf_error *err)
{
    struct host_identity identity = {.incarnation = host, .host_name = name};
    struct memory_world *world = handle->world;

    *ret_host = 0;
    if (host == 0 || !name)
        return HF_OK;
    for (uint64_t n = 1; n <= world->nhosts; n++) {
        const struct memory_host *entry = memory_host_of(world, n);

        if (!entry->alive && entry->identity.pid == 0 && entry->identity.incarnation == host &&
            memcmp(entry->identity.mount_id, origin, UUID_SIZE) == 0 &&
            strcmp(entry->identity.host_name, name) == 0) {
            *ret_host = n;
            return HF_OK;
        }
    }
    memcpy(identity.mount_id, origin, UUID_SIZE);
    return memory_host_add_gone(handle, &identity, ret_host, err);
}

/* Makes room for a session of this number; those in between are not there. */
static int reach_number(struct memory_world *world, uint64_t sid, struct hf_error *err)
{
    int rc = HF_OK;

    while (rc == HF_OK && world->nsessions <= sid) {
        rc = memory_reserve(&world->sessions, &world->sessions_cap, world->nsessions,
                            sizeof(*world->sessions), err);
        if (rc == HF_OK)
            world->sessions[world->nsessions++] = NULL;
    }
    return rc;
}

/* --- sessions --------------------------------------------------------------------------------------- */

/* What is found and made before anything changes. */
struct receive {
    struct memory_store *handle;
    const struct session_copy *copy;
    struct memory_session *session; /* here; maybe one that was forgotten, or a new one */
    struct memory_session *other;   /* that has lost its name there; or NULL */
    bool is_new;
    bool takes_head;
    struct memory_version *versions; /* all that there will be */
    size_t nversions;
    char *name;
    struct meta_strings meta;
};

static int check_unused(const struct receive *receive, const struct memory_session *session,
                        struct hf_error *err)
{
    if (!session || session->lease.state == LEASE_FREE ||
        (!memory_host_alive(receive->handle->world, session->lease.host) &&
         memory_queue_heir(receive->handle, session) == 0))
        return HF_OK;
    return hf_fail(err, HF_BUSY, "session %s is leased here", session->name);
}

static int take_from_dead(struct receive *receive, struct memory_session *session,
                          struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_BREAK};
    struct lease_step step;

    if (!session || session->lease.state == LEASE_FREE)
        return HF_OK;
    request.token = session->lease.token;
    return memory_lease_apply(receive->handle, session, &request,
                              "a copy of the session was received", &step, err);
}

static const struct memory_version *find_version(const struct memory_session *session,
                                                 uint64_t version)
{
    for (size_t i = 0; i < session->nversions; i++)
        if (session->versions[i].version == version)
            return &session->versions[i];
    return NULL;
}

static int add_version(struct receive *receive, const struct history_entry *entry,
                       struct hf_error *err)
{
    struct memory_version version = {
        .version = entry->version,
        .root = entry->root,
        .time = entry->time,
        .token = entry->token,
        .bytes = entry->bytes,
        .files = entry->files,
    };
    int rc = check_root(receive->handle->world, &entry->root, err);

    if (rc == HF_OK)
        rc = host_here(receive->handle, receive->copy->origin, entry->host, entry->host_name,
                       &version.host, err);
    if (rc == HF_OK)
        receive->versions[receive->nversions++] = version;
    return rc;
}

static int compare_versions(const void *a, const void *b)
{
    const struct memory_version *left = a, *right = b;

    return left->version < right->version ? -1 : left->version > right->version;
}

static int gather_versions(struct receive *receive, struct hf_error *err)
{
    const struct memory_session *session = receive->session;
    const struct session_copy *copy = receive->copy;
    int rc = HF_OK;

    receive->versions =
        reallocarray(NULL, session->nversions + copy->nversions, sizeof *receive->versions);
    if (!receive->versions)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < session->nversions; i++)
        receive->versions[receive->nversions++] = session->versions[i];
    for (size_t i = 0; i < copy->nversions && rc == HF_OK; i++) {
        const struct history_entry *entry = &copy->versions[i];
        const struct memory_version *here = find_version(session, entry->version);

        if (!here)
            rc = add_version(receive, entry, err);
        else if (!object_id_equal(&here->root, &entry->root))
            rc = hf_fail(err, HF_CONFLICT, "version %llu of session %s is another one here",
                         (unsigned long long)entry->version, copy->name);
    }
    qsort(receive->versions, receive->nversions, sizeof *receive->versions, compare_versions);
    return rc;
}

static int prepare(struct receive *receive, struct hf_error *err)
{
    const struct session_copy *copy = receive->copy;
    struct memory_world *world = receive->handle->world;
    int rc = HF_OK;

    receive->session = copy->sid < world->nsessions ? world->sessions[copy->sid] : NULL;
    receive->is_new = !receive->session;
    if (receive->is_new)
        receive->session = memory_session_new(copy->name, copy->sid, copy->created);
    receive->name = strdup(copy->name);
    if (!receive->session || !receive->name || memory_meta_copy(&copy->meta, &receive->meta))
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (receive->is_new)
        receive->session->state = SESSION_TRASHED; /* under no name yet */
    receive->takes_head =
        copy->versions[copy->nversions - 1].version >= receive->session->head.version;
    if (receive->takes_head && copy->sid != SHARED_SID && copy->state == SESSION_LIVE)
        receive->other = memory_session_find_name(world, copy->name);
    if (receive->other == receive->session)
        receive->other = NULL;
    rc = check_unused(receive, receive->session, err);
    if (rc == HF_OK)
        rc = check_unused(receive, receive->other, err);
    return rc == HF_OK ? gather_versions(receive, err) : rc;
}

/* Lists the session under the name that it has there, or under none. Fails before it changes anything. */
static int take_name(struct receive *receive, struct hf_error *err)
{
    struct memory_world *world = receive->handle->world;
    struct memory_session *session = receive->session, *other = receive->other;
    bool was_listed = session->state == SESSION_LIVE && session->head.sid != SHARED_SID;
    bool listed = receive->copy->state == SESSION_LIVE && session->head.sid != SHARED_SID;
    char *old = session->name;
    int rc = HF_OK;

    if (was_listed)
        htable_remove(&world->names, &session->by_name);
    session->name = receive->name;
    if (listed)
        rc = memory_session_list_name(world, session, err);
    if (rc != HF_OK) {
        session->name = old;
        return rc;
    }
    receive->name = old;
    if (other) {
        htable_remove(&world->names, &other->by_name);
        other->state = SESSION_TRASHED;
        other->trashed = clock_realtime(receive->handle->clock);
        memory_session_tell_changed(world, 0, other->head.sid);
    }
    return rc;
}

static void take_head(struct receive *receive)
{
    const struct session_copy *copy = receive->copy;
    const struct history_entry *head = &copy->versions[copy->nversions - 1];
    struct memory_session *session = receive->session;
    struct meta_strings old = session->meta;

    session->meta = receive->meta;
    receive->meta = old;
    session->state = copy->state;
    session->purged = false;
    session->created = copy->created;
    session->trashed = copy->state == SESSION_TRASHED ? copy->trashed : 0;
    session->head.version = head->version;
    session->head.root = head->root;
    session->head.time = head->time;
    session->head.bytes = head->bytes;
    session->head.files = head->files;
}

/* Nothing fails here but the first steps, which change nothing that shows. */
static int apply(struct receive *receive, struct hf_error *err)
{
    const struct session_copy *copy = receive->copy;
    struct memory_session *session = receive->session;
    struct memory_world *world = receive->handle->world;
    struct store_event moved = {.kind = EVENT_HEAD_MOVED, .sid = copy->sid};
    uint64_t old = session->head.version;
    int rc = reach_number(world, copy->sid, err);

    if (rc == HF_OK)
        rc = take_from_dead(receive, session, err);
    if (rc == HF_OK)
        rc = take_from_dead(receive, receive->other, err);
    if (rc == HF_OK && receive->takes_head)
        rc = take_name(receive, err);
    if (rc != HF_OK)
        return rc;
    free(session->versions);
    session->versions = receive->versions;
    session->nversions = session->versions_cap = receive->nversions;
    receive->versions = NULL;
    if (receive->takes_head)
        take_head(receive);
    if (copy->token > session->lease.token)
        session->lease.token = copy->token;
    world->sessions[copy->sid] = session;
    receive->is_new = false;
    memory_session_tell_changed(world, 0, copy->sid);
    moved.version = session->head.version;
    if (moved.version != old)
        memory_tell_others(world, 0, &moved);
    return rc;
}

int memory_session_receive(struct store *store, const struct session_copy *copy,
                           struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct receive receive = {.handle = handle, .copy = copy};
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = check_origin(handle, copy->origin, err);
    if (rc == HF_OK)
        rc = prepare(&receive, err);
    if (rc == HF_OK)
        rc = note_origin(handle, copy->origin, err);
    if (rc == HF_OK)
        rc = apply(&receive, err);
    if (receive.is_new)
        memory_session_free(receive.session);
    memory_leave(handle);
    free(receive.versions);
    free(receive.name);
    meta_strings_free(&receive.meta);
    return rc;
}

/* --- rescues ---------------------------------------------------------------------------------------- */

static const struct memory_rescue *find_rescue(const struct memory_world *world, uint64_t id)
{
    for (size_t i = 0; i < world->nrescues; i++)
        if (world->rescues[i].id == id)
            return &world->rescues[i];
    return NULL;
}

static int insert_rescue(struct memory_store *handle, const uint8_t *origin,
                         const struct rescue_info *info, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_rescue rescue = {
        .id = info->id,
        .root = info->root,
        .sid = info->sid,
        .token = info->token,
        .version = info->version,
        .bytes = info->bytes,
        .files = info->files,
        .time = info->time,
    };
    size_t place = world->nrescues;
    int rc =
        memory_reserve(&world->rescues, &world->rescues_cap, world->nrescues, sizeof rescue, err);

    if (rc == HF_OK)
        rc = host_here(handle, origin, info->host, info->host_name, &rescue.host, err);
    if (rc == HF_OK && !(rescue.reason = strdup(info->reason)))
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc != HF_OK)
        return rc;
    for (; place > 0 && world->rescues[place - 1].id > rescue.id; place--)
        world->rescues[place] = world->rescues[place - 1];
    world->rescues[place] = rescue;
    world->nrescues++;
    if (world->last_rescue < rescue.id)
        world->last_rescue = rescue.id;
    return HF_OK;
}

static int receive_rescue(struct memory_store *handle, const uint8_t *origin,
                          const struct rescue_info *rescue, struct hf_error *err)
{
    const struct memory_rescue *here = find_rescue(handle->world, rescue->id);
    int rc;

    if (!memory_session_of(handle->world, rescue->sid))
        return hf_fail(err, HF_NOENT, "there is no session %llu", (unsigned long long)rescue->sid);
    rc = check_origin(handle, origin, err);
    if (rc == HF_OK && here &&
        (here->sid != rescue->sid || !object_id_equal(&here->root, &rescue->root)))
        rc = hf_fail(err, HF_CONFLICT, "the rescue version %llu is another one here",
                     (unsigned long long)rescue->id);
    if (rc != HF_OK || here)
        return rc;
    rc = check_root(handle->world, &rescue->root, err);
    return rc == HF_OK ? insert_rescue(handle, origin, rescue, err) : rc;
}

int memory_rescue_receive(struct store *store, const uint8_t *origin,
                          const struct rescue_info *rescue, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = receive_rescue(handle, origin, rescue, err);
    memory_leave(handle);
    return rc;
}

/* --- snapshots -------------------------------------------------------------------------------------- */

static bool pins_same(const struct memory_snapshot *snapshot, const struct snapshot_copy *copy)
{
    for (size_t i = 0; i < snapshot->npins && i < copy->npins; i++)
        if (snapshot->pins[i].sid != copy->pins[i].sid ||
            snapshot->pins[i].version != copy->pins[i].version ||
            !object_id_equal(&snapshot->pins[i].root, &copy->pins[i].root))
            return false;
    return snapshot->npins == copy->npins;
}

static int copy_pins(struct memory_world *world, const struct snapshot_copy *copy,
                     struct memory_snapshot *snapshot, struct hf_error *err)
{
    int rc = HF_OK;

    snapshot->name = strdup(copy->name);
    snapshot->time = copy->time;
    snapshot->pins = calloc(copy->npins + 1, sizeof *snapshot->pins);
    if (!snapshot->name || !snapshot->pins)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < copy->npins && rc == HF_OK; i++) {
        rc = check_root(world, &copy->pins[i].root, err);
        if (rc == HF_OK)
            rc = memory_snapshot_add_pin(snapshot, &copy->pins[i], err);
    }
    return rc;
}

static int receive_snapshot(struct memory_store *handle, const struct snapshot_copy *copy,
                            struct hf_error *err)
{
    struct memory_world *world = handle->world;
    const struct memory_snapshot *here = memory_snapshot_find(world, copy->name);
    struct memory_snapshot snapshot = {0};
    int rc = check_origin(handle, copy->origin, err);

    if (rc == HF_OK && here && !pins_same(here, copy))
        rc = hf_fail(err, HF_CONFLICT, "the snapshot %s pins something else here", copy->name);
    if (rc != HF_OK || here)
        return rc;
    rc = copy_pins(world, copy, &snapshot, err);
    if (rc == HF_OK)
        rc = note_origin(handle, copy->origin, err);
    if (rc == HF_OK && copy->npins > 0)
        rc = reach_number(world, copy->pins[copy->npins - 1].sid, err);
    if (rc == HF_OK)
        rc = memory_snapshot_insert(world, &snapshot, err);
    if (rc != HF_OK)
        memory_snapshot_free(&snapshot);
    return rc;
}

int memory_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                            struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = receive_snapshot(handle, copy, err);
    memory_leave(handle);
    return rc;
}
