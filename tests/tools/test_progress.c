/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "progress.h"

#define SECOND 1000000000LL

static char line[256];

static const char *text(const struct progress *progress, int64_t seconds, size_t width)
{
    progress_text(progress, seconds * SECOND, width, line, sizeof line);
    assert_true(strlen(line) <= width);
    return line;
}

static void bytes_decide_how_much_is_done(void **state)
{
    struct progress progress = {.verb = "Copying",
                                .noun = "files",
                                .items = 1,
                                .total_items = 10,
                                .bytes = 512 << 10,
                                .total_bytes = 1 << 20};

    (void)state;
    assert_string_equal(text(&progress, 4, 200),
                        "Copying [==========>         ]  50 % 1 of 10 files, 512 KiB of 1.0 MiB, "
                        "128 KiB/s, 4 s left");
}

static void items_do_where_there_are_no_bytes(void **state)
{
    struct progress progress = {
        .verb = "Walking", .noun = "objects", .items = 250, .total_items = 1000};

    (void)state;
    assert_string_equal(
        text(&progress, 100, 200),
        "Walking [=====>              ]  25 % 250 of 1000 objects, 2/s, 5 min left");
}

static void nothing_is_promised_without_a_total(void **state)
{
    struct progress progress = {.verb = "Reading", .noun = "files", .items = 7, .bytes = 2048};

    (void)state;
    assert_string_equal(text(&progress, 2, 200), "Reading 7 files, 2.0 KiB, 1.0 KiB/s");
}

static void more_than_everything_is_everything(void **state)
{
    struct progress progress = {.verb = "Walking", .noun = "x", .items = 11, .total_items = 10};

    (void)state;
    assert_string_equal(text(&progress, 1, 200),
                        "Walking [====================] 100 % 11 of 10 x, 11/s");
}

static void a_narrow_terminal_is_never_overrun(void **state)
{
    struct progress progress = {.verb = "Copying",
                                .noun = "files",
                                .items = 1,
                                .total_items = 10,
                                .bytes = 512 << 10,
                                .total_bytes = 1 << 20};

    (void)state;
    for (size_t width = 0; width < 120; width++)
        (void)text(&progress, 4, width);
    assert_string_equal(text(&progress, 4, 22), "Copying 1 of 10 files");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_decide_how_much_is_done),
        cmocka_unit_test(items_do_where_there_are_no_bytes),
        cmocka_unit_test(nothing_is_promised_without_a_total),
        cmocka_unit_test(more_than_everything_is_everything),
        cmocka_unit_test(a_narrow_terminal_is_never_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
