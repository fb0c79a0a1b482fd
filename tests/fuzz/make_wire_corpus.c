/* SPDX-License-Identifier: Apache-2.0 */
/* make_wire_corpus DIRECTORY: writes the corpus of fuzz_wire, a file for each kind of request, reply and notice. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"
#include "wire/frame.h"

static const char *directory;
static struct rng rng = {20};
static struct wire_arena arena;

/* Writes bytes behind one that says in what pieces they come. */
static void write_bytes(const char *kind, const char *name, const void *bytes, size_t len)
{
    char path[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s-%s", directory, kind, name);
    file = fopen(path, "we");
    if (!file || fputc((int)rng_below(&rng, 256), file) == EOF ||
        fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void write_frame(const char *kind, const char *name, Holdfast__Wire__Frame *frame)
{
    BUF_AUTO bytes = {0};

    frame->id = sample_number(&rng);
    assert(frame_encode(frame, 1u << 20, &bytes, NULL) == HF_OK);
    write_bytes(kind, name, bytes.data, bytes.len);
}

static void write_request(Holdfast__Wire__Request__OpCase kind, void *message)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&holdfast__wire__request__descriptor, kind);

    assert(field);
    request.op_case = kind;
    request.hello = message; /* all of them are pointers in one union */
    request.retry = rng_below(&rng, 2) == 1;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REQUEST;
    frame.request = &request;
    write_frame("request", field->name, &frame);
}

static void write_reply(Holdfast__Wire__Reply__ResultCase kind, void *message)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&holdfast__wire__reply__descriptor, kind);

    assert(field);
    reply.result_case = kind;
    reply.welcome = message;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = &reply;
    write_frame("reply", field->name, &frame);
}

#define NEW(type, init)                                                                            \
    __extension__({                                                                                \
        type *new_ = wire_arena_alloc(&arena, sizeof *new_);                                       \
        assert(new_);                                                                              \
        init(new_);                                                                                \
        new_;                                                                                      \
    })
