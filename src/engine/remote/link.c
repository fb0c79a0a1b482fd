/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "engine/remote/loop.h"

#define OPEN_MS 3000  /* to find a server at all */
#define CLOSE_MS 1000 /* for what is queued at the end */
#define SENDS_MAX 4
#define LOOK_AGAIN_MS                                                                              \
    500 /* a waiting thread looks at CLOCK_BOOTTIME, which no condition can wait for */

static int64_t now_of(const struct link *link)
{
    return clock_boottime(link->clock);
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Waits on `cond` until `limit` (CLOCK_BOOTTIME), or not that long: the caller looks again. */
static void wait_a_while(struct link *link, pthread_cond_t *cond, int64_t now, int64_t limit)
{
    int64_t ns = at_most(at_least(limit - now, 0), LOOK_AGAIN_MS * LINK_MS);
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += until.tv_nsec;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(cond, &link->mutex, &until);
}

/* --- opening and closing ---------------------------------------------------------------------------- */

static void init(struct link *link)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&link->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&link->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    remote_host_init(&link->host);
    link->state = LINK_DOWN;
    link->away = link->due = now_of(link);
}

int link_start(struct link *link, const struct clock *clock, const struct remote_address *address,
               struct tls *tls, struct teller *teller, struct hf_error *err)
{
    int rc;

    memset(link, 0, sizeof *link);
    link->clock = clock;
    link->address = address;
    link->tls = tls;
    link->teller = teller;
    init(link);
    rc = link_make_loop(link, err);
    if (rc == HF_OK)
        rc = thread_start(&link->thread, link_main, link, err);
    link->started = rc == HF_OK;
    return rc;
}

/* A refusal will be one again; that nobody answers may be over in a moment. */
static bool is_final(int status)
{
    return status != HF_IO && status != HF_TIMEOUT && status != HF_AGAIN && status != HF_OK;
}

int link_wait(struct link *link, struct hf_error *err)
{
    int64_t limit = now_of(link) + OPEN_MS * LINK_MS;
    int rc = HF_OK;

    pthread_mutex_lock(&link->mutex);
    for (int64_t now; !link->known && rc == HF_OK;) {
        now = now_of(link);
        if (now < limit + (link->state == LINK_DOWN ? 0 : LINK_TRY_MS * LINK_MS) &&
            !(link->failures >= link->address->nplaces && is_final(link->why.status)))
            wait_a_while(link, &link->changed, now, INT64_MAX);
        else if (is_final(link->why.status))
            rc = hf_fail(err, link->why.status, "%s", link->why.message);
        else
            rc = hf_fail(err, HF_TIMEOUT, "the store's server does not answer: %s",
                         link->why.status ? link->why.message : "no connection in time");
    }
    pthread_mutex_unlock(&link->mutex);
    return rc;
}

void link_stop(struct link *link)
{
    const struct timeval at_last = {CLOSE_MS / 1000, 0};

    if (!link->clock)
        return;
    if (link->started) {
        pthread_mutex_lock(&link->mutex);
        link->stopping = true;
        link_kick(link);
        pthread_mutex_unlock(&link->mutex);
        event_base_loopexit(link->loop, &at_last);
        pthread_join(link->thread, NULL);
    }
    link_free_loop(link);
    tls_close(link->renewed_tls);
    link->clock = NULL;
    assert(!link->queue.first);
    for (struct call *call; (call = link->sent.first);) {
        call_list_remove(&link->sent, call);
        call_free(call);
    }
    free(link->cancels);
    remote_host_release(&link->host);
    pthread_cond_destroy(&link->changed);
    pthread_mutex_destroy(&link->mutex);
}

/* --- asking ------------------------------------------------------------------------------------------ */

static int host_is_over(uint64_t host, struct hf_error *err)
{
    return hf_fail(err, HF_FENCED, "host session %llu is over", (unsigned long long)host);
}

static bool is_away(const struct link *link)
{
    return link->state != LINK_UP && link->state != LINK_LEAVING;
}

int64_t link_away_since(struct link *link)
{
    int64_t since;

    pthread_mutex_lock(&link->mutex);
    since = is_away(link) ? link->away : 0;
    pthread_mutex_unlock(&link->mutex);
    return since;
}

/* Whether a call is part of what the host session does to its sessions: it names it, or it brings or syncs what a
 * commit of it will need. */
static bool is_for_the_host(const struct link *link, const struct call *call)
{
    if (call->host)
        return true;
    if (!remote_host_lives(&link->host) || !call->request)
        return false;
    return call->request->op_case == HOLDFAST__WIRE__REQUEST__OP_PUT ||
           call->request->op_case == HOLDFAST__WIRE__REQUEST__OP_MISSING ||
           call->request->op_case == HOLDFAST__WIRE__REQUEST__OP_SYNC;
}

/* A mount has something to show while its server is away; a command has not. */
static int64_t patience_of(const struct link *link)
{
    return (link->host.identity.host_name ? REMOTE_READ_PATIENCE_MS : REMOTE_PATIENCE_MS) * LINK_MS;
}

/* Since when a call waits for a server. One that was sent so often may itself be what breaks the connections: then
 * contact in between counts for nothing. */
static int64_t waits_since(const struct link *link, const struct call *call)
{
    return call->sends > SENDS_MAX ? call->started : at_least(link->away, call->started);
}

