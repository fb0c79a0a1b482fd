/* SPDX-License-Identifier: Apache-2.0 */
#include "server/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/authorize.h"
#include "server/dispatch.h"
#include "server/host_session.h"
#include "server/request.h"
#include "server/server_state.h"
#include "server/staging.h"
#include "server/tenants.h"
#include "server/waiting.h"
#include "wire/convert.h"

/* No frame for so long, or for two TTLs: the peer is gone. Whoever has a host session is heard of sooner. */
#define IDLE_MIN_MS 120000

/* --- life ----------------------------------------------------------------------------------------- */

struct peer *peer_ref(struct peer *peer)
{
    atomic_fetch_add(&peer->references, 1);
    return peer;
}

void peer_unref(struct peer *peer)
{
    if (!peer || atomic_fetch_sub(&peer->references, 1) != 1)
        return;
    if (peer->tenant)
        atomic_fetch_sub(&peer->tenant->connections, 1);
    if (peer->certificate_known)
        principal_release(&peer->principal);
    staging_free(peer->staging);
    notices_release(&peer->notices);
    visible_release(&peer->visible);
    interest_release(&peer->interest);
    pthread_mutex_destroy(&peer->lock);
    wire_conn_unref(peer->conn);
    free(peer);
}

static void enter(struct peer *peer, enum peer_phase phase)
{
    peer->phase = phase;
    peer->since = clock_boottime(&clock_system);
}

static void link_peer(struct peer *peer)
{
    struct server *server = peer->server;

    peer->next = server->peers;
    if (peer->next)
        peer->next->previous = peer;
    server->peers = peer;
    server->npeers++;
}

static void unlink_peer(struct peer *peer)
{
    struct server *server = peer->server;

    if (peer->next)
        peer->next->previous = peer->previous;
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        server->peers = peer->next;
    server->npeers--;
}

/* --- the queue ------------------------------------------------------------------------------------ */

static void push(struct request_queue *queue, struct request *request)
{
    request->next = NULL;
    if (queue->last)
        queue->last->next = request;
    else
        queue->first = request;
    queue->last = request;
}

static struct request *pop(struct request_queue *queue)
{
    struct request *request = queue->first;

    if (!request)
        return NULL;
    queue->first = request->next;
    if (!queue->first)
        queue->last = NULL;
    request->next = NULL;
    return request;
}

/* Hands requests to the workers, as many as may be there. Who does not take its answers gets no more of them, and
 * in the end is not read from any more. The lock is held. */
static void pump(struct peer *peer)
{
    struct request *request;

    while (!peer->barrier && peer->running < PEER_RUNNING_MAX &&
           wire_conn_queued(peer->conn) < PEER_OUTPUT_HIGH && (request = pop(&peer->backlog))) {
        peer->running++;
        peer->barrier = operation_is_barrier(request->operation);
        workers_submit(peer->server->workers, &request->task);
    }
}

void peer_enqueue(struct peer *peer, struct request *request)
{
    bool closed;

    atomic_fetch_add(&peer->server->busy, 1);
    request->queued = true;
    pthread_mutex_lock(&peer->lock);
    closed = peer->closed;
    if (closed) {
        peer->running++; /* request_end() counts it down */
    } else {
        push(&peer->backlog, request);
        pump(peer);
    }
    pthread_mutex_unlock(&peer->lock);
    if (closed)
        request_end(request);
}

void peer_request_done(struct peer *peer, bool barrier)
{
    pthread_mutex_lock(&peer->lock);
    peer->running--;
    if (barrier)
        peer->barrier = false;
    if (!peer->closed)
        pump(peer);
    pthread_mutex_unlock(&peer->lock);
    atomic_fetch_sub(&peer->server->busy, 1);
}

bool peer_park(struct peer *peer, struct request *request)
{
    bool parked;

    pthread_mutex_lock(&peer->lock);
    /* The connection calls once the output has fallen below the mark, and finds the request here. */
    parked = !peer->closed &&
             (peer->bulky >= PEER_BULKY_MAX || wire_conn_queued(peer->conn) >= PEER_OUTPUT_HIGH);
    if (parked)
        push(&peer->parked, request);
    else
        peer->bulky++;
    pthread_mutex_unlock(&peer->lock);
    return parked;
}

