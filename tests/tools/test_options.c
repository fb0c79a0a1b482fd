/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"

#define DAY 86400000000000LL

struct values {
    bool flag;
    const char *text;
    uint64_t number, size;
    uint32_t duration;
    char *list;
};

static const struct option_spec specs[] = {
    {"flag", 'f', OPTION_FLAG, offsetof(struct values, flag), NULL, "a flag"},
    {"text", 't', OPTION_STRING, offsetof(struct values, text), "TEXT", "a text"},
    {"number", 0, OPTION_NUMBER, offsetof(struct values, number), "N", "a number"},
    {"size", 0, OPTION_SIZE, offsetof(struct values, size), "SIZE", "a size"},
    {"wait", 0, OPTION_DURATION, offsetof(struct values, duration), "TIME", "a duration"},
    {"option", 'o', OPTION_LIST, offsetof(struct values, list), "OPT", "a list"},
    {0}};

static const struct command command = {
    .name = "try", .operands = "A [B]", .options = specs, .min_operands = 1, .max_operands = 2};

/* Parses a line of words; returns the exit code, or -1 when the command would go on. */
static int parse(const char *const *words, struct values *values, int *ret_operands)
{
    char *argv[16] = {(char *)"try"};
    char **rest = argv;
    int argc = 1, exit_code = -2;

    *values = (struct values){0};
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    if (!options_parse(&command, &argc, &rest, values, &exit_code))
        return exit_code;
    *ret_operands = argc;
    return -1;
}

static void options_stand_anywhere(void **state)
{
    const char *const words[] = {"a",      "-f", "--text=x", "b",  "--number", "7",
                                 "--size", "2K", "--wait",   "3s", NULL};
    struct values values;
    int operands;

    (void)state;
    assert_int_equal(parse(words, &values, &operands), -1);
    assert_true(values.flag);
    assert_string_equal(values.text, "x");
    assert_int_equal(values.number, 7);
    assert_int_equal(values.size, 2048);
    assert_int_equal(values.duration, 3000);
    assert_int_equal(operands, 2);
}

static void two_dashes_end_the_options(void **state)
{
    const char *const words[] = {"--", "-f", NULL};
    struct values values;
    int operands;

    (void)state;
    assert_int_equal(parse(words, &values, &operands), -1);
    assert_false(values.flag);
    assert_int_equal(operands, 1);
}

static void repeated_lists_are_joined(void **state)
{
    const char *const words[] = {"-o", "a,b", "-oc", "x", NULL};
    struct values values;
    int operands;

    (void)state;
    assert_int_equal(parse(words, &values, &operands), -1);
    assert_string_equal(values.list, "a,b,c");
    free(values.list);
}

static void wrong_lines_are_usage_errors(void **state)
{
    static const char *const lines[][4] = {{NULL},
                                           {"a", "b", "c", NULL},
                                           {"a", "--nope"},
                                           {"a", "-z"},
                                           {"a", "--text"},
                                           {"a", "--number", "1x"},
                                           {"a", "--size", "K"},
                                           {"a", "--number", "-1"},
                                           {"a", "--wait", "long"}};
    struct values values;
    int operands;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(parse(lines[i], &values, &operands), EX_USAGE);
}

static void sizes_are_powers_of_1024(void **state)
{
    uint64_t size = 99;

    (void)state;
    assert_int_equal(options_parse_size("0", &size), 0);
    assert_int_equal(size, 0);
    assert_int_equal(options_parse_size("1.5G", &size), 0);
    assert_int_equal(size, 1610612736);
    assert_int_equal(options_parse_size("64KiB", &size), 0);
    assert_int_equal(size, 65536);
    assert_int_equal(options_parse_size("1m", &size), 0);
    assert_int_equal(size, 1048576);
    assert_int_equal(options_parse_size("", &size), HF_INVAL);
    assert_int_equal(options_parse_size("-1", &size), HF_INVAL);
    assert_int_equal(options_parse_size("1Q", &size), HF_INVAL);
    assert_int_equal(options_parse_size("99999999P", &size), HF_INVAL);
    assert_int_equal(size, 1048576);
}

static void durations_have_units(void **state)
{
    uint32_t ms = 7;

    (void)state;
    assert_int_equal(options_parse_duration("500ms", &ms), 0);
    assert_int_equal(ms, 500);
    assert_int_equal(options_parse_duration("10", &ms), 0);
    assert_int_equal(ms, 10000);
    assert_int_equal(options_parse_duration("2m", &ms), 0);
    assert_int_equal(ms, 120000);
    assert_int_equal(options_parse_duration("1h", &ms), 0);
    assert_int_equal(ms, 3600000);
    assert_int_equal(options_parse_duration("1d", &ms), 0);
    assert_int_equal(ms, 86400000);
    for (const char *const *bad = (const char *const[]){"", "-1s", " 1s", "1.5s", "1w", "s",
                                                        "99999999999999999999", "4294968s", NULL};
         *bad; bad++)
        assert_int_equal(options_parse_duration(*bad, &ms), HF_INVAL);
    assert_int_equal(ms, 86400000);
}

static void since_is_an_age_or_a_date(void **state)
{
    const int64_t now = 20000 * DAY;
    int64_t time = 5;

    (void)state;
    assert_int_equal(options_parse_since("3d", now, &time), 0);
    assert_int_equal(time, 19997 * DAY);
    assert_int_equal(options_parse_since("90s", now, &time), 0);
    assert_int_equal(time, now - 90000000000);
    assert_int_equal(options_parse_since("2026-01-31T10:00:00Z", now, &time), 0);
    assert_int_equal(time, 1769853600000000000);
    setenv("TZ", "UTC", 1);
    assert_int_equal(options_parse_since("2026-01-31", now, &time), 0);
    assert_int_equal(time, 1769817600000000000);
    assert_int_equal(options_parse_since("soon", now, &time), HF_INVAL);
    assert_int_equal(options_parse_since("3", now, &time), HF_INVAL);
    assert_int_equal(options_parse_since("3dd", now, &time), HF_INVAL);
    assert_int_equal(options_parse_since("999999y", now, &time), HF_INVAL);
    assert_int_equal(time, 1769817600000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),    cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(repeated_lists_are_joined), cmocka_unit_test(wrong_lines_are_usage_errors),
        cmocka_unit_test(sizes_are_powers_of_1024),  cmocka_unit_test(durations_have_units),
        cmocka_unit_test(since_is_an_age_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
