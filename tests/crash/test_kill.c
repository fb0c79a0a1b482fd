/* SPDX-License-Identifier: Apache-2.0 */
/* Kills the mount's daemon at random moments under a writing load, and looks at what the next one finds.
 *
 *     driver:   start mount, verify the last round's sessions, start workers, wait, SIGKILL, unmount
 *     workers:  loads (two in sessions of their own, two in one session, one in the shared tree, where every
 *               change is committed before it is answered), a SQLite database and a file mapped to memory; each
 *               notes in memory shared with the driver how many steps it began, and up to which one all was
 *               promised to last
 *
 * HOLDFAST_ROUNDS: kills (default 200); HOLDFAST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "posix_target.h"

#define LOADS 5
#define DATABASE LOADS
#define MAPPING (LOADS + 1)
#define WORKERS (LOADS + 2)
#define STEPS 3000
#define DEFAULT_ROUNDS 200
/** After so many rounds the store is checked, and a new one begun. */
#define ROUNDS_PER_STORE 25

/** What a worker tells, in shared memory. */
struct progress {
    atomic_size_t begun, acked;
    atomic_int error; /* the errno that ended it */
    atomic_size_t failed_at;
};

struct round {
    unsigned number;
    uint64_t seed;
    struct load loads[LOADS];
    struct progress *progress; /* of each worker */
    pid_t workers[WORKERS];
};

struct world {
    struct daemon daemon;
    struct daemon witness; /* another mount of the same store */
    uint64_t random;
    size_t acked, steps, tried;
    unsigned partial; /* loads that were found at another prefix than the one acknowledged */
};

/* --- workers ------------------------------------------------------------------------------------ */

#define SHARED_LOAD 4

/** The third and the fourth load share a session: each has a folder of it. */
static void session_path(const struct daemon *daemon, const struct round *round, unsigned i,
                         char path[300])
{
    if (i < 2)
        snprintf(path, 300, "%s/r%u-%u", daemon->mountpoint, round->number, i);
    else if (i == SHARED_LOAD)
        snprintf(path, 300, "%s/.r%u", daemon->mountpoint, round->number);
    else
        snprintf(path, 300, "%s/r%u-shared/p%u", daemon->mountpoint, round->number, i);
}

static void run_load(const struct load *load, const char *base, bool all_durable,
                     struct progress *progress)
{
    struct posix_target target;
    int rc = 0;

    posix_target_init(&target, base);
    for (size_t i = 0; rc == 0 && i < load->count; i++) {
        atomic_store(&progress->begun, i + 1);
        rc = posix_target_step(&target, &load->steps[i]);
        if (rc == 0 && (all_durable || load->steps[i].durable))
            atomic_store(&progress->acked, i + 1);
        atomic_store(&progress->failed_at, i);
    }
    atomic_store(&progress->error, rc);
}

static const char *const journal_modes[] = {"WAL", "DELETE", "TRUNCATE"};

static bool run_sql(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/** Inserts rows 1, 2, 3 … each in a transaction. */
static void run_database(const char *path, unsigned mode, struct progress *progress)
{
    sqlite3 *db = NULL;
    char sql[200];

    if (sqlite3_open(path, &db) != SQLITE_OK)
        goto out;
    /* EXTRA: with DELETE, the commit is the journal's end, and lasts when its folder is synced. */
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; PRAGMA synchronous=EXTRA",
             journal_modes[mode]);
    if (!run_sql(db, sql) || !run_sql(db, "CREATE TABLE t (i INTEGER PRIMARY KEY, pad TEXT)"))
        goto out;
    for (size_t i = 1; i < STEPS; i++) {
        atomic_store(&progress->begun, i);
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%zu, hex(zeroblob(%zu)))", i, i % 900);
        if (!run_sql(db, sql))
            goto out;
        atomic_store(&progress->acked, i);
    }
