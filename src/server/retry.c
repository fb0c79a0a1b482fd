/* SPDX-License-Identifier: Apache-2.0 */
#include "server/retry.h"

#include <string.h>

#include "server/peer.h"
#include "server/tenants.h"
#include "server/visible.h"
#include "store/store.h"
#include "wire/convert.h"

#define KIND(name) HOLDFAST__WIRE__REQUEST__OP_##name

static struct store *store_of(const struct request *request)
{
    return request->peer->tenant->store;
}

static void fill_number(uint64_t number, Holdfast__Wire__Reply *reply)
{
    reply->number = number;
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_NUMBER;
}

/* --- commits -------------------------------------------------------------------------------------- */

/* A version as it would be had the request been carried out. */
struct expected {
    uint64_t version, host, token;
    bool any_token;
    const ProtobufCBinaryData *root;
    bool found;
};

static int compare_version(const struct history_entry *entry, void *arg)
{
    struct expected *expected = arg;

    expected->found = entry->version == expected->version && entry->host == expected->host &&
                      (expected->any_token || entry->token == expected->token) &&
                      expected->root->len == OBJECT_ID_SIZE &&
                      memcmp(entry->root.bytes, expected->root->data, OBJECT_ID_SIZE) == 0;
    return 1;
}

static bool has_version(struct request *request, uint64_t sid, struct expected *expected)
{
    (void)store_history(store_of(request), sid, expected->version, 1, compare_version, expected,
                        NULL);
    return expected->found;
}

static bool commit_was_done(struct request *request, Holdfast__Wire__Reply *reply)
{
    const Holdfast__Wire__CommitRequest *message = request->message->commit;
    const Holdfast__Wire__Commit *commit = message->commit;
    struct expected expected = {.host = message->host};

    if (!commit || commit->base_version == UINT64_MAX)
        return false;
    expected.version = commit->base_version + 1;
    expected.token = commit->token;
    expected.root = &commit->root;
    if (!has_version(request, commit->sid, &expected))
        return false;
    fill_number(expected.version, reply);
    return true;
}

/* --- sessions ------------------------------------------------------------------------------------- */

static bool create_was_done(struct request *request, Holdfast__Wire__Reply *reply,
                            struct hf_error *err)
{
    const Holdfast__Wire__SessionCreateRequest *create = request->message->session_create;
    struct expected expected = {.version = 1, .host = create->host, .any_token = true};
    struct session_head head;
    struct lease lease = {0};
    const struct lease *kept;
    const char *name;
    int64_t again;

    if (!create->first ||
        wire_read_text(create->name, "name", &request->arena, &name, NULL) != HF_OK ||
        store_session_find(store_of(request), name, &head, NULL) != HF_OK)
        return false;
    expected.root = &create->first->root;
    if (!has_version(request, head.sid, &expected))
        return false;
    lease = (struct lease){.sid = head.sid, .head = head};
    if (create->host != 0 && store_lease_ask(store_of(request), create->host, head.sid, 0, &lease,
                                             &again, NULL) != HF_OK) {
        (void)store_lease_withdraw(store_of(request), create->host, head.sid, NULL);
        return false;
    }
    kept = request_keep(request, &lease, sizeof lease, err);
    if (!kept || wire_fill_lease(kept, &request->arena, &reply->lease, err) != HF_OK)
        return false;
    visible_note(request->peer, head.sid);
    interest_told(&request->peer->interest, head.sid, lease.head.version);
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_LEASE;
    return true;
}

struct named {
    uint64_t sid;
    const char *name; /* NULL: any */
    bool found;
};

static int compare_name(const struct session_info *info, void *arg)
{
    struct named *named = arg;

    if (info->head.sid == named->sid)
        named->found = !named->name || strcmp(info->name, named->name) == 0;
    return HF_OK;
}

/* Whether a live session has that name. */
static bool is_named(struct request *request, uint64_t sid, ProtobufCBinaryData name)
{
    const struct session_filter filter = {.sid = sid};
    struct named named = {.sid = sid};

    if (sid == SHARED_SID || sid > SID_MAX ||
        wire_read_text_or_null(name, "name", &request->arena, &named.name, NULL) != HF_OK)
        return false;
    (void)store_session_list(store_of(request), &filter, compare_name, &named, NULL);
    return named.found;
}

/* --- the audit trail ------------------------------------------------------------------------------ */