#define FILL(type, message_type, what, ...)                                                        \
    __extension__({                                                                                \
        type *value_ = wire_arena_alloc(&arena, sizeof *value_);                                   \
        message_type *message_;                                                                    \
        assert(value_);                                                                            \
        *value_ = sample_##what(__VA_ARGS__);                                                      \
        assert(wire_fill_##what(value_, &arena, &message_, NULL) == HF_OK);                        \
        message_;                                                                                  \
    })

static ProtobufCBinaryData text(void)
{
    return wire_fill_text(sample_text(&rng, &arena));
}

static ProtobufCBinaryData ids(size_t n)
{
    struct object_id *list = wire_arena_alloc(&arena, n * sizeof *list);

    assert(list);
    rng_fill(&rng, list->bytes, n * sizeof *list);
    return wire_fill_ids(list, n);
}

static Holdfast__Wire__Commit *commit(void)
{
    Holdfast__Wire__Commit *message = wire_arena_alloc(&arena, sizeof *message);
    struct object *objects = wire_arena_alloc(&arena, 3 * sizeof *objects);
    struct commit *value = wire_arena_alloc(&arena, sizeof *value);

    assert(message && objects && value);
    for (size_t i = 0; i < 3; i++)
        objects[i] = sample_object(&rng, &arena, 2000);
    value->sid = sample_number(&rng);
    value->token = sample_number(&rng);
    value->objects = objects;
    value->nobjects = 3;
    value->durability = DURABILITY_SYNC;
    value->meta = sample_meta(&rng, &arena);
    rng_fill(&rng, value->root.bytes, sizeof value->root.bytes);
    assert(wire_fill_commit(value, &arena, message, NULL) == HF_OK);
    return message;
}

static Holdfast__Wire__PutRequest *put(void)
{
    Holdfast__Wire__PutRequest *message =
        NEW(Holdfast__Wire__PutRequest, holdfast__wire__put_request__init);
    Holdfast__Wire__Commit *source = commit();

    message->n_objects = source->n_objects;
    message->objects = source->objects;
    return message;
}

static void write_data_requests(void)
{
    Holdfast__Wire__Hello *hello = NEW(Holdfast__Wire__Hello, holdfast__wire__hello__init);
    Holdfast__Wire__GetRequest *get =
        NEW(Holdfast__Wire__GetRequest, holdfast__wire__get_request__init);
    Holdfast__Wire__MissingRequest *missing =
        NEW(Holdfast__Wire__MissingRequest, holdfast__wire__missing_request__init);
    Holdfast__Wire__CommitRequest *committed =
        NEW(Holdfast__Wire__CommitRequest, holdfast__wire__commit_request__init);
    Holdfast__Wire__RescueRequest *rescue =
        NEW(Holdfast__Wire__RescueRequest, holdfast__wire__rescue_request__init);

    hello->protocol = 1;
    hello->program = "corpus";
    get->ids = ids(3);
    missing->ids = ids(5);
    committed->host = 7;
    committed->commit = commit();
    rescue->reason = text();
    rescue->commit = commit();
    write_request(HOLDFAST__WIRE__REQUEST__OP_HELLO, hello);
    write_request(HOLDFAST__WIRE__REQUEST__OP_PUT, put());
    write_request(HOLDFAST__WIRE__REQUEST__OP_GET, get);
    write_request(HOLDFAST__WIRE__REQUEST__OP_MISSING, missing);
    write_request(HOLDFAST__WIRE__REQUEST__OP_COMMIT, committed);
    write_request(HOLDFAST__WIRE__REQUEST__OP_RESCUE, rescue);
}

static void write_session_requests(void)
{
    Holdfast__Wire__SessionRequest *session =
        NEW(Holdfast__Wire__SessionRequest, holdfast__wire__session_request__init);
    Holdfast__Wire__SessionCreateRequest *create =
        NEW(Holdfast__Wire__SessionCreateRequest, holdfast__wire__session_create_request__init);
    Holdfast__Wire__SessionRenameRequest *move =
        NEW(Holdfast__Wire__SessionRenameRequest, holdfast__wire__session_rename_request__init);
    Holdfast__Wire__HistoryRequest *history =
        NEW(Holdfast__Wire__HistoryRequest, holdfast__wire__history_request__init);

    session->sid = 3;
    session->name = wire_fill_text("squadron-dev-issue-42");
    create->name = wire_fill_text("new");
    create->first = commit();
    move->name = wire_fill_text("other");
    move->mode = RENAME_SESSION_EXCHANGE;
    history->limit = 10;
    write_request(
        HOLDFAST__WIRE__REQUEST__OP_SESSION_LIST,
        FILL(struct session_filter, Holdfast__Wire__SessionListRequest, filter, &rng, &arena));
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_FIND, session);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_HEAD, session);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_UNDELETE, session);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_CREATE, create);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_RENAME, move);
    write_request(HOLDFAST__WIRE__REQUEST__OP_HISTORY, history);
}

