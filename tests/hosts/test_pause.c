/* SPDX-License-Identifier: Apache-2.0 */
/* A host whose mount daemon is stopped (SIGSTOP) past its TTL while it has changes that were not committed; another
 * host takes its sessions over; then the first goes on.
 *
 *     writers of A   one thread a session: lines "A <round> <n>", some files closed after each line, some kept open
 *     driver         SIGSTOP to A's daemon somewhere in between; B writes "B <round> 0" as soon as it is let in;
 *                    SIGCONT somewhere around the end of the TTL or after it
 *
 * Whatever the timing: each line that a close or an fsync acknowledged is in the log, once, whole, in the order of
 * acknowledgement; B is let in; the tokens of the versions never go back; what came too late is kept aside.
 *
 * HOLDFAST_ROUNDS (default 2); HOLDFAST_SESSIONS: sessions that are written at once (default 25); HOLDFAST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service.h"
#include "writer.h"

#define TTL_MS 5000
#define SESSIONS_MAX 500
#define B_THREADS 8

struct world {
    struct service service;
    struct daemon a, b;
    uint64_t random;
    unsigned rounds, sessions;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static int64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Every version's token is the one before it or a later one. */
static void check_tokens(struct world *world, unsigned session)
{
    char name[40];
    const char *const argv[] = {"holdfast", "session", "log", "--json", name, NULL};
    unsigned long long token, later = ~0ULL;
    char *output = NULL;

    snprintf(name, sizeof name, "session-%u", session);
    assert_int_equal(service_run(&world->service, argv, &output), 0);
    for (const char *at = output; (at = strstr(at, "\"token\":")) != NULL; at++) {
        token = strtoull(at + 8, NULL, 10);
        if (token > later) /* the latest version comes first */
            fail_msg("%s: a version of token %llu is followed by one of %llu", name, token, later);
        later = token;
    }
    assert_true(later != ~0ULL);
    free(output);
}

/* What the store has of a session, to compare with what a mount shows. */
static void print_kept(struct world *world, unsigned session)
{
    char operand[40];
    const char *const log[] = {"holdfast", "session", "log", "--json", operand, NULL};
    const char *const cat[] = {"holdfast", "session", "cat", operand, NULL};
    const char *const audit[] = {"holdfast", "lease", "audit", operand, NULL};
    const char *const *const commands[] = {log, audit, cat};

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char *output = NULL;

        snprintf(operand, sizeof operand, "session-%u%s", session,
                 commands[i] == cat ? ":log" : "");
        if (service_run(&world->service, commands[i], &output) == 0)
            printf("--- %s %s %s\n%s", commands[i][1], commands[i][2], operand, output);
        free(output);
    }
}

/* --- a round ------------------------------------------------------------------------------------------ */

/* Opens for writing as soon as the session is to be had. -1: not within the time. */
static int open_until(const char *path, int flags, int64_t until)
{
    for (;;) {
        int fd = open(path, flags, 0600);

        if (fd >= 0)
            return fd;
        if (errno != EBUSY || now_ms() > until)
            return -1;
        pause_ms(20);
    }
}

struct round {
    struct world *world;
    struct writer *writers;
    atomic_uint next;
    atomic_uint failed; /* errno of the first failure, or 0 */
    int64_t until;
};

/* B's line in one session after another: the open that takes the lease may be refused, nothing after it. */
static void *b_main(void *arg)
{
    struct round *round = arg;
    unsigned s, none = 0;

    while ((s = atomic_fetch_add(&round->next, 1)) < round->world->sessions) {
        char path[400];
        int fd, error;

        writer_log(&round->world->b, s, path, sizeof path);
        do {
            fd = open_until(path, O_WRONLY | O_CREAT | O_APPEND, round->until);
            error = fd < 0 ? errno : writer_line(fd, 'B', round->writers[s].round, 0);
            if (fd >= 0 && close(fd) != 0 && error == 0)
                error = errno;
        } while (error == EBUSY && now_ms() < round->until);
        if (error != 0)
            atomic_compare_exchange_strong(&round->failed, &none, (unsigned)error);
    }
    return NULL;
}

static void start_writers(struct world *world, struct writer *writers, unsigned number)
{
    for (unsigned s = 0; s < world->sessions; s++) {
        writers[s] = (struct writer){.daemon = &world->a,
                                     .session = s,
                                     .round = number,
                                     .keeps_open = next_random(&world->random) & 1};
        writer_start(&writers[s]);
    }
}

static void run_round(struct world *world, unsigned number)
{
    static struct writer writers[SESSIONS_MAX];
    struct round round = {.world = world, .writers = writers};
    pthread_t threads[B_THREADS];
    unsigned late = 0, lines_of_b;

    start_writers(world, writers, number);
    pause_ms(20 + (long)(next_random(&world->random) % 300));
    kill(world->a.pid, SIGSTOP);
    round.until = now_ms() + 6 * TTL_MS;
    for (size_t i = 0; i < B_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, b_main, &round), 0);
    pause_ms(TTL_MS - 500 + (long)(next_random(&world->random) % 3000));
    for (unsigned s = 0; s < world->sessions; s++)
        atomic_store(&writers[s].stop, true);
    kill(world->a.pid, SIGCONT);
    for (unsigned s = 0; s < world->sessions; s++) {
        writer_join(&writers[s]);
        late += writers[s].acked < writers[s].written;
    }
    for (size_t i = 0; i < B_THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("round %u: of %u sessions %u had late work\n", number, world->sessions, late);
    if (round.failed != 0)
        fail_msg("B was not let in: %s", strerror((int)round.failed));
    for (unsigned s = 0; s < world->sessions; s++) {
        writer_check(&writers[s], &world->b, &lines_of_b);
        if (lines_of_b != 1) {
            print_kept(world, s);
            fail_msg("session %u: B's line is there %u times", s, lines_of_b);
        }
        check_tokens(world, s);
    }
}

