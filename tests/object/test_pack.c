/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "object/object.h"
#include "rng.h"

static enum object_encoding pack(struct slice content, struct slice base, struct buf *packed)
{
    enum object_encoding encoding;

    assert_int_equal(object_pack(content, base, packed, &encoding), HF_OK);
    return encoding;
}

/* Packs and unpacks behind bytes that are there already. Gives the encoding and the packed size. */
static enum object_encoding round_trip(struct slice content, struct slice base, size_t *ret_size)
{
    BUF_AUTO packed = {0};
    BUF_AUTO plain = {0};
    enum object_encoding encoding;

    assert_int_equal(buf_append(&packed, "before", 6), HF_OK);
    assert_int_equal(buf_append(&plain, "before", 6), HF_OK);
    encoding = pack(content, base, &packed);
    assert_memory_equal(packed.data, "before", 6);
    assert_true(packed.len - 6 <= content.len);
    assert_int_equal(object_unpack(encoding, slice_of(packed.data + 6, packed.len - 6), base,
                                   content.len, &plain),
                     HF_OK);
    assert_memory_equal(plain.data, "before", 6);
    assert_int_equal(slice_compare(slice_of(plain.data + 6, plain.len - 6), content), 0);
    *ret_size = packed.len - 6;
    return encoding;
}

static void any_content_comes_back(void **state)
{
    static uint8_t text[OBJECT_MAX_SIZE], noise[OBJECT_MAX_SIZE];
    struct rng rng = rng_make(1);
    size_t size;

    (void)state;
    rng_text(&rng, text, sizeof text);
    rng_fill(&rng, noise, sizeof noise);
    for (size_t len = 0; len <= OBJECT_MAX_SIZE; len = len < 40 ? len + 1 : len * 3 / 2) {
        assert_in_range(round_trip(slice_of(text, len), (struct slice){0}, &size), 0, 1);
        assert_int_equal(round_trip(slice_of(noise, len), (struct slice){0}, &size), OBJECT_PLAIN);
        assert_int_equal(size, len);
    }
    assert_int_equal(round_trip(slice_of(text, sizeof text), (struct slice){0}, &size), OBJECT_LZ4);
    assert_in_range(size, 1, sizeof text / 2);
}

static void an_edited_chunk_is_packed_against_its_base(void **state)
{
    static uint8_t base[20000], content[20100];
    struct rng rng = rng_make(2);
    size_t size;

    (void)state;
    rng_fill(&rng, base, sizeof base);
    memcpy(content, base, 9000);
    rng_fill(&rng, content + 9000, 100);
    memcpy(content + 9100, base + 9000, 11000);
    assert_int_equal(
        round_trip(slice_of(content, sizeof content), slice_of(base, sizeof base), &size),
        OBJECT_LZ4_BASE);
    assert_in_range(size, 100, 400);
}

static void a_growing_tail_is_packed_against_its_base(void **state)
{
    static uint8_t log[10000];
    struct rng rng = rng_make(3);
    size_t size;

    (void)state;
    rng_text(&rng, log, sizeof log);
    assert_int_equal(round_trip(slice_of(log, sizeof log), slice_of(log, sizeof log - 2000), &size),
                     OBJECT_LZ4_BASE);
    assert_in_range(size, 100, 1300);
}

