/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "holdfast/error.h"

static void what_is_appended_is_there_in_order(void **state)
{
    BUF_AUTO buf = {0};

    (void)state;
    for (int i = 0; i < 10000; i++) {
        const uint8_t byte = (uint8_t)i;

        assert_int_equal(buf_append(&buf, &byte, 1), HF_OK);
    }
    assert_int_equal(buf_append_zeros(&buf, 3), HF_OK);
    assert_int_equal(buf.len, 10003);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf.data[i], (uint8_t)i);
    assert_memory_equal(buf.data + 10000, "\0\0\0", 3);
}

static void appending_nothing_to_nothing_is_fine(void **state)
{
    BUF_AUTO buf = {0};

    (void)state;
    assert_int_equal(buf_append(&buf, NULL, 0), HF_OK);
    assert_int_equal(buf_append_zeros(&buf, 0), HF_OK);
    assert_int_equal(buf_slice(&buf).len, 0);
}

static void sizes_that_cannot_be_are_refused_and_nothing_is_lost(void **state)
{
    BUF_AUTO buf = {0};

    (void)state;
    assert_int_equal(buf_append(&buf, "abc", 3), HF_OK);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), HF_NOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 3), HF_NOMEM);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "abc", 3);
}

static void a_buffer_is_usable_after_its_bytes_are_gone(void **state)
{
    BUF_AUTO buf = {0};
    uint8_t *bytes;

    (void)state;
    assert_int_equal(buf_append(&buf, "abc", 3), HF_OK);
    bytes = buf_detach(&buf);
    assert_memory_equal(bytes, "abc", 3);
    free(bytes);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_append(&buf, "d", 1), HF_OK);
    buf_free(&buf);
    buf_free(&buf);
    assert_int_equal(buf_append(&buf, "e", 1), HF_OK);
    assert_memory_equal(buf.data, "e", 1);
}

static void slices_compare_in_byte_order_and_prefixes_first(void **state)
{
    const struct slice order[] = {{0},
                                  slice_of("", 0),
                                  slice_of("\0", 1),
                                  slice_of("a", 1),
                                  slice_of("a\0", 2),
                                  slice_of("ab", 2),
                                  slice_of("b", 1),
                                  slice_of("\377", 1)};

    (void)state;
    assert_int_equal(slice_compare(order[0], order[1]), 0);
    for (size_t i = 1; i < 8; i++)
        for (size_t j = 1; j < 8; j++)
            assert_int_equal(slice_compare(order[i], order[j]), i < j ? -1 : i > j);
}

static void integers_are_little_endian_at_any_address(void **state)
{
    uint8_t bytes[9] = {0};

    (void)state;
    bytes_put_u64(bytes + 1, 0x1122334455667788);
    assert_memory_equal(bytes, "\0\x88\x77\x66\x55\x44\x33\x22\x11", 9);
    assert_int_equal(bytes_get_u64(bytes + 1), 0x1122334455667788);
    assert_int_equal(bytes_get_u32(bytes + 1), 0x55667788);
    assert_int_equal(bytes_get_u16(bytes + 1), 0x7788);
    bytes_put_u32(bytes + 3, 0xaabbccdd);
    bytes_put_u16(bytes + 7, 0xeeff);
    assert_memory_equal(bytes, "\0\x88\x77\xdd\xcc\xbb\xaa\xff\xee", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_there_in_order),
        cmocka_unit_test(appending_nothing_to_nothing_is_fine),
        cmocka_unit_test(sizes_that_cannot_be_are_refused_and_nothing_is_lost),
        cmocka_unit_test(a_buffer_is_usable_after_its_bytes_are_gone),
        cmocka_unit_test(slices_compare_in_byte_order_and_prefixes_first),
        cmocka_unit_test(integers_are_little_endian_at_any_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
