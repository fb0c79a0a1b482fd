/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts the power at random moments under a writing load, and looks at what the medium kept.
 *
 * Three threads each perform a load on a session of one tree; a fourth makes checkpoints. At the cut, what was
 * acknowledged is noted. The survivor is then opened as after a reboot: every session must be what the model
 * says for one prefix of its steps that holds everything that was acknowledged as on the medium.
 *
 * HOLDFAST_ROUNDS: cuts (default 200, for each durability); HOLDFAST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/open.h"
#include "power_vfs.h"
#include "store/fsck.h"
#include "tree_target.h"

#define LOADS 3
#define DEFAULT_ROUNDS 200
#define STEPS_MAX 250

struct worker {
    pthread_t thread;
    struct round *round;
    unsigned number;
    struct load load;
    atomic_size_t begun, acked;
    size_t begun_at_cut, acked_at_cut; /* valid once the power is cut */
};

struct round {
    char path[300], survivor[300];
    bool strict;
    uint64_t seed;
    struct mount mount;
    struct worker workers[LOADS];
    atomic_bool stop;
    pthread_t checkpoints;
};

struct world {
    char dir[200];
    uint64_t random;
    size_t acked, steps;
};

/* --- the load ----------------------------------------------------------------------------------- */

/** Called by whoever is at work when the power goes. */
static void note_progress(void *arg)
{
    struct round *round = arg;

    for (unsigned i = 0; i < LOADS; i++) {
        struct worker *worker = &round->workers[i];

        worker->acked_at_cut = atomic_load(&worker->acked);
        worker->begun_at_cut = atomic_load(&worker->begun);
    }
}

static void *perform(void *arg)
{
    struct worker *worker = arg;
    const struct round *round = worker->round;
    struct tree_target target;
    char name[20];

    snprintf(name, sizeof name, "s%u", worker->number);
    tree_target_init(&target, &worker->round->mount, name);
    for (size_t i = 0; i < worker->load.count; i++) {
        const struct step *step = &worker->load.steps[i];

        atomic_store(&worker->begun, i + 1);
        if (tree_target_step(&target, step) != HF_OK)
            break;
        if (step->durable && (round->strict || step->kind == STEP_FSYNC))
            atomic_store(&worker->acked, i + 1);
    }
    tree_target_close(&target);
    return NULL;
}

/** What a store does to itself once in sixteen megabytes, often enough to be met by a cut. */
static void *make_checkpoints(void *arg)
{
    struct round *round = arg;
    uint64_t random = round->seed;
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(round->path, &db, SQLITE_OPEN_READWRITE, POWER_VFS_NAME);

    while (rc == SQLITE_OK && !atomic_load(&round->stop) && !power_is_cut()) {
        int mode = random_below(&random, 3) ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;

        sqlite3_wal_checkpoint_v2(db, NULL, mode, NULL, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 1 + (long)random_below(&random, 8000000)}, NULL);
    }
    sqlite3_close(db);
    return NULL;
}

static void make_store(const struct round *round, const char *url)
{
    const struct store_create_options options = {.strict = round->strict};
    struct hf_error err;
    struct store *store;

    if (store_open(url, STORE_CREATE, &options, &clock_system, &store, &err) != HF_OK)
        fail_msg("the store cannot be made: %s", err.message);
    store_close(store);
}

/** `cut_after`: calls of the VFS; 0: when the load has ended. Returns how many there were. */
static uint64_t run_round(struct round *round, uint64_t cut_after)
{
    char url[400];
    uint64_t before;

    snprintf(url, sizeof url, "sqlite:%s?vfs=" POWER_VFS_NAME, round->path);
    power_on(round->seed);
    make_store(round, url);
    mount_open(&round->mount, url);
    before = power_calls();
    for (unsigned i = 0; i < LOADS; i++) {
        struct worker *worker = &round->workers[i];

        worker->round = round;
        worker->number = i;
        load_make(&worker->load, round->seed + i, 20 + (round->seed >> i) % STEPS_MAX);
    }
    power_cut_after(cut_after ? cut_after : UINT64_MAX / 2, note_progress, round);
    for (unsigned i = 0; i < LOADS; i++)
        pthread_create(&round->workers[i].thread, NULL, perform, &round->workers[i]);
    pthread_create(&round->checkpoints, NULL, make_checkpoints, round);
    for (unsigned i = 0; i < LOADS; i++)
        pthread_join(round->workers[i].thread, NULL);
    atomic_store(&round->stop, true);
    pthread_join(round->checkpoints, NULL);
    before = power_calls() - before;
    power_cut_now();
    mount_close(&round->mount);
    assert_true(power_survivor(round->path, round->survivor));
    power_off();
    return before;
}

