/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/memory/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <uuid/uuid.h>

#include "engine/memory/world.h"

/* Worlds that can be opened by name. */
static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct memory_world *registry;

int memory_enter(struct memory_store *handle, struct hf_error *err)
{
    pthread_mutex_lock(&handle->world->mutex);
    if (!handle->killed) {
        memory_hosts_tick(handle);
        return HF_OK;
    }
    pthread_mutex_unlock(&handle->world->mutex);
    return hf_fail(err, HF_IO, "the host was killed");
}

void memory_leave(struct memory_store *handle)
{
    pthread_mutex_unlock(&handle->world->mutex);
}

int memory_reserve(void *items, size_t *cap, size_t count, size_t size, struct hf_error *err)
{
    void *old, *bigger;
    size_t more = *cap ? *cap * 2 : 8;

    if (count < *cap)
        return HF_OK;
    memcpy(&old, items, sizeof old);
    bigger = reallocarray(old, more, size);
    if (!bigger)
        return hf_fail(err, HF_NOMEM, "out of memory");
    memcpy(items, &bigger, sizeof bigger);
    *cap = more;
    return HF_OK;
}

/* --- the whole store -------------------------------------------------------------------------------- */

static int memory_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    struct store_stats stats = {0};
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t sid = 0; sid < world->nsessions; sid++) {
        const struct memory_session *session = memory_session_of(world, sid);

        if (!session)
            continue;
        stats.versions += session->nversions;
        stats.logical_bytes += session->state == SESSION_LIVE ? session->head.bytes : 0;
        stats.trashed += session->state == SESSION_TRASHED;
        stats.sessions += sid != SHARED_SID && session->state == SESSION_LIVE;
        stats.commits += session->head.version;
        stats.leases += session->lease.host != 0;
        for (size_t i = 0; i < session->nqueue; i++)
            stats.waiting += session->queue[i].granted == 0;
    }
    stats.objects = world->objects.count;
    stats.unique_bytes = stats.stored_bytes = stats.file_bytes = world->content_bytes;
    tally_tell(&store->tally, &stats.activity);
    *ret_stats = stats;
    memory_leave(handle);
    return HF_OK;
}

static int memory_check(struct store *store, check_report_fn report, void *arg,
                        struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_objects_check(world, report, arg);
    for (size_t sid = 1; rc == HF_OK && sid < world->nsessions; sid++) {
        const struct memory_session *session = memory_session_of(world, sid);
        struct check_finding finding = {
            .status = HF_CORRUPT, .what = "lease", .has_session = true, .sid = sid};

        if (!session)
            continue;
        finding.message = lease_row_fault(&session->lease);
        finding.version = session->head.version;

        if (finding.message)
            rc = report(&finding, arg);
    }
    memory_leave(handle);
    return rc;
}

/* --- opening and closing ---------------------------------------------------------------------------- */

static void free_object(struct hnode *node, void *arg)
{
    (void)arg;
    free(HTABLE_ENTRY(node, struct memory_object, hnode));
}

static void free_rows(struct memory_world *world)
{
    for (size_t i = 0; i < world->nhosts; i++) {
        free((char *)world->hosts[i].identity.host_name);
        free((char *)world->hosts[i].identity.mount_point);
        free((char *)world->hosts[i].identity.principal);
    }
    for (size_t i = 0; i < world->naudit; i++)
        free(world->audit[i].detail);
    for (size_t i = 0; i < world->nrescues; i++)
        free(world->rescues[i].reason);
    for (size_t i = 0; i < world->nsnapshots; i++)
        memory_snapshot_free(&world->snapshots[i]);
    memory_settings_free(world);
    free(world->hosts);
    free(world->audit);
    free(world->rescues);
    free(world->snapshots);
    free(world->locks);
}

static void world_free(struct memory_world *world)
{
    if (!world)
        return;
    htable_each(&world->objects, free_object, NULL);
    htable_free(&world->objects);
    memory_loose_free(world);
    for (size_t i = 0; i < world->nsessions; i++)
        memory_session_free(world->sessions[i]);
    free(world->sessions);
    htable_free(&world->names);
    free_rows(world);
    pthread_cond_destroy(&world->changed);
    pthread_mutex_destroy(&world->mutex);
    free(world->name);
    free(world);
}

static void cond_init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

/* The key that was asked for, or a random one. */
static int make_key(const uint8_t *key, struct object_hasher *hasher, struct hf_error *err)
{
    hasher->keyed = true;
    if (key)
        memcpy(hasher->key, key, sizeof hasher->key);
    else if (getrandom(hasher->key, sizeof hasher->key, 0) != (ssize_t)sizeof hasher->key)
        return hf_fail(err, HF_IO, "the system gives no random numbers for the store's key");
    return HF_OK;
}

static int world_new(const char *name, const struct store_create_options *create,
                     const struct clock *clock, struct memory_world **ret_world,
                     struct hf_error *err)
{
    struct memory_world *world = calloc(1, sizeof *world);
    int rc;

