/* SPDX-License-Identifier: Apache-2.0 */
/* Frames out of a stream: whatever the pieces in which it comes, and whatever it claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rng.h"
#include "wire/conn.h"
#include "wire/convert.h"
#include "wire/frame.h"

#include <string.h>

/* A request for so many bytes of ids. */
static void add_frame(struct buf *stream, uint64_t id, size_t size)
{
    static uint8_t content[WIRE_FRAME_MAX];
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__GetRequest get = HOLDFAST__WIRE__GET_REQUEST__INIT;

    frame.id = id;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REQUEST;
    frame.request = &request;
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_GET;
    request.get = &get;
    get.ids = (ProtobufCBinaryData){size, content};
    assert_int_equal(frame_encode(&frame, WIRE_FRAME_MAX, stream, NULL), HF_OK);
}

/* Feeds at most `n` bytes, as many as there is room for. */
static int feed(struct frame_reader *reader, struct slice *stream, size_t n,
                Holdfast__Wire__Frame **ret_frame, struct hf_error *err)
{
    uint8_t *at;
    size_t room, size;

    assert_int_equal(frame_reader_room(reader, &at, &room, NULL), HF_OK);
    assert_true(room > 0);
    n = n < room ? n : room;
    n = n < stream->len ? n : stream->len;
    memcpy(at, stream->data, n);
    stream->data += n;
    stream->len -= n;
    return frame_reader_filled(reader, n, ret_frame, &size, err);
}

static void a_stream_may_come_in_any_pieces(void **state)
{
    struct rng rng = rng_make(1);
    struct buf bytes = {0};

    (void)state;
    for (uint64_t id = 1; id <= 40; id++)
        add_frame(&bytes, id, rng_below(&rng, id % 10 ? 200 : 200000));
    for (int round = 0; round < 20; round++) {
        struct frame_reader reader = {.max = WIRE_FRAME_MAX};
        struct slice stream = buf_slice(&bytes);
        uint64_t next = 1;

        while (stream.len > 0) {
            Holdfast__Wire__Frame *frame;
            size_t piece = 1 + rng_below(&rng, round % 2 ? 10 : 30000);

            if (feed(&reader, &stream, piece, &frame, NULL) == HF_OK) {
                assert_int_equal(frame->id, next++);
                assert_true(frame_reader_between(&reader));
                holdfast__wire__frame__free_unpacked(frame, NULL);
            }
        }
        assert_int_equal(next, 41);
        frame_reader_release(&reader);
    }
    buf_free(&bytes);
}

static void memory_grows_with_what_has_arrived(void **state)
{
    struct frame_reader reader = {.max = WIRE_FRAME_MAX};
    struct slice stream;
    struct buf bytes = {0};
    size_t all;
    Holdfast__Wire__Frame *frame;

    (void)state;
    add_frame(&bytes, 1, WIRE_FRAME_MAX - 100);
    stream = buf_slice(&bytes);
    all = stream.len;
    while (stream.len > 1) {
        size_t n = stream.len > 5001 ? 5000 : stream.len - 1;

        assert_int_equal(feed(&reader, &stream, n, &frame, NULL), HF_AGAIN);
        assert_true(reader.body.cap <= 16384 || reader.body.cap <= 3 * (all - stream.len));
    }
    assert_int_equal(feed(&reader, &stream, 1, &frame, NULL), HF_OK);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    assert_true(reader.body.cap <= 16384); /* a large one is not kept */
    frame_reader_release(&reader);
    buf_free(&bytes);
}

static int read_head(const char *head, uint32_t max, struct hf_error *err)
{
    struct frame_reader reader = {.max = max};
    struct slice stream = slice_of(head, FRAME_HEAD);
    Holdfast__Wire__Frame *frame;
    int rc = feed(&reader, &stream, FRAME_HEAD, &frame, err);

    assert_null(reader.body.data);
    frame_reader_release(&reader);
    return rc;
}

static void a_length_is_refused_before_memory_is_taken_for_it(void **state)
{
    struct hf_error err;

    (void)state;
    assert_int_equal(read_head("\x00\x00\x10\x00", 4096, &err), HF_AGAIN);
    assert_int_equal(read_head("\x00\x00\x10\x01", 4096, &err), HF_TOOBIG);
    assert_int_equal(read_head("\xff\xff\xff\xff", WIRE_FRAME_MAX, &err), HF_TOOBIG);
    assert_int_equal(read_head("\x00\x00\x00\x00", 4096, &err), HF_INVAL);
}

static void add_number(struct buf *out, size_t number)
{
    uint8_t byte;

    for (; number > 0x7f; number >>= 7) {
        byte = (uint8_t)(number | 0x80);
        assert_int_equal(buf_append(out, &byte, 1), HF_OK);
    }
    byte = (uint8_t)number;
    assert_int_equal(buf_append(out, &byte, 1), HF_OK);
}

