/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/asks.h"

#include <stdlib.h>

#include "engine/remote/engine.h"

/** The answer is looked for so often. It costs nothing: it is here, or it is not. */
#define LOOK_NS 10000000

struct ask {
    struct ask *next;
    uint64_t host, sid;
    Holdfast__Wire__LeaseRequest lease;
    struct remote_wish wish; /* of `lease` */
    Holdfast__Wire__Request request;
    struct call *call;
};

void asks_init(struct asks *asks)
{
    pthread_mutex_init(&asks->mutex, NULL);
    asks->first = NULL;
}

/** Takes an ask off the list; NULL: there is none. The mutex is held. */
static struct ask *take(struct asks *asks, uint64_t sid)
{
    for (struct ask **at = &asks->first, *ask; (ask = *at); at = &ask->next)
        if (ask->sid == sid) {
            *at = ask->next;
            return ask;
        }
    return NULL;
}

static void end(struct ask *ask, struct link *link)
{
    if (!ask)
        return;
    link_end(link, ask->call);
    free(ask);
}

void asks_release(struct asks *asks, struct link *link)
{
    for (struct ask *ask; (ask = asks->first);) {
        asks->first = ask->next;
        end(ask, link);
    }
    pthread_mutex_destroy(&asks->mutex);
}

static int start(struct remote_store *remote, uint64_t host, uint64_t sid, uint32_t wait_ms,
                 struct ask **ret_ask, struct hf_error *err)
{
    struct ask *ask = calloc(1, sizeof *ask);
    int rc;

    if (!ask)
        return hf_fail(err, HF_NOMEM, "out of memory");
    holdfast__wire__lease_request__init(&ask->lease);
    holdfast__wire__request__init(&ask->request);
    ask->host = ask->lease.host = host;
    ask->sid = ask->lease.sid = sid;
    ask->lease.wait_ms = wait_ms;
    ask->lease.ahead = remote_wish(&remote->base, sid, NULL, &ask->wish);
    ask->request.op_case = HOLDFAST__WIRE__REQUEST__OP_LEASE_ACQUIRE;
    ask->request.lease_acquire = &ask->lease;
    rc = link_begin(&remote->link, &ask->request, host, &ask->call, err);
    if (rc != HF_OK) {
        free(ask);
        return rc;
    }
    *ret_ask = ask;
    return HF_OK;
}

/** What the server answered. Ends the ask. */
static int finish(struct remote_store *remote, struct ask *ask, struct lease *ret_lease,
                  struct hf_error *err)
{
    Holdfast__Wire__Frame *frame = NULL;
    int rc = link_next(&remote->link, ask->call, &frame, err);

    end(ask, &remote->link);
    if (rc != HF_OK)
        return rc;
    rc = remote_check(frame->reply, HOLDFAST__WIRE__REPLY__RESULT_LEASE, err);
    if (rc == HF_OK)
        rc = wire_read_lease(frame->reply->lease, ret_lease, err);
    if (rc == HF_OK)
        remote_received(&remote->base, frame->reply, &ret_lease->head, NULL);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

int remote_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                     struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    struct remote_store *remote = remote_store_of(store);
    struct asks *asks = &remote->asks;
    struct ask *ask, *old = NULL;
    bool ready;
    int rc = HF_OK;

    pthread_mutex_lock(&asks->mutex);
    ask = take(asks, sid);
    if (ask && ask->host != host) {
        old = ask;
        ask = NULL;
    }
    if (!ask)
        rc = start(remote, host, sid, wait_ms, &ask, err);
    ready = rc == HF_OK && link_is_ready(&remote->link, ask->call);
    if (rc == HF_OK && !ready) {
        ask->next = asks->first;
        asks->first = ask;
    }
    pthread_mutex_unlock(&asks->mutex);
    end(old, &remote->link);
    if (rc != HF_OK)
        return rc;
    if (ready)
        return finish(remote, ask, ret_lease, err);
    *ret_again = clock_boottime(remote->link.clock) + LOOK_NS;
    return hf_fail(err, HF_PENDING, "the lease of session %llu is asked for",
                   (unsigned long long)sid);
}

int remote_lease_withdraw(struct store *store, uint64_t host, uint64_t sid, struct hf_error *err)
{
    struct remote_store *remote = remote_store_of(store);
    struct lease lease;
    struct ask *ask;

    pthread_mutex_lock(&remote->asks.mutex);
    ask = take(&remote->asks, sid);
    pthread_mutex_unlock(&remote->asks.mutex);
    if (!ask)
        return HF_OK;
    if (!link_is_ready(&remote->link, ask->call)) {
        /* A grant that meets the cancellation half-way is recalled when another wants it. */
        end(ask, &remote->link);
        return HF_OK;
    }
    if (finish(remote, ask, &lease, NULL) != HF_OK)
        return HF_OK;
    return remote_lease_release(store, host, sid, lease.token, err);
}
