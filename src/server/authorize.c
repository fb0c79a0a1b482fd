/* SPDX-License-Identifier: Apache-2.0 */
#include "server/authorize.h"

#include <inttypes.h>
#include <string.h>

#include "store/name.h"

/* --- the table ------------------------------------------------------------------------------------------ */

/* What of a request is looked at, beside the role. */
enum {
    ASKS_HOST = 1 << 0,         /* a host session of the peer's own */
    ASKS_HOST_OR_NONE = 1 << 1, /* likewise, or 0 */
    ASKS_SESSION = 1 << 2,      /* a session, by number */
    ASKS_NAME = 1 << 3,         /* a session, by name */
    ASKS_NEW_NAME = 1 << 4,     /* a name that a session will have */
    ASKS_NEW_NAME_OR_NONE = 1 << 5,
    ASKS_SESSION_OR_ALL = 1 << 6, /* a session, by number, or UINT64_MAX */
};

struct rule {
    enum role least;
    unsigned asks;
};

#define OP(kind) HOLDFAST__WIRE__REQUEST__OP_##kind

/* In the order of holdfast.proto. Lists are open to all: what they show is filtered. */
static const struct rule rules[] = {
    [OP(HELLO)] = {ROLE_READER, 0},
    [OP(PUT)] = {ROLE_AGENT, ASKS_HOST_OR_NONE},
    [OP(GET)] = {ROLE_READER, 0},
    [OP(MISSING)] = {ROLE_READER, ASKS_HOST_OR_NONE},
    [OP(SESSION_LIST)] = {ROLE_READER, 0},
    [OP(SESSION_FIND)] = {ROLE_READER, ASKS_NAME},
    [OP(SESSION_HEAD)] = {ROLE_READER, ASKS_SESSION},
    [OP(SESSION_CREATE)] = {ROLE_AGENT, ASKS_HOST_OR_NONE | ASKS_NEW_NAME},
    [OP(SESSION_RENAME)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION | ASKS_NEW_NAME},
    [OP(SESSION_DELETE)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION},
    [OP(SESSION_UNDELETE)] = {ROLE_AGENT, ASKS_SESSION | ASKS_NEW_NAME_OR_NONE},
    [OP(COMMIT)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION},
    [OP(SYNC)] = {ROLE_AGENT, 0},
    [OP(HISTORY)] = {ROLE_READER, ASKS_SESSION},
    [OP(RESCUE)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION},
    [OP(HOST_REGISTER)] = {ROLE_READER, 0},
    [OP(HOST_HEARTBEAT)] = {ROLE_READER, ASKS_HOST},
    [OP(HOST_END)] = {ROLE_READER, ASKS_HOST},
    [OP(HOST_LIST)] = {ROLE_READER, 0},
    [OP(LEASE_ACQUIRE)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION},
    [OP(LEASE_RELEASE)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION},
    [OP(LEASE_REFUSE)] = {ROLE_AGENT, ASKS_HOST | ASKS_SESSION},
    [OP(LEASE_BREAK)] = {ROLE_ADMIN, ASKS_SESSION},
    [OP(LEASE_LIST)] = {ROLE_READER, 0},
    [OP(AUDIT)] = {ROLE_ADMIN, 0},
    [OP(LOCK_SET)] = {ROLE_AGENT, ASKS_HOST},
    [OP(LOCK_TEST)] = {ROLE_READER, ASKS_HOST_OR_NONE},
    [OP(SNAPSHOT_CREATE)] = {ROLE_ADMIN, 0},
    [OP(SNAPSHOT_LIST)] = {ROLE_ADMIN, 0},
    [OP(SNAPSHOT_DELETE)] = {ROLE_ADMIN, 0},
    [OP(ROOTS)] = {ROLE_ADMIN, 0},
    [OP(STATS)] = {ROLE_ADMIN, 0},
    [OP(CHECK)] = {ROLE_ADMIN, 0},
    [OP(CANCEL)] = {ROLE_READER, 0},
    [OP(SESSION_PURGE)] = {ROLE_ADMIN, ASKS_SESSION},
    [OP(HISTORY_DROP)] = {ROLE_ADMIN, ASKS_SESSION},
    [OP(RESCUE_LIST)] = {ROLE_READER, ASKS_SESSION_OR_ALL},
    [OP(RESCUE_DROP)] = {ROLE_AGENT, ASKS_SESSION},
    [OP(SNAPSHOT_PINS)] = {ROLE_ADMIN, 0},
    [OP(SESSION_RECEIVE)] = {ROLE_ADMIN, 0},
    [OP(SNAPSHOT_RECEIVE)] = {ROLE_ADMIN, 0},
    [OP(SETTING_GET)] = {ROLE_READER, 0},
    [OP(SETTING_SET)] = {ROLE_ADMIN, 0},
    [OP(COLLECT)] = {ROLE_ADMIN, 0},
    [OP(MEND)] = {ROLE_ADMIN, 0},
    [OP(RESCUE_RECEIVE)] = {ROLE_ADMIN, 0},
};

