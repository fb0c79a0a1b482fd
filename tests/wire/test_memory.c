/* SPDX-License-Identifier: Apache-2.0 */
/* Messages when memory runs out at any place: that is what is told, and nothing is left behind (which a sanitizer
 * sees). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing_alloc.h"
#include "values.h"
#include "wire/frame.h"

/* Runs `code`, which sets `rc`, with one allocation after another failing, until none is reached. */
#define FAIL_EACH(told, code)                                                                      \
    do {                                                                                           \
        bool reached_ = true;                                                                      \
        for (size_t turn_ = 1; reached_; turn_++) {                                                \
            int rc;                                                                                \
            failing_alloc_after(turn_);                                                            \
            code;                                                                                  \
            reached_ = failing_alloc_stop();                                                       \
            assert_int_equal(rc, reached_ ? HF_NOMEM : HF_OK);                                     \
            (told) += reached_;                                                                    \
        }                                                                                          \
    } while (0)

static int decode(struct slice bytes)
{
    Holdfast__Wire__Frame *frame;
    int rc = frame_decode(bytes, &frame, NULL);

    if (rc == HF_OK)
        holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

static size_t decode_file(const char *name)
{
    static uint8_t bytes[100000];
    char path[4096];
    size_t len, told = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", HOLDFAST_WIRE_CORPUS, name);
    file = fopen(path, "re");
    assert_non_null(file);
    len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_in_range(len, 1 + FRAME_HEAD, sizeof bytes - 1);
    FAIL_EACH(told, rc = decode(slice_of(bytes + 1 + FRAME_HEAD, len - 1 - FRAME_HEAD)));
    return told;
}

static void a_frame_is_decoded_or_leaves_nothing(void **state)
{
    DIR *corpus = opendir(HOLDFAST_WIRE_CORPUS);
    struct dirent *entry;
    size_t files = 0;

    (void)state;
    assert_non_null(corpus);
    while ((entry = readdir(corpus))) {
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, "refused", 7) == 0)
            continue;
        assert_true(decode_file(entry->d_name) >= 2);
        files++;
    }
    closedir(corpus);
    assert_true(files > 40);
}

static int fill_and_read_commit(const struct commit *commit)
{
    struct wire_arena arena = {0};
    Holdfast__Wire__Commit message;
    struct commit copy;
    int rc = wire_fill_commit(commit, &arena, &message, NULL);

    if (rc == HF_OK)
        rc = wire_read_commit(&message, &arena, &copy, NULL);
    if (rc == HF_OK)
        assert_true(equal_commit(commit, &copy));
    wire_arena_free(&arena);
    return rc;
}

static int fill_and_read_session(const struct session_info *info)
{
    struct wire_arena arena = {0};
    Holdfast__Wire__SessionInfo *message;
    struct session_info copy;
    int rc = wire_fill_session_info(info, &arena, &message, NULL);

    if (rc == HF_OK)
        rc = wire_read_session_info(message, &arena, &copy, NULL);
    if (rc == HF_OK)
        assert_true(equal_session_info(info, &copy));
    wire_arena_free(&arena);
    return rc;
}

static int fill_and_read_lease(const struct lease_info *info)
{
    struct wire_arena arena = {0};
    Holdfast__Wire__LeaseInfo *message;
    struct lease_info copy;
    int rc = wire_fill_lease_info(info, &arena, &message, NULL);

    if (rc == HF_OK)
        rc = wire_read_lease_info(message, &arena, &copy, NULL);
    if (rc == HF_OK)
        assert_true(equal_lease_info(info, &copy));
    wire_arena_free(&arena);
    return rc;
}

static int fill_and_read_copy(const struct session_copy *copy)
{
    struct wire_arena arena = {0};
    Holdfast__Wire__SessionCopy *message;
    struct session_copy again;
    int rc = wire_fill_session_copy(copy, &arena, &message, NULL);

    if (rc == HF_OK)
        rc = wire_read_session_copy(message, &arena, &again, NULL);
    if (rc == HF_OK)
        assert_true(equal_session_copy(copy, &again));
    wire_arena_free(&arena);
    return rc;
}

static void conversions_tell_when_memory_runs_out(void **state)
{
    struct rng rng = rng_make(1);

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct wire_arena arena = {0};
        struct commit commit = sample_commit(&rng, &arena);
        struct session_info info = sample_session_info(&rng, &arena);
        struct lease_info lease = sample_lease_info(&rng, &arena);
        struct session_copy copy = sample_session_copy(&rng, &arena);
        size_t told = 0;

        FAIL_EACH(told, rc = fill_and_read_commit(&commit));
        FAIL_EACH(told, rc = fill_and_read_session(&info));
        FAIL_EACH(told, rc = fill_and_read_lease(&lease));
        FAIL_EACH(told, rc = fill_and_read_copy(&copy));
        assert_true(told >= 4);
        wire_arena_free(&arena);
    }
}

static void a_frame_that_cannot_be_encoded_leaves_the_stream_as_it_was(void **state)
{
    static uint8_t content[1000];
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    BUF_AUTO out = {0};
    size_t told = 0, before;

    (void)state;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = &reply;
    reply.message = (ProtobufCBinaryData){sizeof content, content};
    assert_int_equal(frame_encode(&frame, 2000, &out, NULL), HF_OK);
    before = out.len;
    FAIL_EACH(told, rc = frame_encode(&frame, 2000, &out, NULL);
              if (rc != HF_OK) assert_int_equal(out.len, before));
    assert_int_equal(told, 1);
    assert_int_equal(out.len, 2 * before);
    assert_int_equal(frame_encode(&frame, 999, &out, NULL), HF_TOOBIG);
    assert_int_equal(out.len, 2 * before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_decoded_or_leaves_nothing),
        cmocka_unit_test(conversions_tell_when_memory_runs_out),
        cmocka_unit_test(a_frame_that_cannot_be_encoded_leaves_the_stream_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
