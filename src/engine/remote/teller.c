/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/teller.h"

#include <stdlib.h>

#include "base/thread.h"

void teller_init(struct teller *teller)
{
    *teller = (struct teller){0};
    pthread_mutex_init(&teller->mutex, NULL);
    pthread_cond_init(&teller->changed, NULL);
}

/* Takes the next event, if there is one. The mutex is held. */
static bool take(struct teller *teller, struct store_event *ret_event)
{
    if (teller->n > 0) {
        *ret_event = teller->events[teller->first];
        teller->first = (teller->first + 1) % teller->cap;
        teller->n--;
        return true;
    }
    if (!teller->missed)
        return false;
    teller->missed = false;
    *ret_event = (struct store_event){.kind = EVENT_MISSED};
    return true;
}

static void *tell(void *arg)
{
    struct teller *teller = arg;
    struct store_event event;

    pthread_mutex_lock(&teller->mutex);
    while (!teller->stopping) {
        struct store_listener listener = teller->listener;

        if (!take(teller, &event)) {
            pthread_cond_wait(&teller->changed, &teller->mutex);
            continue;
        }
        if (!listener.event)
            continue;
        teller->calling = true;
        pthread_mutex_unlock(&teller->mutex);
        listener.event(&event, listener.arg);
        pthread_mutex_lock(&teller->mutex);
        teller->calling = false;
        pthread_cond_broadcast(&teller->changed);
    }
    pthread_mutex_unlock(&teller->mutex);
    return NULL;
}

static bool listens_already(const struct teller *teller, const struct store_listener *listener)
{
    return listener && teller->listener.event == listener->event &&
           teller->listener.arg == listener->arg;
}

int teller_listen(struct teller *teller, const struct store_listener *listener,
                  struct hf_error *err)
{
    bool same;
    int rc = HF_OK;

    pthread_mutex_lock(&teller->mutex);
    while (teller->calling && !listens_already(teller, listener) &&
           !pthread_equal(teller->thread, pthread_self()))
        pthread_cond_wait(&teller->changed, &teller->mutex);
    if (listener && !teller->started && !teller->stopping) {
        rc = thread_start(&teller->thread, tell, teller, err);
        teller->started = rc == HF_OK;
    }
    if (rc == HF_OK) {
        same = listens_already(teller, listener);
        teller->listener = listener ? *listener : (struct store_listener){0};
        teller->missed = same && (teller->missed || teller->n > 0);
        teller->n = 0;
    }
    pthread_mutex_unlock(&teller->mutex);
    return rc;
}

static bool grow(struct teller *teller)
{
    size_t cap = teller->cap ? teller->cap * 2 : 64;
    struct store_event *bigger = reallocarray(NULL, cap, sizeof *bigger);

    if (!bigger)
        return false;
    for (size_t i = 0, at = teller->first; i < teller->n; i++) {
        bigger[i] = teller->events[at];
        at = at + 1 < teller->cap ? at + 1 : 0;
    }
    free(teller->events);
    teller->events = bigger;
    teller->first = 0;
    teller->cap = cap;
    return true;
}

void teller_tell(struct teller *teller, const struct store_event *event)
{
    pthread_mutex_lock(&teller->mutex);
    if (!teller->listener.event)
        ; /* nobody wants to know */
    else if (teller->n < teller->cap || grow(teller))
        teller->events[(teller->first + teller->n++) % teller->cap] = *event;
    else
        teller->missed = true;
    pthread_cond_broadcast(&teller->changed);
    pthread_mutex_unlock(&teller->mutex);
}

void teller_stop(struct teller *teller)
{
    pthread_mutex_lock(&teller->mutex);
    teller->stopping = true;
    pthread_cond_broadcast(&teller->changed);
    pthread_mutex_unlock(&teller->mutex);
    if (teller->started)
        pthread_join(teller->thread, NULL);
    teller->started = false;
    free(teller->events);
    teller->events = NULL;
    teller->n = teller->cap = 0;
    teller->listener = (struct store_listener){0};
}
