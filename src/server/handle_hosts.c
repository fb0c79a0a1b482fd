/* SPDX-License-Identifier: Apache-2.0 */
/* Host sessions, their leases, and their locks in the shared tree. */
#include "server/handlers.h"
#include "server/host_session.h"
#include "server/peer.h"
#include "server/server_state.h"
#include "server/waiting.h"
#include "wire/convert.h"

/* --- host sessions -------------------------------------------------------------------------------- */

/* The host is told its number before the first event that is for it. */
static void tell_number(struct request *request, uint64_t host, Holdfast__Wire__Reply *reply)
{
    reply->number = host;
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_NUMBER;
    request_answer(request, HF_OK, NULL, reply);
    notices_open(&request->peer->notices, request->peer->conn, host);
}

int handle_host_register(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err)
{
    struct peer *peer = request->peer;
    struct host_identity identity;
    struct host_session *session;
    uint64_t host;
    int rc = wire_read_identity(request->message->host_register->identity, &request->arena,
                                &identity, err);

    if (rc != HF_OK)
        return rc;
    /* Who it is, its certificate says; for how long it is believed, the server. */
    identity.principal = peer->identity;
    identity.ttl_ms = peer->server->options.ttl_ms;
    interest_limit(&peer->interest, request->message->host_register->heads_once);
    notices_hold(&peer->notices);
    rc = host_session_register(peer->tenant->hosts, peer->tenant->store, &identity, peer, &session,
                               &host, err);
    if (rc != HF_OK)
        return rc;
    if (!peer_set_session(peer, session))
        return hf_fail(err, HF_IO, "the connection is gone");
    tell_number(request, host, reply);
    request_end(request);
    return HF_PENDING;
}

int handle_host_heartbeat(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err)
{
    (void)reply;
    return store_host_heartbeat(request->peer->tenant->store,
                                request->message->host_heartbeat->host, err);
}

int handle_host_end(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct peer *peer = request->peer;
    struct host_session *session = peer_session(peer);
    int rc = session ? host_session_end(session, peer, err) : HF_OK;

    (void)reply;
    host_session_unref(session);
    return rc;
}

/* --- leases --------------------------------------------------------------------------------------- */

int handle_lease_acquire(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err)
{
    const Holdfast__Wire__LeaseRequest *lease = request->message->lease_acquire;
    struct peer *peer = request->peer;

    (void)reply;
    if (lease->sid == SHARED_SID || lease->sid > SID_MAX)
        return hf_fail(err, HF_INVAL, "%llu is not the number of a session",
                       (unsigned long long)lease->sid);
    waiting_start(peer->server->waits, request, peer->tenant->store, lease->host, lease->sid,
                  lease->wait_ms);
    return HF_PENDING;
}

/* Whoever gets the lease next may commit at once: that is news for the host then. */
static void stay_interested(struct request *request, uint64_t sid)
{
    struct session_head head;

    if (!interest_renew(&request->peer->interest, sid) &&
        store_session_head(request->peer->tenant->store, sid, &head, NULL) == HF_OK)
        (void)interest_note(&request->peer->interest, sid);
}

int handle_lease_release(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err)
{
    const Holdfast__Wire__LeaseRequest *lease = request->message->lease_release;

    (void)reply;
    stay_interested(request, lease->sid);
    return store_lease_release(request->peer->tenant->store, lease->host, lease->sid, lease->token,
                               err);
}

int handle_lease_refuse(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__LeaseRequest *lease = request->message->lease_refuse;
    const char *pinned_by;
    int rc = wire_read_text(lease->text, "text", &request->arena, &pinned_by, err);

    (void)reply;
    return rc == HF_OK ? store_lease_refuse(request->peer->tenant->store, lease->host, lease->sid,
                                            lease->token, pinned_by, err)
                       : rc;
}

int handle_lease_break(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__LeaseRequest *lease = request->message->lease_break;
    const char *reason;
    int rc = wire_read_text(lease->text, "text", &request->arena, &reason, err);

    (void)reply;
    return rc == HF_OK ? store_lease_break(request->peer->tenant->store, lease->sid, lease->token,
                                           reason, err)
                       : rc;
}

/* --- locks ---------------------------------------------------------------------------------------- */

static int fill_lock(struct request *request, const struct store_lock *lock,
                     Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    int rc = wire_fill_lock(lock, &request->arena, &reply->lock, err);

    if (rc == HF_OK)
        reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_LOCK;
    return rc;
}

int handle_lock_set(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__LockRequest *message = request->message->lock_set;
    struct store_lock lock, conflict = {0};
    int rc = wire_read_lock(message->lock, &lock, err);

    if (rc == HF_OK)
        rc = store_lock_set(request->peer->tenant->store, message->host, &lock, &conflict, err);
    if (rc == HF_AGAIN && conflict.kind != 0)
        (void)fill_lock(request, &conflict, reply, NULL);
    return rc;
}

int handle_lock_test(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__LockRequest *message = request->message->lock_test;
    struct store_lock lock, conflict;
    int rc = wire_read_lock(message->lock, &lock, err);

    if (rc == HF_OK)
        rc = store_lock_test(request->peer->tenant->store, message->host, &lock, &conflict, err);
    return rc == HF_OK ? fill_lock(request, &conflict, reply, err) : rc;
}