static void a_base_that_does_not_halve_the_size_is_not_used(void **state)
{
    static uint8_t base[30000], content[30000];
    struct rng rng = rng_make(4);
    BUF_AUTO alone = {0};
    size_t size;

    (void)state;
    rng_fill(&rng, base, sizeof base);
    rng_fill(&rng, content, sizeof content);
    assert_int_equal(
        round_trip(slice_of(content, sizeof content), slice_of(base, sizeof base), &size),
        OBJECT_PLAIN);
    memcpy(content, base, 14000); /* not half of it */
    assert_int_equal(
        round_trip(slice_of(content, sizeof content), slice_of(base, sizeof base), &size),
        OBJECT_PLAIN);
    memcpy(content, base, 16000); /* more than half of it */
    assert_int_equal(
        round_trip(slice_of(content, sizeof content), slice_of(base, sizeof base), &size),
        OBJECT_LZ4_BASE);
    memset(content, 0, sizeof content);
    assert_int_equal(pack(slice_of(content, sizeof content), (struct slice){0}, &alone),
                     OBJECT_LZ4);
    assert_int_equal(round_trip(slice_of(content, sizeof content), slice_of(content, 100), &size),
                     OBJECT_LZ4);
    assert_int_equal(size, alone.len);
}

/* What is known of the base spares LZ4 alone; but a delta that does not pay is never taken. */
static void what_is_likely_decides(void **state)
{
    static uint8_t text[8000];
    struct rng rng = rng_make(6);
    struct slice content = slice_of(text, sizeof text), base = slice_of(text, 6000);
    enum object_encoding encoding = OBJECT_PLAIN;
    BUF_AUTO usual = {0};
    BUF_AUTO packed = {0};

    (void)state;
    rng_text(&rng, text, sizeof text);
    assert_int_equal(pack(content, base, &usual), OBJECT_LZ4_BASE);
    assert_int_equal(
        object_pack_like(content, base, 2 * usual.len, OBJECT_MAX_SIZE, &packed, &encoding), HF_OK);
    assert_int_equal(encoding, OBJECT_LZ4_BASE);
    assert_int_equal(slice_compare(buf_slice(&packed), buf_slice(&usual)), 0);
    packed.len = 0;
    assert_int_equal(
        object_pack_like(content, base, 2 * usual.len, usual.len - 1, &packed, &encoding), HF_OK);
    assert_int_equal(encoding, OBJECT_LZ4);
    packed.len = 0;
    assert_int_equal(object_pack_like(content, base, 0, usual.len, &packed, &encoding), HF_OK);
    assert_int_equal(encoding, OBJECT_LZ4_BASE);
}

static void bases_of_every_size_work(void **state)
{
    static uint8_t text[OBJECT_MAX_SIZE];
    struct rng rng = rng_make(5);
    size_t size;

    (void)state;
    rng_text(&rng, text, sizeof text);
    for (int i = 0; i < 300; i++) {
        const size_t len = 1 + rng_below(&rng, OBJECT_MAX_SIZE),
                     at = rng_below(&rng, OBJECT_MAX_SIZE);
        const size_t base = 1 + rng_below(&rng, OBJECT_MAX_SIZE - at);

        round_trip(slice_of(text, len), slice_of(text + at, base), &size);
    }
    round_trip(slice_of(text, sizeof text), slice_of(text, sizeof text), &size);
}

/* --- what comes from a store may be damaged ------------------------------------------------------- */

static void assert_refused(enum object_encoding encoding, struct slice packed, struct slice base,
                           size_t size)
{
    BUF_AUTO content = {0};

    assert_int_equal(object_unpack(encoding, packed, base, size, &content), HF_CORRUPT);
    assert_int_equal(content.len, 0);
}

static void sizes_that_cannot_be_are_refused_before_anything_is_allocated(void **state)
{
    static const uint8_t bytes[OBJECT_MAX_SIZE + 1] = {0x1f};
    BUF_AUTO content = {0};
    const size_t sizes[] = {OBJECT_MAX_SIZE + 1, SIZE_MAX, SIZE_MAX / 2, 1ULL << 32};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int encoding = 0; encoding < 4; encoding++)
            assert_int_equal(object_unpack((enum object_encoding)encoding, slice_of(bytes, 100),
                                           slice_of(bytes, 100), sizes[i], &content),
                             HF_CORRUPT);
    /* LZ4 cannot make so much of so little. */
    assert_int_equal(
        object_unpack(OBJECT_LZ4, slice_of(bytes, 100), slice_of("", 0), 25501, &content),
        HF_CORRUPT);
    assert_null(content.data);
}

