/* SPDX-License-Identifier: Apache-2.0 */
/* The server is killed, or drained, under a load from three hosts, and started again: no writer sees an error, and
 * nothing that was acknowledged is missing.
 *
 * HOLDFAST_ROUNDS (default 8): restarts; HOLDFAST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service.h"
#include "writer.h"

#define HOSTS 3
#define SESSIONS 9

struct world {
    struct service service;
    struct daemon hosts[HOSTS];
    unsigned rounds, seed;
};

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void restart_at_random(struct world *world)
{
    for (unsigned round = 0; round < world->rounds; round++) {
        pause_ms(rand_r(&world->seed) % 400);
        service_stop(&world->service, round % 4 == 3 ? SIGTERM : SIGKILL);
        pause_ms(rand_r(&world->seed) % 200);
        assert_true(service_start(&world->service));
    }
}

/* The writers are in a process of their own: a server that is started here would inherit their files, and close them
 * in the end, which waits for a server. */
struct load {
    atomic_bool stop;
    struct writer writers[SESSIONS];
};

static void write_until_stopped(struct load *load)
{
    for (unsigned s = 0; s < SESSIONS; s++)
        writer_start(&load->writers[s]);
    while (!atomic_load(&load->stop))
        pause_ms(1);
    for (unsigned s = 0; s < SESSIONS; s++)
        writer_join(&load->writers[s]);
}

static void prepare_load(const struct world *world, struct load *load)
{
    for (unsigned s = 0; s < SESSIONS; s++) {
        char path[400];

        load->writers[s] = (struct writer){
            .daemon = &world->hosts[s % HOSTS], .session = s, .keeps_open = s % 2 == 0};
        snprintf(path, sizeof path, "%s/session-%u", world->hosts[s % HOSTS].mountpoint, s);
        assert_int_equal(mkdir(path, 0700), 0);
    }
}

static void a_killed_server_loses_nothing(void **state)
{
    struct world *world = *state;
    struct load *load =
        mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned lines_of_b;
    int status;
    pid_t pid;

    assert_true(load != MAP_FAILED);
    prepare_load(world, load);
    pid = fork();
    if (pid == 0) {
        write_until_stopped(load);
        _exit(0);
    }
    restart_at_random(world);
    atomic_store(&load->stop, true);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    for (unsigned s = 0; s < SESSIONS; s++) {
        if (load->writers[s].error != 0)
            fail_msg("session %u: a writer saw: %s", s, strerror(load->writers[s].error));
        assert_true(load->writers[s].acked > 0);
        writer_check(&load->writers[s], &world->hosts[(s + 1) % HOSTS], &lines_of_b);
    }
    munmap(load, sizeof *load);
}

/* --- the world ---------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    static struct world world;
    const char *rounds = getenv("HOLDFAST_ROUNDS"), *seed = getenv("HOLDFAST_SEED");
    bool up = true;

    world.rounds = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 8;
    world.seed = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
    printf("HOLDFAST_SEED=%u\n", world.seed);
    *state = &world;
    up = service_prepare(&world.service, "10m") && service_start(&world.service);
    for (unsigned h = 0; h < HOSTS && up; h++) {
        char name[20];

        snprintf(name, sizeof name, "host-%u", h);
        up = daemon_prepare(&world.hosts[h], NULL) &&
             service_admit(&world.service, name, &world.hosts[h]) && daemon_start(&world.hosts[h]);
    }
    return up ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    const char *const fsck[] = {"holdfast", "fsck", NULL};
    bool sound = true;

    for (unsigned h = 0; h < HOSTS; h++)
        sound = daemon_stop(&world->hosts[h]) && sound;
    service_stop(&world->service, SIGTERM);
    sound = service_run(&world->service, fsck, NULL) == 0 && sound;
    if (!sound)
        service_print_log(&world->service);
    for (unsigned h = 0; h < HOSTS; h++) {
        if (!sound)
            daemon_print_log(&world->hosts[h]);
        daemon_remove(&world->hosts[h]);
    }
    service_remove(&world->service);
    return sound ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_killed_server_loses_nothing)};
    const char *obstacle = daemon_obstacle();

    if (!obstacle)
        obstacle = service_obstacle();
    if (obstacle) {
        printf("skipped: %s\n", obstacle);
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