/* Appends a field with `inside` in it. */
static void add_field(struct buf *out, unsigned field, const struct buf *inside)
{
    add_number(out, field << 3 | 2);
    add_number(out, inside->len);
    assert_int_equal(buf_append(out, inside->data, inside->len), HF_OK);
}

/* A frame that is full of empty messages: two bytes each on the wire. */
static void a_frame_that_unpacks_to_much_more_than_it_is_is_refused(void **state)
{
    static const struct {
        unsigned body, kind, list;
    } bombs[] = {
        {2, 3, 1},   /* PutRequest.objects */
        {3, 7, 1},   /* SessionInfos.sessions */
        {3, 13, 1},  /* LeaseInfos.leases */
        {3, 17, 1},  /* RootInfos.roots */
        {2, 29, 2},  /* SnapshotRequest.globs */
        {2, 29, 15}, /* fields that are not known */
    };
    static const struct buf nothing;

    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        BUF_AUTO list = {0};
        BUF_AUTO kind = {0};
        BUF_AUTO body = {0};
        Holdfast__Wire__Frame *frame;
        struct hf_error err;

        for (int n = 0; n < 1000000; n++)
            add_field(&list, bombs[i].list, &nothing);
        add_field(&kind, bombs[i].kind, &list);
        add_field(&body, bombs[i].body, &kind);
        assert_int_equal(frame_decode(buf_slice(&body), &frame, &err), HF_TOOBIG);
    }
}

/* One message over and over is merged each time, which copies what there was before. */
static void a_frame_that_takes_long_to_unpack_is_refused(void **state)
{
    BUF_AUTO one = {0};
    BUF_AUTO list = {0};
    BUF_AUTO commits = {0};
    BUF_AUTO kind = {0};
    BUF_AUTO body = {0};
    static const struct buf nothing;
    Holdfast__Wire__Frame *frame;
    struct hf_error err;

    (void)state;
    for (int n = 0; n < 200000; n++)
        add_field(&list, 5, &nothing); /* Commit.objects */
    add_field(&one, 5, &nothing);
    add_field(&commits, 2, &list); /* CommitRequest.commit */
    for (int n = 0; n < 200000; n++)
        add_field(&commits, 2, &one);
    add_field(&kind, 13, &commits);
    add_field(&body, 2, &kind);
    assert_int_equal(frame_decode(buf_slice(&body), &frame, &err), HF_TOOBIG);
}

/* Encodes a reply, which must be one that a receiver takes. */
static void assert_taken(Holdfast__Wire__Reply *reply)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT, *copy;
    BUF_AUTO bytes = {0};
    struct hf_error err;

    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = reply;
    assert_int_equal(frame_encode(&frame, WIRE_FRAME_MAX, &bytes, NULL), HF_OK);
    if (frame_decode(slice_of(bytes.data + FRAME_HEAD, bytes.len - FRAME_HEAD), &copy, &err) !=
        HF_OK)
        fail_msg("%s", err.message);
    holdfast__wire__frame__free_unpacked(copy, NULL);
}

#define ENTRIES 40000

/* Lists of the smallest entries that there are unpack to the most. */
static void a_long_list_of_small_entries_is_taken(void **state)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__AuditEntries trail = HOLDFAST__WIRE__AUDIT_ENTRIES__INIT;
    Holdfast__Wire__SnapshotInfos snapshots = HOLDFAST__WIRE__SNAPSHOT_INFOS__INIT;
    const int64_t now = 1763600000000000000;
    struct wire_arena arena = {0};

    (void)state;
    trail.entries = wire_arena_alloc(&arena, ENTRIES * sizeof(void *));
    snapshots.snapshots = wire_arena_alloc(&arena, ENTRIES * sizeof(void *));
    assert_true(trail.entries && snapshots.snapshots);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct audit_entry entry = {.id = i, .time = now, .event = AUDIT_GRANT, .sid = 1};
        struct snapshot_info snapshot = {.name = "a", .time = now, .sessions = 1};

        assert_int_equal(wire_fill_audit(&entry, &arena, &trail.entries[i], NULL), HF_OK);
        assert_int_equal(wire_fill_snapshot(&snapshot, &arena, &snapshots.snapshots[i], NULL),
                         HF_OK);
    }
    trail.n_entries = snapshots.n_snapshots = ENTRIES;
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_AUDIT;
    reply.audit = &trail;
    assert_taken(&reply);
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_SNAPSHOTS;
    reply.snapshots = &snapshots;
    assert_taken(&reply);
    wire_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_list_of_small_entries_is_taken),
        cmocka_unit_test(a_stream_may_come_in_any_pieces),
        cmocka_unit_test(memory_grows_with_what_has_arrived),
        cmocka_unit_test(a_length_is_refused_before_memory_is_taken_for_it),
        cmocka_unit_test(a_frame_that_unpacks_to_much_more_than_it_is_is_refused),
        cmocka_unit_test(a_frame_that_takes_long_to_unpack_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