/* Lets one go on, if the output is low. The lock is held. */
static void unpark(struct peer *peer)
{
    struct request *request = NULL;

    if (peer->bulky < PEER_BULKY_MAX && wire_conn_queued(peer->conn) < PEER_OUTPUT_HIGH)
        request = pop(&peer->parked);
    if (request)
        workers_submit(peer->server->workers, &request->task);
}

void peer_unpark(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    peer->bulky--;
    unpark(peer);
    pthread_mutex_unlock(&peer->lock);
}

void peer_note_cancel(struct peer *peer, uint64_t id)
{
    pthread_mutex_lock(&peer->lock);
    peer->cancelled[peer->ncancelled++ % PEER_CANCELS] = id;
    pthread_mutex_unlock(&peer->lock);
}

bool peer_has_cancelled(struct peer *peer, uint64_t id)
{
    bool found = false;

    pthread_mutex_lock(&peer->lock);
    for (size_t i = 0; i < PEER_CANCELS; i++)
        found |= peer->cancelled[i] == id;
    pthread_mutex_unlock(&peer->lock);
    return found;
}

bool peer_is_closed(struct peer *peer)
{
    bool closed;

    pthread_mutex_lock(&peer->lock);
    closed = peer->closed;
    pthread_mutex_unlock(&peer->lock);
    return closed;
}

struct staging *peer_take_staging(struct peer *peer)
{
    struct staging *staging;

    pthread_mutex_lock(&peer->lock);
    staging = peer->staging;
    peer->staging = NULL;
    pthread_mutex_unlock(&peer->lock);
    return staging;
}

void peer_keep_staging(struct peer *peer, struct staging *staging)
{
    struct staging *before;

    pthread_mutex_lock(&peer->lock);
    before = peer->staging;
    peer->staging = staging;
    pthread_mutex_unlock(&peer->lock);
    staging_free(before);
}

/* Drops what was not begun: the host asks for it again on its next connection. */
static void drop_queued(struct peer *peer)
{
    struct request_queue backlog, parked;
    struct request *request;

    pthread_mutex_lock(&peer->lock);
    peer->closed = true;
    backlog = peer->backlog;
    parked = peer->parked;
    peer->backlog = peer->parked = (struct request_queue){0};
    for (request = backlog.first; request; request = request->next)
        peer->running++; /* request_end() counts them down */
    pthread_mutex_unlock(&peer->lock);
    while ((request = pop(&backlog)) || (request = pop(&parked)))
        request_end(request);
}

/* --- its host session ----------------------------------------------------------------------------- */

struct host_session *peer_session(struct peer *peer)
{
    struct host_session *session;

    pthread_mutex_lock(&peer->lock);
    session = peer->session ? host_session_ref(peer->session) : NULL;
    pthread_mutex_unlock(&peer->lock);
    return session;
}

bool peer_set_session(struct peer *peer, struct host_session *session)
{
    struct host_session *before;
    bool closed;

    pthread_mutex_lock(&peer->lock);
    closed = peer->closed;
    before = closed ? session : peer->session;
    if (!closed)
        peer->session = session;
    pthread_mutex_unlock(&peer->lock);
    if (before == session && !closed)
        host_session_unref(before);
    else
        host_session_leave(before, peer, closed ? server_grace(peer->server) : 0);
    return !closed;
}

/* What a closed connection leaves to do with the store, on a worker. */
static void run_farewell(struct task *task)
{
    struct peer *peer = (struct peer *)((char *)task - offsetof(struct peer, farewell));
    struct server *server = peer->server;
    struct host_session *session;

    pthread_mutex_lock(&peer->lock);
    session = peer->session;
    peer->session = NULL;
    pthread_mutex_unlock(&peer->lock);
    waiting_leave(server->waits, peer);
    host_session_leave(session, peer, peer->grace_ms);
    peer_unref(peer);
    atomic_fetch_sub(&server->busy, 1);
}

