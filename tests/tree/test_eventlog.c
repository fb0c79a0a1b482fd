/* SPDX-License-Identifier: Apache-2.0 */
/* What is found in event logs, and what is left of them when it is mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/htable.h"
#include "base/jsonscan.h"
#include "base/utf8.h"
#include "holdfast/error.h"
#include "tree/eventlog.h"

#define DAMAGES_MAX 4096

/** What a reading gave. */
struct reading {
    struct slice log;
    struct eventlog_damage damages[DAMAGES_MAX];
    size_t ndamages, mendable;
    uint64_t events;
    struct buf ids;    /* of the events, each followed by a blank */
    struct buf mended; /* the log with all that is mendable mended */
    uint64_t done;     /* bytes of the log that are in `mended`, or were cut out */
};

static int note_event(const struct eventlog_event *event, void *arg)
{
    struct reading *reading = arg;

    assert_memory_equal(event->text.data, reading->log.data + event->offset, event->text.len);
    reading->events++;
    buf_append(&reading->ids, event->id.data, event->id.len);
    buf_append(&reading->ids, " ", 1);
    return HF_OK;
}

static int note_damage(const struct eventlog_damage *damage, void *arg)
{
    struct reading *reading = arg;
    const uint8_t *text = reading->log.data + damage->offset;

    assert_true(reading->ndamages < DAMAGES_MAX);
    assert_true(damage->offset + damage->len <= reading->log.len);
    assert_true(damage->offset >= reading->done);
    assert_int_equal(damage->mendable, damage->put != NULL);
    if (damage->text.len > 0)
        assert_memory_equal(damage->text.data, text, damage->text.len);
    reading->damages[reading->ndamages++] = *damage;
    if (!damage->mendable)
        return HF_OK;
    reading->mendable++;
    buf_append(&reading->mended, reading->log.data + reading->done,
               (size_t)(damage->offset - reading->done));
    buf_append(&reading->mended, damage->put, strlen(damage->put));
    reading->done = damage->offset + damage->len;
    return HF_OK;
}

static void reading_free(struct reading *reading)
{
    buf_free(&reading->ids);
    buf_free(&reading->mended);
    free(reading);
}

/** Reads a log in pieces of at most `most` bytes, of sizes that follow from `random`. */
static struct reading *read_log(struct slice text, size_t most, uint64_t random)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct eventlog_listener listener = {note_event, note_damage, reading};
    struct eventlog *log = eventlog_new(&listener);

    reading->log = text;
    for (size_t at = 0; at < text.len;) {
        size_t n = 1 + (size_t)((random = htable_hash_u64(random + 1)) % most);

        n = n < text.len - at ? n : text.len - at;
        assert_int_equal(eventlog_feed(log, slice_of(text.data + at, n)), HF_OK);
        at += n;
    }
    assert_int_equal(eventlog_offset(log), text.len);
    assert_int_equal(eventlog_end(log), HF_OK);
    eventlog_free(log);
    buf_append(&reading->mended, text.data + reading->done, text.len - (size_t)reading->done);
    buf_append(&reading->mended, "", 1);
    reading->mended.len--;
    buf_append(&reading->ids, "", 1);
    return reading;
}

#define A "{\"type\":\"t\",\"id\":\"a\"}"
#define B "{\"type\":\"t\",\"id\":\"b\"}"
#define C "{\"type\":\"t\",\"id\":\"c\"}"
#define NUL3 "\0\0\0"

struct example {
    const char *text;
    size_t len;
    const char *mended;
    const char *kinds; /* by their first letters, in order */
};
#define EXAMPLE(text, mended, kinds)                                                               \
    {                                                                                              \
        text, sizeof text - 1, mended, kinds                                                       \
    }

