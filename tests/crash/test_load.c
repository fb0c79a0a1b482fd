/* SPDX-License-Identifier: Apache-2.0 */
/* The model that the crash tests judge by, judged by the kernel's own file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon.h"
#include "posix_target.h"

static void model_agrees_with_a_file_system(void **state)
{
    struct daemon *daemon = *state;
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    struct posix_target target;
    BUF_AUTO listing = {0};
    struct load load;
    char base[300];
    size_t prefix;

    print_message("seed %llu\n", (unsigned long long)seed);
    umask(0);
    snprintf(base, sizeof base, "%s/session", daemon->mountpoint);
    load_make(&load, seed, 2000);
    posix_target_init(&target, base);
    for (size_t i = 0; i < load.count; i++) {
        char text[200];
        int rc = posix_target_step(&target, &load.steps[i]);

        step_describe(&load.steps[i], text, sizeof text);
        if (rc != 0)
            fail_msg("step %zu, %s: %s", i, text, strerror(rc));
        if (i % 50 != 0 && i + 1 < load.count)
            continue;
        assert_int_equal(posix_target_list(base, &listing), 0);
        assert_true(load_verify(&load, i + 1, i + 1, &listing, &prefix));
    }
    posix_target_close(&target);
    load_free(&load);
}

static int open_folder(void **state)
{
    static struct daemon daemon;

    *state = &daemon;
    return daemon_prepare(&daemon, NULL) ? 0 : -1;
}

static int close_folder(void **state)
{
    daemon_remove(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(model_agrees_with_a_file_system, open_folder, close_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
