/* SPDX-License-Identifier: Apache-2.0 */
#include "server/dispatch.h"

#include <string.h>

#include "base/log.h"
#include "server/authorize.h"
#include "server/handlers.h"
#include "server/host_session.h"
#include "server/peer.h"
#include "server/retry.h"
#include "server/server_state.h"
#include "server/tenants.h"
#include "server/waiting.h"
#include "wire/convert.h"

/* Of one connection: a host that asks on and on is not to fill the log. */
#define LOGGED_REFUSALS 10

enum operation_flags {
    QUEUED = 1 << 0,  /* in the peer's queue; without: at once */
    BARRIER = 1 << 1, /* none may overtake it */
    BULK = 1 << 2,    /* its answer may be large: not while the peer's output is high */
};

struct operation {
    const char *name;
    unsigned flags;
    handler_fn run;
};

#define KIND(name) HOLDFAST__WIRE__REQUEST__OP_##name

static const struct operation operations[] = {
    [KIND(HELLO)] = {"hello", QUEUED | BARRIER, handle_hello},
    [KIND(PUT)] = {"put", QUEUED, handle_put},
    [KIND(GET)] = {"get", QUEUED | BULK, handle_get},
    [KIND(MISSING)] = {"missing", QUEUED, handle_missing},
    [KIND(SESSION_LIST)] = {"session_list", QUEUED | BULK, handle_session_list},
    [KIND(SESSION_FIND)] = {"session_find", QUEUED, handle_session_find},
    [KIND(SESSION_HEAD)] = {"session_head", QUEUED, handle_session_head},
    [KIND(SESSION_CREATE)] = {"session_create", QUEUED, handle_session_create},
    [KIND(SESSION_RENAME)] = {"session_rename", QUEUED, handle_session_rename},
    [KIND(SESSION_DELETE)] = {"session_delete", QUEUED, handle_session_delete},
    [KIND(SESSION_UNDELETE)] = {"session_undelete", QUEUED, handle_session_undelete},
    [KIND(COMMIT)] = {"commit", QUEUED, handle_commit},
    [KIND(SYNC)] = {"sync", QUEUED, handle_sync},
    [KIND(HISTORY)] = {"history", QUEUED | BULK, handle_history},
    [KIND(RESCUE)] = {"rescue", QUEUED, handle_rescue},
    [KIND(HOST_REGISTER)] = {"host_register", QUEUED | BARRIER, handle_host_register},
    [KIND(HOST_HEARTBEAT)] = {"host_heartbeat", 0, handle_host_heartbeat},
    [KIND(HOST_END)] = {"host_end", QUEUED | BARRIER, handle_host_end},
    [KIND(HOST_LIST)] = {"host_list", QUEUED | BULK, handle_host_list},
    [KIND(LEASE_ACQUIRE)] = {"lease_acquire", QUEUED, handle_lease_acquire},
    [KIND(LEASE_RELEASE)] = {"lease_release", QUEUED, handle_lease_release},
    [KIND(LEASE_REFUSE)] = {"lease_refuse", QUEUED, handle_lease_refuse},
    [KIND(LEASE_BREAK)] = {"lease_break", QUEUED, handle_lease_break},
    [KIND(LEASE_LIST)] = {"lease_list", QUEUED | BULK, handle_lease_list},
    [KIND(AUDIT)] = {"audit", QUEUED | BULK, handle_audit},
    [KIND(LOCK_SET)] = {"lock_set", QUEUED, handle_lock_set},
    [KIND(LOCK_TEST)] = {"lock_test", QUEUED, handle_lock_test},
    [KIND(SNAPSHOT_CREATE)] = {"snapshot_create", QUEUED, handle_snapshot_create},
    [KIND(SNAPSHOT_LIST)] = {"snapshot_list", QUEUED | BULK, handle_snapshot_list},
    [KIND(SNAPSHOT_DELETE)] = {"snapshot_delete", QUEUED, handle_snapshot_delete},
    [KIND(ROOTS)] = {"roots", QUEUED | BULK, handle_roots},
    [KIND(STATS)] = {"stats", QUEUED, handle_stats},
    [KIND(CHECK)] = {"check", QUEUED | BULK, handle_check},
    [KIND(SESSION_PURGE)] = {"session_purge", QUEUED, handle_session_purge},
    [KIND(HISTORY_DROP)] = {"history_drop", QUEUED, handle_history_drop},
    [KIND(RESCUE_LIST)] = {"rescue_list", QUEUED | BULK, handle_rescue_list},
    [KIND(RESCUE_DROP)] = {"rescue_drop", QUEUED, handle_rescue_drop},
    [KIND(SNAPSHOT_PINS)] = {"snapshot_pins", QUEUED | BULK, handle_snapshot_pins},
    [KIND(SESSION_RECEIVE)] = {"session_receive", QUEUED, handle_session_receive},
    [KIND(SNAPSHOT_RECEIVE)] = {"snapshot_receive", QUEUED, handle_snapshot_receive},
    [KIND(SETTING_GET)] = {"setting_get", QUEUED, handle_setting_get},
    [KIND(SETTING_SET)] = {"setting_set", QUEUED, handle_setting_set},
    [KIND(COLLECT)] = {"collect", QUEUED, handle_collect},
    [KIND(MEND)] = {"mend", QUEUED, handle_mend},
    [KIND(RESCUE_RECEIVE)] = {"rescue_receive", QUEUED, handle_rescue_receive},
};