static void write_host_requests(void)
{
    struct host_identity identity = sample_identity(&rng, &arena);
    Holdfast__Wire__HostRegisterRequest *enlist =
        NEW(Holdfast__Wire__HostRegisterRequest, holdfast__wire__host_register_request__init);
    Holdfast__Wire__HostRequest *host =
        NEW(Holdfast__Wire__HostRequest, holdfast__wire__host_request__init);
    Holdfast__Wire__LeaseRequest *lease =
        NEW(Holdfast__Wire__LeaseRequest, holdfast__wire__lease_request__init);
    Holdfast__Wire__AuditRequest *audit =
        NEW(Holdfast__Wire__AuditRequest, holdfast__wire__audit_request__init);
    Holdfast__Wire__LockRequest *lock =
        NEW(Holdfast__Wire__LockRequest, holdfast__wire__lock_request__init);

    assert(wire_fill_identity(&identity, &arena, &enlist->identity, NULL) == HF_OK);
    host->host = 9;
    *lease = (Holdfast__Wire__LeaseRequest){
        .base = lease->base, .host = 9, .sid = 3, .token = 8, .wait_ms = 5000, .text = text()};
    audit->sid = UINT64_MAX;
    lock->lock = FILL(struct store_lock, Holdfast__Wire__Lock, lock, &rng);
    write_request(HOLDFAST__WIRE__REQUEST__OP_HOST_REGISTER, enlist);
    write_request(HOLDFAST__WIRE__REQUEST__OP_HOST_HEARTBEAT, host);
    write_request(HOLDFAST__WIRE__REQUEST__OP_HOST_END, host);
    write_request(HOLDFAST__WIRE__REQUEST__OP_LEASE_ACQUIRE, lease);
    write_request(HOLDFAST__WIRE__REQUEST__OP_LEASE_RELEASE, lease);
    write_request(HOLDFAST__WIRE__REQUEST__OP_LEASE_REFUSE, lease);
    write_request(HOLDFAST__WIRE__REQUEST__OP_LEASE_BREAK, lease);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_DELETE, lease);
    write_request(HOLDFAST__WIRE__REQUEST__OP_AUDIT, audit);
    write_request(HOLDFAST__WIRE__REQUEST__OP_LOCK_SET, lock);
    write_request(HOLDFAST__WIRE__REQUEST__OP_LOCK_TEST, lock);
}

static void write_store_requests(void)
{
    static const Holdfast__Wire__Request__OpCase empties[] = {
        HOLDFAST__WIRE__REQUEST__OP_SYNC,       HOLDFAST__WIRE__REQUEST__OP_HOST_LIST,
        HOLDFAST__WIRE__REQUEST__OP_LEASE_LIST, HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_LIST,
        HOLDFAST__WIRE__REQUEST__OP_ROOTS,      HOLDFAST__WIRE__REQUEST__OP_STATS,
        HOLDFAST__WIRE__REQUEST__OP_CHECK,
    };
    Holdfast__Wire__Empty *empty = NEW(Holdfast__Wire__Empty, holdfast__wire__empty__init);
    Holdfast__Wire__SnapshotRequest *snapshot =
        NEW(Holdfast__Wire__SnapshotRequest, holdfast__wire__snapshot_request__init);
    Holdfast__Wire__CancelRequest *cancel =
        NEW(Holdfast__Wire__CancelRequest, holdfast__wire__cancel_request__init);
    ProtobufCBinaryData globs[] = {wire_fill_text("squadron-*"), wire_fill_text("a?"), text()};

    snapshot->name = wire_fill_text("nightly");
    snapshot->globs = globs;
    snapshot->n_globs = 3;
    cancel->id = 12;
    for (size_t i = 0; i < sizeof empties / sizeof *empties; i++)
        write_request(empties[i], empty);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_CREATE, snapshot);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_DELETE, snapshot);
    write_request(HOLDFAST__WIRE__REQUEST__OP_CANCEL, cancel);
}

