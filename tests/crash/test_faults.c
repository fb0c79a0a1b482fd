/* SPDX-License-Identifier: Apache-2.0 */
/* Every call of the store fails once, in turn, under a tree with a writing load: the application is told, or
 * nothing was lost; nothing hangs, and what the store then holds is a prefix of what was done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <ftw.h>
#include <time.h>
#include <unistd.h>

#include "engine/decorator/faulty.h"
#include "engine/open.h"
#include "tree_target.h"

#define STEPS 60

struct world {
    uint64_t seed;
    struct load load;
    struct store *keeper; /* keeps a store in memory alive, and sees no faults */
    struct mount mount;
    struct tree_target target;
    size_t acked, begun;
    int error; /* the first that a step was answered */
};

/** Where stores of the embedded engine are made; empty: the tests run on stores in memory. */
static char folder[200];

static void world_open(struct world *world, uint64_t seed)
{
    static unsigned number;
    char url[300], faulty[320];

    *world = (struct world){.seed = seed};
    load_make(&world->load, seed, STEPS);
    if (folder[0])
        snprintf(url, sizeof url, "sqlite:%s/%u.db", folder, number++);
    else
        snprintf(url, sizeof url, "memory:faults-%u", number++);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, &clock_system, &world->keeper, NULL),
                     HF_OK);
    snprintf(faulty, sizeof faulty, "faulty()+%s", url);
    mount_open(&world->mount, faulty);
    tree_target_init(&world->target, &world->mount, "session");
}

static void world_close(struct world *world)
{
    store_close(world->keeper);
    load_free(&world->load);
}

static void set_faults(struct world *world, const char *spec)
{
    assert_int_equal(faulty_store_set(world->mount.store, spec, NULL), HF_OK);
}

/** Performs steps until one fails, or all are done. */
static void perform(struct world *world)
{
    for (; world->begun < world->load.count;) {
        const struct step *step = &world->load.steps[world->begun++];

        world->error = tree_target_step(&world->target, step);
        if (world->error != HF_OK)
            return;
        if (step->durable)
            world->acked = world->begun;
    }
}

static void verify(struct world *world, const char *spec)
{
    BUF_AUTO listing = {0};
    size_t prefix;

    assert_int_equal(store_list(world->keeper, "session", &listing, NULL), HF_OK);
    if (!load_verify(&world->load, world->acked, world->begun, &listing, &prefix))
        fail_msg("with %s, seed %llu", spec, (unsigned long long)world->seed);
}

/** Whether the fault was met at all. */
static bool try_fault(uint64_t seed, const char *spec)
{
    struct world world;
    uint64_t faults;
    int closed;

    world_open(&world, seed);
    set_faults(&world, spec);
    perform(&world);
    faults = faulty_store_faults(world.mount.store);
    tree_target_close(&world.target);
    set_faults(&world, "");
    closed = mount_close(&world.mount);
    /* What was neither refused nor reported must be there. */
    if (world.error == HF_OK && closed == HF_OK)
        world.acked = world.begun;
    verify(&world, spec);
    world_close(&world);
    return faults > 0;
}

static void try_all(const char *call, const char *error)
{
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    char spec[100];
    unsigned n = 1;

    print_message("seed %llu\n", (unsigned long long)seed);
    alarm(120);
    for (bool met = true; met && n < 400; n++) {
        snprintf(spec, sizeof spec, "%s@%u:%s", call, n, error);
        met = try_fault(seed + n / 8, spec);
    }
    alarm(0);
    print_message("%s: %u calls failed in turn\n", call, n - 2);
    assert_true(n > 5);
}

static void any_call_that_fails_is_told_or_harmless(void **state)
{
    (void)state;
    try_all("any", "EIO");
}

static void commit_that_fails_is_told(void **state)
{
    (void)state;
    try_all("commit", "EIO");
}

static void commit_whose_answer_is_lost_is_told(void **state)
{
    (void)state;
    try_all("commit", "EIO!");
}

static void commits_that_fail_from_one_on_are_told(void **state)
{
    (void)state;
    try_all("commit", "EIO+");
}

static void failed_handle_is_told(void **state)
{
    (void)state;
    try_all("commit", "FAILED+");
}

static void full_store_is_told(void **state)
{
    (void)state;
    try_all("any", "ENOSPC");
}

/** As an application that waits for room: what was refused is done again, a failed close not. */
static void perform_with_patience(struct world *world, const char *spec)
{
    while (world->begun < world->load.count) {
        perform(world);
        if (world->error == HF_OK)
            return;
        if (world->error != HF_NOSPC)
            fail_msg("with %s a step was answered %s", spec, hf_status_text(world->error));
        set_faults(world, "");
        if (world->load.steps[world->begun - 1].kind != STEP_CLOSE)
            world->begun--;
    }
}

static void load_goes_on_when_room_returns(void **state)
{
    static const char *const calls[] = {"commit", "put", "session_create"};
    char spec[100];

    (void)state;
    for (unsigned n = 0; n < 60; n++) {
        struct world world;

        world_open(&world, n);
        snprintf(spec, sizeof spec, "%s@%u:ENOSPC+", calls[n % 3], n / 3 + 1);
        set_faults(&world, spec);
        perform_with_patience(&world, spec);
        set_faults(&world, "");
        tree_target_close(&world.target);
        assert_int_equal(mount_close(&world.mount), HF_OK);
        world.acked = world.begun;
        verify(&world, spec);
        world_close(&world);
    }
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int use_sqlite(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void)state;
    snprintf(folder, sizeof folder, "%s/holdfast-faults-XXXXXX", parent ? parent : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_that_fails_is_told_or_harmless),
        cmocka_unit_test(commit_that_fails_is_told),
        cmocka_unit_test(commit_whose_answer_is_lost_is_told),
        cmocka_unit_test(commits_that_fail_from_one_on_are_told),
        cmocka_unit_test(failed_handle_is_told),
        cmocka_unit_test(full_store_is_told),
        cmocka_unit_test(load_goes_on_when_room_returns),
    };
    int failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);

    return failed + cmocka_run_group_tests_name("sqlite", tests, use_sqlite, remove_folder);
}