static int handle_unknown(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err)
{
    (void)request;
    (void)reply;
    return hf_fail(err, HF_UNSUPPORTED, "this server does not know such a request");
}

static const struct operation unknown = {"unknown", QUEUED, handle_unknown};

const struct operation *dispatch_find(Holdfast__Wire__Request__OpCase kind)
{
    size_t i = (size_t)kind;

    return i < sizeof operations / sizeof operations[0] && operations[i].run ? &operations[i]
                                                                             : &unknown;
}

bool operation_is_queued(const struct operation *operation)
{
    return (operation->flags & QUEUED) != 0;
}

bool operation_is_barrier(const struct operation *operation)
{
    return (operation->flags & BARRIER) != 0;
}

bool operation_is_bulk(const struct operation *operation)
{
    return (operation->flags & BULK) != 0;
}

const char *operation_name(const struct operation *operation)
{
    return operation->name;
}

/* --- on a worker ---------------------------------------------------------------------------------- */

static bool owns(uint64_t host, void *arg)
{
    struct peer *peer = arg;

    struct host_session *session = peer_session(peer);
    bool serves = host_session_serves(session, peer, host);

    host_session_unref(session);
    return serves;
}

/* A session that a host may not see is no refusal: it is not there. */
static void log_refusal(const struct request *request, const struct hf_error *err)
{
    struct peer *peer = request->peer;
    unsigned before = atomic_fetch_add(&peer->refusals, 1);
    const struct log_fields fields = peer_fields(peer);

    if (before < LOGGED_REFUSALS)
        log_event(LOG_LEVEL_WARN, &fields, "%s (%s): %s refused: %s%s",
                  wire_conn_address(peer->conn), peer->identity, operation_name(request->operation),
                  err->message,
                  before + 1 < LOGGED_REFUSALS ? "" : "; more of this connection are not told");
}

static int authorize(struct request *request, struct hf_error *err)
{
    const struct authorize_view view = {visible_name, owns, request->peer};
    int rc;

    if (request->operation->run == handle_hello || request->operation == &unknown)
        return HF_OK;
    /* It did not wait for the answer to its hello, which was a refusal. Heartbeats pass a hello, and are refused
     * for want of a host session. */
    if (operation_is_queued(request->operation) && !request->peer->tenant)
        return hf_fail(err, HF_ACCESS, "the connection was refused");
    rc = authorize_request(&request->peer->principal, request->message, &view, err);
    if (rc == HF_ACCESS)
        log_refusal(request, err);
    return rc;
}

/* An earlier try did it, and may have lost its connection before that was on the medium. */
static int answer_done(struct request *request, struct hf_error *err)
{
    return store_sync(request->peer->tenant->store, err);
}

