/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The fuzz target of everything in src/wire that reads what a peer sends. The first byte of an input says in what
 * pieces the rest arrives; the rest is a stream of frames. Each frame that decodes is read as what it says it is.
 *
 * It ends the program when something that was read and is filled again is read as something else, when the pieces
 * in which a stream arrives make a difference, or when memory is taken that the input does not justify.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "values.h"
#include "watch.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME_LIMIT 60000

/* --- read, fill, read ------------------------------------------------------------------------------ */

/* What a message is read as, is what it is read as once more after it was filled from that. The message may be
 * refused, and then says why. */
#define AGAIN(type, message_type, what, ...)                                                       \
    static void again_##what(const message_type *message)                                          \
    {                                                                                              \
        struct wire_arena arena = {0};                                                             \
        struct hf_error err = {0};                                                                 \
        type once, twice;                                                                          \
        message_type *copy;                                                                        \
        int rc = wire_read_##what(message, __VA_ARGS__ & once, &err);                              \
        REQUIRE(rc == HF_OK || (err.status == rc && err.message[0]));                              \
        if (rc == HF_OK) {                                                                         \
            REQUIRE(wire_fill_##what(&once, &arena, &copy, NULL) == HF_OK);                        \
            REQUIRE(wire_read_##what(copy, __VA_ARGS__ &twice, NULL) == HF_OK);                    \
            REQUIRE(equal_##what(&once, &twice));                                                  \
        }                                                                                          \
        wire_arena_free(&arena);                                                                   \
    }
#define COMMA ,

AGAIN(struct session_head, Holdfast__Wire__Head, head, )
AGAIN(struct lease, Holdfast__Wire__Lease, lease, )
AGAIN(struct store_lock, Holdfast__Wire__Lock, lock, )
AGAIN(struct store_stats, Holdfast__Wire__Stats, stats, )
AGAIN(struct session_info, Holdfast__Wire__SessionInfo, session_info, &arena COMMA)
AGAIN(struct session_filter, Holdfast__Wire__SessionListRequest, filter, &arena COMMA)
AGAIN(struct history_entry, Holdfast__Wire__HistoryEntry, history, &arena COMMA)
AGAIN(struct host_identity, Holdfast__Wire__HostIdentity, identity, &arena COMMA)
AGAIN(struct host_info, Holdfast__Wire__HostInfo, host_info, &arena COMMA)
AGAIN(struct lease_info, Holdfast__Wire__LeaseInfo, lease_info, &arena COMMA)
AGAIN(struct audit_entry, Holdfast__Wire__AuditEntry, audit, &arena COMMA)
AGAIN(struct snapshot_info, Holdfast__Wire__SnapshotInfo, snapshot, &arena COMMA)
AGAIN(struct root_info, Holdfast__Wire__RootInfo, root, &arena COMMA)
AGAIN(struct check_finding, Holdfast__Wire__Finding, finding, &arena COMMA)
AGAIN(struct rescue_info, Holdfast__Wire__RescueInfo, rescue, &arena COMMA)
AGAIN(struct pin_info, Holdfast__Wire__PinInfo, pin, &arena COMMA)
AGAIN(struct session_copy, Holdfast__Wire__SessionCopy, session_copy, &arena COMMA)
AGAIN(struct snapshot_copy, Holdfast__Wire__SnapshotCopy, snapshot_copy, &arena COMMA)
AGAIN(struct collect_totals, Holdfast__Wire__CollectTotals, totals, )

#define EACH(n, list, what)                                                                        \
    for (size_t i_ = 0; i_ < (n); i_++)                                                            \
    again_##what((list)[i_])

static void again_objects(Holdfast__Wire__Object **list, size_t n)
{
    struct wire_arena arena = {0};
    Holdfast__Wire__Object **copy;
    struct object *once, *twice;
    int rc;

    watch();
    rc = wire_read_objects(list, n, &arena, &once, NULL);
    REQUIRE(unwatch() <= WIRE_PLAIN_MAX + 8192 + n * 400);
    if (rc == HF_OK) {
        REQUIRE(wire_fill_objects(once, n, &arena, &copy, NULL) == HF_OK);
        REQUIRE(wire_read_objects(copy, n, &arena, &twice, NULL) == HF_OK);
        for (size_t i = 0; i < n; i++)
            REQUIRE(equal_object(&once[i], &twice[i]));
    }
    wire_arena_free(&arena);
}

static void again_commit(const Holdfast__Wire__Commit *message)
{
    struct wire_arena arena = {0};
    struct commit once, twice;
    Holdfast__Wire__Commit copy;

    if (wire_read_commit(message, &arena, &once, NULL) == HF_OK) {
        REQUIRE(wire_fill_commit(&once, &arena, &copy, NULL) == HF_OK);
        REQUIRE(wire_read_commit(&copy, &arena, &twice, NULL) == HF_OK);
        REQUIRE(equal_commit(&once, &twice));
    }
    wire_arena_free(&arena);
}

static void again_ids(ProtobufCBinaryData bytes)
{
    const struct object_id *ids;
    ProtobufCBinaryData copy;
    size_t n;

    if (wire_read_ids(bytes, &ids, &n, NULL) != HF_OK)
        return;
    copy = wire_fill_ids(ids, n);
    REQUIRE(copy.len == bytes.len && (n == 0 || memcmp(copy.data, bytes.data, copy.len) == 0));
}

static void again_text(ProtobufCBinaryData bytes)
{
    struct wire_arena arena = {0};
    ProtobufCBinaryData copy;
    const char *text;

    if (wire_read_text(bytes, "text", &arena, &text, NULL) == HF_OK) {
        copy = wire_fill_text(text);
        REQUIRE(copy.len == bytes.len &&
                (copy.len == 0 || memcmp(copy.data, bytes.data, copy.len) == 0));
    }
    wire_arena_free(&arena);
}

static void again_texts(const ProtobufCBinaryData *list, size_t n)
{
    struct wire_arena arena = {0};
    ProtobufCBinaryData *copy;
    const char **texts;

    if (wire_read_texts(list, n, "texts", &arena, &texts, NULL) == HF_OK) {
        REQUIRE(wire_fill_texts(texts, n, &arena, &copy, NULL) == HF_OK);
        for (size_t i = 0; i < n; i++)
            REQUIRE(copy[i].len == list[i].len);
    }
    wire_arena_free(&arena);
}

static void again_content(const Holdfast__Wire__Content *message)
{
    struct wire_arena arena = {0};
    Holdfast__Wire__Content **copy;
    BUF_AUTO once = {0};
    BUF_AUTO twice = {0};

    if (wire_read_content(message, &once, NULL) == HF_OK) {
        REQUIRE(once.len == message->size && once.len <= OBJECT_MAX_SIZE);
        REQUIRE(wire_fill_contents(&once, 1, &arena, &copy, NULL) == HF_OK);
        REQUIRE(wire_read_content(copy[0], &twice, NULL) == HF_OK);
        REQUIRE(slice_compare(buf_slice(&once), buf_slice(&twice)) == 0);
    }
    wire_arena_free(&arena);
}

static void again_welcome(const Holdfast__Wire__Welcome *message)
{
    Holdfast__Wire__Welcome copy = HOLDFAST__WIRE__WELCOME__INIT;
    struct store_info once, twice;

    again_text(message->principal);
    if (wire_read_store_info(message, &once, NULL) != HF_OK)
        return;
    wire_fill_store_info(&once, &copy);
    REQUIRE(wire_read_store_info(&copy, &twice, NULL) == HF_OK);
    REQUIRE(equal_store_info(&once, &twice));
}

static void again_event(const Holdfast__Wire__Event *message)
{
    struct wire_arena arena = {0};
    struct store_event once, twice;
    Holdfast__Wire__Event *copy;
    uint64_t host, same;

    if (wire_read_event(message, &once, &host, NULL) == HF_OK) {
        REQUIRE(wire_fill_event(&once, host, &arena, &copy, NULL) == HF_OK);
        REQUIRE(wire_read_event(copy, &twice, &same, NULL) == HF_OK);
        REQUIRE(equal_event(&once, &twice) && host == same);
    }
    wire_arena_free(&arena);
}

/* --- frames ---------------------------------------------------------------------------------------- */

static void try_rename(const Holdfast__Wire__SessionRenameRequest *request)
{
    enum session_rename_mode mode;

    again_text(request->name);
    if (wire_read_rename_mode(request->mode, &mode, NULL) == HF_OK)
        REQUIRE((uint32_t)mode == request->mode && mode <= RENAME_SESSION_EXCHANGE);
}

static void try_session_request(const Holdfast__Wire__Request *request)
{
    switch (request->op_case) {
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_LIST:
        again_filter(request->session_list);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_FIND:
        again_text(request->session_find->name);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_CREATE:
        again_text(request->session_create->name);
        again_commit(request->session_create->first);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_RENAME:
        try_rename(request->session_rename);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_UNDELETE:
        again_text(request->session_undelete->name);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_COMMIT:
        again_commit(request->commit->commit);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_RESCUE:
        again_text(request->rescue->reason);
        again_commit(request->rescue->commit);
        break;
    default:
        break;
    }
}

static void try_mend(const Holdfast__Wire__MendRequest *request)
{
    again_ids(request->id);
    if (request->good)
        again_objects((Holdfast__Wire__Object **)&request->good, 1);
}

static void try_keeping_request(const Holdfast__Wire__Request *request)
{
    switch (request->op_case) {
    case HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_PINS:
        again_text(request->snapshot_pins->name);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SESSION_RECEIVE:
        again_session_copy(request->session_receive->copy);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_RESCUE_RECEIVE:
        again_rescue(request->rescue_receive->rescue);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_RECEIVE:
        again_snapshot_copy(request->snapshot_receive->copy);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SETTING_GET:
        again_text(request->setting_get->name);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SETTING_SET:
        again_text(request->setting_set->name);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_MEND:
        try_mend(request->mend);
        break;
    default:
        try_session_request(request);
        break;
    }
}

static void try_request(const Holdfast__Wire__Request *request)
{
    switch (request->op_case) {
    case HOLDFAST__WIRE__REQUEST__OP_PUT:
        again_objects(request->put->objects, request->put->n_objects);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_GET:
        again_ids(request->get->ids);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_MISSING:
        again_ids(request->missing->ids);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_HOST_REGISTER:
        again_identity(request->host_register->identity);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_LEASE_REFUSE:
        again_text(request->lease_refuse->text);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_LEASE_BREAK:
        again_text(request->lease_break->text);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_LOCK_SET:
        again_lock(request->lock_set->lock);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_LOCK_TEST:
        again_lock(request->lock_test->lock);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_CREATE:
        again_text(request->snapshot_create->name);
        again_texts(request->snapshot_create->globs, request->snapshot_create->n_globs);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_DELETE:
        again_text(request->snapshot_delete->name);
        break;
    default:
        try_keeping_request(request);
        break;
    }
}

static void try_list(const Holdfast__Wire__Reply *reply)
{
    switch (reply->result_case) {
    case HOLDFAST__WIRE__REPLY__RESULT_CONTENTS:
        EACH(reply->contents->n_contents, reply->contents->contents, content);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_SESSIONS:
        EACH(reply->sessions->n_sessions, reply->sessions->sessions, session_info);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_HISTORY:
        EACH(reply->history->n_entries, reply->history->entries, history);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_HOSTS:
        EACH(reply->hosts->n_hosts, reply->hosts->hosts, host_info);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_LEASES:
        EACH(reply->leases->n_leases, reply->leases->leases, lease_info);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_AUDIT:
        EACH(reply->audit->n_entries, reply->audit->entries, audit);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_SNAPSHOTS:
        EACH(reply->snapshots->n_snapshots, reply->snapshots->snapshots, snapshot);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_ROOTS:
        EACH(reply->roots->n_roots, reply->roots->roots, root);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_FINDINGS:
        EACH(reply->findings->n_findings, reply->findings->findings, finding);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_RESCUES:
        EACH(reply->rescues->n_rescues, reply->rescues->rescues, rescue);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_PINS:
        EACH(reply->pins->n_pins, reply->pins->pins, pin);
        break;
    default:
        break;
    }
}

static void try_reply(const Holdfast__Wire__Reply *reply)
{
    struct hf_error err = {0};
    int status = wire_read_status(reply, &err);

    REQUIRE(status == HF_OK ? reply->status == 0 : err.status == status && err.message[0]);
    switch (reply->result_case) {
    case HOLDFAST__WIRE__REPLY__RESULT_WELCOME:
        again_welcome(reply->welcome);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_HEAD:
        again_head(reply->head);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_LEASE:
        again_lease(reply->lease);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_LOCK:
        again_lock(reply->lock);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_STATS:
        again_stats(reply->stats);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_PROGRESS:
        again_text(reply->progress->phase);
        break;
    case HOLDFAST__WIRE__REPLY__RESULT_TOTALS:
        again_totals(reply->totals);
        break;
    default:
        try_list(reply);
        break;
    }
}

static void try_frame(const Holdfast__Wire__Frame *frame)
{
    if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REQUEST)
        try_request(frame->request);
    else if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REPLY)
        try_reply(frame->reply);
    else if (frame->notice->what_case == HOLDFAST__WIRE__NOTICE__WHAT_EVENT)
        again_event(frame->notice->event);
}

/* Whether there is a field anywhere that the .proto does not have: protobuf-c keeps it, and may encode it in a way
 * that it refuses itself (one with the number 0). */
static bool has_unknown(const ProtobufCMessage *message)
{
    bool found = message->n_unknown_fields > 0;

    for (unsigned i = 0; i < message->descriptor->n_fields && !found; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *at = (const uint8_t *)message + field->offset;
        uint32_t chosen;
        size_t n = 1;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        memcpy(&chosen, (const uint8_t *)message + field->quantifier_offset, sizeof chosen);
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && chosen != field->id)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&n, (const uint8_t *)message + field->quantifier_offset, sizeof n);
            memcpy(&at, at, sizeof at);
        }
        for (size_t j = 0; j < n && !found; j++) {
            const ProtobufCMessage *inside;

            memcpy(&inside, (const uint8_t *)at + j * sizeof inside, sizeof inside);
            found = inside && has_unknown(inside);
        }
    }
    return found;
}

