/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes on one store file: leases change hands, commits interleave, and one that is killed stands in
 * nobody's way. The other processes are this program again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>

#include "append_load.h"
#include "engine/open.h"

#define HANDOVERS 200
#define WRITERS 3
#define COMMITS 150
#define MAKERS 6

extern char **environ;

/* --- the other processes ---------------------------------------------------------------------------- */

struct peer {
    struct store *store;
    uint64_t host;
};

static void release_on_recall(const struct store_event *event, void *arg)
{
    struct peer *peer = arg;

    if (event->kind == EVENT_LEASE_RECALLED)
        store_lease_release(peer->store, peer->host, event->sid, event->token, NULL);
}

static void open_peer(struct peer *peer, const struct store_listener *listener, const char *url,
                      const char *name)
{
    struct host_identity identity = {
        .host_name = name, .incarnation = 1, .pid = (uint32_t)getpid()};
    struct hf_error err = {0};

    if (store_open(url, STORE_CREATE, NULL, NULL, &peer->store, &err) != HF_OK ||
        store_host_register(peer->store, &identity, listener, &peer->host, &err) != HF_OK) {
        fprintf(stderr, "%s: %s\n", name, err.message);
        _exit(1);
    }
}

static void say(const char *line)
{
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        _exit(1);
}

/* Takes the session each time it is told to, and gives it up when it is asked for it. */
static int be_taker(const char *url, uint64_t sid)
{
    struct peer peer;
    struct store_listener listener = {.event = release_on_recall, .arg = &peer};
    struct hf_error err;
    struct lease lease;
    char go;

    open_peer(&peer, &listener, url, "taker");
    say("r");
    while (read(STDIN_FILENO, &go, 1) == 1) {
        if (store_lease_acquire(peer.store, peer.host, sid, 0, &lease, &err) != HF_OK) {
            fprintf(stderr, "taker: %s\n", err.message);
            return 1;
        }
        say("t");
    }
    store_close(peer.store);
    return 0;
}

/* Commits as fast as it can, some of it to the medium. */
static int be_writer(const char *url, const char *name)
{
    static struct append_load load;
    struct peer peer;
    char go;

    open_peer(&peer, NULL, url, name);
    say("r");
    if (read(STDIN_FILENO, &go, 1) != 1)
        return 1;
    append_load_start(&load, peer.store, peer.host, name, 5);
    for (int i = 0; i < COMMITS; i++)
        if (append_load_step(&load, i % 16 ? DURABILITY_RELAXED : DURABILITY_SYNC) != HF_OK)
            return 1;
    say("d");
    if (read(STDIN_FILENO, &go, 1) == 1) /* to be killed */
        return 1;
    append_load_end(&load);
    store_close(peer.store);
    return 0;
}

/* Opens a store that is not there yet, together with others. */
static int be_maker(const char *url)
{
    struct peer peer;
    char go;

    say("r");
    if (read(STDIN_FILENO, &go, 1) != 1)
        return 1;
    open_peer(&peer, NULL, url, "maker");
    store_close(peer.store);
    return 0;
}

/* --- their parent ------------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int in, out; /* its standard input and output */
};