static void a_form_that_yields_another_size_is_refused(void **state)
{
    static uint8_t text[5000];
    struct rng rng = rng_make(6);
    BUF_AUTO packed = {0};
    struct slice none = {0};

    (void)state;
    rng_text(&rng, text, sizeof text);
    assert_int_equal(pack(slice_of(text, sizeof text), none, &packed), OBJECT_LZ4);
    assert_refused(OBJECT_LZ4, buf_slice(&packed), none, sizeof text - 1);
    assert_refused(OBJECT_LZ4, buf_slice(&packed), none, sizeof text + 1);
    assert_refused(OBJECT_LZ4, slice_of(packed.data, packed.len - 1), none, sizeof text);
    assert_refused(OBJECT_PLAIN, buf_slice(&packed), none, sizeof text);
    assert_refused(OBJECT_PLAIN, slice_of(text, sizeof text), none, sizeof text - 1);
    assert_refused(OBJECT_LZ4, none, none, 0);
    assert_refused(OBJECT_LZ4, slice_of(text, 10), none, 9);
    assert_refused((enum object_encoding)3, buf_slice(&packed), none, sizeof text);
}

static void a_delta_without_its_base_is_refused(void **state)
{
    static uint8_t base[5000], content[5000], other[100];
    struct rng rng = rng_make(7);
    BUF_AUTO packed = {0};

    (void)state;
    rng_fill(&rng, base, sizeof base);
    memcpy(content, base, sizeof base);
    content[2500] ^= 1;
    assert_int_equal(pack(slice_of(content, sizeof content), slice_of(base, sizeof base), &packed),
                     OBJECT_LZ4_BASE);
    assert_refused(OBJECT_LZ4_BASE, buf_slice(&packed), (struct slice){0}, sizeof content);
    assert_refused(OBJECT_LZ4, buf_slice(&packed), (struct slice){0}, sizeof content);
    assert_refused(OBJECT_LZ4_BASE, buf_slice(&packed), slice_of(other, sizeof other),
                   sizeof content);
}

static void damaged_bytes_give_an_error_or_other_content_but_no_harm(void **state)
{
    static uint8_t base[3000], text[4000];
    struct rng rng = rng_make(8);
    BUF_AUTO packed = {0};
    enum object_encoding encoding;

    (void)state;
    rng_text(&rng, base, sizeof base);
    memcpy(text, base, sizeof base);
    rng_text(&rng, text + sizeof base, sizeof text - sizeof base);
    encoding = pack(slice_of(text, sizeof text), slice_of(base, sizeof base), &packed);
    assert_int_equal(encoding, OBJECT_LZ4_BASE);
    for (size_t at = 0; at < packed.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            BUF_AUTO content = {0};
            int rc;

            packed.data[at] ^= (uint8_t)(1 << bit);
            rc = object_unpack(encoding, buf_slice(&packed), slice_of(base, sizeof base),
                               sizeof text, &content);
            packed.data[at] ^= (uint8_t)(1 << bit);
            assert_int_equal(content.len, rc == HF_OK ? sizeof text : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_content_comes_back),
        cmocka_unit_test(an_edited_chunk_is_packed_against_its_base),
        cmocka_unit_test(a_growing_tail_is_packed_against_its_base),
        cmocka_unit_test(a_base_that_does_not_halve_the_size_is_not_used),
        cmocka_unit_test(what_is_likely_decides),
        cmocka_unit_test(bases_of_every_size_work),
        cmocka_unit_test(sizes_that_cannot_be_are_refused_before_anything_is_allocated),
        cmocka_unit_test(a_form_that_yields_another_size_is_refused),
        cmocka_unit_test(a_delta_without_its_base_is_refused),
        cmocka_unit_test(damaged_bytes_give_an_error_or_other_content_but_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