/* Until when a call may wait. */
static int64_t limit_of(const struct link *link, const struct call *call)
{
    int64_t limit = INT64_MAX;

    if (is_away(link) && is_for_the_host(link, call))
        limit = contact_deadline(&link->host.contact);
    else if (is_away(link))
        limit = waits_since(link, call) + patience_of(link);
    return link->closing ? at_most(limit, link->closing) : limit;
}

static int timed_out(const struct link *link, int64_t now, struct hf_error *err)
{
    char server[300];

    remote_place_text(&link->address->places[link->place], server, sizeof server);
    return hf_fail(err, HF_TIMEOUT, "the store's server %s is away for %.1f s: %s", server,
                   (double)(now - link->away) / 1e9,
                   link->why.status ? link->why.message : "the connection was closed");
}

static int admit(const struct link *link, const struct call *call, struct hf_error *err)
{
    if (call->host && call->host != atomic_load(&link->host.number))
        return host_is_over(call->host, err);
    if (call->bytes + 64 > link->welcome.max_frame)
        return hf_fail(err, HF_TOOBIG, "a request of %zu bytes is too long for the store's server",
                       call->bytes);
    return HF_OK;
}

int link_begin(struct link *link, Holdfast__Wire__Request *request, uint64_t host,
               struct call **ret_call, struct hf_error *err)
{
    struct call *call = call_new(request, host);
    int rc;

    if (!call)
        return hf_fail(err, HF_NOMEM, "out of memory");
    call->registers = request->op_case == HOLDFAST__WIRE__REQUEST__OP_HOST_REGISTER;
    pthread_mutex_lock(&link->mutex);
    rc = admit(link, call, err);
    if (rc == HF_OK) {
        call->started = now_of(link);
        call->state = CALL_QUEUED;
        call_list_append(&link->queue, call);
        if (!link_send_now(link, call))
            link_kick(link);
    }
    pthread_mutex_unlock(&link->mutex);
    if (rc == HF_OK)
        *ret_call = call;
    else
        call_free(call);
    return rc;
}

/* With the mutex held: waits for a part, or for the end. */
static int wait_for_part(struct link *link, struct call *call, struct hf_error *err)
{
    while (!call->parts && call->state != CALL_DONE) {
        int64_t now = now_of(link), limit = limit_of(link, call);

        if (now >= limit)
            return timed_out(link, now, err);
        wait_a_while(link, &call->moved, now, limit);
    }
    if (!call->parts && call->failure.status)
        return hf_fail(err, call->failure.status, "%s", call->failure.message);
    return HF_OK;
}

bool link_is_ready(struct link *link, const struct call *call)
{
    bool ready;

    pthread_mutex_lock(&link->mutex);
    ready = call->parts || call->state == CALL_DONE || now_of(link) >= limit_of(link, call);
    pthread_mutex_unlock(&link->mutex);
    return ready;
}

int link_next(struct link *link, struct call *call, Holdfast__Wire__Frame **ret_frame,
              struct hf_error *err)
{
    int rc;

    pthread_mutex_lock(&link->mutex);
    rc = wait_for_part(link, call, err);
    if (rc == HF_OK) {
        *ret_frame = call_take_part(call);
        call->begun = true;
        if (link->paused && call->parts_bytes < LINK_PARTS_MAX / 2)
            link_kick(link);
    }
    pthread_mutex_unlock(&link->mutex);
    return rc;
}

/* Remembers to tell the server that nobody waits for `id`. Without memory it goes on for nothing. */
static void cancel(struct link *link, uint64_t id)
{
    if (link->ncancels == link->cancels_cap) {
        size_t cap = link->cancels_cap ? link->cancels_cap * 2 : 16;
        uint64_t *bigger = reallocarray(link->cancels, cap, sizeof *bigger);

        if (!bigger)
            return;
        link->cancels = bigger;
        link->cancels_cap = cap;
    }
    link->cancels[link->ncancels++] = id;
    link_kick(link);
}

void link_cancel(struct link *link, struct call *call)
{
    pthread_mutex_lock(&link->mutex);
    if (call->state == CALL_SENT)
        cancel(link, call->id);
    pthread_mutex_unlock(&link->mutex);
}

void link_end(struct link *link, struct call *call)
{
    if (!call)
        return;
    pthread_mutex_lock(&link->mutex);
    while (call->state == CALL_SENDING)
        pthread_cond_wait(&call->moved, &link->mutex);
    if (call->state == CALL_SENT) {
        call->left = true;
        call->request = NULL;
        call_drop_parts(call);
        cancel(link, call->id);
        call = NULL;
    } else if (call->state == CALL_QUEUED) {
        call_list_remove(&link->queue, call);
    }
    pthread_mutex_unlock(&link->mutex);
    call_free(call);
}

int link_ask(struct link *link, Holdfast__Wire__Request *request, uint64_t host,
             Holdfast__Wire__Frame **ret_frame, struct hf_error *err)
{
    struct call *call = NULL;
    Holdfast__Wire__Frame *frame = NULL;
    int rc = link_begin(link, request, host, &call, err);

    if (rc == HF_OK)
        rc = link_next(link, call, &frame, err);
    link_end(link, call);
    if (rc == HF_OK)
        *ret_frame = frame;
    return rc;
}

const char *link_state_name(enum link_state state)
{
    static const char *const names[] = {"down", "connecting", "hello",  "registering",
                                        "up",   "leaving",    "closing"};

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}
