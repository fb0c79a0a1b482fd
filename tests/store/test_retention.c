/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a policy: what it may say, and the sentences about what it may not. */
#include "store/retention_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND 1000000000LL
#define DAY (24 * 3600 * SECOND)

static struct retention *parse(const char *text)
{
    struct retention *policy = NULL;
    struct hf_error err = {0};
    int rc = retention_parse(slice_of(text, strlen(text)), &policy, &err);

    if (rc != HF_OK)
        fail_msg("%s", err.message);
    return policy;
}

/* The text is refused, with a sentence that has both parts. */
static void assert_refused(const char *text, const char *place, const char *why)
{
    struct retention *policy = NULL;
    struct hf_error err = {0};

    assert_int_equal(retention_parse(slice_of(text, strlen(text)), &policy, &err), HF_CONFIG);
    assert_null(policy);
    if (!strstr(err.message, place) || !strstr(err.message, why))
        fail_msg("expected \"%s … %s\", and it is \"%s\"", place, why, err.message);
}

static void every_section_and_key_is_taken(void **state)
{
    struct retention *policy = parse("history:\n"
                                     "  - sessions: 'bot-*'\n"
                                     "    all: 90min\n"
                                     "    hourly: 12h\n"
                                     "    daily: 7d\n"
                                     "    weekly: 4w\n"
                                     "    monthly: 1y\n"
                                     "    last: 5\n"
                                     "  - all: forever\n"
                                     "idle:\n"
                                     "  - {sessions: 'tmp-*', after: 30d}\n"
                                     "trash:\n"
                                     "  - keep: 30 d\n"
                                     "rescue:\n"
                                     "  - keep: 45s\n"
                                     "snapshots:\n"
                                     "  - names: 'daily-*'\n"
                                     "    last: 14\n"
                                     "limits:\n"
                                     "  - sessions: '*'\n"
                                     "    size: 2G\n"
                                     "store_limit: 1500 MiB\n");
    const struct retention_rule *bot = retention_rule_of(policy, SECTION_HISTORY, "bot-7");

    (void)state;
    assert_non_null(bot);
    assert_int_equal(bot->line, 2);
    assert_int_equal(bot->keep.within[KEEP_ALL], 90 * 60 * SECOND);
    assert_int_equal(bot->keep.within[KEEP_HOURLY], DAY / 2);
    assert_int_equal(bot->keep.within[KEEP_DAILY], 7 * DAY);
    assert_int_equal(bot->keep.within[KEEP_WEEKLY], 28 * DAY);
    assert_int_equal(bot->keep.within[KEEP_MONTHLY], 365 * DAY);
    assert_int_equal(bot->keep.last, 5);
    assert_int_equal(retention_rule_of(policy, SECTION_HISTORY, "x")->keep.within[KEEP_ALL],
                     KEEP_FOREVER);
    assert_int_equal(retention_rule_of(policy, SECTION_IDLE, "tmp-1")->age, 30 * DAY);
    assert_null(retention_rule_of(policy, SECTION_IDLE, "x"));
    assert_int_equal(retention_rule_of(policy, SECTION_TRASH, "x")->age, 30 * DAY);
    assert_int_equal(retention_rule_of(policy, SECTION_RESCUE, "x")->age, 45 * SECOND);
    assert_int_equal(retention_rule_of(policy, SECTION_SNAPSHOTS, "daily-1")->keep.last, 14);
    assert_null(retention_rule_of(policy, SECTION_SNAPSHOTS, "release"));
    assert_int_equal(retention_session_limit(policy, "x"), 2ULL << 30);
    assert_int_equal(retention_store_limit(policy), 1500ULL << 20);
    retention_free(policy);
}

static void the_first_rule_that_matches_counts(void **state)
{
    struct retention *policy = parse("limits:\n"
                                     "  - {sessions: 'a*', size: 1G}\n"
                                     "  - {sessions: '*z', size: 2G}\n"
                                     "  - {sessions: 'q', size: 3G}\n");

    (void)state;
    assert_int_equal(retention_session_limit(policy, "az"), 1ULL << 30);
    assert_int_equal(retention_session_limit(policy, "bz"), 2ULL << 30);
    assert_int_equal(retention_session_limit(policy, "b"), 0);
    retention_free(policy);
}

