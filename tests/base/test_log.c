/* SPDX-License-Identifier: Apache-2.0 */
/** A log is read line by line: nothing that a peer sends makes another line, or talks to a terminal. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static int kept, ends[2];

/* What the last line was, with its newline. */
static void expect_line(const char *line)
{
    char got[2048];
    ssize_t n = read(ends[0], got, sizeof got - 1);

    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, line);
}

static int divert(void **state)
{
    (void)state;
    kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    return pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], STDERR_FILENO) >= 0 ? 0 : -1;
}

static int restore(void **state)
{
    (void)state;
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void a_line_names_its_level(void **state)
{
    (void)state;
    log_info("host %s is here", "a");
    expect_line("holdfast: host a is here\n");
    log_warn("take care");
    expect_line("holdfast: warning: take care\n");
    log_error("too late");
    expect_line("holdfast: error: too late\n");
}

static void control_characters_do_not_get_through(void **state)
{
    (void)state;
    log_info("program: %s", "x\nholdfast: host b is here\r\x1b[2J\x7f\t\xc3\xa4");
    expect_line("holdfast: program: x?holdfast: host b is here??[2J??\xc3\xa4\n");
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
    char line[2000], got[2048];
    ssize_t n;

    (void)state;
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    log_info("%s", line);
    n = read(ends[0], got, sizeof got);
    assert_true(n > 1000 && n <= 1024);
    assert_int_equal(got[n - 1], '\n');
}

/* Programs read it as JSON, whatever is in it. */
static void fields_and_bytes_of_any_kind_are_json(void **state)
{
    const struct log_fields fields = {
        .session = "s \"1\"", .host = "a\\b\xff", .version = 7, .token = 18446744073709551615ULL};
    char got[2048];
    ssize_t n;

    (void)state;
    log_set_format(LOG_FORMAT_JSON);
    log_event(LOG_LEVEL_WARN, &fields, "x\n%s", "\x1b\xc3\xa4\xc3");
    log_set_format(LOG_FORMAT_TEXT);
    n = read(ends[0], got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = '\0';
    assert_int_equal(strncmp(got, "{\"time\":\"20", 11), 0);
    assert_string_equal(
        strchr(got, ','),
        ",\"level\":\"warning\",\"message\":\"x\\u000a\\u001b\xc3\xa4\xef\xbf\xbd\","
        "\"session\":\"s \\u00221\\u0022\",\"host\":\"a\\u005cb\xef\xbf\xbd\","
        "\"version\":7,\"token\":18446744073709551615}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_names_its_level, divert, restore),
        cmocka_unit_test_setup_teardown(fields_and_bytes_of_any_kind_are_json, divert, restore),
        cmocka_unit_test_setup_teardown(control_characters_do_not_get_through, divert, restore),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_still_ends, divert, restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
