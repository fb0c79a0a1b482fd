/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"

#define NS_PER_MS 1000000

struct memory_host *memory_host_of(const struct memory_world *world, uint64_t host)
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
    if (memory_host_alive(world, host))
        return HF_OK;
    return hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
}

static bool is_mortal(const struct memory_host *entry)
{
    return entry->identity.ttl_ms > 0;
}

int64_t memory_host_expires(const struct memory_store *handle, uint64_t host)
{
    const struct memory_host *entry = memory_host_of(handle->world, host);

    if (!entry || !is_mortal(entry))
        return 0;
    return clock_realtime(handle->clock) + entry->life.until - clock_boottime(handle->clock);
}

/* --- the end of one ------------------------------------------------------------------------------- */

static void tell_hosts_changed(struct memory_world *world)
{
    struct store_event event = {.kind = EVENT_HOSTS_CHANGED};

    for (size_t i = 0; i < world->nhosts; i++)
        event.other_hosts += world->hosts[i].alive;
    if (event.other_hosts > 0)
        event.other_hosts--;
    memory_tell_others(world, 0, &event);
}

static void mark_dead(struct memory_world *world, struct memory_host *entry)
{
    world->mortals -= is_mortal(entry);
    entry->alive = false;
}

static void leave_leases(struct memory_store *handle, uint64_t host, enum lease_verb verb,
                         const char *why)
{
    struct memory_world *world = handle->world;

    for (size_t sid = 1; sid < world->nsessions; sid++) {
        struct memory_session *session = memory_session_of(world, sid);
        struct lease_request request = {.verb = verb};
        struct lease_step step;

        if (!session || session->lease.state == LEASE_FREE || session->lease.host != host)
            continue;
        if (verb == LEASE_HOLDER_DEAD)
            memory_audit_add(handle, AUDIT_RENEWAL_FAILED, sid, host, session->lease.token, why,
                             NULL);
        memory_lease_apply(handle, session, &request, why, &step, NULL);
    }
}

/* What a host that is dead now leaves behind. */
static void settle(struct memory_store *handle, uint64_t host, enum lease_verb verb,
                   const char *why)
{
    struct memory_world *world = handle->world;
    struct store_event event = {.kind = EVENT_LOCKS_CHANGED};

    memory_queue_forget(world, host);
    leave_leases(handle, host, verb, why);
    if (memory_locks_purge(world) > 0)
        memory_tell_others(world, host, &event);
    tell_hosts_changed(world);
    pthread_cond_broadcast(&world->changed);
}

void memory_hosts_tick(struct memory_store *handle)
{
    struct memory_world *world = handle->world;
    int64_t now = world->mortals > 0 ? clock_boottime(handle->clock) : 0;
    struct store_event lost = {.kind = EVENT_HOST_LOST};
    bool any = false;

    for (uint64_t host = 1; world->mortals > 0 && host <= world->nhosts; host++) {
        struct memory_host *entry = memory_host_of(world, host);

        if (!entry->alive || !is_mortal(entry) ||
            host_life_step(&entry->life, HOST_TICK, now, 0) != HOST_DEAD)
            continue;
        memory_tell(world, host, &lost);
        mark_dead(world, entry);
        entry->expired = any = true;
    }
    /* Only now: one that died at the same time must not inherit. */
    for (uint64_t host = 1; any && host <= world->nhosts; host++) {
        if (memory_host_of(world, host)->expired)
            settle(handle, host, LEASE_HOLDER_DEAD, "nothing was heard of it for its time");
        memory_host_of(world, host)->expired = false;
    }
}

static void end_host(struct memory_store *handle, uint64_t host, const char *why)
{
    mark_dead(handle->world, memory_host_of(handle->world, host));
    settle(handle, host, LEASE_HOLDER_GONE, why);
}

void memory_hosts_leave(struct memory_store *handle)
{
    struct memory_world *world = handle->world;

    for (uint64_t host = 1; host <= world->nhosts; host++) {
        struct memory_host *entry = memory_host_of(world, host);

        if (entry->handle != handle)
            continue;
        entry->handle = NULL;
        if (entry->alive && !is_mortal(entry))
            end_host(handle, host, "the holder closed the store");
    }
}

/* --- registering ---------------------------------------------------------------------------------- */

