/* SPDX-License-Identifier: Apache-2.0 */
/* What is filled, encoded, decoded and read is what it was; what a peer gets wrong is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "values.h"

#define ROUNDS 300

/* Encodes and decodes a message, as it goes over the network. */
#define OVER_THE_WIRE(name, message)                                                               \
    __extension__({                                                                                \
        size_t wire_len_ = holdfast__wire__##name##__get_packed_size(message);                     \
        uint8_t *wire_bytes_ = malloc(wire_len_ + 1);                                              \
        assert_non_null(wire_bytes_);                                                              \
        holdfast__wire__##name##__pack((message), wire_bytes_);                                    \
        __typeof__(holdfast__wire__##name##__unpack(NULL, 0, NULL)) wire_copy_ =                   \
            holdfast__wire__##name##__unpack(NULL, wire_len_, wire_bytes_);                        \
        assert_non_null(wire_copy_);                                                               \
        free(wire_bytes_);                                                                         \
        wire_copy_;                                                                                \
    })

/* Tests a type with strings: its reader needs an arena. */
#define ROUND_TRIP(type, message_type, what, name, sample, ...)                                    \
    static void a_##what##_comes_back(void **state)                                                \
    {                                                                                              \
        struct rng rng = rng_make(1);                                                              \
        (void)state;                                                                               \
        for (int i = 0; i < ROUNDS; i++) {                                                         \
            struct wire_arena arena = {0};                                                         \
            type before = sample, after;                                                           \
            message_type *message = filled_##what(&before, &arena);                                \
            message_type *copy = OVER_THE_WIRE(name, message);                                     \
            assert_int_equal(wire_read_##what(copy, __VA_ARGS__), HF_OK);                          \
            assert_true(equal_##what(&before, &after));                                            \
            holdfast__wire__##name##__free_unpacked(copy, NULL);                                   \
            wire_arena_free(&arena);                                                               \
        }                                                                                          \
    }
#define FILLED(type, message_type, what)                                                           \
    static message_type *filled_##what(const type *value, struct wire_arena *arena)                \
    {                                                                                              \
        message_type *message;                                                                     \
        assert_int_equal(wire_fill_##what(value, arena, &message, NULL), HF_OK);                   \
        return message;                                                                            \
    }
#define WITH_TEXTS(type, message_type, what, name)                                                 \
    FILLED(type, message_type, what)                                                               \
    ROUND_TRIP(type, message_type, what, name, sample_##what(&rng, &arena), &arena, &after, NULL)
#define WITHOUT(type, message_type, what, name)                                                    \
    FILLED(type, message_type, what)                                                               \
    ROUND_TRIP(type, message_type, what, name, sample_##what(&rng), &after, NULL)

WITHOUT(struct session_head, Holdfast__Wire__Head, head, head)
WITHOUT(struct lease, Holdfast__Wire__Lease, lease, lease)
WITHOUT(struct store_lock, Holdfast__Wire__Lock, lock, lock)
WITHOUT(struct store_stats, Holdfast__Wire__Stats, stats, stats)
WITH_TEXTS(struct session_info, Holdfast__Wire__SessionInfo, session_info, session_info)
WITH_TEXTS(struct session_filter, Holdfast__Wire__SessionListRequest, filter, session_list_request)
WITH_TEXTS(struct history_entry, Holdfast__Wire__HistoryEntry, history, history_entry)
WITH_TEXTS(struct host_identity, Holdfast__Wire__HostIdentity, identity, host_identity)
WITH_TEXTS(struct host_info, Holdfast__Wire__HostInfo, host_info, host_info)
WITH_TEXTS(struct lease_info, Holdfast__Wire__LeaseInfo, lease_info, lease_info)
WITH_TEXTS(struct audit_entry, Holdfast__Wire__AuditEntry, audit, audit_entry)
WITH_TEXTS(struct snapshot_info, Holdfast__Wire__SnapshotInfo, snapshot, snapshot_info)
WITH_TEXTS(struct root_info, Holdfast__Wire__RootInfo, root, root_info)
WITH_TEXTS(struct check_finding, Holdfast__Wire__Finding, finding, finding)
WITH_TEXTS(struct rescue_info, Holdfast__Wire__RescueInfo, rescue, rescue_info)
WITH_TEXTS(struct pin_info, Holdfast__Wire__PinInfo, pin, pin_info)
WITH_TEXTS(struct session_copy, Holdfast__Wire__SessionCopy, session_copy, session_copy)
WITH_TEXTS(struct snapshot_copy, Holdfast__Wire__SnapshotCopy, snapshot_copy, snapshot_copy)
WITHOUT(struct collect_totals, Holdfast__Wire__CollectTotals, totals, collect_totals)

/* The four that are filled in another way. */

static Holdfast__Wire__Commit *filled_commit(const struct commit *commit, struct wire_arena *arena)
{
    Holdfast__Wire__Commit *message = wire_arena_alloc(arena, sizeof *message);

    assert_non_null(message);
    assert_int_equal(wire_fill_commit(commit, arena, message, NULL), HF_OK);
    return message;
}
ROUND_TRIP(struct commit, Holdfast__Wire__Commit, commit, commit, sample_commit(&rng, &arena),
           &arena, &after, NULL)

static Holdfast__Wire__Welcome *filled_store_info(const struct store_info *info,
                                                  struct wire_arena *arena)
{
    Holdfast__Wire__Welcome *message = wire_arena_alloc(arena, sizeof *message);

    assert_non_null(message);
    holdfast__wire__welcome__init(message);
    wire_fill_store_info(info, message);
    return message;
}
ROUND_TRIP(struct store_info, Holdfast__Wire__Welcome, store_info, welcome, sample_store_info(&rng),
           &after, NULL)

static void an_event_comes_back_with_its_host(void **state)
{
    struct rng rng = rng_make(2);

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct wire_arena arena = {0};
        struct store_event before = sample_event(&rng), after;
        Holdfast__Wire__Event *message, *copy;
        uint64_t host;

        assert_int_equal(wire_fill_event(&before, (uint64_t)i, &arena, &message, NULL), HF_OK);
        copy = OVER_THE_WIRE(event, message);
        assert_int_equal(wire_read_event(copy, &after, &host, NULL), HF_OK);
        assert_true(equal_event(&before, &after));
        assert_int_equal(host, i);
        copy->kind = EVENT_HOST_LOST + 1;
        assert_int_equal(wire_read_event(copy, &after, &host, NULL), HF_UNSUPPORTED);
        holdfast__wire__event__free_unpacked(copy, NULL);
        wire_arena_free(&arena);
    }
}

static void contents_come_back_compressed_where_that_is_smaller(void **state)
{
    static uint8_t text[OBJECT_MAX_SIZE], noise[OBJECT_MAX_SIZE];
    struct buf before[3] = {
        {.data = text, .len = sizeof text}, {.data = noise, .len = sizeof noise}, {0}};
    struct rng rng = rng_make(3);
    struct wire_arena arena = {0};
    Holdfast__Wire__Content **list;

    (void)state;
    rng_text(&rng, text, sizeof text);
    rng_fill(&rng, noise, sizeof noise);
    assert_int_equal(wire_fill_contents(before, 3, &arena, &list, NULL), HF_OK);
    assert_int_equal(list[0]->encoding, OBJECT_LZ4);
    assert_true(list[0]->content.len < sizeof text / 2);
    assert_ptr_equal(list[1]->content.data, noise);
    for (int i = 0; i < 3; i++) {
        BUF_AUTO after = {0};

        assert_int_equal(wire_read_content(list[i], &after, NULL), HF_OK);
        assert_int_equal(slice_compare(buf_slice(&before[i]), buf_slice(&after)), 0);
    }
    wire_arena_free(&arena);
}

static void the_status_of_a_reply_comes_back_with_its_sentence(void **state)
{
    static const int statuses[] = {HF_OK,    HF_FENCED, HF_CONFLICT, HF_BUSY,
                                   HF_NOMEM, HF_NOENT,  HF_TOOBIG,   HF_INVAL};
    struct hf_error before = {0}, after = {0};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT, *copy;

        (void)hf_fail(&before, statuses[i], "sentence %zu", i);
        wire_fill_status(statuses[i], &before, &reply);
        copy = OVER_THE_WIRE(reply, &reply);
        assert_int_equal(wire_read_status(copy, &after), statuses[i]);
        if (statuses[i] != HF_OK)
            assert_string_equal(after.message, before.message);
        holdfast__wire__reply__free_unpacked(copy, NULL);
    }
}

/* --- what is refused ---------------------------------------------------------------------------- */

static void assert_refused(int rc, int status, const struct hf_error *err, const char *names)
{
    assert_int_equal(rc, status);
    if (!strstr(err->message, names))
        fail_msg("\"%s\" does not name \"%s\"", err->message, names);
}

static void a_field_of_the_wrong_length_is_named(void **state)
{
    struct rng rng = rng_make(4);
    struct wire_arena arena = {0};
    struct host_identity identity = sample_identity(&rng, &arena);
    struct session_head head = sample_head(&rng);
    Holdfast__Wire__HostIdentity *message;
    Holdfast__Wire__Head *head_message;
    struct hf_error err;
    const struct object_id *ids;
    size_t n;

    (void)state;
    assert_int_equal(wire_fill_identity(&identity, &arena, &message, NULL), HF_OK);
    message->boot_id.len = 15;
    assert_refused(wire_read_identity(message, &arena, &identity, &err), HF_INVAL, &err, "boot_id");
    rng_fill(&rng, head.root.bytes, sizeof head.root.bytes);
    assert_int_equal(wire_fill_head(&head, &arena, &head_message, NULL), HF_OK);
    head_message->root.len = 31;
    assert_refused(wire_read_head(head_message, &head, &err), HF_INVAL, &err, "root");
    assert_refused(wire_read_ids(head_message->root, &ids, &n, &err), HF_INVAL, &err, "ids");
    head_message->root.len = (WIRE_IDS_MAX + 1) * OBJECT_ID_SIZE;
    assert_refused(wire_read_ids(head_message->root, &ids, &n, &err), HF_TOOBIG, &err, "ids");
    wire_arena_free(&arena);
}

static void a_string_with_nul_or_without_end_is_refused(void **state)
{
    static char endless[WIRE_TEXT_MAX + 1];
    struct rng rng = rng_make(5);
    struct wire_arena arena = {0};
    struct session_info info = sample_session_info(&rng, &arena);
    Holdfast__Wire__SessionInfo *message;
    struct hf_error err;

    (void)state;
    assert_int_equal(wire_fill_session_info(&info, &arena, &message, NULL), HF_OK);
    message->name = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
    assert_refused(wire_read_session_info(message, &arena, &info, &err), HF_INVAL, &err, "name");
    message->name = wire_fill_text("a/b");
    assert_refused(wire_read_session_info(message, &arena, &info, &err), HF_INVAL, &err, "name");
    message->name = wire_fill_text("a");
    memset(endless, 'a', sizeof endless);
    message->holder_name = (ProtobufCBinaryData){sizeof endless, (uint8_t *)endless};
    assert_refused(wire_read_session_info(message, &arena, &info, &err), HF_INVAL, &err,
                   "holder_name");
    message->holder_name.len--;
    assert_int_equal(wire_read_session_info(message, &arena, &info, &err), HF_OK);
    message->meta->known &= ~UINT32_C(4);
    message->meta->repository = wire_fill_text("unknown");
    assert_refused(wire_read_session_info(message, &arena, &info, &err), HF_INVAL, &err,
                   "meta.repository");
    wire_arena_free(&arena);
}

static void a_message_that_is_not_there_is_refused(void **state)
{
    Holdfast__Wire__Lease lease = HOLDFAST__WIRE__LEASE__INIT;
    Holdfast__Wire__Commit commit = HOLDFAST__WIRE__COMMIT__INIT;
    uint8_t root[OBJECT_ID_SIZE] = {1};
    struct wire_arena arena = {0};
    struct commit ret_commit;
    struct lease ret_lease;
    struct hf_error err;

    (void)state;
    assert_refused(wire_read_lease(NULL, &ret_lease, &err), HF_INVAL, &err, "lease");
    assert_refused(wire_read_lease(&lease, &ret_lease, &err), HF_INVAL, &err, "head");
    assert_refused(wire_read_commit(NULL, &arena, &ret_commit, &err), HF_INVAL, &err, "commit");
    assert_refused(wire_read_commit(&commit, &arena, &ret_commit, &err), HF_INVAL, &err, "root");
    commit.root = (ProtobufCBinaryData){sizeof root, root};
    assert_refused(wire_read_commit(&commit, &arena, &ret_commit, &err), HF_INVAL, &err, "meta");
    wire_arena_free(&arena);
}

/* `n` objects that each claim `size` bytes. */
static int read_claims(size_t n, uint32_t size, uint32_t encoding, struct hf_error *err)
{
    static uint8_t id[OBJECT_ID_SIZE], content[300];
    struct wire_arena arena = {0};
    Holdfast__Wire__Object **list = wire_arena_alloc(&arena, n * sizeof *list);
    Holdfast__Wire__Object object = HOLDFAST__WIRE__OBJECT__INIT;
    struct object *objects;
    int rc;

    assert_non_null(list);
    object.id = (ProtobufCBinaryData){sizeof id, id};
    object.kind = OBJECT_CHUNK;
    object.encoding = encoding;
    object.size = size;
    object.content = (ProtobufCBinaryData){sizeof content, content};
    for (size_t i = 0; i < n; i++)
        list[i] = &object;
    rc = wire_read_objects(list, n, &arena, &objects, err);
    wire_arena_free(&arena);
    return rc;
}

static void objects_that_claim_too_much_are_refused_before_memory_is_taken(void **state)
{
    struct hf_error err;

    (void)state;
    assert_refused(read_claims(1, OBJECT_MAX_SIZE + 1, OBJECT_LZ4, &err), HF_INVAL, &err, "size");
    assert_refused(read_claims(1, UINT32_MAX, OBJECT_PLAIN, &err), HF_INVAL, &err, "size");
    assert_refused(read_claims(257, OBJECT_MAX_SIZE, OBJECT_LZ4, &err), HF_TOOBIG, &err, "objects");
    assert_refused(read_claims(1, 65536, OBJECT_LZ4, &err), HF_INVAL, &err, "content");
    assert_refused(read_claims(1, 300, OBJECT_LZ4_BASE, &err), HF_INVAL, &err, "encoding");
    assert_refused(read_claims(2, 299, OBJECT_PLAIN, &err), HF_INVAL, &err, "object 1 of 2");
    assert_int_equal(read_claims(2, 300, OBJECT_PLAIN, &err), HF_OK);
}

static void a_copy_with_a_version_of_another_session_is_refused(void **state)
{
    struct rng rng = rng_make(8);
    struct wire_arena arena = {0};
    struct history_entry versions[2] = {sample_history(&rng, &arena), sample_history(&rng, &arena)};
    struct session_copy copy = sample_session_copy(&rng, &arena);
    Holdfast__Wire__SessionCopy *message;
    struct hf_error err;

    (void)state;
    copy.sid = versions[0].sid = 3;
    versions[1].sid = 4;
    copy.versions = versions;
    copy.nversions = 2;
    assert_int_equal(wire_fill_session_copy(&copy, &arena, &message, NULL), HF_OK);
    assert_refused(wire_read_session_copy(message, &arena, &copy, &err), HF_INVAL, &err,
                   "session 4");
    message->versions[1]->sid = 0;
    assert_int_equal(wire_read_session_copy(message, &arena, &copy, &err), HF_OK);
    assert_int_equal(copy.versions[1].sid, 3);
    message->origin.len = 15;
    assert_refused(wire_read_session_copy(message, &arena, &copy, &err), HF_INVAL, &err, "origin");
    message->origin.len = 16;
    message->state = 3;
    assert_refused(wire_read_session_copy(message, &arena, &copy, &err), HF_INVAL, &err, "state");
    assert_refused(wire_read_session_copy(NULL, &arena, &copy, &err), HF_INVAL, &err, "copy");
    wire_arena_free(&arena);
}

static void numbers_out_of_range_are_refused(void **state)
{
    struct rng rng = rng_make(6);
    struct wire_arena arena = {0};
    struct store_lock lock = sample_lock(&rng);
    struct audit_entry entry = sample_audit(&rng, &arena);
    enum session_rename_mode mode;
    Holdfast__Wire__Lock *lock_message;
    Holdfast__Wire__AuditEntry *audit_message;
    struct hf_error err;

    (void)state;
    assert_int_equal(wire_fill_lock(&lock, &arena, &lock_message, NULL), HF_OK);
    lock_message->type = 3;
    assert_refused(wire_read_lock(lock_message, &lock, &err), HF_INVAL, &err, "type");
    lock_message->type = 2;
    lock_message->start = 2;
    lock_message->end = 1;
    assert_refused(wire_read_lock(lock_message, &lock, &err), HF_INVAL, &err, "end");
    lock_message->kind = 0;
    assert_refused(wire_read_lock(lock_message, &lock, &err), HF_INVAL, &err, "kind");
    assert_int_equal(wire_fill_audit(&entry, &arena, &audit_message, NULL), HF_OK);
    audit_message->event = 0;
    assert_refused(wire_read_audit(audit_message, &arena, &entry, &err), HF_INVAL, &err, "event");
    assert_refused(wire_read_rename_mode(3, &mode, &err), HF_INVAL, &err, "mode");
    assert_int_equal(wire_read_rename_mode(2, &mode, &err), HF_OK);
    wire_arena_free(&arena);
}

static void an_arena_gives_aligned_zeroed_memory(void **state)
{
    struct wire_arena arena = {0};
    struct rng rng = rng_make(7);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        size_t size = rng_below(&rng, i % 10 ? 100 : 9000);
        uint8_t *piece = wire_arena_alloc(&arena, size);

        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++)
            assert_int_equal(piece[j], 0);
        memset(piece, 0xff, size);
    }
    assert_null(wire_arena_alloc(&arena, SIZE_MAX - 8));
    wire_arena_free(&arena);
    assert_null(arena.blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_comes_back),
        cmocka_unit_test(a_lease_comes_back),
        cmocka_unit_test(a_lock_comes_back),
        cmocka_unit_test(a_stats_comes_back),
        cmocka_unit_test(a_session_info_comes_back),
        cmocka_unit_test(a_filter_comes_back),
        cmocka_unit_test(a_history_comes_back),
        cmocka_unit_test(a_identity_comes_back),
        cmocka_unit_test(a_host_info_comes_back),
        cmocka_unit_test(a_lease_info_comes_back),
        cmocka_unit_test(a_audit_comes_back),
        cmocka_unit_test(a_snapshot_comes_back),
        cmocka_unit_test(a_root_comes_back),
        cmocka_unit_test(a_finding_comes_back),
        cmocka_unit_test(a_rescue_comes_back),
        cmocka_unit_test(a_pin_comes_back),
        cmocka_unit_test(a_session_copy_comes_back),
        cmocka_unit_test(a_snapshot_copy_comes_back),
        cmocka_unit_test(a_totals_comes_back),
        cmocka_unit_test(a_commit_comes_back),
        cmocka_unit_test(a_store_info_comes_back),
        cmocka_unit_test(an_event_comes_back_with_its_host),
        cmocka_unit_test(contents_come_back_compressed_where_that_is_smaller),
        cmocka_unit_test(the_status_of_a_reply_comes_back_with_its_sentence),
        cmocka_unit_test(a_field_of_the_wrong_length_is_named),
        cmocka_unit_test(a_string_with_nul_or_without_end_is_refused),
        cmocka_unit_test(a_message_that_is_not_there_is_refused),
        cmocka_unit_test(objects_that_claim_too_much_are_refused_before_memory_is_taken),
        cmocka_unit_test(a_copy_with_a_version_of_another_session_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(an_arena_gives_aligned_zeroed_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
