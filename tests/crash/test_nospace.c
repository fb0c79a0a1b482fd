/* SPDX-License-Identifier: Apache-2.0 */
/* A mount whose store lies on a small tmpfs, filled up with ballast: the application sees ENOSPC and nothing
 * else, what was acknowledged stays, and the load goes on when ballast goes over board; also after the daemon
 * was killed on a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "posix_target.h"

#define STEPS 400
#define DISK "size=96m,mode=700"

struct world {
    char disk[200], ballast[256];
    struct daemon daemon;
    uint64_t random;
    struct load load;
    struct posix_target target;
    char session[300];
    size_t acked, begun;
    unsigned refused[STEP_CHMOD + 1]; /* steps that were answered ENOSPC */
};

/* --- the disk ----------------------------------------------------------------------------------- */

static long room(const struct world *world)
{
    struct statfs fs;

    assert_int_equal(statfs(world->disk, &fs), 0);
    return (long)fs.f_bavail * (long)fs.f_bsize;
}

/** Makes the ballast so large that `bytes` are left. */
static void leave_room(const struct world *world, long bytes)
{
    int fd = open(world->ballast, O_RDWR | O_CREAT, 0600);
    off_t size = lseek(fd, 0, SEEK_END) + room(world) - bytes;

    assert_true(fd >= 0);
    if (size > 0)
        assert_int_equal(posix_fallocate(fd, 0, size), 0);
    close(fd);
}

/** Gives back a part of the ballast. */
static void drop_ballast(struct world *world)
{
    long more = 4096 + (long)random_below(&world->random, 600000);
    struct stat st;

    assert_int_equal(stat(world->ballast, &st), 0);
    if (st.st_size == 0)
        fail_msg("no space is left, and no ballast");
    assert_int_equal(truncate(world->ballast, st.st_size > more ? st.st_size - more : 0), 0);
}

/* --- the load ----------------------------------------------------------------------------------- */

/** A mount registers with its store: where there is no room at all for that, it says so. */
static void start(struct world *world)
{
    while (!daemon_start(&world->daemon)) {
        if (world->daemon.exit_code != EX_CANTCREAT) {
            daemon_print_log(&world->daemon);
            fail_msg("the mount does not start: exit code %d", world->daemon.exit_code);
        }
        drop_ballast(world);
    }
}

static void verify(struct world *world)
{
    BUF_AUTO listing = {0};
    size_t prefix;
    int rc = posix_target_list(world->session, &listing);

    if (rc != 0)
        fail_msg("listing the session: %s", strerror(rc));
    assert_true(load_verify(&world->load, world->acked, world->begun, &listing, &prefix));
}

/** Performs steps up to `until`, or until one is refused. Whether one was. */
static bool perform(struct world *world, size_t until)
{
    while (world->begun < until) {
        const struct step *step = &world->load.steps[world->begun];
        int rc = posix_target_step(&world->target, step);
        char text[200];

        step_describe(step, text, sizeof text);
        if (rc != 0 && rc != ENOSPC) {
            daemon_print_log(&world->daemon);
            fail_msg("step %zu, %s: %s", world->begun, text, strerror(rc));
        }
        /* A close that fails has closed. */
        if (rc == 0 || step->kind == STEP_CLOSE)
            world->begun++;
        if (rc == 0 && step->durable)
            world->acked = world->begun;
        if (rc != 0) {
            world->refused[step->kind]++;
            return true;
        }
    }
    return false;
}

static void begin(struct world *world, size_t steps)
{
    load_make(&world->load, random_next(&world->random), steps);
    world->acked = world->begun = 0;
    start(world);
    snprintf(world->session, sizeof world->session, "%s/session", world->daemon.mountpoint);
    posix_target_init(&world->target, world->session);
    leave_room(world, 150000 + (long)random_below(&world->random, 1000000));
}

static void end(struct world *world)
{
    load_free(&world->load);
    unlink(world->ballast);
    daemon_forget_store(&world->daemon);
}

static void remount(struct world *world)
{
    if (!daemon_stop(&world->daemon)) {
        daemon_print_log(&world->daemon);
        fail_msg("the mount did not end cleanly");
    }
    assert_true(daemon_check_store(&world->daemon));
    start(world);
}