static int run(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    bool retry = request->message->retry;
    int rc = request->progress.begun ? HF_OK : authorize(request, err);

    if (rc == HF_OK && !request->progress.begun && request->peer->tenant)
        atomic_fetch_add(&request->peer->tenant->requests, 1);
    request->progress.begun = true;
    request->more = false;
    if (rc != HF_OK)
        return rc;
    if (retry && retry_is_done(request, reply, err))
        return answer_done(request, err);
    rc = request->operation->run(request, reply, err);
    /* With HF_PENDING the request is another's, or has ended. */
    if (rc != HF_OK && rc != HF_PENDING && retry && retry_was_done(request, rc, reply, err))
        rc = answer_done(request, err);
    return rc;
}

void dispatch_run(struct task *task)
{
    struct request *request = (struct request *)task;
    struct peer *peer = peer_ref(request->peer);
    bool bulk = operation_is_bulk(request->operation);
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    struct hf_error err = {0};
    int rc;

    if (bulk && peer_park(peer, request)) {
        peer_unref(peer);
        return;
    }
    if (peer_is_closed(peer)) {
        request_end(request);
    } else if ((rc = run(request, &reply, &err)) != HF_PENDING) {
        reply.more = rc == HF_OK && request->more;
        request_answer(request, rc, &err, &reply);
        if (reply.more)
            workers_submit(peer->server->workers, &request->task);
        else
            request_end(request);
    }
    if (bulk)
        peer_unpark(peer);
    peer_unref(peer);
}

/* --- on the loop's thread -------------------------------------------------------------------------- */

static void refuse(struct peer *peer, uint64_t id)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;

    wire_fill_status(peer->refusal.status, &peer->refusal, &reply);
    peer_reply(peer, id, &reply);
    wire_conn_close(peer->conn, PEER_LINGER_MS, &peer->refusal);
}

/* What is wrong with the order of frames, or NULL. */
static const char *breach(const struct peer *peer, const Holdfast__Wire__Frame *frame)
{
    bool hello;

    if (frame->body_case != HOLDFAST__WIRE__FRAME__BODY_REQUEST || !frame->request)
        return "it sent something that is not a request";
    if (frame->id <= peer->last_id)
        return "its request numbers do not grow";
    hello = frame->request->op_case == KIND(HELLO);
    if (peer->phase == PEER_STRANGER && !hello)
        return "its first request is not a hello";
    if (peer->phase == PEER_GREETED && hello)
        return "it said hello twice";
    if (wire_conn_queued(peer->conn) > PEER_OUTPUT_MAX)
        return "it asks and asks, and takes no answers";
    return NULL;
}

/* Stops a wait: answered without a worker, as it must overtake what it is about. */
static void cancel(struct peer *peer, const Holdfast__Wire__Frame *frame)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;

    peer_note_cancel(peer, frame->request->cancel->id);
    waiting_cancel(peer->server->waits, peer, frame->request->cancel->id);
    peer_reply(peer, frame->id, &reply);
}

static void begin(struct peer *peer, Holdfast__Wire__Frame *frame, size_t size)
{
    struct request *request = request_new(peer, frame, size);

    if (!request) {
        peer_close(peer, HF_NOMEM, "out of memory");
    } else if (operation_is_queued(request->operation)) {
        peer_enqueue(peer, request);
    } else {
        workers_submit(peer->server->urgent, &request->task);
    }
}

void dispatch_frame(struct peer *peer, Holdfast__Wire__Frame *frame, size_t size)
{
    const char *wrong = breach(peer, frame);

    if (wrong || peer->refusal.status != HF_OK || peer->phase == PEER_CLOSED) {
        if (wrong)
            peer_close(peer, HF_INVAL, wrong);
        else if (peer->phase == PEER_STRANGER)
            refuse(peer, frame->id);
        holdfast__wire__frame__free_unpacked(frame, NULL);
        return;
    }
    peer->last_id = frame->id;
    if (!server_is_serving(peer->server) && frame->request->op_case != KIND(HOST_HEARTBEAT)) {
        /* Not answered, so that the host asks again on its next connection. */
        holdfast__wire__frame__free_unpacked(frame, NULL);
        return;
    }
    if (peer->phase == PEER_STRANGER)
        peer_greeted(peer);
    if (frame->request->op_case == KIND(CANCEL)) {
        cancel(peer, frame);
        holdfast__wire__frame__free_unpacked(frame, NULL);
        return;
    }
    begin(peer, frame, size);
}