static const struct rule *rule_of(int op)
{
    if (op < 0 || (size_t)op >= sizeof rules / sizeof rules[0])
        return NULL;
    return rules[op].least == ROLE_NONE ? NULL : &rules[op];
}

enum role authorize_least_role(int op)
{
    const struct rule *rule = rule_of(op);

    return rule ? rule->least : ROLE_NONE;
}

const char *authorize_name(int op)
{
    const ProtobufCFieldDescriptor *field =
        op > 0 ? protobuf_c_message_descriptor_get_field(&holdfast__wire__request__descriptor,
                                                         (unsigned)op)
               : NULL;

    return field ? field->name : "a request that is not known";
}

/* --- what a request is about ----------------------------------------------------------------------------- */

struct subject {
    uint64_t host, sid;
    const ProtobufCBinaryData *name;
};

/* Requests that name a session and nothing else that is looked at. False: another. */
static bool session_number(const Holdfast__Wire__Request *request, uint64_t *ret_sid)
{
    switch ((int)request->op_case) {
    case OP(HISTORY):
        *ret_sid = request->history->sid;
        return true;
    case OP(HISTORY_DROP):
        *ret_sid = request->history_drop->sid;
        return true;
    case OP(RESCUE_LIST):
        *ret_sid = request->rescue_list->sid;
        return true;
    case OP(RESCUE_DROP):
        *ret_sid = request->rescue_drop->sid;
        return true;
    default:
        return false;
    }
}

/* Requests with a commit or a lock in them: false when that is not there. */
static bool nested_subject(const Holdfast__Wire__Request *request, struct subject *ret_subject)
{
    switch ((int)request->op_case) {
    case OP(SESSION_CREATE):
        ret_subject->host = request->session_create->host;
        ret_subject->name = &request->session_create->name;
        return true;
    case OP(COMMIT):
        ret_subject->host = request->commit->host;
        ret_subject->sid = request->commit->commit ? request->commit->commit->sid : 0;
        return request->commit->commit != NULL;
    case OP(RESCUE):
        ret_subject->host = request->rescue->host;
        ret_subject->sid = request->rescue->commit ? request->rescue->commit->sid : 0;
        return request->rescue->commit != NULL;
    case OP(LOCK_SET):
        ret_subject->host = request->lock_set->host;
        return request->lock_set->lock != NULL;
    case OP(LOCK_TEST):
        ret_subject->host = request->lock_test->host;
        return request->lock_test->lock != NULL;
    default:
        return false;
    }
}

static const Holdfast__Wire__LeaseRequest *lease_of(const Holdfast__Wire__Request *request)
{
    switch ((int)request->op_case) {
    case OP(SESSION_DELETE):
        return request->session_delete;
    case OP(LEASE_ACQUIRE):
        return request->lease_acquire;
    case OP(LEASE_RELEASE):
        return request->lease_release;
    case OP(LEASE_REFUSE):
        return request->lease_refuse;
    case OP(LEASE_BREAK):
        return request->lease_break;
    default:
        return NULL;
    }
}

static const Holdfast__Wire__SessionRequest *session_of(const Holdfast__Wire__Request *request)
{
    switch ((int)request->op_case) {
    case OP(SESSION_FIND):
        return request->session_find;
    case OP(SESSION_HEAD):
        return request->session_head;
    case OP(SESSION_UNDELETE):
        return request->session_undelete;
    case OP(SESSION_PURGE):
        return request->session_purge;
    default:
        return NULL;
    }
}

static bool subject_of(const Holdfast__Wire__Request *request, struct subject *ret_subject)
{
    const Holdfast__Wire__LeaseRequest *lease = lease_of(request);
    const Holdfast__Wire__SessionRequest *session = session_of(request);

    *ret_subject = (struct subject){0};
    if (lease) {
        ret_subject->host = lease->host;
        ret_subject->sid = lease->sid;
        return true;
    }
    if (session) {
        ret_subject->sid = session->sid;
        ret_subject->name = &session->name;
        return true;
    }
    if (session_number(request, &ret_subject->sid))
        return true;
    switch ((int)request->op_case) {
    case OP(SESSION_RENAME):
        ret_subject->host = request->session_rename->host;
        ret_subject->sid = request->session_rename->sid;
        ret_subject->name = &request->session_rename->name;
        return true;
    case OP(HOST_HEARTBEAT):
        ret_subject->host = request->host_heartbeat->host;
        return true;
    case OP(HOST_END):
        ret_subject->host = request->host_end->host;
        return true;
    case OP(PUT):
        ret_subject->host = request->put->host;
        return true;
    case OP(MISSING):
        ret_subject->host = request->missing->host;
        return true;
    default:
        return nested_subject(request, ret_subject);
    }
}

/* --- the rules -------------------------------------------------------------------------------------------- */

