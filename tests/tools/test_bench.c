/* SPDX-License-Identifier: Apache-2.0 */
/* What the yardstick writes, and how it tells figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "bench/content.h"
#include "bench/figures.h"
#include "bench/series.h"

#define TEXT_BYTES ((size_t)64 << 10)
#define PIECE 64 /* of which two versions have the same, at any offset */

static void the_same_seed_gives_the_same_text(void **state)
{
    static uint8_t one[TEXT_BYTES], same[TEXT_BYTES], other[TEXT_BYTES];
    struct content content;

    (void)state;
    content_init(&content, 7);
    content_fill(&content, one, sizeof one);
    content_init(&content, 7);
    content_fill(&content, same, sizeof same);
    content_init(&content, 8);
    content_fill(&content, other, sizeof other);
    assert_memory_equal(one, same, sizeof one);
    assert_memory_not_equal(one, other, sizeof one);
    content_fill(&content, same, sizeof same);
    assert_memory_not_equal(same, other, sizeof same);
}

static void lines_are_events_and_a_third_when_compressed(void **state)
{
    static uint8_t text[TEXT_BYTES];
    static char packed[2 * TEXT_BYTES];
    struct content content;
    size_t begin = 0;
    int len;

    (void)state;
    content_init(&content, 1);
    content_fill(&content, text, sizeof text);
    for (size_t end = 0; end < sizeof text; end++) {
        json_t *event;

        if (text[end] != '\n')
            continue;
        event = json_loadb((const char *)text + begin, end - begin, 0, NULL);
        assert_true(json_is_string(json_object_get(event, "type")));
        json_decref(event);
        begin = end + 1;
    }
    assert_int_equal(begin, sizeof text);
    len = LZ4_compress_default((const char *)text, packed, sizeof text, sizeof packed);
    assert_in_range(len, sizeof text / 4, sizeof text * 2 / 5);
}

static void an_event_has_exactly_its_length(void **state)
{
    struct content content;

    (void)state;
    content_init(&content, 1);
    for (size_t len = 0; len < 2500; len++) {
        uint8_t *text = malloc(len + 1);

        assert_non_null(text);
        text[len] = 0xa5;
        content_event(&content, text, len);
        assert_int_equal(text[len], 0xa5);
        if (len > 0)
            assert_int_equal(text[len - 1], '\n');
        free(text);
    }
}

/* How many bytes of `data` stand in `old`, by pieces. */
static size_t shared_bytes(const uint8_t *old, size_t old_len, const struct series *series)
{
    size_t shared = 0;

    for (size_t at = 0; at + PIECE <= series->len; at += PIECE)
        if (memmem(old, old_len, series->data + at, PIECE))
            shared += PIECE;
    return shared;
}

static void versions_share_nine_tenths_and_grow(void **state)
{
    static uint8_t old[2 * SERIES_MAX];
    struct content content;
    struct series series;
    size_t old_len;

    (void)state;
    content_init(&content, 3);
    assert_int_equal(series_init(&series, &content, 200), HF_OK);
    assert_int_equal(series.len, SERIES_MIN);
    for (int i = 1; i < 200; i++) {
        old_len = series.len;
        memcpy(old, series.data, old_len);
        series_next(&series);
        assert_int_equal(series.len, old_len + series.growth);
        if (i % 66 == 0)
            assert_in_range(100 * shared_bytes(old, old_len, &series) / series.len, 85, 91);
    }
    assert_in_range(series.len, SERIES_MAX - series.growth, SERIES_MAX);
    series_next(&series);
    series_next(&series);
    assert_in_range(series.len, SERIES_MAX - series.growth, SERIES_MAX);
    series_free(&series);
}

static void figures_are_told_as_json(void **state)
{
    struct figures figures = {0};
    struct samples samples = {0};
    json_t *json, *figure;

    (void)state;
    for (int i = 100; i > 0; i--)
        assert_int_equal(samples_add(&samples, i * 1000), HF_OK);
    assert_int_equal(figures_add_samples(&figures, "append", &samples, NULL), HF_OK);
    assert_null(samples.ns);
    assert_int_equal(figures_add_rate(&figures, "write", 5000000, 1000000000, NULL), HF_OK);
    assert_int_equal(figures_leave_out(&figures, "cold", "needs --remount", NULL), HF_OK);
    json = figures_json(&figures);
    figure = json_object_get(json, "append");
    assert_int_equal(json_integer_value(json_object_get(figure, "count")), 100);
    assert_true(json_real_value(json_object_get(figure, "p99_us")) == 99);
    figure = json_object_get(json, "write");
    assert_true(json_real_value(json_object_get(figure, "value")) == 5);
    assert_string_equal(json_string_value(json_object_get(figure, "unit")), "MB/s");
    figure = json_object_get(json, "cold");
    assert_string_equal(json_string_value(json_object_get(figure, "left_out")), "needs --remount");
    json_decref(json);
    figures_free(&figures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_text),
        cmocka_unit_test(lines_are_events_and_a_third_when_compressed),
        cmocka_unit_test(an_event_has_exactly_its_length),
        cmocka_unit_test(versions_share_nine_tenths_and_grow),
        cmocka_unit_test(figures_are_told_as_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
