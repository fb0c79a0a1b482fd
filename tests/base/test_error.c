/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/error.h"

static const int statuses[] = {
    HF_FENCED,      HF_CONFLICT, HF_MISSING, HF_CORRUPT,     HF_BUSY,   HF_NEWER,   HF_FAILED,
    HF_PENDING,     HF_IO,       HF_NOMEM,   HF_NOSPC,       HF_QUOTA,  HF_TIMEOUT, HF_AGAIN,
    HF_INTR,        HF_MFILE,    HF_INVAL,   HF_UNSUPPORTED, HF_USAGE,  HF_CONFIG,  HF_PERM,
    HF_ACCESS,      HF_TOOBIG,   HF_NOENT,   HF_EXIST,       HF_NOTDIR, HF_ISDIR,   HF_NOTEMPTY,
    HF_NAMETOOLONG, HF_XDEV,     HF_MLINK,   HF_ROFS,        HF_NODATA, HF_RANGE,   HF_DEADLK,
    HF_FBIG,        HF_NXIO,     HF_BADF,    HF_STALE,       HF_LOOP,
};

#define STATUSES (sizeof statuses / sizeof statuses[0])

static void every_status_has_a_wire_code_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATUSES; i++) {
        assert_int_not_equal(hf_status_wire(statuses[i]), 0);
        assert_int_equal(hf_status_from_wire(hf_status_wire(statuses[i])), statuses[i]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(hf_status_wire(statuses[i]), hf_status_wire(statuses[j]));
    }
}

static void every_status_has_a_text_an_errno_and_an_exit_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATUSES; i++) {
        assert_true(hf_status_text(statuses[i])[0] != '\0');
        assert_true(hf_status_errno(statuses[i]) > 0);
        assert_in_range(hf_status_exit(statuses[i]), 64, 78);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(hf_status_text(statuses[i]), hf_status_text(statuses[j]));
    }
}

static void every_errno_of_the_table_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATUSES; i++) {
        const int error = hf_status_errno(statuses[i]);

        assert_int_equal(hf_status_errno(hf_status_from_errno(error)), error);
    }
    assert_int_equal(hf_status_from_errno(EIO), HF_IO);
    assert_int_equal(hf_status_from_errno(EINVAL), HF_INVAL);
    assert_int_equal(hf_status_from_errno(ENOENT), HF_NOENT);
    assert_int_equal(hf_status_from_errno(ENOSPC), HF_NOSPC);
}

static void success_is_zero_everywhere(void **state)
{
    (void)state;
    assert_int_equal(hf_status_errno(HF_OK), 0);
    assert_int_equal(hf_status_wire(HF_OK), 0);
    assert_int_equal(hf_status_exit(HF_OK), 0);
    assert_int_equal(hf_status_from_errno(0), HF_OK);
    assert_int_equal(hf_status_from_wire(0), HF_OK);
}

static void what_is_not_in_the_table_is_an_io_error(void **state)
{
    (void)state;
    assert_int_equal(hf_status_errno(-9999), EIO);
    assert_int_equal(hf_status_errno(1), EIO);
    assert_int_equal(hf_status_from_errno(9999), HF_IO);
    assert_int_equal(hf_status_from_wire(9999), HF_IO);
}

static void a_failure_carries_status_and_sentence(void **state)
{
    struct hf_error err = {0};

    (void)state;
    assert_int_equal(hf_fail(&err, HF_BUSY, "session %s is in use", "x"), HF_BUSY);
    assert_int_equal(err.status, HF_BUSY);
    assert_string_equal(err.message, "session x is in use");
    assert_int_equal(hf_fail_prefix(&err, HF_IO, "%s", "store"), HF_IO);
    assert_int_equal(err.status, HF_IO);
    assert_string_equal(err.message, "store: session x is in use");
    assert_int_equal(hf_fail(NULL, HF_BUSY, "nobody listens"), HF_BUSY);
    assert_int_equal(hf_fail_prefix(NULL, HF_BUSY, "nobody listens"), HF_BUSY);
}

static void long_sentences_are_cut(void **state)
{
    struct hf_error err = {0};
    char text[2000];

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    hf_fail(&err, HF_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    hf_fail_prefix(&err, HF_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    hf_fail(&err, HF_IO, "%.300s", text);
    hf_fail_prefix(&err, HF_IO, "%.300s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_wire_code_of_its_own),
        cmocka_unit_test(every_status_has_a_text_an_errno_and_an_exit_code),
        cmocka_unit_test(every_errno_of_the_table_comes_back),
        cmocka_unit_test(success_is_zero_everywhere),
        cmocka_unit_test(what_is_not_in_the_table_is_an_io_error),
        cmocka_unit_test(a_failure_carries_status_and_sentence),
        cmocka_unit_test(long_sentences_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
