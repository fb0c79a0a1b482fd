/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "engine/memory/world.h"

/* A thread with hosts that may die by time looks at the clock, which a test may turn, so often. */
#define LOOK_AGAIN_NS 20000000

void memory_tell(struct memory_world *world, uint64_t host, const struct store_event *event)
{
    const struct memory_host *entry = memory_host_of(world, host);
    struct memory_store *handle = entry && entry->alive ? entry->handle : NULL;

    if (!handle || handle->killed || !entry->listener.event ||
        memory_reserve(&handle->queue, &handle->queue_cap, handle->nqueue, sizeof *handle->queue,
                       NULL) != HF_OK)
        return;
    handle->queue[handle->nqueue++] = (struct memory_event){host, *event};
    pthread_cond_signal(&handle->wake);
}

void memory_tell_others(struct memory_world *world, uint64_t but, const struct store_event *event)
{
    for (uint64_t host = 1; host <= world->nhosts; host++)
        if (host != but)
            memory_tell(world, host, event);
}

/* Takes the next event and calls the listener that it is for; false when there is none. */
static bool tell_next(struct memory_store *handle)
{
    struct memory_world *world = handle->world;
    struct memory_event next;
    struct store_listener listener;

    if (handle->taken == handle->nqueue) {
        handle->taken = handle->nqueue = 0;
        return false;
    }
    next = handle->queue[handle->taken++];
    listener = memory_host_of(world, next.host)->listener;
    handle->telling = next.host;
    handle->teller = pthread_self();
    pthread_mutex_unlock(&world->mutex);
    listener.event(&next.event, listener.arg);
    pthread_mutex_lock(&world->mutex);
    handle->telling = 0;
    pthread_cond_broadcast(&handle->told);
    return true;
}

static void doze(struct memory_store *handle)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += LOOK_AGAIN_NS;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&handle->wake, &handle->world->mutex, &at);
}

static void *tell_all(void *arg)
{
    struct memory_store *handle = arg;
    struct memory_world *world = handle->world;

    pthread_mutex_lock(&world->mutex);
    while (!handle->stop) {
        if (!handle->killed)
            memory_hosts_tick(handle);
        if (tell_next(handle))
            continue;
        if (world->mortals > 0)
            doze(handle);
        else
            pthread_cond_wait(&handle->wake, &world->mutex);
    }
    pthread_mutex_unlock(&world->mutex);
    return NULL;
}

int memory_events_start(struct memory_store *handle, struct hf_error *err)
{
    if (handle->has_thread || handle->pumped)
        return HF_OK;
    if (pthread_create(&handle->thread, NULL, tell_all, handle) != 0)
        return hf_fail(err, HF_NOMEM, "cannot start a thread for the store's events");
    handle->has_thread = true;
    return HF_OK;
}

void memory_events_stop(struct memory_store *handle)
{
    bool has_thread;

    pthread_mutex_lock(&handle->world->mutex);
    has_thread = handle->has_thread;
    handle->stop = true;
    pthread_cond_signal(&handle->wake);
    pthread_mutex_unlock(&handle->world->mutex);
    if (has_thread)
        pthread_join(handle->thread, NULL);
    pthread_mutex_lock(&handle->world->mutex);
    while (handle->silencers > 0)
        pthread_cond_wait(&handle->told, &handle->world->mutex);
    handle->nqueue = handle->taken = 0;
    pthread_mutex_unlock(&handle->world->mutex);
}

void memory_events_silence(struct memory_world *world, uint64_t host)
{
    struct memory_host *entry = memory_host_of(world, host);
    struct memory_store *handle = entry->handle;
    size_t kept;

    if (!handle)
        return;
    entry->handle = NULL;
    kept = handle->taken;
    for (size_t i = handle->taken; i < handle->nqueue; i++)
        if (handle->queue[i].host != host)
            handle->queue[kept++] = handle->queue[i];
    handle->nqueue = kept;
    handle->silencers++;
    while (handle->telling == host && !pthread_equal(handle->teller, pthread_self()))
        pthread_cond_wait(&handle->told, &world->mutex);
    handle->silencers--;
    pthread_cond_broadcast(&handle->told);
}

/* --- for tests -------------------------------------------------------------------------------------- */

void memory_store_set_pumped(struct store *store)
{
    struct memory_store *handle = memory_store_of(store);

    pthread_mutex_lock(&handle->world->mutex);
    handle->pumped = true;
    pthread_mutex_unlock(&handle->world->mutex);
}

size_t memory_store_pump(struct store *store)
{
    struct memory_store *handle = memory_store_of(store);
    size_t n = 0;

    pthread_mutex_lock(&handle->world->mutex);
    if (!handle->killed) {
        memory_hosts_tick(handle);
        while (tell_next(handle))
            n++;
    }
    pthread_mutex_unlock(&handle->world->mutex);
    return n;
}