static void a_policy_without_sections_is_one(void **state)
{
    struct retention *policy = parse("{}\n");

    (void)state;
    assert_null(retention_rule_of(policy, SECTION_HISTORY, "s"));
    assert_int_equal(retention_store_limit(policy), 0);
    retention_free(policy);
}

static void the_default_policy_has_no_limits_and_trashes_nothing(void **state)
{
    struct retention *policy = parse(retention_default);

    (void)state;
    assert_int_equal(retention_rule_of(policy, SECTION_HISTORY, "s")->keep.last, 50);
    assert_int_equal(retention_rule_of(policy, SECTION_HISTORY, ".")->keep.within[KEEP_ALL],
                     2 * DAY);
    assert_int_equal(retention_rule_of(policy, SECTION_TRASH, "s")->age, 30 * DAY);
    assert_int_equal(retention_rule_of(policy, SECTION_RESCUE, "s")->age, 90 * DAY);
    assert_null(retention_rule_of(policy, SECTION_IDLE, "s"));
    assert_null(retention_rule_of(policy, SECTION_SNAPSHOTS, "before-upgrade"));
    assert_non_null(retention_rule_of(policy, SECTION_SNAPSHOTS, "daily-2026-05-04"));
    assert_int_equal(retention_session_limit(policy, "s"), 0);
    assert_int_equal(retention_store_limit(policy), 0);
    retention_free(policy);
}

static void what_is_not_known_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("histroy:\n  - all: 1d\n", "line 1, column 1 ", "'histroy'");
    assert_refused("history:\n  - al: 1d\n", "line 2, column 5 ", "'al'");
    assert_refused("trash:\n  - hourly: 1d\n", "line 2, column 5 ", "'hourly'");
    assert_refused("- 1\n", "line 1, column 1 ", "mapping");
    assert_refused("history: 2d\n", "line 1, column 10 ", "list of rules");
    assert_refused("history:\n  - 2d\n", "line 2, column 5 ", "'all'");
    assert_refused("trash:\n  - keep: [1d]\n", "line 2, column 11 ", "one plain value");
    assert_refused("store_limit: {}\n", "line 1, column 14 ", "size");
}

static void values_that_are_none_are_refused(void **state)
{
    static const char *const times[] = {
        "2",  "d",       "-2d", "2.5d", "2 fortnights", "0d", "''", "201y", "99999999999999999999d",
        "2D", "for ever"};

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[80];

        snprintf(text, sizeof text, "trash:\n  - keep: %s\n", times[i]);
        assert_refused(text, "line 2, column 11 ", "is no time");
    }
    assert_refused("trash:\n  - keep: 3m\n", "line 2, column 11 ", "minutes or months");
    assert_refused("limits:\n  - size: 3X\n", "line 2, column 11 ", "is no size");
    assert_refused("limits:\n  - size: 9000000T\n", "line 2, column 11 ", "is no size");
    assert_refused("store_limit: 0\n", "line 1, column 14 ", "is no size");
    assert_refused("history:\n  - last: 0\n", "line 2, column 11 ", "is no number");
    assert_refused("history:\n  - last: 5d\n", "line 2, column 11 ", "is no number");
    assert_refused("history:\n  - {sessions: '', all: 1d}\n", "line 2, column 16 ", "pattern");
    assert_refused("history:\n  - {sessions: a/b, all: 1d}\n", "line 2, column 16 ", "pattern");
}

static void what_cannot_have_been_meant_is_refused(void **state)
{
    (void)state;
    assert_refused("", "policy is empty", "{}");
    assert_refused("# nothing\n", "policy is empty", "{}");
    assert_refused("trash:\n  - keep: 1d\ntrash:\n  - keep: 2d\n", "line 3, column 1 ", "twice");
    assert_refused("trash:\n  - keep: 1d\n    keep: 2d\n", "line 3, column 5 ", "twice");
    assert_refused("store_limit: 1G\nstore_limit: 2G\n", "line 2, column 1 ", "twice");
    assert_refused("history:\n  - sessions: a\n", "line 2, column 5 ", "says nothing");
    assert_refused("history:\n  - {all: 2d, hourly: 1d}\n", "line 2, column 5 ",
                   "'hourly' reaches");
    assert_refused("history:\n  - {all: 2d, weekly: 2d}\n", "line 2, column 5 ",
                   "'weekly' reaches");
    assert_refused("history:\n  - {all: forever, daily: 9d}\n", "line 2, ",
                   "no further back than 'all'");
    assert_refused("trash:\n  - keep: 1d\n  - {sessions: a, keep: 2d}\n", "line 3, column 5 ",
                   "never asked, as that of line 2");
    assert_refused("trash:\n  - {sessions: a, keep: 1d}\n  - {sessions: a, keep: 2d}\n", "line 3, ",
                   "never asked");
    assert_refused("{}\n---\n{}\n", "line 2", "second document");
}