/* --- what survived ------------------------------------------------------------------------------ */

static int print_finding(const struct check_finding *finding, void *arg)
{
    (void)arg;
    printf("finding: %s: %s\n", finding->what, finding->message);
    return 0;
}

static void verify_round(struct world *world, struct round *round)
{
    const struct fsck_options options = {.report = print_finding};
    struct fsck_totals totals;
    struct hf_error err = {0};
    struct store *store;
    char url[400];

    snprintf(url, sizeof url, "sqlite:%s", round->survivor);
    if (store_open(url, 0, NULL, &clock_system, &store, &err) != HF_OK)
        fail_msg("the survivor cannot be opened: %s", err.message);
    for (unsigned i = 0; i < LOADS; i++) {
        struct worker *worker = &round->workers[i];
        BUF_AUTO listing = {0};
        char name[20];
        size_t prefix;

        snprintf(name, sizeof name, "s%u", i);
        if (store_list(store, name, &listing, &err) != HF_OK)
            fail_msg("session %s cannot be read: %s", name, err.message);
        if (!load_verify(&worker->load, worker->acked_at_cut, worker->begun_at_cut, &listing,
                         &prefix))
            fail_msg("session %s: lost or changed; HOLDFAST_SEED of the round %llu", name,
                     (unsigned long long)round->seed);
        world->acked += worker->acked_at_cut;
        world->steps += worker->begun_at_cut;
    }
    assert_int_equal(fsck_run(store, &options, &totals, &err), HF_OK);
    assert_int_equal(totals.findings, 0);
    store_close(store);
}

static void remove_store(const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-bell", "-journal"};
    char file[320];

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(file, sizeof file, "%s%s", path, tails[i]);
        unlink(file);
    }
}

static uint64_t one_round(struct world *world, bool strict, uint64_t cut_after)
{
    struct round *round = calloc(1, sizeof *round);
    uint64_t calls;

    assert_non_null(round);
    round->seed = random_next(&world->random);
    round->strict = strict;
    snprintf(round->path, sizeof round->path, "%s/store.db", world->dir);
    snprintf(round->survivor, sizeof round->survivor, "%s/survivor.db", world->dir);
    calls = run_round(round, cut_after);
    verify_round(world, round);
    remove_store(round->path);
    remove_store(round->survivor);
    for (unsigned i = 0; i < LOADS; i++)
        load_free(&round->workers[i].load);
    free(round);
    return calls;
}

static void cut_rounds(struct world *world, bool strict)
{
    const char *text = getenv("HOLDFAST_ROUNDS");
    unsigned rounds = text ? (unsigned)strtoul(text, NULL, 0) : DEFAULT_ROUNDS;
    uint64_t calls = one_round(world, strict, 0);

    for (unsigned i = 0; i < rounds; i++)
        one_round(world, strict, 1 + random_below(&world->random, calls));
    print_message("%u cuts; %zu steps, %zu of them on the medium\n", rounds, world->steps,
                  world->acked);
    assert_true(world->acked > 4 * (size_t)rounds);
}

static void relaxed_store_keeps_what_fsync_acknowledged(void **state)
{
    cut_rounds(*state, false);
}

static void strict_store_keeps_what_close_acknowledged(void **state)
{
    cut_rounds(*state, true);
}

/* --- while the store is made ---------------------------------------------------------------------- */