out:
    atomic_store(&progress->error, errno ? errno : EIO);
    sqlite3_close(db);
}

#define PAGES 12

/** Writes 1, 2, 3 … into each page of a mapped file, and syncs it each time. */
static void run_mapping(const char *path, struct progress *progress)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    uint8_t *pages;

    if (fd < 0 || ftruncate(fd, (off_t)(PAGES * page)) != 0)
        return;
    pages = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return;
    for (uint64_t i = 1; i < STEPS; i++) {
        atomic_store(&progress->begun, i);
        for (size_t j = 0; j < PAGES; j++)
            memcpy(pages + j * page + 100, &i, sizeof i);
        if (msync(pages, PAGES * page, MS_SYNC) != 0)
            return;
        atomic_store(&progress->acked, i);
    }
}

static void work(const struct world *world, const struct round *round, unsigned i)
{
    char path[300];

    umask(0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (i < LOADS) {
        session_path(&world->daemon, round, i, path);
        run_load(&round->loads[i], path, i == SHARED_LOAD, &round->progress[i]);
    } else if (i == MAPPING) {
        snprintf(path, sizeof path, "%s/r%u-db/mapped", world->daemon.mountpoint, round->number);
        run_mapping(path, &round->progress[i]);
    } else {
        snprintf(path, sizeof path, "%s/r%u-db/session.db", world->daemon.mountpoint,
                 round->number);
        run_database(path, round->number % 3, &round->progress[i]);
    }
}

/* --- a round ------------------------------------------------------------------------------------ */

static void start_round(struct world *world, struct round *round, unsigned number)
{
    size_t size = WORKERS * sizeof *round->progress;
    char path[300];

    *round = (struct round){.number = number, .seed = random_next(&world->random)};
    round->progress = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(round->progress, MAP_FAILED);
    for (unsigned i = 0; i < LOADS; i++)
        load_make(&round->loads[i], round->seed + i, STEPS);
    snprintf(path, sizeof path, "%s/r%u-shared", world->daemon.mountpoint, number);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/r%u-db", world->daemon.mountpoint, number);
    assert_int_equal(mkdir(path, 0700), 0);
    fflush(stdout);
    for (unsigned i = 0; i < WORKERS; i++) {
        round->workers[i] = fork();
        assert_true(round->workers[i] >= 0);
        if (round->workers[i] == 0) {
            work(world, round, i);
            _exit(0);
        }
    }
}

static void pause_us(uint64_t us)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(us / 1000000),
                                 .tv_nsec = (long)(us % 1000000) * 1000},
              NULL);
}

/** Waits until the load is under way (or has not been for a while), and then some. */
static void let_it_run(struct world *world, const struct round *round)
{
    bool busy = false;

    for (unsigned ms = 0; !busy && ms < 2000; ms++) {
        busy = true;
        for (unsigned i = 0; i < WORKERS; i++)
            busy = busy && atomic_load(&round->progress[i].begun) > 1;
        pause_us(1000);
    }
    pause_us(random_below(&world->random, 120000));
}

/** Mostly without warning; now and then in the middle of a clean end. */
static void kill_it(struct world *world)
{
    if (random_below(&world->random, 8) == 0) {
        kill(world->daemon.pid, SIGTERM);
        pause_us(random_below(&world->random, 30000));
    }
    daemon_kill(&world->daemon);
}

/** Every worker ends by itself: its calls fail once the mount is gone. */
static void join_workers(struct world *world, const struct round *round)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        int status;
        unsigned ms = 0;

        while (waitpid(round->workers[i], &status, WNOHANG) != round->workers[i]) {
            if (ms++ == 20000) {
                daemon_print_log(&world->daemon);
                kill(round->workers[i], SIGKILL);
                fail_msg("a call on the dead mount hangs");
            }
            pause_us(1000);
        }
    }
}