struct deed {
    enum audit_event event;
    uint64_t token;
    uint64_t host; /* 0: any */
    bool found;
};

static int compare_deed(const struct audit_entry *entry, void *arg)
{
    struct deed *deed = arg;

    if (entry->event == deed->event && entry->token == deed->token &&
        (deed->host == 0 || entry->host == deed->host))
        deed->found = true;
    return HF_OK;
}

static bool was_audited(struct request *request, const Holdfast__Wire__LeaseRequest *lease,
                        enum audit_event event, uint64_t host)
{
    struct deed deed = {.event = event, .token = lease->token, .host = host};

    (void)store_audit(store_of(request), lease->sid, 0, compare_deed, &deed, NULL);
    return deed.found;
}

/* --- rescue versions ------------------------------------------------------------------------------ */

struct rescued {
    uint64_t sid, base;
    const ProtobufCBinaryData *root;
    uint64_t id;
};

static int compare_rescue(const struct root_info *info, void *arg)
{
    struct rescued *rescued = arg;

    if (info->kind == ROOT_RESCUE && info->sid == rescued->sid && info->version == rescued->base &&
        memcmp(info->root.bytes, rescued->root->data, OBJECT_ID_SIZE) == 0)
        rescued->id = info->rescue;
    return HF_OK;
}

static bool rescue_is_done(struct request *request, Holdfast__Wire__Reply *reply)
{
    const Holdfast__Wire__Commit *commit = request->message->rescue->commit;
    struct rescued rescued = {0};

    if (!commit || commit->root.len != OBJECT_ID_SIZE)
        return false;
    rescued = (struct rescued){commit->sid, commit->base_version, &commit->root, 0};
    (void)store_roots(store_of(request), compare_rescue, &rescued, NULL);
    if (rescued.id == 0)
        return false;
    fill_number(rescued.id, reply);
    return true;
}

/* --- calls ---------------------------------------------------------------------------------------- */

bool retry_is_done(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__Request *message = request->message;

    (void)err;
    switch ((int)message->op_case) {
    case KIND(SESSION_RENAME):
        return is_named(request, message->session_rename->sid, message->session_rename->name);
    case KIND(RESCUE):
        return rescue_is_done(request, reply);
    default:
        return false;
    }
}

/* Whether no live session has the number: one that cannot be purged is in no trash. */
static bool is_purged(struct request *request, uint64_t sid)
{
    return sid != SHARED_SID && sid <= SID_MAX && !is_named(request, sid, (ProtobufCBinaryData){0});
}

/* Those whose refusal itself says that it is already so. */
static bool is_already_so(struct request *request, int status)
{
    const Holdfast__Wire__Request *message = request->message;

    switch ((int)message->op_case) {
    case KIND(SESSION_PURGE):
        return status == HF_NOENT && is_purged(request, message->session_purge->sid);
    case KIND(RESCUE_DROP):
    case KIND(SNAPSHOT_DELETE):
        return status == HF_NOENT;
    case KIND(SETTING_SET):
        return status == HF_NOENT && message->setting_set->forget;
    case KIND(MEND):
        return status == (message->mend->good ? HF_EXIST : HF_NOENT);
    default:
        return false;
    }
}

static bool is_refusal(int status)
{
    return status == HF_CONFLICT || status == HF_EXIST || status == HF_FENCED || status == HF_NOENT;
}

bool retry_was_done(struct request *request, int status, Holdfast__Wire__Reply *reply,
                    struct hf_error *err)
{
    const Holdfast__Wire__Request *message = request->message;

    if (!is_refusal(status))
        return false;
    switch ((int)message->op_case) {
    case KIND(COMMIT):
        return commit_was_done(request, reply);
    case KIND(SESSION_CREATE):
        return create_was_done(request, reply, err);
    case KIND(SESSION_DELETE):
        return was_audited(request, message->session_delete, AUDIT_DELETE,
                           message->session_delete->host);
    case KIND(SESSION_UNDELETE):
        return is_named(request, message->session_undelete->sid, message->session_undelete->name);
    case KIND(LEASE_RELEASE):
        return was_audited(request, message->lease_release, AUDIT_RELEASE,
                           message->lease_release->host);
    case KIND(LEASE_BREAK):
        return was_audited(request, message->lease_break, AUDIT_BREAK, 0);
    default:
        return is_already_so(request, status);
    }
}