static void write_forgetting_requests(void)
{
    static uint64_t versions[] = {1, 2, 300, UINT64_MAX};
    Holdfast__Wire__SessionRequest *session =
        NEW(Holdfast__Wire__SessionRequest, holdfast__wire__session_request__init);
    Holdfast__Wire__HistoryDropRequest *drop =
        NEW(Holdfast__Wire__HistoryDropRequest, holdfast__wire__history_drop_request__init);
    Holdfast__Wire__RescueListRequest *rescues =
        NEW(Holdfast__Wire__RescueListRequest, holdfast__wire__rescue_list_request__init);
    Holdfast__Wire__RescueDropRequest *rescue =
        NEW(Holdfast__Wire__RescueDropRequest, holdfast__wire__rescue_drop_request__init);
    Holdfast__Wire__CollectRequest *collect =
        NEW(Holdfast__Wire__CollectRequest, holdfast__wire__collect_request__init);

    session->sid = drop->sid = rescue->sid = 3;
    drop->versions = versions;
    drop->n_versions = 4;
    rescues->sid = UINT64_MAX;
    rescue->rescue = 7;
    collect->dry_run = true;
    collect->percent = 30;
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_PURGE, session);
    write_request(HOLDFAST__WIRE__REQUEST__OP_HISTORY_DROP, drop);
    write_request(HOLDFAST__WIRE__REQUEST__OP_RESCUE_LIST, rescues);
    write_request(HOLDFAST__WIRE__REQUEST__OP_RESCUE_DROP, rescue);
    write_request(HOLDFAST__WIRE__REQUEST__OP_COLLECT, collect);
}

static void write_copy_requests(void)
{
    Holdfast__Wire__SessionReceiveRequest *session =
        NEW(Holdfast__Wire__SessionReceiveRequest, holdfast__wire__session_receive_request__init);
    Holdfast__Wire__SnapshotReceiveRequest *snapshot =
        NEW(Holdfast__Wire__SnapshotReceiveRequest, holdfast__wire__snapshot_receive_request__init);
    Holdfast__Wire__RescueReceiveRequest *rescue =
        NEW(Holdfast__Wire__RescueReceiveRequest, holdfast__wire__rescue_receive_request__init);
    Holdfast__Wire__CopyPart *part = NEW(Holdfast__Wire__CopyPart, holdfast__wire__copy_part__init);

    part->at = 1000;
    part->more = true;
    session->part = snapshot->part = part;
    session->copy =
        FILL(struct session_copy, Holdfast__Wire__SessionCopy, session_copy, &rng, &arena);
    snapshot->copy =
        FILL(struct snapshot_copy, Holdfast__Wire__SnapshotCopy, snapshot_copy, &rng, &arena);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SESSION_RECEIVE, session);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_RECEIVE, snapshot);
    rescue->origin = session->copy->origin;
    rescue->rescue = FILL(struct rescue_info, Holdfast__Wire__RescueInfo, rescue, &rng, &arena);
    write_request(HOLDFAST__WIRE__REQUEST__OP_RESCUE_RECEIVE, rescue);
}

static void write_keeping_requests(void)
{
    Holdfast__Wire__SnapshotRequest *pins =
        NEW(Holdfast__Wire__SnapshotRequest, holdfast__wire__snapshot_request__init);
    Holdfast__Wire__SettingRequest *setting =
        NEW(Holdfast__Wire__SettingRequest, holdfast__wire__setting_request__init);
    Holdfast__Wire__MendRequest *mend =
        NEW(Holdfast__Wire__MendRequest, holdfast__wire__mend_request__init);

    pins->name = wire_fill_text("nightly");
    setting->name = wire_fill_text("retention");
    write_request(HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_PINS, pins);
    write_request(HOLDFAST__WIRE__REQUEST__OP_SETTING_GET, setting);
    setting->text = text();
    write_request(HOLDFAST__WIRE__REQUEST__OP_SETTING_SET, setting);
    mend->good = put()->objects[0];
    mend->id = mend->good->id;
    write_request(HOLDFAST__WIRE__REQUEST__OP_MEND, mend);
}

static void write_keeping_replies(void)
{
    Holdfast__Wire__CollectProgress progress = HOLDFAST__WIRE__COLLECT_PROGRESS__INIT;
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;

    progress.phase = wire_fill_text("mark");
    progress.done = 1000;
    progress.all = 30000;
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_PROGRESS, &progress);
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_TOTALS,
                FILL(struct collect_totals, Holdfast__Wire__CollectTotals, totals, &rng));
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = &reply;
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_TEXT;
    reply.text = text();
    write_frame("reply", "text", &frame);
}