static void load_goes_on_when_room_returns(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < 6; i++) {
        unsigned refused = 0;

        begin(world, STEPS);
        while (perform(world, world->load.count)) {
            refused++;
            /* What the mount shows is what it was asked for, saved or not; but for the step itself. */
            if (refused % 4 == 0)
                verify(world);
            drop_ballast(world);
        }
        assert_true(refused > 0);
        posix_target_close(&world->target);
        world->acked = world->begun;
        verify(world);
        /* An end saves what no close has saved yet, and says so when it cannot. */
        assert_int_equal(truncate(world->ballast, 0), 0);
        remount(world);
        verify(world);
        assert_true(daemon_stop(&world->daemon));
        end(world);
    }
    print_message("refused: %u opens, %u writes, %u fsyncs, %u closes, %u renames, %u others\n",
                  world->refused[STEP_OPEN], world->refused[STEP_WRITE], world->refused[STEP_FSYNC],
                  world->refused[STEP_CLOSE], world->refused[STEP_RENAME],
                  world->refused[STEP_MKDIR] + world->refused[STEP_UNLINK] +
                      world->refused[STEP_LINK] + world->refused[STEP_TRUNCATE]);
}

static void what_was_committed_survives_a_kill_on_a_full_disk(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < 10; i++) {
        char path[320];

        begin(world, STEPS * 2);
        while (perform(world, world->load.count) && random_below(&world->random, 4) > 0)
            drop_ballast(world);
        daemon_kill(&world->daemon);
        posix_target_close(&world->target);
        if (random_below(&world->random, 2))
            drop_ballast(world);
        start(world);
        verify(world);
        unlink(world->ballast);
        snprintf(path, sizeof path, "%s/new", world->daemon.mountpoint);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_true(daemon_stop(&world->daemon));
        assert_true(daemon_check_store(&world->daemon));
        end(world);
    }
}

#define BLOCK (128 * 1024)
#define BLOCKS 160

static void block_data(uint64_t i, uint8_t *ret_data)
{
    uint64_t random = i;

    for (size_t at = 0; at < BLOCK; at += 8) {
        uint64_t word = random_next(&random);

        memcpy(ret_data + at, &word, 8);
    }
}

/** Writes the blocks of a file that cannot all be kept in memory until they are closed. */
static unsigned write_blocks(struct world *world, int fd, uint8_t *data)
{
    unsigned refused = 0;

    for (uint64_t i = 0; i < BLOCKS; i++) {
        block_data(i, data);
        while (pwrite(fd, data, BLOCK, (off_t)(i * BLOCK)) != BLOCK) {
            assert_int_equal(errno, ENOSPC);
            refused++;
            drop_ballast(world);
        }
    }
    while (fsync(fd) != 0) {
        assert_int_equal(errno, ENOSPC);
        drop_ballast(world);
    }
    return refused;
}

static void check_blocks(const char *path, uint8_t *want)
{
    uint8_t *got = malloc(BLOCK);
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        block_data(i, want);
        assert_int_equal(pread(fd, got, BLOCK, (off_t)(i * BLOCK)), BLOCK);
        assert_memory_equal(got, want, BLOCK);
    }
    close(fd);
    free(got);
}

static void long_write_goes_on_when_room_returns(void **state)
{
    struct world *world = *state;
    uint8_t *data = malloc(BLOCK);
    char path[320];
    int fd;

    begin(world, 1);
    assert_int_equal(mkdir(world->session, 0700), 0);
    snprintf(path, sizeof path, "%s/long", world->session);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_true(write_blocks(world, fd, data) > 0);
    assert_int_equal(close(fd), 0);
    check_blocks(path, data);
    remount(world);
    check_blocks(path, data);
    assert_true(daemon_stop(&world->daemon));
    end(world);
    free(data);
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const char *seed = getenv("HOLDFAST_SEED"), *parent = getenv("TMPDIR");

    if (!world)
        return -1;
    umask(0);
    world->random = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)world->random);
    snprintf(world->disk, sizeof world->disk, "%s/holdfast-disk-XXXXXX", parent ? parent : "/tmp");
    *state = world;
    if (!mkdtemp(world->disk) || mount("tmpfs", world->disk, "tmpfs", 0, DISK) != 0)
        return -1;
    snprintf(world->ballast, sizeof world->ballast, "%s/ballast", world->disk);
    if (!daemon_prepare(&world->daemon, world->disk))
        return -1;
    /* What is printed has to find room, too. */
    snprintf(world->daemon.log, sizeof world->daemon.log, "%s.log", world->disk);
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    daemon_remove(&world->daemon);
    umount2(world->disk, MNT_DETACH);
    rmdir(world->disk);
    unlink(world->daemon.log);
    free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(load_goes_on_when_room_returns, world_open, world_close),
        cmocka_unit_test_setup_teardown(long_write_goes_on_when_room_returns, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(what_was_committed_survives_a_kill_on_a_full_disk,
                                        world_open, world_close),
    };

    if (geteuid() != 0) {
        printf("skipped: only root can mount a small tmpfs\n");
        return 77;
    }
    if (daemon_obstacle()) {
        printf("skipped: %s\n", daemon_obstacle());
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