static void free_identity(struct host_identity *identity)
{
    free((char *)identity->host_name);
    free((char *)identity->mount_point);
    free((char *)identity->principal);
}

static int copy_text(const char *from, const char **ret_to)
{
    char *copy = from ? strdup(from) : NULL;

    if (from && !copy)
        return HF_NOMEM;
    *ret_to = copy;
    return HF_OK;
}

static int copy_identity(const struct host_identity *from, struct host_identity *ret_to,
                         struct hf_error *err)
{
    struct host_identity copy = *from;

    copy.host_name = copy.mount_point = copy.principal = NULL;
    if (copy_text(from->host_name, &copy.host_name) != HF_OK ||
        copy_text(from->mount_point, &copy.mount_point) != HF_OK ||
        copy_text(from->principal, &copy.principal) != HF_OK) {
        free_identity(&copy);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    *ret_to = copy;
    return HF_OK;
}

/* Threads that wait without looking at a clock may have one that matters now. */
static void wake_tellers(struct memory_world *world)
{
    for (size_t i = 0; i < world->nhosts; i++)
        if (world->hosts[i].handle)
            pthread_cond_signal(&world->hosts[i].handle->wake);
}

static void hear(struct memory_store *handle, struct memory_host *entry,
                 const struct store_listener *listener)
{
    entry->handle = handle;
    entry->listener = listener ? *listener : (struct store_listener){0};
}

static int add_host(struct memory_store *handle, const struct host_identity *identity,
                    const struct store_listener *listener, uint64_t *ret_host, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_host entry = {.alive = true, .registered = clock_realtime(handle->clock)};
    int rc = memory_reserve(&world->hosts, &world->hosts_cap, world->nhosts, sizeof entry, err);

    if (rc == HF_OK)
        rc = copy_identity(identity, &entry.identity, err);
    if (rc != HF_OK)
        return rc;
    if (is_mortal(&entry)) {
        entry.life.ttl = (int64_t)identity->ttl_ms * NS_PER_MS;
        host_life_step(&entry.life, HOST_REGISTERED, clock_boottime(handle->clock), 0);
        world->mortals++;
        wake_tellers(world);
    }
    hear(handle, &entry, listener);
    world->hosts[world->nhosts++] = entry;
    *ret_host = world->nhosts;
    tell_hosts_changed(world);
    return HF_OK;
}

int memory_host_add_gone(struct memory_store *handle, const struct host_identity *identity,
                         uint64_t *ret_host, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_host entry = {.registered = clock_realtime(handle->clock)};
    int rc = memory_reserve(&world->hosts, &world->hosts_cap, world->nhosts, sizeof entry, err);

    if (rc == HF_OK)
        rc = copy_identity(identity, &entry.identity, err);
    if (rc != HF_OK)
        return rc;
    world->hosts[world->nhosts++] = entry;
    *ret_host = world->nhosts;
    return HF_OK;
}

/* The living host session that this mount has or had; 0: none. */
static uint64_t find_kin(const struct memory_world *world, const struct host_identity *identity,
                         enum host_kin kin)
{
    for (uint64_t host = 1; host <= world->nhosts; host++)
        if (memory_host_alive(world, host) &&
            host_kinship(&memory_host_of(world, host)->identity, identity) == kin)
            return host;
    return 0;
}

/* What it may have missed, and what it must still answer. */
static void tell_resumed(struct memory_world *world, uint64_t host)
{
    struct store_event missed = {.kind = EVENT_MISSED};

    memory_tell(world, host, &missed);
    for (size_t sid = 1; sid < world->nsessions; sid++) {
        const struct memory_session *session = memory_session_of(world, sid);
        struct store_event recall = {.kind = EVENT_LEASE_RECALLED, .sid = sid};

        if (!session || session->lease.state != LEASE_RECALLED || session->lease.host != host)
            continue;
        recall.token = session->lease.token;
        memory_tell(world, host, &recall);
    }
    tell_hosts_changed(world);
}

static void resume(struct memory_store *handle, uint64_t host, const struct host_identity *identity,
                   const struct store_listener *listener)
{
    struct memory_host *entry = memory_host_of(handle->world, host);

    entry->identity.ttl_ms = identity->ttl_ms;
    entry->life.ttl = (int64_t)identity->ttl_ms * NS_PER_MS;
    host_life_step(&entry->life, HOST_REGISTERED, clock_boottime(handle->clock), 0);
    hear(handle, entry, listener);
    tell_resumed(handle->world, host);
}

/* Ends what the mount's daemon was before it was started anew. */
static void replace(struct memory_store *handle, const struct host_identity *identity)
{
    struct store_event lost = {.kind = EVENT_HOST_LOST};
    uint64_t host;

    while ((host = find_kin(handle->world, identity, HOST_SUCCESSOR)) != 0) {
        memory_tell(handle->world, host, &lost);
        end_host(handle, host, "the mount was started anew");
    }
}

static int enter_host(struct memory_store *handle, const struct host_identity *identity,
                      const struct store_listener *listener, uint64_t *ret_host,
                      struct hf_error *err)
{
    struct memory_world *world = handle->world;
    uint64_t host = find_kin(world, identity, HOST_SAME);

