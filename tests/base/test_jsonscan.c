/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/htable.h"
#include "base/jsonscan.h"

static struct slice text(const char *string)
{
    return slice_of(string, strlen(string));
}

static void values_end_where_they_end(void **state)
{
    static const struct {
        const char *text;
        enum jsonscan_result result;
        size_t end;
    } cases[] = {
        {"{}", JSONSCAN_WHOLE, 2},
        {" [] x", JSONSCAN_WHOLE, 3},
        {"{\"a\":1}{\"b\":2}", JSONSCAN_WHOLE, 7},
        {"[1,-2.5e+3,true,false,null,\"\\u00e9\\n\"]\n", JSONSCAN_WHOLE, 38},
        {"0", JSONSCAN_WHOLE, 1},
        {"", JSONSCAN_SHORT, 0},
        {"  ", JSONSCAN_SHORT, 2},
        {"{\"a\":", JSONSCAN_SHORT, 5},
        {"{\"a", JSONSCAN_SHORT, 3},
        {"[1,", JSONSCAN_SHORT, 3},
        {"-", JSONSCAN_SHORT, 1},
        {"tru", JSONSCAN_SHORT, 3},
        {"\"\\u12", JSONSCAN_SHORT, 5},
        {"{a:1}", JSONSCAN_BAD, 1},
        {"{\"a\":1,}", JSONSCAN_BAD, 7},
        {"[1,]", JSONSCAN_BAD, 3},
        {"[1 2]", JSONSCAN_BAD, 3},
        {"\"a\tb\"", JSONSCAN_BAD, 2},
        {"\"\\x\"", JSONSCAN_BAD, 2},
        {"trve", JSONSCAN_BAD, 2},
        {"[1}", JSONSCAN_BAD, 2},
        {"1.x", JSONSCAN_BAD, 2},
        {"]", JSONSCAN_BAD, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t end = SIZE_MAX;

        if (jsonscan(text(cases[i].text), NULL, 0, &end) != cases[i].result || end != cases[i].end)
            fail_msg("'%s' ended at %zu", cases[i].text, end);
    }
}

static void members_are_found_by_their_path(void **state)
{
    static const char json[] =
        "{\"type\":\"a\",\"data\":{\"id\":\"inner\",\"list\":[{\"id\":\"no\"}],"
        "\"x\":{\"id\":7}}, \"id\" : \"first\",\"id\":\"last\"}";
    struct jsonscan_member members[] = {{.path = "id"},        {.path = "data.id"},
                                        {.path = "data.x.id"}, {.path = "data.list.id"},
                                        {.path = "dat"},       {.path = "data.x"}};
    size_t end;

    (void)state;
    assert_int_equal(jsonscan(text(json), members, 6, &end), JSONSCAN_WHOLE);
    assert_int_equal(slice_compare(members[0].value, text("\"last\"")), 0);
    assert_int_equal(slice_compare(members[1].value, text("\"inner\"")), 0);
    assert_int_equal(slice_compare(members[2].value, text("7")), 0);
    assert_int_equal(members[3].value.len, 0);
    assert_int_equal(members[4].value.len, 0);
    assert_int_equal(slice_compare(members[5].value, text("{\"id\":7}")), 0);
    assert_int_equal(slice_compare(jsonscan_plain(members[0].value), text("last")), 0);
    assert_int_equal(jsonscan_plain(members[2].value).len, 0);
    assert_int_equal(jsonscan_plain(text("\"a\\n\"")).len, 0);
}

static void nesting_is_bounded(void **state)
{
    char deep[2 * JSONSCAN_DEPTH_MAX + 4];
    size_t end;

    (void)state;
    memset(deep, '[', JSONSCAN_DEPTH_MAX);
    memset(deep + JSONSCAN_DEPTH_MAX, ']', JSONSCAN_DEPTH_MAX);
    assert_int_equal(jsonscan(slice_of(deep, 2 * JSONSCAN_DEPTH_MAX), NULL, 0, &end),
                     JSONSCAN_WHOLE);
    memset(deep, '[', sizeof deep);
    assert_int_equal(jsonscan(slice_of(deep, sizeof deep), NULL, 0, &end), JSONSCAN_BAD);
}

/** What another parser takes for JSON is JSON here, and nothing else. */
static void random_text_is_judged_as_by_another_parser(void **state)
{
    static const char *const pieces[] = {
        "{",    "}",    "[", "]",       ",",  ":",  "\"a\"",   "\"b\"",   "1", "-2.5",
        "true", "null", " ", "\"\\n\"", "{}", "[]", "\"a\":1", "\"b\":{", "x", "\""};
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t random = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    size_t whole = 0;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)random);
    for (unsigned i = 0; i < 300000; i++) {
        char json[256] = "";
        json_error_t error;
        json_t *value;
        size_t end = 0, len = 0;
        bool good;

        for (unsigned n = 1 + (unsigned)((random = htable_hash_u64(random + 1)) % 12); n > 0; n--) {
            random = htable_hash_u64(random + 1);
            len += (size_t)snprintf(json + len, sizeof json - len, "%s",
                                    pieces[random % (sizeof pieces / sizeof pieces[0])]);
        }
        value = json_loads(json, JSON_DECODE_ANY, &error);
        good = jsonscan(text(json), NULL, 0, &end) == JSONSCAN_WHOLE &&
               json[end + strspn(json + end, " ")] == '\0';
        if (good != (value != NULL))
            fail_msg("'%s': %s", json, value ? "is JSON" : error.text);
        whole += good ? 1 : 0;
        json_decref(value);
    }
    assert_true(whole > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_end_where_they_end),
        cmocka_unit_test(members_are_found_by_their_path),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(random_text_is_judged_as_by_another_parser),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