static void write_single_replies(void)
{
    Holdfast__Wire__Welcome *welcome = NEW(Holdfast__Wire__Welcome, holdfast__wire__welcome__init);
    struct store_info info = sample_store_info(&rng);

    wire_fill_store_info(&info, welcome);
    welcome->protocol = 1;
    welcome->tenant = "default";
    welcome->principal = wire_fill_text("host-a");
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_WELCOME, welcome);
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_HEAD,
                FILL(struct session_head, Holdfast__Wire__Head, head, &rng));
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_LEASE,
                FILL(struct lease, Holdfast__Wire__Lease, lease, &rng));
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_LOCK,
                FILL(struct store_lock, Holdfast__Wire__Lock, lock, &rng));
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_STATS,
                FILL(struct store_stats, Holdfast__Wire__Stats, stats, &rng));
}

/* A reply with a list of one random item. */
#define WRITE_LIST(KIND, list_type, list_init, field, type, item_type, what)                       \
    do {                                                                                           \
        list_type list_;                                                                           \
        type value_ = sample_##what(&rng, &arena);                                                 \
        item_type *item_;                                                                          \
        list_init(&list_);                                                                         \
        assert(wire_fill_##what(&value_, &arena, &item_, NULL) == HF_OK);                          \
        list_.field = &item_;                                                                      \
        list_.n_##field = 1;                                                                       \
        write_reply(HOLDFAST__WIRE__REPLY__RESULT_##KIND, &list_);                                 \
    } while (0)

static void write_lists(void)
{
    WRITE_LIST(SESSIONS, Holdfast__Wire__SessionInfos, holdfast__wire__session_infos__init,
               sessions, struct session_info, Holdfast__Wire__SessionInfo, session_info);
    WRITE_LIST(HISTORY, Holdfast__Wire__HistoryEntries, holdfast__wire__history_entries__init,
               entries, struct history_entry, Holdfast__Wire__HistoryEntry, history);
    WRITE_LIST(HOSTS, Holdfast__Wire__HostInfos, holdfast__wire__host_infos__init, hosts,
               struct host_info, Holdfast__Wire__HostInfo, host_info);
    WRITE_LIST(LEASES, Holdfast__Wire__LeaseInfos, holdfast__wire__lease_infos__init, leases,
               struct lease_info, Holdfast__Wire__LeaseInfo, lease_info);
    WRITE_LIST(AUDIT, Holdfast__Wire__AuditEntries, holdfast__wire__audit_entries__init, entries,
               struct audit_entry, Holdfast__Wire__AuditEntry, audit);
    WRITE_LIST(SNAPSHOTS, Holdfast__Wire__SnapshotInfos, holdfast__wire__snapshot_infos__init,
               snapshots, struct snapshot_info, Holdfast__Wire__SnapshotInfo, snapshot);
    WRITE_LIST(ROOTS, Holdfast__Wire__RootInfos, holdfast__wire__root_infos__init, roots,
               struct root_info, Holdfast__Wire__RootInfo, root);
    WRITE_LIST(FINDINGS, Holdfast__Wire__Findings, holdfast__wire__findings__init, findings,
               struct check_finding, Holdfast__Wire__Finding, finding);
    WRITE_LIST(RESCUES, Holdfast__Wire__RescueInfos, holdfast__wire__rescue_infos__init, rescues,
               struct rescue_info, Holdfast__Wire__RescueInfo, rescue);
    WRITE_LIST(PINS, Holdfast__Wire__PinInfos, holdfast__wire__pin_infos__init, pins,
               struct pin_info, Holdfast__Wire__PinInfo, pin);
}

static void write_contents(void)
{
    static uint8_t bytes[2000];
    Holdfast__Wire__Contents list = HOLDFAST__WIRE__CONTENTS__INIT;
    struct buf contents[2] = {{.data = bytes, .len = sizeof bytes}, {.data = bytes, .len = 9}};

    rng_text(&rng, bytes, sizeof bytes);
    assert(wire_fill_contents(contents, 2, &arena, &list.contents, NULL) == HF_OK);
    list.n_contents = 2;
    write_reply(HOLDFAST__WIRE__REPLY__RESULT_CONTENTS, &list);
}

/* Those whose result is no message. */
static void write_other_replies(void)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    struct hf_error err;

    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = &reply;
    (void)hf_fail(&err, HF_BUSY, "session 3 is in use on host-b");
    wire_fill_status(HF_BUSY, &err, &reply);
    write_frame("reply", "failure", &frame);
    holdfast__wire__reply__init(&reply);
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_NUMBER;
    reply.number = sample_number(&rng);
    write_frame("reply", "number", &frame);
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_MISSING;
    reply.missing = (ProtobufCBinaryData){3, (uint8_t *)"\0\1\0"};
    write_frame("reply", "missing", &frame);
}

static void write_notices(void)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Notice notice = HOLDFAST__WIRE__NOTICE__INIT;
    Holdfast__Wire__Goodbye goodbye = HOLDFAST__WIRE__GOODBYE__INIT;
    struct store_event event = sample_event(&rng);

    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_NOTICE;
    frame.notice = &notice;
    notice.what_case = HOLDFAST__WIRE__NOTICE__WHAT_EVENT;
    assert(wire_fill_event(&event, 9, &arena, &notice.event, NULL) == HF_OK);
    write_frame("notice", "event", &frame);
    notice.what_case = HOLDFAST__WIRE__NOTICE__WHAT_GOODBYE;
    notice.goodbye = &goodbye;
    goodbye.reason = "restart";
    goodbye.come_back = true;
    write_frame("notice", "goodbye", &frame);
}