static void check_load(struct world *world, const struct daemon *daemon, const struct round *round,
                       unsigned i)
{
    const struct progress *progress = &round->progress[i];
    size_t acked = atomic_load(&progress->acked), begun = atomic_load(&progress->begun), prefix;
    BUF_AUTO listing = {0};
    char path[300];
    int rc;

    session_path(daemon, round, i, path);
    rc = posix_target_list(path, &listing);
    if (rc != 0)
        fail_msg("listing %s: %s", path, strerror(rc));
    /* In the shared tree each request is a commit. */
    if (i == SHARED_LOAD && load_verify_part(&round->loads[i], begun, &listing))
        return;
    if (!load_verify(&round->loads[i], acked, begun, &listing, &prefix)) {
        daemon_print_log(daemon);
        fail_msg("round %u, load %u: lost or changed", round->number, i);
    }
    world->acked += acked;
    world->steps += begun;
    world->partial += prefix != acked;
}

static int take_number(void *arg, int n, char **values, char **names)
{
    (void)n;
    (void)names;
    *(long *)arg = values[0] ? atol(values[0]) : 0;
    return 0;
}

static int take_text(void *arg, int n, char **values, char **names)
{
    (void)n;
    (void)names;
    snprintf(arg, 200, "%s", values[0] ? values[0] : "");
    return 0;
}

static void check_database(struct world *world, const struct daemon *daemon,
                           const struct round *round)
{
    const struct progress *progress = &round->progress[DATABASE];
    long acked = (long)atomic_load(&progress->acked), begun = (long)atomic_load(&progress->begun);
    long count = 0, highest = 0;
    char path[300], verdict[200] = "";
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/r%u-db/session.db", daemon->mountpoint, round->number);
    if (begun == 0)
        return;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, "PRAGMA integrity_check", take_text, verdict, NULL) != SQLITE_OK)
        fail_msg("round %u: the database: %s", round->number, sqlite3_errmsg(db));
    assert_string_equal(verdict, "ok");
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM t", take_number, &count, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT max(i) FROM t", take_number, &highest, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    if (count != highest || count < acked || count > begun)
        fail_msg("round %u (%s): %ld rows up to %ld; %ld acknowledged, %ld begun", round->number,
                 journal_modes[round->number % 3], count, highest, acked, begun);
    world->acked += (size_t)acked;
    world->steps += (size_t)begun;
}

static void check_mapping(struct world *world, const struct daemon *daemon,
                          const struct round *round)
{
    const struct progress *progress = &round->progress[MAPPING];
    uint64_t acked = atomic_load(&progress->acked), begun = atomic_load(&progress->begun), value;
    off_t page = sysconf(_SC_PAGESIZE);
    char path[300];
    int fd;

    if (acked == 0)
        return;
    snprintf(path, sizeof path, "%s/r%u-db/mapped", daemon->mountpoint, round->number);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t j = 0; j < PAGES; j++) {
        assert_int_equal(pread(fd, &value, sizeof value, j * page + 100), sizeof value);
        assert_in_range(value, acked, begun);
    }
    close(fd);
    world->acked += acked;
    world->steps += begun;
}

/** Verifies what the mount of `daemon` shows of a round. */
static void finish_round(struct world *world, const struct daemon *daemon, struct round *round)
{
    for (unsigned i = 0; i < LOADS; i++)
        check_load(world, daemon, round, i);
    check_database(world, daemon, round);
    check_mapping(world, daemon, round);
    for (unsigned i = 0; i < LOADS; i++)
        load_free(&round->loads[i]);
    munmap(round->progress, WORKERS * sizeof *round->progress);
}

static void mount(struct daemon *daemon)
{
    if (!daemon_start(daemon)) {
        daemon_print_log(daemon);
        fail_msg("the mount does not start: exit code %d", daemon->exit_code);
    }
}

static void end_mount(struct daemon *daemon)
{
    if (!daemon_stop(daemon)) {
        daemon_print_log(daemon);
        fail_msg("the mount did not end cleanly");
    }
}

