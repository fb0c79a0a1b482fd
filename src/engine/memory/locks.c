/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"
#include "store/rangelock.h"

/* Keeps the locks for which `keep` holds. Returns how many went. */
static size_t sweep_locks(struct memory_world *world,
                          bool (*keep)(const struct memory_world *, const struct store_lock *,
                                       const void *),
                          const void *arg)
{
    size_t kept = 0, before = world->nlocks;

    for (size_t i = 0; i < before; i++)
        if (keep(world, &world->locks[i], arg))
            world->locks[kept++] = world->locks[i];
    world->nlocks = kept;
    return before - kept;
}

static bool of_living(const struct memory_world *world, const struct store_lock *lock,
                      const void *arg)
{
    (void)arg;
    return memory_host_alive(world, lock->host);
}

static bool of_another(const struct memory_world *world, const struct store_lock *lock,
                       const void *request)
{
    (void)world;
    return !rangelock_same_owner(lock, request);
}

size_t memory_locks_purge(struct memory_world *world)
{
    return sweep_locks(world, of_living, NULL);
}

/* Puts what the owner holds from now on in the place of what it held. */
static int replace_locks(struct memory_store *handle, const struct store_lock *request,
                         const struct store_lock *held, size_t n, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct store_event event = {.kind = EVENT_LOCKS_CHANGED, .sid = SHARED_SID};

    for (size_t i = 0; i < n; i++) {
        int rc = memory_reserve(&world->locks, &world->locks_cap, world->nlocks + i,
                                sizeof(*world->locks), err);
        if (rc != HF_OK)
            return rc;
    }
    if (sweep_locks(world, of_another, request) > 0)
        memory_tell_others(world, request->host, &event);
    for (size_t i = 0; i < n; i++)
        world->locks[world->nlocks++] = held[i];
    return HF_OK;
}

static int set_lock(struct memory_store *handle, const struct store_lock *request,
                    struct store_lock *ret_conflict, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    const struct store_lock *conflict;
    struct store_lock *held;
    size_t n;
    int rc;

    memory_locks_purge(world);
    conflict = rangelock_conflict(world->locks, world->nlocks, request);
    if (conflict) {
        if (ret_conflict)
            *ret_conflict = *conflict;
        return hf_fail(err, HF_AGAIN, "process %u has a lock there", conflict->pid);
    }
    rc = rangelock_apply(world->locks, world->nlocks, request, &held, &n);
    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    rc = replace_locks(handle, request, held, n, err);
    free(held);
    return rc;
}

int memory_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct store_lock request = *lock;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    request.host = host;
    if (!memory_host_alive(handle->world, host))
        rc = hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
    else
        rc = set_lock(handle, &request, ret_conflict, err);
    memory_leave(handle);
    return rc;
}

int memory_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                     struct store_lock *ret_conflict, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct store_lock request = *lock;
    const struct store_lock *conflict;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    request.host = host;
    memory_locks_purge(handle->world);
    conflict = rangelock_conflict(handle->world->locks, handle->world->nlocks, &request);
    if (conflict)
        *ret_conflict = *conflict;
    else
        rc = hf_fail(err, HF_NOENT, "no lock is in the way");
    memory_leave(handle);
    return rc;
}
