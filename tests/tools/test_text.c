/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json.h"
#include "text.h"

#define SECOND 1000000000LL

static void sizes_have_two_digits_and_a_unit(void **state)
{
    char text[TEXT_SHORT];

    (void)state;
    assert_string_equal(text_size(0, text), "0 B");
    assert_string_equal(text_size(1023, text), "1023 B");
    assert_string_equal(text_size(1024, text), "1.0 KiB");
    assert_string_equal(text_size(1536, text), "1.5 KiB");
    assert_string_equal(text_size(10 * 1024, text), "10 KiB");
    assert_string_equal(text_size(1024 * 1024 - 1, text), "1.0 MiB");
    assert_string_equal(text_size((uint64_t)5 << 30, text), "5.0 GiB");
    assert_string_equal(text_size(UINT64_MAX, text), "16 EiB");
}

static void ages_go_down_to_seconds(void **state)
{
    char text[TEXT_SHORT];
    int64_t now = 1800000000 * SECOND;

    (void)state;
    assert_string_equal(text_age(now, now, text), "now");
    assert_string_equal(text_age(now - 42 * SECOND, now, text), "42 s ago");
    assert_string_equal(text_age(now - 100 * SECOND, now, text), "100 s ago");
    assert_string_equal(text_age(now - 180 * SECOND, now, text), "3 min ago");
    assert_string_equal(text_age(now - 7200 * SECOND, now, text), "2 h ago");
    assert_string_equal(text_age(now - 30 * 86400 * SECOND, now, text), "30 d ago");
    assert_string_equal(text_age(now + 60 * SECOND, now, text), "in the future");
}

static void times_keep_their_nanoseconds(void **state)
{
    char text[TEXT_SHORT];

    (void)state;
    assert_string_equal(text_time_utc(0, text), "1970-01-01T00:00:00.000000000Z");
    assert_string_equal(text_time_utc(1769853600123456789, text), "2026-01-31T10:00:00.123456789Z");
    assert_string_equal(text_time_utc(-1, text), "1969-12-31T23:59:59.999999999Z");
}

static void modes_read_like_those_of_ls(void **state)
{
    char text[TEXT_SHORT];

    (void)state;
    assert_string_equal(text_mode(S_IFDIR | 0755, text), "drwxr-xr-x");
    assert_string_equal(text_mode(S_IFREG | 04644, text), "-rwSr--r--");
    assert_string_equal(text_mode(S_IFDIR | 01777, text), "drwxrwxrwt");
    assert_string_equal(text_mode(S_IFLNK | 0777, text), "lrwxrwxrwx");
    assert_string_equal(text_mode(S_IFSOCK | 0600, text), "srw-------");
    assert_string_equal(text_mode(S_IFIFO | 02070, text), "p---rws---");
}

static void what_a_terminal_would_obey_is_escaped(void **state)
{
    char *text;

    (void)state;
    text = text_printable("a\033[31mb\n", 8);
    assert_string_equal(text, "a\\033[31mb\\012");
    free(text);
    text = text_printable("\xff\xfe", 2);
    assert_string_equal(text, "\\377\\376");
    free(text);
    text = text_printable("", 0);
    assert_string_equal(text, "");
    free(text);
}

static void names_that_are_not_utf8_stay_whole_in_json(void **state)
{
    json_t *object = json_object();

    (void)state;
    json_set_name(object, "name", "ok\xc3\xa9");
    assert_string_equal(json_string_value(json_object_get(object, "name")), "ok\xc3\xa9");
    assert_null(json_object_get(object, "name_hex"));
    json_set_name(object, "name", "a\xff\xed\xa0\x80z");
    assert_string_equal(json_string_value(json_object_get(object, "name_hex")), "61ffeda0807a");
    assert_string_equal(json_string_value(json_object_get(object, "name")),
                        "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_two_digits_and_a_unit),
        cmocka_unit_test(ages_go_down_to_seconds),
        cmocka_unit_test(times_keep_their_nanoseconds),
        cmocka_unit_test(modes_read_like_those_of_ls),
        cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
        cmocka_unit_test(names_that_are_not_utf8_stay_whole_in_json),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