/* Encoded again it is a frame that is decoded and encoded to the same. */
static void try_encode(const Holdfast__Wire__Frame *frame)
{
    Holdfast__Wire__Frame *copy;
    BUF_AUTO once = {0};
    BUF_AUTO twice = {0};
    int rc;

    if (has_unknown(&frame->base) || frame_encode(frame, FRAME_LIMIT, &once, NULL) != HF_OK)
        return;
    rc = frame_decode(slice_of(once.data + FRAME_HEAD, once.len - FRAME_HEAD), &copy, NULL);
    if (rc == HF_TOOBIG)
        return;
    REQUIRE(rc == HF_OK);
    REQUIRE(frame_encode(copy, FRAME_LIMIT, &twice, NULL) == HF_OK);
    REQUIRE(slice_compare(buf_slice(&once), buf_slice(&twice)) == 0);
    holdfast__wire__frame__free_unpacked(copy, NULL);
}

/* --- streams --------------------------------------------------------------------------------------- */

/* Reads a stream that comes in pieces of `piece` bytes. Gives how far it could be read, and how many frames. */
static size_t try_stream(struct slice stream, size_t piece, bool look, size_t *ret_frames)
{
    struct frame_reader reader = {.max = FRAME_LIMIT};
    size_t at = 0, frames = 0, size = 0;
    int rc = HF_AGAIN;

    while (at < stream.len && (rc == HF_AGAIN || rc == HF_OK)) {
        Holdfast__Wire__Frame *frame = NULL;
        struct hf_error err = {0};
        uint8_t *to;
        size_t room, n;

        REQUIRE(frame_reader_room(&reader, &to, &room, NULL) == HF_OK && room > 0);
        n = room < piece ? room : piece;
        n = n < stream.len - at ? n : stream.len - at;
        memcpy(to, stream.data + at, n);
        at += n;
        REQUIRE(reader.body.cap <= 2 * 16384 + 2 * at);
        watch();
        rc = frame_reader_filled(&reader, n, &frame, &size, &err);
        REQUIRE(unwatch() <= FRAME_RATIO * at + FRAME_SLACK);
        REQUIRE(rc == HF_OK || rc == HF_AGAIN || (err.status == rc && err.message[0]));
        if (rc == HF_OK && look) {
            try_frame(frame);
            try_encode(frame);
        }
        frames += rc == HF_OK;
        holdfast__wire__frame__free_unpacked(frame, NULL);
    }
    frame_reader_release(&reader);
    *ret_frames = frames;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole, pieces, frames, same;
    struct slice stream;

    if (size < 2)
        return 0;
    stream = slice_of(data + 1, size - 1);
    whole = try_stream(stream, SIZE_MAX, true, &frames);
    pieces = try_stream(stream, 1 + (size_t)data[0], false, &same);
    REQUIRE(frames == same && whole >= pieces);
    return 0;
}
