/* SPDX-License-Identifier: Apache-2.0 */
/* Two hosts that write one file as fast as they can, each through a mount of its own.
 *
 *     lines     both append to a log in a session, which goes to and fro between them: no line is lost, torn or twice
 *     counter   both add one to a number in the shared tree, under a lock, through a file that stays open
 *
 * HOLDFAST_SECONDS (default 4): for how long lines are appended. */
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
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service.h"
#include "writer.h"

#define ADDITIONS 60

struct host {
    struct daemon daemon;
    char who;
    unsigned acked;
    int error;
};

struct world {
    struct service service;
    struct host a, b;
    long seconds;
};

static void run_both(struct world *world, void *(*run)(void *))
{
    pthread_t a, b;

    assert_int_equal(pthread_create(&a, NULL, run, &world->a), 0);
    assert_int_equal(pthread_create(&b, NULL, run, &world->b), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_int_equal(world->a.error, 0);
    assert_int_equal(world->b.error, 0);
}

static time_t end_of_appending;

/* Until the time is over. Who is refused the session asks again. */
static void *append_lines(void *arg)
{
    struct host *host = arg;
    char path[400];
    int fd, error;

    writer_log(&host->daemon, 0, path, sizeof path);
    while (time(NULL) < end_of_appending && host->error == 0) {
        fd = open(path, O_WRONLY | O_APPEND);
        if (fd < 0) {
            host->error = errno == EBUSY ? 0 : errno;
            continue;
        }
        error = writer_line(fd, host->who, 0, host->acked);
        if (close(fd) != 0 && error == 0)
            error = errno;
        host->error = error;
        host->acked += error == 0;
    }
    return NULL;
}

static void no_line_is_lost(void **state)
{
    struct world *world = *state;
    unsigned n, round, next_a = 0, next_b = 0, *next;
    char path[400], line[100], who;
    FILE *log;

    snprintf(path, sizeof path, "%s/session-0", world->a.daemon.mountpoint);
    assert_int_equal(mkdir(path, 0700), 0);
    writer_log(&world->a.daemon, 0, path, sizeof path);
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 0600)), 0);
    end_of_appending = time(NULL) + world->seconds;
    run_both(world, append_lines);
    log = fopen(path, "r");
    assert_non_null(log);
    while (fgets(line, sizeof line, log)) {
        if (!strchr(line, '\n') || sscanf(line, "%c %u %u", &who, &round, &n) != 3)
            fail_msg("a torn line: '%s'", line);
        next = who == 'A' ? &next_a : &next_b;
        if (n != *next)
            fail_msg("line %u of %c stands where %u belongs", n, who, *next);
        ++*next;
    }
    fclose(log);
    printf("A appended %u lines, B %u\n", world->a.acked, world->b.acked);
    assert_int_equal(next_a, world->a.acked);
    assert_int_equal(next_b, world->b.acked);
    assert_true(next_a > 0 && next_b > 0);
}

static int add_one(int fd)
{
    char text[20] = "";
    ssize_t len;

    if (flock(fd, LOCK_EX) != 0 || pread(fd, text, sizeof text - 1, 0) < 0)
        return errno;
    len = snprintf(text, sizeof text, "%010lu", strtoul(text, NULL, 10) + 1);
    if (pwrite(fd, text, (size_t)len, 0) != len || flock(fd, LOCK_UN) != 0)
        return errno;
    return 0;
}

static void *count(void *arg)
{
    struct host *host = arg;
    char path[400];
    int fd;

    snprintf(path, sizeof path, "%s/.counter", host->daemon.mountpoint);
    fd = open(path, O_RDWR);
    host->error = fd < 0 ? errno : 0;
    for (int i = 0; i < ADDITIONS && host->error == 0; i++)
        host->error = add_one(fd);
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void locked_counter_misses_nothing(void **state)
{
    struct world *world = *state;
    char path[400], text[20] = "";
    int fd;

    snprintf(path, sizeof path, "%s/.counter", world->a.daemon.mountpoint);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    run_both(world, count);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof text - 1), 10);
    close(fd);
    assert_int_equal(strtoul(text, NULL, 10), 2 * ADDITIONS);
}

static int set_up(void **state)
{
    static struct world world = {.a.who = 'A', .b.who = 'B'};
    const char *seconds = getenv("HOLDFAST_SECONDS");

    world.seconds = seconds ? strtol(seconds, NULL, 10) : 4;
    *state = &world;
    return service_prepare(&world.service, "5s") && service_start(&world.service) &&
                   daemon_prepare(&world.a.daemon, NULL) && daemon_prepare(&world.b.daemon, NULL) &&
                   service_admit(&world.service, "host-a", &world.a.daemon) &&
                   service_admit(&world.service, "host-b", &world.b.daemon) &&
                   daemon_start(&world.a.daemon) && daemon_start(&world.b.daemon)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    const char *const fsck[] = {"holdfast", "fsck", NULL};
    bool sound = daemon_stop(&world->a.daemon);

    sound = daemon_stop(&world->b.daemon) && sound;
    service_stop(&world->service, SIGTERM);
    sound = service_run(&world->service, fsck, NULL) == 0 && sound;
    if (!sound || getenv("HOLDFAST_KEEP")) {
        daemon_print_log(&world->a.daemon);
        daemon_print_log(&world->b.daemon);
        service_print_log(&world->service);
    }
    daemon_remove(&world->a.daemon);
    daemon_remove(&world->b.daemon);
    service_remove(&world->service);
    return sound ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_line_is_lost),
        cmocka_unit_test(locked_counter_misses_nothing),
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
