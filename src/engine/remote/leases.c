/* SPDX-License-Identifier: Apache-2.0 */
/* Leases, and locks in the shared tree. The server waits for a lease, not this side. */
#include "engine/remote/engine.h"

int remote_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                         struct lease *ret_lease, struct hf_error *err)
{
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    REMOTE_REQUEST(request, LEASE_ACQUIRE, lease_acquire, &lease);
    Holdfast__Wire__Frame *frame;
    struct remote_wish wish;
    int rc;

    lease.host = host;
    lease.sid = sid;
    lease.wait_ms = wait_ms;
    lease.ahead = remote_wish(store, sid, NULL, &wish);
    rc = remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT_LEASE, &frame, err);
    if (rc != HF_OK)
        return rc;
    rc = wire_read_lease(frame->reply->lease, ret_lease, err);
    if (rc == HF_OK)
        remote_received(store, frame->reply, &ret_lease->head, NULL);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

int remote_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err)
{
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    REMOTE_REQUEST(request, LEASE_RELEASE, lease_release, &lease);

    lease.host = host;
    lease.sid = sid;
    lease.token = token;
    return remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

int remote_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                        const char *pinned_by, struct hf_error *err)
{
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    REMOTE_REQUEST(request, LEASE_REFUSE, lease_refuse, &lease);

    lease.host = host;
    lease.sid = sid;
    lease.token = token;
    lease.text = wire_fill_text(pinned_by);
    return remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

int remote_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                       struct hf_error *err)
{
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    REMOTE_REQUEST(request, LEASE_BREAK, lease_break, &lease);

    lease.sid = sid;
    lease.token = token;
    lease.text = wire_fill_text(reason);
    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

/* --- locks ------------------------------------------------------------------------------------------------ */

static int ask_lock(struct store *store, Holdfast__Wire__Request *request, uint64_t host,
                    Holdfast__Wire__Frame **ret_frame, struct hf_error *err)
{
    Holdfast__Wire__Frame *frame;
    int rc = link_ask(&remote_store_of(store)->link, request, host, &frame, err);

    if (rc != HF_OK)
        return rc;
    *ret_frame = frame;
    return wire_read_status(frame->reply, err);
}

int remote_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err)
{
    Holdfast__Wire__LockRequest message = HOLDFAST__WIRE__LOCK_REQUEST__INIT;
    REMOTE_REQUEST(request, LOCK_SET, lock_set, &message);
    Holdfast__Wire__Frame *frame = NULL;
    struct wire_arena arena = {0};
    int rc = wire_fill_lock(lock, &arena, &message.lock, err);

    message.host = host;
    if (rc == HF_OK)
        rc = ask_lock(store, &request, host, &frame, err);
    if (rc == HF_AGAIN && frame && ret_conflict &&
        frame->reply->result_case == HOLDFAST__WIRE__REPLY__RESULT_LOCK)
        (void)wire_read_lock(frame->reply->lock, ret_conflict, NULL);
    if (frame)
        holdfast__wire__frame__free_unpacked(frame, NULL);
    wire_arena_free(&arena);
    return rc;
}

int remote_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                     struct store_lock *ret_conflict, struct hf_error *err)
{
    Holdfast__Wire__LockRequest message = HOLDFAST__WIRE__LOCK_REQUEST__INIT;
    REMOTE_REQUEST(request, LOCK_TEST, lock_test, &message);
    Holdfast__Wire__Frame *frame = NULL;
    struct wire_arena arena = {0};
    int rc = wire_fill_lock(lock, &arena, &message.lock, err);

    message.host = host;
    if (rc == HF_OK)
        rc = remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT_LOCK, &frame, err);
    if (rc == HF_OK)
        rc = wire_read_lock(frame->reply->lock, ret_conflict, err);
    if (frame)
        holdfast__wire__frame__free_unpacked(frame, NULL);
    wire_arena_free(&arena);
    return rc;
}
