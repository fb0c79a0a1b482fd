/* SPDX-License-Identifier: Apache-2.0 */
/* A mount over a store one of whose calls fails: the application is told (EIO), nothing hangs, the mount can be
 * ended, and what was acknowledged is in the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "posix_target.h"

#define ROUNDS 40
#define STEPS 150

struct world {
    struct daemon daemon;
    uint64_t random;
    struct load load;
    size_t acked, begun;
    unsigned told;
};

static void start(struct world *world)
{
    if (!daemon_start(&world->daemon)) {
        daemon_print_log(&world->daemon);
        fail_msg("the mount does not start: exit code %d", world->daemon.exit_code);
    }
}

/** Performs steps until one fails. */
static int perform(struct world *world, struct posix_target *target)
{
    int rc = 0;

    while (rc == 0 && world->begun < world->load.count) {
        const struct step *step = &world->load.steps[world->begun++];

        rc = posix_target_step(target, step);
        if (rc == 0 && step->durable)
            world->acked = world->begun;
    }
    return rc;
}

static void verify(struct world *world, const char *session)
{
    BUF_AUTO listing = {0};
    size_t prefix;

    assert_int_equal(posix_target_list(session, &listing), 0);
    if (!load_verify(&world->load, world->acked, world->begun, &listing, &prefix))
        fail_msg("lost or changed, with %s", world->daemon.decorators);
}

static void choose_fault(struct world *world)
{
    static const struct {
        const char *call, *how;
        unsigned calls; /* that a load makes, about */
    } faults[] = {{"commit", "EIO", 40}, {"commit", "EIO!", 40}, {"commit", "EIO+", 40},
                  {"sync", "EIO", 8},    {"get", "EIO", 8},      {"any", "EIO", 60}};
    size_t kind = (size_t)random_below(&world->random, sizeof faults / sizeof *faults);
    unsigned n = 1 + (unsigned)random_below(&world->random, faults[kind].calls);

    /* What is asked for before the first step is the mount's start, which may fail and say so. */
    n += strcmp(faults[kind].call, "any") == 0 ? 12 : 0;
    snprintf(world->daemon.decorators, sizeof world->daemon.decorators, "faulty(%s@%u:%s)+",
             faults[kind].call, n, faults[kind].how);
}

static void one_round(struct world *world)
{
    struct posix_target target;
    char session[300];
    int rc;

    snprintf(session, sizeof session, "%s/session", world->daemon.mountpoint);
    load_make(&world->load, random_next(&world->random), STEPS);
    world->acked = world->begun = 0;
    choose_fault(world);
    start(world);
    posix_target_init(&target, session);
    rc = perform(world, &target);
    posix_target_close(&target);
    if (rc != 0 && rc != EIO)
        fail_msg("step %zu was answered %s, with %s", world->begun - 1, strerror(rc),
                 world->daemon.decorators);
    world->told += rc != 0;
    /* The end may fail, but not hang: what could not be saved is reported. */
    if (!daemon_stop(&world->daemon))
        daemon_kill(&world->daemon);
    world->daemon.decorators[0] = '\0';
    start(world);
    verify(world, session);
    assert_true(daemon_stop(&world->daemon));
    assert_true(daemon_check_store(&world->daemon));
    daemon_forget_store(&world->daemon);
    load_free(&world->load);
}

static void failing_store_is_told_and_loses_nothing(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(world);
    print_message("%u rounds, %u of them answered EIO\n", ROUNDS, world->told);
    assert_true(world->told > ROUNDS / 4);
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const char *seed = getenv("HOLDFAST_SEED");

    if (!world)
        return -1;
    umask(0);
    world->random = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)world->random);
    *state = world;
    return daemon_prepare(&world->daemon, NULL) ? 0 : -1;
}

static int world_close(void **state)
{
    struct world *world = *state;

    daemon_remove(&world->daemon);
    free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failing_store_is_told_and_loses_nothing, world_open,
                                        world_close),
    };

    if (daemon_obstacle()) {
        printf("skipped: %s\n", daemon_obstacle());
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