static void check_store(struct daemon *daemon)
{
    if (!daemon_check_store(daemon)) {
        daemon_print_log(daemon);
        fail_msg("the store is damaged");
    }
}

/** The last workers' sessions, verified by a mount that then ends cleanly; the store is sound. */
static void finish_store(struct world *world, struct round *round)
{
    mount(&world->daemon);
    finish_round(world, &world->daemon, round);
    end_mount(&world->daemon);
    check_store(&world->daemon);
    daemon_forget_store(&world->daemon);
}

static unsigned rounds_wanted(void)
{
    const char *text = getenv("HOLDFAST_ROUNDS");

    return text ? (unsigned)strtoul(text, NULL, 0) : DEFAULT_ROUNDS;
}

static void killed_mount_keeps_all_that_it_acknowledged(void **state)
{
    struct world *world = *state;
    unsigned rounds = rounds_wanted();
    struct round rounds_of_two[2], *last = NULL;

    for (unsigned i = 0; i < rounds; i++) {
        struct round *round = &rounds_of_two[i % 2];

        mount(&world->daemon);
        if (last)
            finish_round(world, &world->daemon, last);
        start_round(world, round, i);
        let_it_run(world, round);
        kill_it(world);
        join_workers(world, round);
        last = round;
        if (i % ROUNDS_PER_STORE == ROUNDS_PER_STORE - 1 || i == rounds - 1) {
            finish_store(world, round);
            last = NULL;
        }
    }
    print_message(
        "%u kills; %zu steps, %zu of them known to last; %u loads cut between two promises\n",
        rounds, world->steps, world->acked, world->partial);
    /* A load that did nothing proves nothing. */
    assert_true(world->acked > 10 * (size_t)rounds);
}

/** The leases of the dead are free: what the other mount changes, it changes at once. */
static void check_takeover(const struct daemon *daemon, const struct round *round)
{
    for (unsigned i = 0; i < 2; i++) {
        char path[340];
        struct stat st;

        session_path(daemon, round, i, path);
        if (stat(path, &st) != 0)
            continue;
        snprintf(path + strlen(path), 40, "/taken-over");
        if (mkdir(path, 0700) != 0)
            fail_msg("round %u: %s: %s", round->number, path, strerror(errno));
    }
}

static void other_mount_takes_over_what_a_killed_one_left(void **state)
{
    struct world *world = *state;
    struct daemon *witness = &world->witness;
    unsigned rounds = rounds_wanted() / 5;

    assert_true(daemon_prepare(witness, NULL));
    snprintf(witness->store, sizeof witness->store, "%s", world->daemon.store);
    mount(witness);
    for (unsigned i = 0; i < rounds; i++) {
        struct round round;

        mount(&world->daemon);
        start_round(world, &round, i);
        let_it_run(world, &round);
        kill_it(world);
        join_workers(world, &round);
        finish_round(world, witness, &round);
        check_takeover(witness, &round);
    }
    end_mount(witness);
    check_store(&world->daemon);
    print_message("%u kills beside another mount; %zu steps, %zu of them known to last\n", rounds,
                  world->steps, world->acked);
    assert_true(world->acked > 10 * (size_t)rounds);
}

static int world_open(void **state)
{
    static struct world world;
    const char *seed = getenv("HOLDFAST_SEED");

    world = (struct world){0};
    world.random = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)world.random);
    *state = &world;
    return daemon_prepare(&world.daemon, NULL) ? 0 : -1;
}

static int world_close(void **state)
{
    struct world *world = *state;

    if (world->witness.dir[0])
        daemon_remove(&world->witness);
    daemon_remove(&world->daemon);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_mount_keeps_all_that_it_acknowledged, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(other_mount_takes_over_what_a_killed_one_left, world_open,
                                        world_close),
    };

    if (daemon_obstacle()) {
        printf("skipped: %s\n", daemon_obstacle());
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
