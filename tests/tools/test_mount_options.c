/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mount_options.h"

/** Parses a copy; the options' strings point into it. */
static int parse(const char *text, struct mount_options *ret_options, struct hf_error *err)
{
    static char copy[256];

    *ret_options = (struct mount_options){0};
    snprintf(copy, sizeof copy, "%s", text);
    return mount_options_parse(copy, ret_options, err);
}

static void options_of_ours_are_taken(void **state)
{
    struct mount_options options;

    (void)state;
    assert_int_equal(
        parse("strict,memory=64M,wait=2s,commit_delay=50ms,claims=a.*:b", &options, NULL), 0);
    assert_true(options.strict);
    assert_int_equal(options.memory, 64 << 20);
    assert_int_equal(options.wait_ms, 2000);
    assert_int_equal(options.commit_delay_ms, 50);
    assert_string_equal(options.claims, "a.*:b");
    assert_int_equal(options.kernel.len, 0);
    assert_int_equal(parse("claims=", &options, NULL), 0);
    assert_string_equal(options.claims, "");
}

static void maintenance_has_an_interval_or_is_off(void **state)
{
    struct mount_options options;
    struct hf_error err = {0};

    (void)state;
    assert_int_equal(parse("maintenance=2h", &options, NULL), 0);
    assert_int_equal(options.maintenance_ms, 2 * 3600 * 1000);
    assert_false(options.no_maintenance);
    assert_int_equal(parse("maintenance=off", &options, NULL), 0);
    assert_true(options.no_maintenance);
    assert_int_equal(parse("maintenance=off,maintenance=1h", &options, NULL), 0);
    assert_false(options.no_maintenance);
    assert_int_equal(parse("maintenance=0s", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "or is off"));
}

static void options_for_the_kernel_are_handed_on(void **state)
{
    struct mount_options options;

    (void)state;
    assert_int_equal(
        parse("ro,defaults,allow_other,x-systemd.idle=3,nofail,noexec", &options, NULL), 0);
    assert_true(options.read_only);
    assert_string_equal((const char *)options.kernel.data, "ro,allow_other,noexec");
    buf_free(&options.kernel);
}

static void what_fstab_alone_knows_is_passed_over(void **state)
{
    struct mount_options options;

    (void)state;
    assert_int_equal(
        parse("rw,noauto,user,_netdev,noatime,comment=text,X-fstrim,,", &options, NULL), 0);
    assert_int_equal(options.kernel.len, 0);
    assert_false(options.read_only);
}

static void unknown_options_and_values_are_named(void **state)
{
    struct mount_options options;
    struct hf_error err = {0};

    (void)state;
    assert_int_equal(parse("alow_other", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "allow_other"));
    assert_int_equal(parse("memroy=1G", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "memory"));
    assert_int_equal(parse("memory=much", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "much"));
    assert_non_null(strstr(err.message, "looks like 256M"));
    assert_int_equal(parse("wait=long", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "looks like 500ms"));
    assert_int_equal(parse("wait", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "needs a value"));
    assert_int_equal(parse("ro=1", &options, &err), HF_USAGE);
    assert_non_null(strstr(err.message, "takes no value"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_ours_are_taken),
        cmocka_unit_test(maintenance_has_an_interval_or_is_off),
        cmocka_unit_test(options_for_the_kernel_are_handed_on),
        cmocka_unit_test(what_fstab_alone_knows_is_passed_over),
        cmocka_unit_test(unknown_options_and_values_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
