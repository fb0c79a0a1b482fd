/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grid.h"

static const struct grid_column columns[] = {
    {"NAME", false, true, 0}, {"SIZE", true, false, 2}, {"NOTE", false, true, 1}};

/* What the table prints; freed by the caller. */
static char *printed(const struct grid *grid, size_t width)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    assert_non_null(file);
    assert_int_equal(grid_print(grid, file, width), 0);
    fclose(file);
    return text;
}

static struct grid *example(void)
{
    static const char *const cells[] = {"short", "12 B", "", "a-rather-long-name-indeed",
                                        "3 B",   "x"};
    struct grid *grid = grid_new(columns, 3);

    assert_non_null(grid);
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        grid_add(grid, cells[i]);
    return grid;
}

static void columns_are_as_wide_as_their_cells(void **state)
{
    struct grid *grid = example();
    char *text = printed(grid, 0);

    (void)state;
    assert_string_equal(text, "NAME                       SIZE  NOTE\n"
                              "short                      12 B\n"
                              "a-rather-long-name-indeed   3 B  x\n");
    free(text);
    grid_free(grid);
}

static void a_narrow_terminal_cuts_what_may_be_cut(void **state)
{
    struct grid *grid = example();
    char *text = printed(grid, 30);

    (void)state;
    assert_string_equal(text, "NAME                SIZE  NOTE\n"
                              "short               12 B\n"
                              "a-rather-long-nam~   3 B  x\n");
    free(text);
    grid_free(grid);
}

static void a_terminal_too_narrow_for_all_columns_loses_the_most_spare(void **state)
{
    struct grid *grid = example();
    char *text = printed(grid, 18);

    (void)state;
    assert_string_equal(text, "NAME          NOTE\n"
                              "short\n"
                              "a-rather-lo~  x\n");
    free(text);
    text = printed(grid, 14);
    assert_string_equal(text, "NAME\n"
                              "short\n"
                              "a-rather-long~\n");
    free(text);
    grid_free(grid);
}

static void wide_letters_count_twice(void **state)
{
    struct grid *grid = grid_new(columns, 3);
    char *text;

    (void)state;
    grid_add(grid, "\xe6\xbc\xa2\xe5\xad\x97"); /* two ideographs */
    grid_add(grid, "1 B");
    grid_add(grid, "y");
    text = printed(grid, 0);
    assert_string_equal(text, "NAME  SIZE  NOTE\n\xe6\xbc\xa2\xe5\xad\x97   1 B  y\n");
    free(text);
    grid_free(grid);
}

static void many_rows_are_kept(void **state)
{
    struct grid *grid = grid_new(columns, 3);
    char *text;
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < 3000; i++)
        grid_add(grid, "x");
    text = printed(grid, 0);
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 1001);
    free(text);
    grid_free(grid);
    grid_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_cells),
        cmocka_unit_test(a_narrow_terminal_cuts_what_may_be_cut),
        cmocka_unit_test(a_terminal_too_narrow_for_all_columns_loses_the_most_spare),
        cmocka_unit_test(wide_letters_count_twice),
        cmocka_unit_test(many_rows_are_kept),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
