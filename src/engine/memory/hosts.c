/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"

const struct memory_host *memory_host_of(const struct memory_world *world, uint64_t host)
{
    return host > 0 && host <= world->nhosts ? &world->hosts[host - 1] : NULL;
}

bool memory_host_alive(const struct memory_world *world, uint64_t host)
{
    const struct memory_host *entry = memory_host_of(world, host);

    return entry && entry->alive;
}

int memory_host_check(const struct memory_world *world, uint64_t host, struct hf_error *err)
{
    if (host == 0 || memory_host_alive(world, host))
        return HF_OK;
    return hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
}

/* --- events ------------------------------------------------------------------------------------ */

void memory_tell(struct memory_world *world, uint64_t host, const struct store_event *event)
{
    const struct memory_host *entry = memory_host_of(world, host);
    struct memory_store *handle = entry && entry->alive ? entry->handle : NULL;

    if (!handle || !handle->has_thread ||
        memory_reserve(&handle->queue, &handle->queue_cap, handle->nqueue, sizeof *handle->queue,
                       NULL) != HF_OK)
        return;
    handle->queue[handle->nqueue++] = *event;
    pthread_cond_signal(&handle->wake);
}

void memory_tell_others(struct memory_world *world, uint64_t but, const struct store_event *event)
{
    for (uint64_t host = 1; host <= world->nhosts; host++)
        if (host != but)
            memory_tell(world, host, event);
}

static void tell_hosts_changed(struct memory_world *world)
{
    struct store_event event = {.kind = EVENT_HOSTS_CHANGED};

    for (size_t i = 0; i < world->nhosts; i++)
        event.other_hosts += world->hosts[i].alive;
    if (event.other_hosts > 0)
        event.other_hosts--;
    memory_tell_others(world, 0, &event);
}

static void *deliver(void *arg)
{
    struct memory_store *handle = arg;
    struct memory_world *world = handle->world;

    pthread_mutex_lock(&world->mutex);
    while (!handle->stop) {
        struct store_event *events = handle->queue;
        size_t n = handle->nqueue;

        if (n == 0) {
            pthread_cond_wait(&handle->wake, &world->mutex);
            continue;
        }
        handle->queue = NULL;
        handle->nqueue = handle->queue_cap = 0;
        pthread_mutex_unlock(&world->mutex);
        for (size_t i = 0; i < n; i++)
            handle->listener.event(&events[i], handle->listener.arg);
        free(events);
        pthread_mutex_lock(&world->mutex);
    }
    pthread_mutex_unlock(&world->mutex);
    return NULL;
}

void memory_host_stop(struct memory_store *handle)
{
    bool has_thread;

    pthread_mutex_lock(&handle->world->mutex);
    has_thread = handle->has_thread;
    handle->stop = true;
    pthread_cond_signal(&handle->wake);
    pthread_mutex_unlock(&handle->world->mutex);
    if (has_thread)
        pthread_join(handle->thread, NULL);
    free(handle->queue);
    handle->queue = NULL;
}

/* --- host sessions ------------------------------------------------------------------------------- */

static int copy_identity(const struct host_identity *from, struct host_identity *ret_to)
{
    struct host_identity copy = *from;

    copy.host_name = strdup(from->host_name);
    copy.mount_point = from->mount_point ? strdup(from->mount_point) : NULL;
    if (!copy.host_name || (from->mount_point && !copy.mount_point)) {
        free((char *)copy.host_name);
        free((char *)copy.mount_point);
        return HF_NOMEM;
    }
    *ret_to = copy;
    return HF_OK;
}

static int start_thread(struct memory_store *handle, const struct store_listener *listener,
                        struct hf_error *err)
{
    if (!listener)
        return HF_OK;
    handle->listener = *listener;
    if (pthread_create(&handle->thread, NULL, deliver, handle) != 0)
        return hf_fail(err, HF_NOMEM, "cannot start a thread for the store's events");
    handle->has_thread = true;
    return HF_OK;
}

static int add_host(struct memory_store *handle, const struct host_identity *identity,
                    const struct store_listener *listener, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_host entry = {.alive = true, .handle = handle};
    int rc = memory_reserve(&world->hosts, &world->hosts_cap, world->nhosts, sizeof entry, err);

    if (rc != HF_OK)
        return rc;
    if (copy_identity(identity, &entry.identity) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = start_thread(handle, listener, err);
    if (rc != HF_OK) {
        free((char *)entry.identity.host_name);
        free((char *)entry.identity.mount_point);
        return rc;
    }
    entry.registered = clock_realtime(handle->clock);
    world->hosts[world->nhosts++] = entry;
    handle->host = world->nhosts;
    tell_hosts_changed(world);
    return HF_OK;
}

int memory_host_register(struct store *store, const struct host_identity *identity,
                         const struct store_listener *listener, uint64_t *ret_host,
                         struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    if (handle->host != 0)
        rc = hf_fail(err, HF_INVAL, "this handle of the store has a host session already");
    else
        rc = add_host(handle, identity, listener, err);
    if (rc == HF_OK)
        *ret_host = handle->host;
    memory_leave(handle);
    return rc;
}

int memory_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    if (!memory_host_alive(handle->world, host))
        rc = hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
    memory_leave(handle);
    return rc;
}

int memory_host_list(struct store *store, host_visit_fn visit, void *arg, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; rc == HF_OK && i < world->nhosts; i++) {
        const struct memory_host *entry = &world->hosts[i];
        struct host_info info = {i + 1, entry->identity, entry->alive, entry->registered, 0};

        rc = visit(&info, arg);
    }
    memory_leave(handle);
    return rc;
}

static void free_leases(struct memory_store *handle)
{
    struct memory_world *world = handle->world;

    for (size_t sid = 0; sid < world->nsessions; sid++) {
        struct memory_session *session = world->sessions[sid];
        struct lease_request gone = {.verb = LEASE_HOLDER_GONE};
        struct lease_step step;

        if (session->lease.state != LEASE_FREE && session->lease.host == handle->host)
            memory_lease_apply(handle, session, &gone, "the holder closed the store", &step, NULL);
    }
}

void memory_host_dissolve(struct memory_store *handle)
{
    struct memory_world *world = handle->world;
    struct store_event event = {.kind = EVENT_LOCKS_CHANGED};

    if (handle->host == 0)
        return;
    if (!handle->killed)
        free_leases(handle);
    world->hosts[handle->host - 1].alive = false;
    world->hosts[handle->host - 1].handle = NULL;
    if (memory_locks_purge(world) > 0)
        memory_tell_others(world, handle->host, &event);
    tell_hosts_changed(world);
    pthread_cond_broadcast(&world->changed);
}

void memory_store_kill(struct store *store)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;

    pthread_mutex_lock(&world->mutex);
    handle->killed = true;
    handle->nqueue = 0;
    if (handle->host != 0)
        world->hosts[handle->host - 1].alive = false;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->mutex);
}