static const struct example examples[] = {
    EXAMPLE("", "", ""),
    EXAMPLE(A "\n" B "\n", A "\n" B "\n", ""),
    EXAMPLE(" " A " \r\n{}\n{\"x\":1}\n", " " A " \r\n{}\n{\"x\":1}\n", ""),
    /* NULs */
    EXAMPLE(A "\n" NUL3, A "\n", "N"),
    EXAMPLE(A "\n" NUL3 B "\n", A "\n" B "\n", "N"),
    EXAMPLE(A NUL3 B "\n", A "\n" B "\n", "N"),
    EXAMPLE(A NUL3 "\n" B "\n", A "\n" B "\n", "N"),
    EXAMPLE(A "\n{\"type\":\"t" NUL3 "\"}\n" B "\n", A "\n" B "\n", "TNT"),
    EXAMPLE(A "\n" NUL3 "\n" B "\n", A "\n" B "\n", "N"),
    /* torn */
    EXAMPLE(A "\n{\"type\":\"t\",\"da", A "\n", "T"),
    EXAMPLE(A "\n{\"type\":\"t\",\"da\n" B "\n", A "\n" B "\n", "T"),
    EXAMPLE(A "\n{\"type\":\"t\",\"da" B "\n", A "\n" B "\n", "T"),
    EXAMPLE(A "garbage" B "\n", A "\n" B "\n", "T"),
    EXAMPLE("\"x\":{\"type\":\"u\",\"id\":\"x\"},\"id\":\"z\"}\n" B "\n", B "\n", "T"),
    EXAMPLE(A ",\"x\":1}\n" B "\n", A "\n" B "\n", "T"),
    EXAMPLE("[1,2]\n7\n" B "\n", B "\n", "TT"),
    EXAMPLE("{\"type\":\"t\",\"x\":[" A "]" B "\n", B "\n", "T"),
    /* run together */
    EXAMPLE(A B C "\n", A "\n" B "\n" C "\n", "JJ"),
    EXAMPLE(A "  " B "\n", A "\n" B "\n", "J"),
    /* UTF-8 */
    EXAMPLE("{\"type\":\"\xff\xfeq\xc3\"}\n", "{\"type\":\"\xef\xbf\xbdq\xef\xbf\xbd\"}\n", "UU"),
    EXAMPLE("{\"type\":\"\xc3\xa9\"}\n", "{\"type\":\"\xc3\xa9\"}\n", ""),
    /* twice */
    EXAMPLE(A "\n" B "\n" A "\n" C "\n", A "\n" B "\n" C "\n", "D"),
    EXAMPLE(A A B "\n", A "\n" B "\n", "D"),
    EXAMPLE(A "\n{\"type\":\"u\",\"id\":\"a\"}\n", A "\n{\"type\":\"u\",\"id\":\"a\"}\n", "S"),
    /* lines */
    EXAMPLE(A "\n\n \n" B "\n", A "\n" B "\n", "EE"),
    EXAMPLE(A "\n" B, A "\n" B "\n", "O"),
    EXAMPLE(A "\n" B "x", A "\n" B "\n", "TO"),
};

static char letter_of(enum eventlog_kind kind)
{
    return "?NTJUDEOSL"[kind];
}

static void damage_is_named_and_mended(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct example *example = &examples[i];
        struct reading *reading = read_log(slice_of(example->text, example->len), 1000, i);
        char kinds[16] = "";

        assert_true(reading->ndamages < sizeof kinds);
        for (size_t d = 0; d < reading->ndamages; d++)
            kinds[d] = letter_of(reading->damages[d].kind);
        if (strcmp(kinds, example->kinds) != 0 ||
            strcmp((char *)reading->mended.data, example->mended) != 0)
            fail_msg("example %zu: %s, mended to '%s'", i, kinds, (char *)reading->mended.data);
        reading_free(reading);
    }
}

static void places_are_told(void **state)
{
    static const char text[] = A "\n" B NUL3 "\n" A "\n";
    struct reading *reading = read_log(slice_of(text, sizeof text - 1), 3, 1);

    (void)state;
    assert_int_equal(reading->ndamages, 2);
    assert_int_equal(reading->damages[0].line, 2);
    assert_int_equal(reading->damages[0].offset, 2 * strlen(A) + 1);
    assert_int_equal(reading->damages[0].len, 3);
    assert_int_equal(reading->damages[1].line, 3);
    assert_int_equal(reading->damages[1].other, 1);
    assert_int_equal(reading->damages[1].len, strlen(A) + 1);
    assert_string_equal((char *)reading->ids.data, "a b ");
    reading_free(reading);
}

static void rewritten_log_gives_only_what_is_new(void **state)
{
    struct reading reading = {0};
    struct eventlog_listener listener = {note_event, NULL, &reading};
    struct eventlog *log = eventlog_new(&listener);

    (void)state;
    reading.log = slice_of(A "\n" B "\n" C, strlen(A "\n" B "\n" C));
    assert_int_equal(eventlog_feed(log, reading.log), HF_OK);
    assert_int_equal(reading.events, 2);
    eventlog_restart(log);
    reading.log = slice_of(B "\n" C "\n", strlen(B "\n" C "\n"));
    assert_int_equal(eventlog_feed(log, reading.log), HF_OK);
    buf_append(&reading.ids, "", 1);
    assert_string_equal((char *)reading.ids.data, "a b c ");
    eventlog_free(log);
    buf_free(&reading.ids);
}

static void line_without_end_is_passed_over(void **state)
{
    size_t len = EVENTLOG_LINE_MAX + 1000, total = len + strlen("\n" A "\n");
    struct reading *reading;
    char *text = malloc(total + 1);

    (void)state;
    memset(text, 'x', len);
    snprintf(text + len, total + 1 - len, "\n" A "\n");
    reading = read_log(slice_of(text, total), 1 << 20, 3);
    assert_int_equal(reading->ndamages, 1);
    assert_int_equal(reading->damages[0].kind, EVENTLOG_LONG);
    assert_int_equal(reading->damages[0].len, len + 1);
    assert_int_equal(reading->events, 1);
    reading_free(reading);
    free(text);
}