static void what_is_no_yaml_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("history:\n\t- all: 1d\n", "line 2, ", "not YAML");
    assert_refused("history: [\n", "line 2, ", "not YAML");
    assert_refused("history: \xff\n", "line ", "not YAML");
    assert_refused("history: *none\n", "line 1, ", "not YAML");
}

static void what_nests_deep_is_refused_at_once(void **state)
{
    char *text = malloc(SETTING_MAX + 1);
    time_t begun = time(NULL);

    (void)state;
    assert_non_null(text);
    memset(text, '[', SETTING_MAX);
    text[SETTING_MAX] = '\0';
    assert_refused(text, "line 1 ", "nests too deep");
    assert_true(time(NULL) - begun < 5);
    free(text);
}

static void what_is_larger_than_a_setting_is_refused(void **state)
{
    char *text = malloc(SETTING_MAX + 2);

    (void)state;
    assert_non_null(text);
    memset(text, '#', SETTING_MAX + 1);
    text[SETTING_MAX + 1] = '\0';
    assert_refused(text, "65536", "bytes");
    free(text);
}

static void a_cut_text_never_does_harm(void **state)
{
    size_t taken = 0;

    (void)state;
    for (size_t len = 0; retention_default[len]; len++) {
        char *copy = malloc(len + 1); /* so that reading past its end is seen */
        struct retention *policy = NULL;

        assert_non_null(copy);
        memcpy(copy, retention_default, len);
        if (retention_parse(slice_of(copy, len), &policy, NULL) == HF_OK)
            taken++;
        retention_free(policy);
        free(copy);
    }
    assert_true(taken > 0);
}

static void rules_are_told_as_people_read_them(void **state)
{
    struct retention *policy =
        parse("history:\n  - {sessions: 'a*', all: 36h, hourly: 14d, last: 3}\n"
              "  - {last: 1}\n"
              "idle:\n  - after: 1y\n");
    const struct retention_rule *rule = retention_rule_of(policy, SECTION_HISTORY, "a");
    char text[RETENTION_TEXT];

    (void)state;
    assert_string_equal(retention_rule_text(rule, SECTION_HISTORY, KEEP_HOURLY, text),
                        "history of sessions 'a*': hourly for 14 days");
    assert_string_equal(retention_rule_text(rule, SECTION_HISTORY, KEEP_PERIODS, text),
                        "history of sessions 'a*': nothing beyond 14 days but the last 3");
    assert_string_equal(retention_rule_text(&policy->sections[SECTION_HISTORY].rules[1],
                                            SECTION_HISTORY, KEEP_PERIODS, text),
                        "history of sessions '*': only the last 1");
    assert_string_equal(retention_rule_text(&policy->sections[SECTION_IDLE].rules[0], SECTION_IDLE,
                                            KEEP_PERIODS, text),
                        "sessions '*': to the trash after 1 year without a change");
    retention_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_section_and_key_is_taken),
        cmocka_unit_test(the_first_rule_that_matches_counts),
        cmocka_unit_test(a_policy_without_sections_is_one),
        cmocka_unit_test(the_default_policy_has_no_limits_and_trashes_nothing),
        cmocka_unit_test(what_is_not_known_is_refused_with_its_place),
        cmocka_unit_test(values_that_are_none_are_refused),
        cmocka_unit_test(what_cannot_have_been_meant_is_refused),
        cmocka_unit_test(what_is_no_yaml_is_refused_with_its_place),
        cmocka_unit_test(what_nests_deep_is_refused_at_once),
        cmocka_unit_test(what_is_larger_than_a_setting_is_refused),
        cmocka_unit_test(a_cut_text_never_does_harm),
        cmocka_unit_test(rules_are_told_as_people_read_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