static struct child start_child(const char *role, const char *url, const char *argument)
{
    char exe[] = "/proc/self/exe";
    char *args[] = {exe, (char *)role, (char *)url, (char *)argument, NULL};
    posix_spawn_file_actions_t actions;
    struct child child;
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    assert_int_equal(posix_spawn(&child.pid, exe, &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    child.in = in[1];
    child.out = out[0];
    return child;
}

static void expect(struct child *child, char answer)
{
    char got = 0;

    assert_int_equal(read(child->out, &got, 1), 1);
    assert_int_equal(got, answer);
}

static void tell(struct child *child)
{
    assert_int_equal(write(child->in, "g", 1), 1);
}

static void end_child(struct child *child)
{
    int status;

    close(child->in);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_int_equal(status, 0);
    close(child->out);
}

struct fixture {
    char folder[64], url[256];
    struct peer peer;
    struct store_listener listener;
    struct append_load load;
    struct hf_error err;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    snprintf(fixture->folder, sizeof fixture->folder, "%s", "/tmp/holdfast-processes-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s/store.db", fixture->folder);
    fixture->listener = (struct store_listener){.event = release_on_recall, .arg = &fixture->peer};
    open_peer(&fixture->peer, &fixture->listener, fixture->url, "parent");
    append_load_start(&fixture->load, fixture->peer.store, fixture->peer.host, "s", 3);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char command[128];

    append_load_end(&fixture->load);
    store_close(fixture->peer.store);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    print_message("%s: %s\n", finding->what, finding->message);
    ++*(unsigned *)arg;
    return 0;
}

static void assert_sound(struct fixture *fixture)
{
    unsigned findings = 0;

    assert_int_equal(store_check(fixture->peer.store, print_finding, &findings, &fixture->err), 0);
    assert_int_equal(findings, 0);
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

static void idle_lease_changes_hands_between_processes(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = &fixture->peer;
    uint64_t sid = fixture->load.lease.sid, token = fixture->load.lease.token;
    int64_t times[HANDOVERS];
    char argument[24];
    struct child taker;
    struct lease lease;

    snprintf(argument, sizeof argument, "%llu", (unsigned long long)sid);
    taker = start_child("taker", fixture->url, argument);
    expect(&taker, 'r');
    for (int i = 0; i < HANDOVERS; i++) {
        int64_t start;

        tell(&taker);
        expect(&taker, 't');
        start = clock_boottime(&clock_system);
        if (store_lease_acquire(peer->store, peer->host, sid, 0, &lease, &fixture->err) != HF_OK)
            fail_msg("%s", fixture->err.message);
        times[i] = clock_boottime(&clock_system) - start;
        assert_int_equal(lease.token, token + 2);
        token = lease.token;
    }
    qsort(times, HANDOVERS, sizeof times[0], compare);
    print_message("hand-over: %.0f us p50, %.0f us p95\n", (double)times[HANDOVERS / 2] / 1e3,
                  (double)times[HANDOVERS * 95 / 100] / 1e3);
    end_child(&taker);
    assert_sound(fixture);
}

static void writers_in_several_processes_do_not_meet_a_locked_database(void **state)
{
    struct fixture *fixture = *state;
    struct child children[WRITERS];
    struct session_head head;
    char name[16];

    for (int i = 0; i < WRITERS; i++) {
        snprintf(name, sizeof name, "w%d", i);
        children[i] = start_child("writer", fixture->url, name);
        expect(&children[i], 'r');
    }
    for (int i = 0; i < WRITERS; i++)
        tell(&children[i]);
    for (int i = 0; i < WRITERS; i++)
        expect(&children[i], 'd');
    for (int i = 0; i < WRITERS; i++) {
        end_child(&children[i]);
        snprintf(name, sizeof name, "w%d", i);
        assert_int_equal(store_session_find(fixture->peer.store, name, &head, NULL), HF_OK);
        assert_int_equal(head.version, COMMITS + 1);
    }
    assert_sound(fixture);
}

static void killed_process_is_taken_over_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = &fixture->peer;
    struct child writer = start_child("writer", fixture->url, "w");
    struct session_head head;
    struct lease lease;
    int64_t start;

    expect(&writer, 'r');
    tell(&writer);
    expect(&writer, 'd');
    assert_int_equal(store_session_find(peer->store, "w", &head, NULL), HF_OK);
    assert_int_equal(store_lease_acquire(peer->store, peer->host, head.sid, 0, &lease, NULL),
                     HF_BUSY);
    assert_int_equal(kill(writer.pid, SIGKILL), 0);
    assert_int_equal(waitpid(writer.pid, NULL, 0), writer.pid);
    start = clock_boottime(&clock_system);
    assert_int_equal(store_lease_acquire(peer->store, peer->host, head.sid, 0, &lease, NULL),
                     HF_OK);
    assert_true(clock_boottime(&clock_system) - start < 1000000000);
    assert_int_equal(lease.token, 2);
    assert_int_equal(lease.head.version, COMMITS + 1);
    close(writer.in);
    close(writer.out);
    assert_sound(fixture);
}

/* A process that is told to wait for a lease learns of its holder's death from the kernel. */
static void waiter_hears_of_the_holders_death(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = &fixture->peer;
    struct child writer = start_child("writer", fixture->url, "w");
    struct session_head head;
    struct lease lease;
    pid_t killer;
    int status;

    expect(&writer, 'r');
    tell(&writer);
    expect(&writer, 'd');
    assert_int_equal(store_session_find(peer->store, "w", &head, NULL), HF_OK);
    killer = fork();
    if (killer == 0) {
        usleep(50000); /* most likely the parent waits by then; it must work in any case */
        _exit(kill(writer.pid, SIGKILL) != 0);
    }
    assert_int_equal(store_lease_acquire(peer->store, peer->host, head.sid, 60000, &lease, NULL),
                     HF_OK);
    assert_int_equal(waitpid(killer, &status, 0), killer);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(writer.pid, NULL, 0), writer.pid);
    close(writer.in);
    close(writer.out);
}

static void processes_that_make_a_store_together_all_open_it(void **state)
{
    struct fixture *fixture = *state;
    struct child makers[MAKERS];
    char url[300];

    for (int round = 0; round < 10; round++) {
        snprintf(url, sizeof url, "%s-%d", fixture->url, round);
        for (int i = 0; i < MAKERS; i++) {
            makers[i] = start_child("maker", url, "");
            expect(&makers[i], 'r');
        }
        for (int i = 0; i < MAKERS; i++)
            tell(&makers[i]);
        for (int i = 0; i < MAKERS; i++)
            end_child(&makers[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idle_lease_changes_hands_between_processes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(writers_in_several_processes_do_not_meet_a_locked_database,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(processes_that_make_a_store_together_all_open_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(killed_process_is_taken_over_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(waiter_hears_of_the_holders_death, setup, teardown),
    };

    if (argc == 4 && strcmp(argv[1], "taker") == 0)
        return be_taker(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "maker") == 0)
        return be_maker(argv[2]);
    if (argc == 4 && strcmp(argv[1], "writer") == 0)
        return be_writer(argv[2], argv[3]);
    return cmocka_run_group_tests_name("processes", tests, NULL, NULL);
}