/* --- what the connection tells --------------------------------------------------------------------- */

/* A sentence of the connection's begins with the address, which the line has already. */
static const char *without_address(const struct peer *peer, const char *sentence)
{
    const char *address = wire_conn_address(peer->conn);
    size_t len = strlen(address);

    return strncmp(sentence, address, len) == 0 && strncmp(sentence + len, ": ", 2) == 0
               ? sentence + len + 2
               : sentence;
}

struct log_fields peer_fields(const struct peer *peer)
{
    struct log_fields fields = {.peer = wire_conn_address(peer->conn)};

    if (peer->certificate_known) {
        fields.tenant = peer->principal.tenant;
        fields.host = peer->principal.name;
    }
    return fields;
}

static void log_closed(const struct peer *peer, const struct hf_error *why)
{
    const char *address = wire_conn_address(peer->conn);
    const char *sentence = without_address(peer, why->message);
    const struct log_fields fields = peer_fields(peer);

    if (peer->refusal.status != HF_OK)
        return; /* was told when it was refused */
    if (!peer->certificate_known && why->status == HF_OK)
        return; /* a probe of the port, as load balancers make every other second */
    if (!peer->certificate_known)
        log_event(LOG_LEVEL_WARN, &fields, "%s refused: %s", address, sentence);
    else if (why->status != HF_OK)
        log_event(LOG_LEVEL_WARN, &fields, "%s (%s) closed: %s", address, peer->identity, sentence);
    else
        log_event(LOG_LEVEL_INFO, &fields, "%s (%s) closed%s%s", address, peer->identity,
                  sentence[0] ? ": " : "", sentence);
}

static void refuse(struct peer *peer, const struct hf_error *why)
{
    const struct log_fields fields = peer_fields(peer);

    peer->refusal = *why;
    log_event(LOG_LEVEL_WARN, &fields, "%s (%s) refused: %s", wire_conn_address(peer->conn),
              peer->certificate_known ? peer->identity : "unknown", why->message);
}

static int read_certificate(struct peer *peer, struct hf_error *err)
{
    struct server *server = peer->server;
    int rc = HF_OK;

    /* What was reloaded during its handshake had no part in it. */
    if (peer->reloads != server->reloads)
        rc = tls_recheck(server->tls, wire_conn_peer(peer->conn), err);
    if (rc == HF_OK)
        rc = principal_read(wire_conn_peer(peer->conn), server->rights, &peer->principal, err);
    if (rc != HF_OK)
        return rc;
    peer->certificate_known = true;
    snprintf(peer->identity, sizeof peer->identity, "%s/%s", peer->principal.tenant,
             peer->principal.name);
    return HF_OK;
}

static void on_open(struct wire_conn *conn, void *arg)
{
    struct peer *peer = arg;
    struct hf_error err = {0};
    int rc;

    enter(peer, PEER_STRANGER);
    rc = read_certificate(peer, &err);
    if (rc == HF_OK)
        rc = quota_enter(peer->server->quotas, peer->identity, conn, &peer->share, &err);
    if (rc != HF_OK)
        refuse(peer, &err);
}

static void on_frame(struct wire_conn *conn, Holdfast__Wire__Frame *frame, size_t size, void *arg)
{
    (void)conn;
    dispatch_frame(arg, frame, size);
}

static void on_drained(struct wire_conn *conn, void *arg)
{
    struct peer *peer = arg;

    notices_drained(&peer->notices, conn);
    pthread_mutex_lock(&peer->lock);
    unpark(peer);
    pump(peer);
    pthread_mutex_unlock(&peer->lock);
}

