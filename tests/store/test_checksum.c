/* SPDX-License-Identifier: Apache-2.0 */
/* Row checksums: equal for equal rows alone. */
#include "store/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "holdfast/error.h"

static int64_t sum_of(const char *table, int64_t number, const char *text, const char *blob)
{
    struct checksum sum;
    int64_t value;

    checksum_start(&sum, table);
    checksum_int(&sum, number);
    checksum_text(&sum, text);
    checksum_blob(&sum, blob, strlen(blob));
    assert_int_equal(checksum_end(&sum, &value), HF_OK);
    return value;
}

static void the_value_is_part_of_the_format(void **state)
{
    struct checksum sum;
    int64_t value;

    (void)state;
    /* First 8 bytes, little-endian, of SHA-256 over 't' 3 "tab" 'i' 1 'n' 0, numbers in 8 bytes. */
    checksum_start(&sum, "tab");
    checksum_int(&sum, 1);
    checksum_text(&sum, NULL);
    assert_int_equal(checksum_end(&sum, &value), HF_OK);
    assert_true(value == (int64_t)0x3c2f86f44c2cd8beULL);
}

static void rows_that_differ_have_different_sums(void **state)
{
    const int64_t sums[] = {
        sum_of("a", 1, "text", "blob"), sum_of("b", 1, "text", "blob"),
        sum_of("a", 2, "text", "blob"), sum_of("a", 1, "texu", "blob"),
        sum_of("a", 1, "text", "bloc"), sum_of("a", 1, NULL, "blob"),
        sum_of("a", 1, "", "blob"),     sum_of("a", 1, "textb", "lob"),
        sum_of("a", 1, "tex", "tblob"), sum_of("a", -1, "text", "blob"),
    };

    (void)state;
    assert_true(sum_of("a", 1, "text", "blob") == sums[0]);
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(sums[i] != sums[k]);
}

static void long_rows_are_summed_alike_however_they_come(void **state)
{
    char *data = malloc(100000);
    struct checksum sum;
    int64_t first, second;

    (void)state;
    assert_non_null(data);
    for (size_t len = 900; len < 1200; len++) {
        memset(data, 'x', len);
        checksum_start(&sum, "t");
        checksum_blob(&sum, data, len);
        checksum_int(&sum, 1);
        assert_int_equal(checksum_end(&sum, &first), HF_OK);
        data[len - 1] ^= 1;
        checksum_start(&sum, "t");
        checksum_blob(&sum, data, len);
        checksum_int(&sum, 1);
        assert_int_equal(checksum_end(&sum, &second), HF_OK);
        assert_true(first != second);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_value_is_part_of_the_format),
        cmocka_unit_test(rows_that_differ_have_different_sums),
        cmocka_unit_test(long_rows_are_summed_alike_however_they_come),
    };

    return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