/* A can write every session again. */
static void settle(struct world *world)
{
    int64_t until = now_ms() + 6 * TTL_MS;

    for (unsigned s = 0; s < world->sessions; s++) {
        char path[400];
        int fd;

        snprintf(path, sizeof path, "%s/session-%u/settled", world->a.mountpoint, s);
        fd = open_until(path, O_WRONLY | O_CREAT | O_TRUNC, until);
        if (fd < 0 || close(fd) != 0)
            fail_msg("%s: %s", path, strerror(errno));
    }
}

static void late_writers_change_nothing(void **state)
{
    struct world *world = *state;

    for (unsigned s = 0; s < world->sessions; s++) {
        char path[400];

        snprintf(path, sizeof path, "%s/session-%u", world->a.mountpoint, s);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (unsigned number = 0; number < world->rounds; number++) {
        run_round(world, number);
        settle(world);
    }
}

/* Whether the trail of a session has such an event. */
static bool is_in_trail(struct world *world, const char *session, const char *event)
{
    const char *const argv[] = {"holdfast", "lease", "audit", "--json", session, NULL};
    char *output = NULL;
    bool found;

    assert_int_equal(service_run(&world->service, argv, &output), 0);
    found = output && strstr(output, event);
    free(output);
    return found;
}

/* What A had not committed when it was stopped is refused, and kept; the trail says what happened. */
static void late_work_is_kept_aside(void **state)
{
    struct world *world = *state;
    int64_t until;
    char path[400];
    int a, b;

    snprintf(path, sizeof path, "%s/late", world->a.mountpoint);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/late/log", world->a.mountpoint);
    a = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(a >= 0);
    assert_int_equal(fsync(a), 0);
    assert_int_equal(writer_line(a, 'A', 0, 0), 0);
    kill(world->a.pid, SIGSTOP);
    snprintf(path, sizeof path, "%s/late/log", world->b.mountpoint);
    until = now_ms() + 6 * TTL_MS;
    b = open_until(path, O_WRONLY | O_APPEND, until);
    kill(world->a.pid, SIGCONT);
    assert_true(b >= 0);
    assert_int_equal(writer_line(b, 'B', 0, 0), 0);
    assert_int_equal(close(b), 0);
    assert_int_equal(close(a), -1);
    assert_int_equal(errno, EIO);
    while (!is_in_trail(world, "late", "\"rescue\"")) {
        if (now_ms() > until)
            fail_msg("there is no rescue version");
        pause_ms(50);
    }
    assert_true(daemon_has_logged(&world->a, "session late: "));
    assert_true(is_in_trail(world, "late", "\"renewal-failed\"") ||
                is_in_trail(world, "late", "\"takeover\""));
}

/* --- the world ---------------------------------------------------------------------------------------- */

static unsigned number_of(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static int set_up(void **state)
{
    static struct world world;
    const char *seed = getenv("HOLDFAST_SEED");

    world.rounds = number_of("HOLDFAST_ROUNDS", 2);
    world.sessions = number_of("HOLDFAST_SESSIONS", 25);
    if (world.sessions > SESSIONS_MAX)
        world.sessions = SESSIONS_MAX;
    world.random = (seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)) * 2 + 1;
    printf("HOLDFAST_SEED=%llu\n", (unsigned long long)(world.random / 2));
    *state = &world;
    return service_prepare(&world.service, "5s") && service_start(&world.service) &&
                   daemon_prepare(&world.a, NULL) && daemon_prepare(&world.b, NULL) &&
                   service_admit(&world.service, "host-a", &world.a) &&
                   service_admit(&world.service, "host-b", &world.b) && daemon_start(&world.a) &&
                   daemon_start(&world.b)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    const char *const fsck[] = {"holdfast", "fsck", NULL};
    bool sound;

    if (world->a.pid > 0)
        kill(world->a.pid, SIGCONT);
    sound = daemon_stop(&world->a);
    sound = daemon_stop(&world->b) && sound;
    service_stop(&world->service, SIGTERM);
    sound = service_run(&world->service, fsck, NULL) == 0 && sound;
    if (!sound || getenv("HOLDFAST_KEEP")) {
        daemon_print_log(&world->a);
        daemon_print_log(&world->b);
        service_print_log(&world->service);
    }
    daemon_remove(&world->a);
    daemon_remove(&world->b);
    service_remove(&world->service);
    return sound ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_writers_change_nothing),
        cmocka_unit_test(late_work_is_kept_aside),
    };
    const char *obstacle = daemon_obstacle();

    if (!obstacle)
        obstacle = service_obstacle();
    if (obstacle) {
        printf("skipped: %s\n", obstacle);
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