static void torn_line_of_nested_objects_costs_no_more_than_its_length(void **state)
{
    size_t n = 400000;
    char *text = malloc(5 * n + 1);
    struct reading *reading;
    clock_t start = clock();

    (void)state;
    for (size_t i = 0; i < n; i++)
        memcpy(text + 5 * i, "{\"a\":", 5);
    reading = read_log(slice_of(text, 5 * n), 1 << 20, 3);
    assert_int_equal(reading->ndamages, 1);
    assert_true((clock() - start) / CLOCKS_PER_SEC < 10);
    reading_free(reading);
    free(text);
}

static void lines_of_many_parts_take_little_memory(void **state)
{
    size_t len = 8 << 20;
    char *text = calloc(len, 1);
    struct reading *reading;

    (void)state;
    for (size_t i = 0; i < len; i += 2)
        text[i] = 'x';
    reading = read_log(slice_of(text, len), 1 << 20, 3);
    assert_in_range(reading->ndamages, 2, 100);
    assert_int_equal(reading->mended.len, 0);
    reading_free(reading);
    free(text);
}

/* --- random damage -------------------------------------------------------------------------------- */

static uint64_t rng_state;

static size_t rng(size_t n)
{
    rng_state = htable_hash_u64(rng_state + 0x9e3779b97f4a7c15ULL);
    return (size_t)(rng_state % n);
}

static void random_log(struct buf *log)
{
    for (size_t i = 0, n = 1 + rng(30); i < n; i++) {
        char line[256];
        int len =
            snprintf(line, sizeof line,
                     "{\"type\":\"t.%zu\",\"data\":{\"content\":\"%.*s\",\"n\":[1,{\"x\":%zu}]},"
                     "\"id\":\"%zu\"}\n",
                     rng(3), (int)rng(40), "a \xc3\xa9 text with \\\"quotes\\\" and {braces}, ok?",
                     rng(9), rng(8) == 0 ? rng(4) : 1000 + i);

        buf_append(log, line, (size_t)len);
    }
}

/** Cuts, writes over, or doubles a part. */
static void damage_log(struct buf *log)
{
    size_t at = rng(log->len), len = rng(60), end;
    BUF_AUTO next = {0};

    end = at + len < log->len ? at + len : log->len;
    buf_append(&next, log->data, at);
    switch (rng(5)) {
    case 0: /* gone */
        break;
    case 1:
        buf_append_zeros(&next, end - at);
        break;
    case 2:
        for (size_t i = at; i < end; i++)
            buf_append(&next, &(uint8_t){(uint8_t)rng(256)}, 1);
        break;
    case 3: /* twice */
        buf_append(&next, log->data + at, end - at);
        buf_append(&next, log->data + at, end - at);
        break;
    default: /* torn off */
        end = rng(4) ? end : log->len;
        break;
    }
    buf_append(&next, log->data + end, log->len - end);
    buf_append(&next, "", 1);
    next.len--;
    buf_free(log);
    *log = next;
    next = (struct buf){0};
}

static void assert_whole_lines(struct slice text)
{
    while (text.len > 0) {
        const uint8_t *newline = memchr(text.data, '\n', text.len);
        size_t len, end;

        assert_non_null(newline);
        len = (size_t)(newline - text.data);
        assert_int_equal(utf8_check(slice_of(text.data, len)), len);
        assert_int_equal(jsonscan(slice_of(text.data, len), NULL, 0, &end), JSONSCAN_WHOLE);
        for (; end < len; end++)
            assert_true(text.data[end] == ' ' || text.data[end] == '\t' || text.data[end] == '\r');
        text = slice_of(newline + 1, text.len - len - 1);
    }
}

static void mended_log_is_sound_whatever_happened_to_it(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        struct reading *reading, *again, *whole;
        BUF_AUTO log = {0};

        random_log(&log);
        for (size_t n = rng(5); n > 0 && log.len > 0; n--)
            damage_log(&log);
        reading = read_log(buf_slice(&log), 1 + rng(200), rng_state);
        whole = read_log(buf_slice(&log), SIZE_MAX / 2, 0);
        assert_int_equal(reading->ndamages, whole->ndamages);
        assert_string_equal((char *)reading->mended.data, (char *)whole->mended.data);
        assert_whole_lines(buf_slice(&reading->mended));
        again = read_log(buf_slice(&reading->mended), 100, rng_state);
        assert_int_equal(again->mendable, 0);
        assert_int_equal(again->events, reading->events);
        reading_free(reading);
        reading_free(again);
        reading_free(whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_named_and_mended),
        cmocka_unit_test(places_are_told),
        cmocka_unit_test(rewritten_log_gives_only_what_is_new),
        cmocka_unit_test(line_without_end_is_passed_over),
        cmocka_unit_test(torn_line_of_nested_objects_costs_no_more_than_its_length),
        cmocka_unit_test(lines_of_many_parts_take_little_memory),
        cmocka_unit_test(mended_log_is_sound_whatever_happened_to_it),
    };
    const char *given = getenv("HOLDFAST_SEED");

    rng_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)rng_state);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