    /* Silencing lets go of the mutex: then it may be dead, or resumed by another. */
    while (host != 0 && memory_host_of(world, host)->handle) {
        memory_events_silence(world, host);
        host = find_kin(world, identity, HOST_SAME);
    }
    replace(handle, identity);
    if (host == 0)
        return add_host(handle, identity, listener, ret_host, err);
    resume(handle, host, identity, listener);
    *ret_host = host;
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
    rc = listener ? memory_events_start(handle, err) : HF_OK;
    if (rc == HF_OK)
        rc = enter_host(handle, identity, listener, ret_host, err);
    memory_leave(handle);
    return rc;
}

/* --- while it lives, and its end ------------------------------------------------------------------ */

int memory_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);
    struct memory_host *entry;

    if (rc != HF_OK)
        return rc;
    entry = memory_host_of(handle->world, host);
    rc = memory_host_check(handle->world, host, err);
    if (rc == HF_OK && is_mortal(entry))
        host_life_step(&entry->life, HOST_HEARD, clock_boottime(handle->clock), 0);
    memory_leave(handle);
    return rc;
}

int memory_host_detach(struct store *store, uint64_t host, uint32_t grace_ms, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);
    struct memory_host *entry;

    if (rc != HF_OK)
        return rc;
    entry = memory_host_of(world, host);
    rc = memory_host_check(world, host, err);
    if (rc == HF_OK && !is_mortal(entry))
        rc = hf_fail(err, HF_INVAL, "host session %llu has no TTL", (unsigned long long)host);
    else if (rc == HF_OK)
        host_life_step(&entry->life, HOST_CUT, clock_boottime(handle->clock),
                       (int64_t)grace_ms * NS_PER_MS);
    if (entry && rc != HF_INVAL) /* of a dead one too */
        memory_events_silence(world, host);
    memory_leave(handle);
    return rc;
}

int memory_host_end(struct store *store, uint64_t host, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_host_check(world, host, err);
    if (rc == HF_OK)
        end_host(handle, host, "the host session ended");
    if (memory_host_of(world, host))
        memory_events_silence(world, host);
    memory_leave(handle);
    return rc;
}

int64_t memory_host_deadline(struct store *store, uint64_t host)
{
    struct memory_store *handle = memory_store_of(store);
    const struct memory_host *entry;
    int64_t deadline = 0;

    pthread_mutex_lock(&handle->world->mutex);
    entry = memory_host_of(handle->world, host);
    if (entry && entry->alive)
        deadline = is_mortal(entry) ? entry->life.until - entry->life.ttl / 10 : INT64_MAX;
    pthread_mutex_unlock(&handle->world->mutex);
    return deadline;
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
        struct host_info info = {i + 1, entry->identity, entry->alive, entry->registered,
                                 memory_host_expires(handle, i + 1)};

        rc = visit(&info, arg);
    }
    memory_leave(handle);
    return rc;
}

void memory_store_kill(struct store *store)
{
    struct memory_store *handle = memory_store_of(store);
    struct memory_world *world = handle->world;

    pthread_mutex_lock(&world->mutex);
    handle->killed = true;
    handle->nqueue = handle->taken = 0;
    for (size_t i = 0; i < world->nhosts; i++)
        if (world->hosts[i].handle == handle && !is_mortal(&world->hosts[i]))
            world->hosts[i].alive = false;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->mutex);
}