/* Numbers of host sessions are small and easy to guess. */
static int check_host(const struct authorize_view *view, unsigned asks, uint64_t host,
                      struct hf_error *err)
{
    if (!(asks & (ASKS_HOST | ASKS_HOST_OR_NONE)) || (host == 0 && (asks & ASKS_HOST_OR_NONE)))
        return 0;
    if (host != 0 && view->owns(host, view->arg))
        return 0;
    return hf_fail(err, HF_FENCED, "host session %" PRIu64 " is over, or another's", host);
}

static int check_session(const struct principal *principal, const struct authorize_view *view,
                         uint64_t sid, struct hf_error *err)
{
    char name[SESSION_NAME_MAX + 1];
    int status;

    if (sid == SHARED_SID)
        return 0;
    status = view->name(sid, name, view->arg, err);
    if (status && status != HF_NOENT)
        return status;
    if (status == 0 && principal_matches(principal, name))
        return 0;
    return hf_fail(err, HF_NOENT, "there is no session with the number %" PRIu64, sid);
}

/* Copies a name out of a message: it must be one. */
static int read_name(const ProtobufCBinaryData *bytes, char ret_name[SESSION_NAME_MAX + 1],
                     struct hf_error *err)
{
    if (!bytes || bytes->len == 0 || bytes->len > SESSION_NAME_MAX ||
        memchr(bytes->data, '\0', bytes->len))
        return hf_fail(err, HF_INVAL, "the name of a session has 1 to %d bytes, and no NUL",
                       SESSION_NAME_MAX);
    memcpy(ret_name, bytes->data, bytes->len);
    ret_name[bytes->len] = '\0';
    return session_name_check(ret_name, err);
}

static int check_name(const struct principal *principal, unsigned asks,
                      const ProtobufCBinaryData *bytes, struct hf_error *err)
{
    char name[SESSION_NAME_MAX + 1];
    int status;

    if (!(asks & (ASKS_NAME | ASKS_NEW_NAME | ASKS_NEW_NAME_OR_NONE)) ||
        (bytes && bytes->len == 0 && (asks & ASKS_NEW_NAME_OR_NONE)))
        return 0;
    status = read_name(bytes, name, err);
    if (status || principal_matches(principal, name))
        return status;
    if (asks & ASKS_NAME)
        return hf_fail(err, HF_NOENT, "there is no session named %s", name);
    return hf_fail(err, HF_ACCESS, "'%s' may not have a session of the name %s", principal->name,
                   name);
}

static bool names_session(const struct rule *rule, uint64_t sid)
{
    return (rule->asks & ASKS_SESSION) || ((rule->asks & ASKS_SESSION_OR_ALL) && sid != UINT64_MAX);
}

int authorize_request(const struct principal *principal, const Holdfast__Wire__Request *request,
                      const struct authorize_view *view, struct hf_error *err)
{
    const struct rule *rule = rule_of((int)request->op_case);
    struct subject subject;
    int status;

    if (!rule)
        return hf_fail(err, HF_UNSUPPORTED, "this kind of request is not known here");
    if (principal->role < rule->least)
        return hf_fail(err, HF_ACCESS, "'%s' has the role %s, and %s needs the role %s",
                       principal->name, role_name(principal->role),
                       authorize_name((int)request->op_case), role_name(rule->least));
    if (rule->asks == 0)
        return 0;
    if (!subject_of(request, &subject))
        return hf_fail(err, HF_INVAL, "a part of the request is missing");
    status = check_host(view, rule->asks, subject.host, err);
    if (!status && names_session(rule, subject.sid))
        status = check_session(principal, view, subject.sid, err);
    return status ? status : check_name(principal, rule->asks, subject.name, err);
}

/* --- what is shown ---------------------------------------------------------------------------------------- */

bool authorize_shows(const struct principal *principal, const char *session)
{
    if (principal->role == ROLE_ADMIN)
        return true;
    if (!session || principal->role == ROLE_NONE)
        return false;
    return *session == '\0' || principal_matches(principal, session);
}

bool authorize_shows_host(const struct principal *principal, const struct host_identity *identity)
{
    if (principal->role == ROLE_ADMIN)
        return true;
    return principal->role != ROLE_NONE && identity->principal &&
           strcmp(identity->principal, principal->name) == 0;
}

bool authorize_shows_event(const struct principal *principal, const struct store_event *event,
                           const char *name, const char *former)
{
    switch (event->kind) {
    case EVENT_HEAD_MOVED:
    case EVENT_SESSIONS_CHANGED:
        if (event->sid == SHARED_SID)
            return authorize_shows(principal, "");
        if (authorize_shows(principal, name))
            return true;
        return event->kind == EVENT_SESSIONS_CHANGED && former &&
               authorize_shows(principal, former);
    case EVENT_LEASE_RECALLED: /* of its own leases and questions */
    case EVENT_LEASE_LOST:
    case EVENT_LEASE_ANSWERED:
    case EVENT_HOSTS_CHANGED:
    case EVENT_LOCKS_CHANGED:
    case EVENT_MISSED:
    case EVENT_HOST_LOST:
        return principal->role != ROLE_NONE;
    }
    return false;
}