/* What is refused, each for another reason. */
static void write_refused(void)
{
    static uint8_t bomb[8 + 20000];
    size_t inside = 20000, at = FRAME_HEAD;

    write_bytes("refused", "length", "\xff\xff\xff\xff frame", 10);
    write_bytes("refused", "empty", "\0\0\0\0", 4);
    write_bytes("refused", "garbage", "\0\0\0\4\xff\xff\xff\xff", 8);
    write_bytes("refused", "nothing-in-it", "\0\0\0\2\x08\1", 6);
    write_bytes("refused", "cut-short", "\0\0\0\x10\x08\1\x12\4", 8);
    write_bytes("refused", "sentence-of-nul", "\0\0\0\x09\x08\1\x1a\5\x08\5\x12\1\0", 13);
    /* A reply of empty sessions: two bytes each, and a hundred times as much in memory. */
    bomb[2] = (uint8_t)((inside + 8) >> 8), bomb[3] = (uint8_t)(inside + 8);
    bomb[at++] = 0x1a, bomb[at++] = (uint8_t)((inside + 4) & 0x7f) | 0x80;
    bomb[at++] = (uint8_t)((inside + 4) >> 7 & 0x7f) | 0x80,
    bomb[at++] = (uint8_t)((inside + 4) >> 14);
    bomb[at++] = 0x3a, bomb[at++] = (uint8_t)(inside & 0x7f) | 0x80;
    bomb[at++] = (uint8_t)(inside >> 7 & 0x7f) | 0x80, bomb[at++] = (uint8_t)(inside >> 14);
    while (at + 1 < sizeof bomb)
        bomb[at++] = 0x0a, bomb[at++] = 0;
    write_bytes("refused", "bomb", bomb, at);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    directory = argv[1];
    write_data_requests();
    write_session_requests();
    write_host_requests();
    write_store_requests();
    write_single_replies();
    write_lists();
    write_contents();
    write_other_replies();
    write_notices();
    write_refused();
    write_forgetting_requests();
    write_copy_requests();
    write_keeping_requests();
    write_keeping_replies();
    wire_arena_free(&arena);
    return 0;
}