static void on_closed(struct wire_conn *conn, const struct hf_error *why, void *arg)
{
    struct peer *peer = arg;

    (void)conn;
    log_closed(peer, why);
    enter(peer, PEER_CLOSED);
    unlink_peer(peer);
    quota_leave(peer->server->quotas, &peer->share);
    drop_queued(peer);
    atomic_fetch_add(&peer->server->busy, 1);
    peer->grace_ms =
        why->status == HF_TIMEOUT ? peer->server->options.ttl_ms : server_grace(peer->server);
    peer->farewell.run = run_farewell;
    workers_submit(peer->server->workers, &peer->farewell); /* with the list's reference */
}

static const struct wire_conn_ops ops = {on_open, on_frame, on_drained, on_closed};

static struct wire_limits limits_of(const struct server *server)
{
    uint32_t idle = 2 * server->options.ttl_ms;

    return (struct wire_limits){.idle_ms = idle > IDLE_MIN_MS ? idle : IDLE_MIN_MS,
                                .low_water = PEER_OUTPUT_HIGH};
}

int peer_accept(struct server *server, int fd, struct hf_error *err)
{
    struct wire_limits limits = limits_of(server);
    struct peer *peer = calloc(1, sizeof *peer);
    int rc;

    if (!peer) {
        evutil_closesocket(fd);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    peer->server = server;
    peer->reloads = server->reloads;
    atomic_init(&peer->references, 1);
    pthread_mutex_init(&peer->lock, NULL);
    notices_init(&peer->notices);
    visible_init(&peer->visible);
    interest_init(&peer->interest);
    enter(peer, PEER_HANDSHAKE);
    link_peer(peer);
    rc = wire_conn_accept(server->loop, fd, server->tls, &limits, &ops, peer, &peer->conn, err);
    if (rc != HF_OK) {
        unlink_peer(peer);
        notices_release(&peer->notices);
        visible_release(&peer->visible);
        interest_release(&peer->interest);
        pthread_mutex_destroy(&peer->lock);
        free(peer);
    }
    return rc;
}

/* --- telling it ------------------------------------------------------------------------------------ */

void peer_reply(struct peer *peer, uint64_t id, const Holdfast__Wire__Reply *reply)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Reply failure = HOLDFAST__WIRE__REPLY__INIT;
    struct hf_error err;

    frame.id = id;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = (Holdfast__Wire__Reply *)reply;
    if (wire_conn_send(peer->conn, &frame, &err) != HF_TOOBIG)
        return;
    wire_fill_status(HF_TOOBIG, &err, &failure);
    frame.reply = &failure;
    (void)wire_conn_send(peer->conn, &frame, NULL);
}

void peer_notice(struct peer *peer, uint64_t host, const struct store_event *event)
{
    if (event->kind == EVENT_MISSED)
        waiting_missed(peer->server->waits, peer->tenant->store, host);
    if (event->kind == EVENT_LEASE_ANSWERED)
        waiting_answered(peer->server->waits, peer->tenant->store, host, event->sid);
    else if (interest_event(&peer->interest, event) && visible_event(peer, event))
        notices_add(&peer->notices, peer->conn, event);
}

void peer_greeted(struct peer *peer)
{
    enter(peer, PEER_GREETED);
}

void peer_close(struct peer *peer, int status, const char *why)
{
    struct hf_error err;

    (void)hf_fail(&err, status, "%s", why);
    wire_conn_close(peer->conn, 0, &err);
}

void peer_replaced(struct peer *peer)
{
    peer_close(peer, HF_OK, "its host has connected anew");
}

void peer_goodbye(struct peer *peer, const char *reason, bool come_back)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Notice notice = HOLDFAST__WIRE__NOTICE__INIT;
    Holdfast__Wire__Goodbye goodbye = HOLDFAST__WIRE__GOODBYE__INIT;
    struct hf_error why;

    goodbye.reason = (char *)reason;
    goodbye.come_back = come_back;
    notice.goodbye = &goodbye;
    notice.what_case = HOLDFAST__WIRE__NOTICE__WHAT_GOODBYE;
    frame.notice = &notice;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_NOTICE;
    (void)wire_conn_send(peer->conn, &frame, NULL);
    (void)hf_fail(&why, HF_OK, "%s", reason);
    wire_conn_close(peer->conn, PEER_LINGER_MS, &why);
}
