/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and what is written to them. Tokens, base versions and closures are the engine's to check. */
#include "base/clock.h"
#include "base/log.h"
#include "server/ahead.h"
#include "server/handlers.h"
#include "server/peer.h"
#include "server/tenants.h"
#include "wire/convert.h"

#define LIMIT_TOLD_NS (60 * 1000000000LL)

static int fill_head(struct request *request, const struct session_head *head,
                     Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const struct session_head *kept = request_keep(request, head, sizeof *head, err);
    int rc = kept ? wire_fill_head(kept, &request->arena, &reply->head, err) : HF_NOMEM;

    if (rc == HF_OK) {
        reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_HEAD;
        visible_note(request->peer, head->sid);
        interest_told(&request->peer->interest, head->sid, head->version);
        ahead_fill(request, kept, reply);
    }
    return rc;
}

static void fill_number(uint64_t number, Holdfast__Wire__Reply *reply)
{
    reply->number = number;
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_NUMBER;
}

int handle_session_find(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct session_head head;
    const char *name;
    int rc =
        wire_read_text(request->message->session_find->name, "name", &request->arena, &name, err);

    do /* what moved before the interest was noted is not told of */
        rc = rc == HF_OK ? store_session_find(request->peer->tenant->store, name, &head, err) : rc;
    while (rc == HF_OK && !interest_note(&request->peer->interest, head.sid));
    return rc == HF_OK ? fill_head(request, &head, reply, err) : rc;
}

int handle_session_head(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct store *store = request->peer->tenant->store;
    struct interest *interest = &request->peer->interest;
    uint64_t sid = request->message->session_head->sid;
    bool noted = interest_renew(interest, sid);
    struct session_head head;
    int rc = store_session_head(store, sid, &head, err);

    if (rc == HF_OK && !noted && !interest_note(interest, sid))
        rc = store_session_head(store, sid, &head, err);
    return rc == HF_OK ? fill_head(request, &head, reply, err) : rc;
}

int handle_session_create(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err)
{
    const Holdfast__Wire__SessionCreateRequest *create = request->message->session_create;
    const struct lease *kept;
    struct commit first;
    struct lease lease;
    const char *name;
    int rc = wire_read_text(create->name, "name", &request->arena, &name, err);

    if (rc == HF_OK)
        rc = wire_read_commit(create->first, &request->arena, &first, err);
    if (rc == HF_OK)
        rc = store_session_create(request->peer->tenant->store, create->host, name, &first, &lease,
                                  err);
    if (rc != HF_OK)
        return rc;
    kept = request_keep(request, &lease, sizeof lease, err);
    rc = kept ? wire_fill_lease(kept, &request->arena, &reply->lease, err) : HF_NOMEM;
    if (rc != HF_OK)
        return rc;
    visible_note(request->peer, lease.sid);
    interest_told(&request->peer->interest, lease.sid, lease.head.version);
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_LEASE;
    return HF_OK;
}

int handle_session_rename(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err)
{
    const Holdfast__Wire__SessionRenameRequest *rename = request->message->session_rename;
    enum session_rename_mode mode;
    const char *name;
    int rc = wire_read_text(rename->name, "name", &request->arena, &name, err);

    (void)reply;
    if (rc == HF_OK)
        rc = wire_read_rename_mode(rename->mode, &mode, err);
    if (rc != HF_OK)
        return rc;
    return store_session_rename(request->peer->tenant->store, rename->host, rename->sid,
                                rename->token, name, mode, rename->other_token, err);
}

int handle_session_delete(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err)
{
    const Holdfast__Wire__LeaseRequest *delete = request->message->session_delete;

    (void)reply;
    return store_session_delete(request->peer->tenant->store, delete->host, delete->sid,
                                delete->token, err);
}

int handle_session_undelete(struct request *request, Holdfast__Wire__Reply *reply,
                            struct hf_error *err)
{
    const Holdfast__Wire__SessionRequest *undelete = request->message->session_undelete;
    const char *name;
    int rc = wire_read_text_or_null(undelete->name, "name", &request->arena, &name, err);

    (void)reply;
    return rc == HF_OK
               ? store_session_undelete(request->peer->tenant->store, undelete->sid, name, err)
               : rc;
}

/* Of a session over its limit, or a store over its own: not at every try. */
static void log_limit(struct peer *peer, const struct hf_error *err)
{
    int64_t now = clock_boottime(&clock_system), told = atomic_load(&peer->full_told);

    if ((err->status == HF_QUOTA || err->status == HF_NOSPC) &&
        (told == 0 || now - told > LIMIT_TOLD_NS) &&
        atomic_compare_exchange_strong(&peer->full_told, &told, now))
        log_warn("%s (%s): a commit was refused: %s", wire_conn_address(peer->conn), peer->identity,
                 err->message);
}

int handle_commit(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__CommitRequest *message = request->message->commit;
    struct commit commit;
    uint64_t version;
    int rc = wire_read_commit(message->commit, &request->arena, &commit, err);

    if (rc != HF_OK)
        return rc;
    (void)interest_renew(&request->peer->interest, commit.sid); /* no lease keeps the shared tree */
    rc = store_commit(request->peer->tenant->store, message->host, &commit, &version, err);
    if (rc == HF_OK) {
        interest_told(&request->peer->interest, commit.sid, version);
        fill_number(version, reply);
    } else if (err) {
        log_limit(request->peer, err);
    }
    return rc;
}

int handle_sync(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    (void)reply;
    return store_sync(request->peer->tenant->store, err);
}

int handle_rescue(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__RescueRequest *rescue = request->message->rescue;
    struct commit commit;
    const char *reason;
    uint64_t id;
    int rc = wire_read_commit(rescue->commit, &request->arena, &commit, err);

    if (rc == HF_OK)
        rc = wire_read_text(rescue->reason, "reason", &request->arena, &reason, err);
    if (rc == HF_OK)
        rc = store_rescue(request->peer->tenant->store, rescue->host, &commit, reason, &id, err);
    if (rc == HF_OK)
        fill_number(id, reply);
    return rc;
}

int handle_rescue_drop(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__RescueDropRequest *drop = request->message->rescue_drop;

    (void)reply;
    return store_rescue_drop(request->peer->tenant->store, drop->sid, drop->rescue, err);
}

int handle_session_purge(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err)
{
    (void)reply;
    return store_session_purge(request->peer->tenant->store, request->message->session_purge->sid,
                               err);
}

int handle_history_drop(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__HistoryDropRequest *drop = request->message->history_drop;
    uint64_t dropped;
    int rc = store_history_drop(request->peer->tenant->store, drop->sid, drop->versions,
                                drop->n_versions, &dropped, err);

    if (rc == HF_OK)
        fill_number(dropped, reply);
    return rc;
}