/** Returns whether the store was made before the power went. */
static bool make_store_until(const struct world *world, uint64_t cut_after, const char *path,
                             const char *survivor)
{
    struct store *store = NULL;
    char url[400];
    int rc;

    snprintf(url, sizeof url, "sqlite:%s?vfs=" POWER_VFS_NAME, path);
    power_on(world->random + cut_after);
    power_cut_after(cut_after, NULL, NULL);
    rc = store_open(url, STORE_CREATE, NULL, &clock_system, &store, NULL);
    store_close(store);
    power_cut_now();
    assert_true(power_survivor(path, survivor));
    power_off();
    remove_store(path);
    return rc == HF_OK;
}

static void store_cut_while_it_is_made_is_made_again(void **state)
{
    struct world *world = *state;
    char path[300], survivor[300], url[400];
    uint64_t after = 0;
    bool made = false;

    snprintf(path, sizeof path, "%s/store.db", world->dir);
    snprintf(survivor, sizeof survivor, "%s/survivor.db", world->dir);
    snprintf(url, sizeof url, "sqlite:%s", survivor);
    while (!made) {
        struct mount mount;

        made = make_store_until(world, ++after, path, survivor);
        mount_open(&mount, url);
        assert_int_equal(mount_mkdir(&mount, "session", 0700), HF_OK);
        assert_int_equal(mount_write_text(&mount, "session/file", "text"), HF_OK);
        assert_int_equal(mount_close(&mount), HF_OK);
        remove_store(survivor);
    }
    print_message("%llu cuts while a store was made\n", (unsigned long long)after);
    assert_true(after > 10);
}

/* --- a sync that fails --------------------------------------------------------------------------- */

static void failed_sync_is_never_called_good(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;
    struct mount mount;
    char path[300], url[400];

    snprintf(path, sizeof path, "%s/store.db", world->dir);
    snprintf(url, sizeof url, "sqlite:%s?vfs=" POWER_VFS_NAME, path);
    power_on(1);
    mount_open(&mount, url);
    assert_int_equal(mount_mkdir(&mount, "session", 0700), HF_OK);
    assert_int_equal(mount_write_text(&mount, "session/old", "old"), HF_OK);
    assert_int_equal(mount_openfile(&mount, "session/new", 0102, 0600, &handle), HF_OK);
    assert_int_equal(tree_fsync(handle), HF_OK);
    assert_int_equal(tree_write(handle, &mount.caller, 0, "new", 3), HF_OK);
    power_fail_syncs(1, 1);
    assert_int_equal(hf_status_errno(tree_fsync(handle)), EIO);
    /* The medium is well again, and has not what it did not take. */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(hf_status_errno(tree_fsync(handle)), EIO);
    assert_int_equal(hf_status_errno(tree_write(handle, &mount.caller, 3, "more", 4)), EIO);
    assert_int_equal(hf_status_errno(mount_closefile(handle)), EIO);
    assert_int_equal(hf_status_errno(mount_mkdir(&mount, "session/dir", 0700)), EIO);
    mount_close(&mount);
    power_off();
    /* Opened anew, what was acknowledged before is there. */
    snprintf(url, sizeof url, "sqlite:%s", path);
    mount_open(&mount, url);
    char text[10];
    assert_int_equal(mount_read_text(&mount, "session/old", text, sizeof text), HF_OK);
    assert_string_equal(text, "old");
    assert_int_equal(mount_write_text(&mount, "session/old", "again"), HF_OK);
    assert_int_equal(mount_close(&mount), HF_OK);
    remove_store(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int world_open(void **state)
{
    const char *seed = getenv("HOLDFAST_SEED"), *parent = getenv("TMPDIR");
    struct world *world = calloc(1, sizeof *world);

    if (!world)
        return -1;
    world->random = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)world->random);
    snprintf(world->dir, sizeof world->dir, "%s/holdfast-power-XXXXXX", parent ? parent : "/tmp");
    *state = world;
    return mkdtemp(world->dir) ? 0 : -1;
}

static int world_close(void **state)
{
    struct world *world = *state;

    if (getenv("HOLDFAST_KEEP"))
        printf("kept %s\n", world->dir);
    else
        nftw(world->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(relaxed_store_keeps_what_fsync_acknowledged, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(strict_store_keeps_what_close_acknowledged, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(store_cut_while_it_is_made_is_made_again, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(failed_sync_is_never_called_good, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