    if (!world || !(world->name = strdup(name))) {
        free(world);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    pthread_mutex_init(&world->mutex, NULL);
    cond_init_monotonic(&world->changed);
    uuid_generate(world->uuid);
    world->chunker = create && create->chunker.max ? create->chunker : CHUNKER_DEFAULT;
    world->close_durability = create && create->strict ? DURABILITY_SYNC : DURABILITY_RELAXED;
    rc = memory_session_add_shared(world, clock_realtime(clock), err);
    if (rc == HF_OK && create && create->keyed)
        rc = make_key(create->key, &world->hasher, err);
    if (rc != HF_OK)
        world_free(world);
    else
        *ret_world = world;
    return rc;
}

/* Finds or makes the world, and counts one more handle of it. Under the registry's lock. */
static int world_get(const char *name, unsigned flags, const struct store_create_options *create,
                     const struct clock *clock, struct memory_world **ret_world,
                     struct hf_error *err)
{
    struct memory_world *world = name[0] ? registry : NULL;
    int rc;

    while (world && strcmp(world->name, name) != 0)
        world = world->next;
    if (!world) {
        if (!(flags & STORE_CREATE))
            return hf_fail(err, HF_NOENT, "there is no store memory:%s", name);
        rc = world_new(name, create, clock, &world, err);
        if (rc != HF_OK)
            return rc;
        world->next = registry;
        registry = world;
    }
    world->handles++;
    *ret_world = world;
    return HF_OK;
}

static void world_put(struct memory_world *world)
{
    bool last;

    pthread_mutex_lock(&registry_mutex);
    last = --world->handles == 0;
    for (struct memory_world **link = &registry; last && *link; link = &(*link)->next) {
        if (*link == world) {
            *link = world->next;
            break;
        }
    }
    pthread_mutex_unlock(&registry_mutex);
    if (last)
        world_free(world);
}

static void memory_close(struct store *store)
{
    struct memory_store *handle = memory_store_of(store);

    memory_events_stop(handle);
    pthread_mutex_lock(&handle->world->mutex);
    memory_hosts_leave(handle);
    pthread_mutex_unlock(&handle->world->mutex);
    world_put(handle->world);
    pthread_cond_destroy(&handle->wake);
    pthread_cond_destroy(&handle->told);
    free(handle->queue);
    free(handle);
}

static const struct store_ops memory_ops = {
    .name = "memory",
    .close = memory_close,
    .put = memory_put,
    .get = memory_get,
    .missing = memory_missing,
    .session_list = memory_session_list,
    .session_find = memory_session_find,
    .session_head = memory_session_head,
    .session_create = memory_session_create,
    .session_rename = memory_session_rename,
    .session_delete = memory_session_delete,
    .session_undelete = memory_session_undelete,
    .session_purge = memory_session_purge,
    .commit = memory_commit,
    .sync = memory_sync,
    .history = memory_history,
    .history_drop = memory_history_drop,
    .rescue = memory_rescue,
    .rescue_list = memory_rescue_list,
    .rescue_drop = memory_rescue_drop,
    .host_register = memory_host_register,
    .host_heartbeat = memory_host_heartbeat,
    .host_detach = memory_host_detach,
    .host_end = memory_host_end,
    .host_deadline = memory_host_deadline,
    .host_list = memory_host_list,
    .lease_acquire = memory_lease_acquire,
    .lease_ask = memory_lease_ask,
    .lease_withdraw = memory_lease_withdraw,
    .lease_release = memory_lease_release,
    .lease_refuse = memory_lease_refuse,
    .lease_break = memory_lease_break,
    .lease_list = memory_lease_list,
    .audit = memory_audit,
    .lock_set = memory_lock_set,
    .lock_test = memory_lock_test,
    .snapshot_create = memory_snapshot_create,
    .snapshot_list = memory_snapshot_list,
    .snapshot_delete = memory_snapshot_delete,
    .snapshot_pins = memory_snapshot_pins,
    .roots = memory_roots,
    .session_receive = memory_session_receive,
    .rescue_receive = memory_rescue_receive,
    .snapshot_receive = memory_snapshot_receive,
    .setting_get = memory_setting_get,
    .setting_set = memory_setting_set,
    .mend = memory_mend,
    .collect = memory_collect,
    .stats = memory_stats,
    .check = memory_check,
};

struct memory_store *memory_store_of(struct store *store)
{
    assert(store->ops == &memory_ops);
    return (struct memory_store *)store;
}

static void fill_info(struct store_info *info, const struct memory_world *world, unsigned flags)
{
    memcpy(info->uuid, world->uuid, UUID_SIZE);
    info->chunker = world->chunker;
    info->hasher = world->hasher;
    info->close_durability = world->close_durability;
    info->read_only = flags & STORE_READ_ONLY;
    snprintf(info->location, sizeof info->location, "memory:%s", world->name);
}

int memory_store_open(const char *name, unsigned flags, const struct store_create_options *create,
                      const struct clock *clock, struct store **ret_store, struct hf_error *err)
{
    struct memory_store *handle = calloc(1, sizeof *handle);
    int rc;

    if (!handle)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_lock(&registry_mutex);
    rc = world_get(name, flags, create, clock, &handle->world, err);
    pthread_mutex_unlock(&registry_mutex);
    if (rc != HF_OK) {
        free(handle);
        return rc;
    }
    handle->base.ops = &memory_ops;
    handle->clock = clock;
    cond_init_monotonic(&handle->wake);
    pthread_cond_init(&handle->told, NULL);
    fill_info(&handle->base.info, handle->world, flags);
    *ret_store = &handle->base;
    return HF_OK;
}
