/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real `holdfast serve`: what it tells the service manager, how it ends; and killed and stopped again and again
 * while several hosts commit: nothing that was acknowledged is missing, every host goes on where it was, and what
 * was not answered is done once.
 *
 *     HOLDFAST_KILLS=N    rounds (default 8)
 *     HOLDFAST_SEED=N     of the times at which it is killed
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rig.h"

#define HOSTS 6
#define MS 1000000LL

/** A host that commits to a session of its own, one version after the other. */
struct writer {
    struct client *client;
    char name[16];
    uint64_t host, sid, token;
    uint64_t acknowledged; /* the last version that was */
    uint64_t under_way;    /* the request that is not answered yet; 0: none */
};

struct scenery {
    struct rig rig;
    char log[300];
    char manager[108]; /* the service manager's socket; "": none */
    pid_t pid;
    struct writer writers[HOSTS];
};

static uint64_t random_number(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 33;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* --- the server ----------------------------------------------------------------------------------- */

static void exec_server(struct scenery *scenery)
{
    int fd = open(scenery->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct rig *rig = &scenery->rig;

    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
    if (scenery->manager[0])
        setenv("NOTIFY_SOCKET", scenery->manager, 1);
    execl(HOLDFAST_BIN, "holdfast", "serve", "--store", rig->url, "--listen", rig->listen, "--pki",
          rig->pki.dir, (char *)NULL);
    _exit(127);
}

/* The port from the line "holdfast: serving ... on 127.0.0.1:PORT, ..."; 0: it is not there yet. */
static uint16_t find_port(const char *log)
{
    char text[2000] = "";
    const char *at;
    FILE *file = fopen(log, "r");

    if (!file)
        return 0;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    at = strstr(text, " on 127.0.0.1:");
    return at && strchr(at, ',') ? (uint16_t)strtoul(at + strlen(" on 127.0.0.1:"), NULL, 10) : 0;
}

static void start_server(struct scenery *scenery)
{
    struct rig *rig = &scenery->rig;
    int64_t end = clock_boottime(&clock_system) + RIG_PATIENCE_MS * MS;

    unlink(scenery->log);
    scenery->pid = fork();
    assert_true(scenery->pid >= 0);
    if (scenery->pid == 0)
        exec_server(scenery);
    while ((rig->port = find_port(scenery->log)) == 0) {
        assert_true(clock_boottime(&clock_system) < end);
        assert_int_equal(waitpid(scenery->pid, NULL, WNOHANG), 0);
        usleep(2000);
    }
    snprintf(rig->listen, sizeof rig->listen, "127.0.0.1:%u", rig->port);
}

static void end_server(struct scenery *scenery, int signal)
{
    int status;

    assert_int_equal(kill(scenery->pid, signal), 0);
    assert_int_equal(waitpid(scenery->pid, &status, 0), scenery->pid);
    scenery->pid = 0;
    if (signal == SIGTERM)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- the hosts ------------------------------------------------------------------------------------ */

static void text_of(const struct writer *writer, uint64_t version, char text[64])
{
    snprintf(text, 64, "%s, version %llu", writer->name, (unsigned long long)version);
}

static void send_next(struct writer *writer)
{
    char text[64];

    text_of(writer, writer->acknowledged + 1, text);
    writer->under_way = send_commit(writer->client, writer->host, writer->sid, writer->token,
                                    writer->acknowledged, text, false);
}

/* Reads what is there, and asks for the next version when the last is acknowledged. */
static void go_on(struct writer *writer)
{
    Holdfast__Wire__Frame *frame;

    while (!writer->client->over && (frame = client_read(writer->client, 0))) {
        if (frame->id == writer->under_way) {
            assert_int_equal(frame_status(frame), HF_OK);
            assert_int_equal(frame->reply->number, writer->acknowledged + 1);
            writer->acknowledged++;
            send_next(writer);
        }
        frame_free(frame);
    }
}

static void commit_for(struct scenery *scenery, int64_t ms)
{
    int64_t end = clock_boottime(&clock_system) + ms * MS;
    struct pollfd fds[HOSTS];

    while (clock_boottime(&clock_system) < end) {
        for (size_t i = 0; i < HOSTS; i++)
            fds[i] = (struct pollfd){.fd = scenery->writers[i].client->fd, .events = POLLIN};
        poll(fds, HOSTS, 5);
        for (size_t i = 0; i < HOSTS; i++)
            go_on(&scenery->writers[i]);
    }
}

/* Reads what the server sent before its end. */
static void read_rest(struct writer *writer)
{
    Holdfast__Wire__Frame *frame;

    while ((frame = client_read(writer->client, 0))) {
        if (writer->under_way && frame->id == writer->under_way && frame_status(frame) == HF_OK) {
            writer->acknowledged++;
            writer->under_way = 0;
        }
        frame_free(frame);
    }
}

static void check(struct writer *writer)
{
    uint64_t version, again;
    char text[64];

    assert_int_equal(call_head(writer->client, writer->sid, &version), HF_OK);
    assert_true(version == writer->acknowledged ||
                (writer->under_way && version == writer->acknowledged + 1));
    /* It is the very state that was acknowledged: asked again, it is known to have been made. */
    text_of(writer, writer->acknowledged, text);
    assert_int_equal(call_commit(writer->client, writer->host, writer->sid, writer->token,
                                 writer->acknowledged - 1, text, true, &again),
                     HF_OK);
    assert_int_equal(again, writer->acknowledged);
    if (!writer->under_way)
        return;
    text_of(writer, writer->acknowledged + 1, text);
    assert_int_equal(call_commit(writer->client, writer->host, writer->sid, writer->token,
                                 writer->acknowledged, text, true, &again),
                     HF_OK);
    assert_int_equal(again, writer->acknowledged + 1);
    writer->acknowledged++;
}

static void come_back(struct scenery *scenery, size_t i)
{
    struct writer *writer = &scenery->writers[i];

    client_close(writer->client);
    writer->client = client_host(&scenery->rig, writer->name, (unsigned)i);
    assert_int_equal(writer->client->host, writer->host);
    check(writer);
    send_next(writer);
}

static void begin(struct scenery *scenery, size_t i)
{
    struct writer *writer = &scenery->writers[i];
    char text[64];

    snprintf(writer->name, sizeof writer->name, "host-%zu", i);
    writer->client = client_host(&scenery->rig, writer->name, (unsigned)i);
    writer->host = writer->client->host;
    text_of(writer, 1, text);
    assert_int_equal(call_create(writer->client, writer->host, writer->name, text, false,
                                 &writer->sid, &writer->token),
                     HF_OK);
    writer->acknowledged = 1;
}

/* --- the test ------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct scenery *scenery = calloc(1, sizeof *scenery);

    assert_non_null(scenery);
    rig_open(&scenery->rig);
    snprintf(scenery->log, sizeof scenery->log, "%s", test_pki_path(&scenery->rig.pki, "log"));
    *state = scenery;
    return 0;
}

static int tear_down(void **state)
{
    struct scenery *scenery = *state;

    for (size_t i = 0; i < HOSTS; i++)
        client_close(scenery->writers[i].client);
    if (scenery->pid > 0) {
        kill(scenery->pid, SIGKILL);
        waitpid(scenery->pid, NULL, 0);
    }
    rig_close(&scenery->rig);
    free(scenery);
    return 0;
}

static void nothing_acknowledged_is_missing(void **state)
{
    struct scenery *scenery = *state;
    uint64_t rounds = from_environment("HOLDFAST_KILLS", 8);
    uint64_t seed = from_environment("HOLDFAST_SEED", (uint64_t)time(NULL));
    uint64_t versions = 0;

    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)seed);
    start_server(scenery);
    for (size_t i = 0; i < HOSTS; i++)
        begin(scenery, i);
    for (size_t i = 0; i < HOSTS; i++)
        send_next(&scenery->writers[i]);
    for (uint64_t round = 0; round < rounds; round++) {
        commit_for(scenery, 20 + (int64_t)(random_number(&seed) % 200));
        end_server(scenery, round % 4 == 3 ? SIGTERM : SIGKILL);
        for (size_t i = 0; i < HOSTS; i++)
            read_rest(&scenery->writers[i]);
        start_server(scenery);
        for (size_t i = 0; i < HOSTS; i++)
            come_back(scenery, i);
    }
    for (size_t i = 0; i < HOSTS; i++)
        versions += scenery->writers[i].acknowledged;
    print_message("%llu ends, %llu versions acknowledged\n", (unsigned long long)rounds,
                  (unsigned long long)versions);
    end_server(scenery, SIGTERM);
}

/* --- the service manager -------------------------------------------------------------------------- */

static int listen_as_manager(struct scenery *scenery)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(scenery->manager, sizeof scenery->manager, "%s",
             test_pki_path(&scenery->rig.pki, "manager"));
    memcpy(address.sun_path, scenery->manager, sizeof address.sun_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void expect_state(int manager, const char *expected)
{
    struct pollfd poller = {.fd = manager, .events = POLLIN};
    char text[200] = "";

    assert_int_equal(poll(&poller, 1, RIG_PATIENCE_MS), 1);
    assert_true(recv(manager, text, sizeof text - 1, 0) > 0);
    text[strlen(expected)] = '\0';
    assert_string_equal(text, expected);
}

static void the_service_manager_hears_how_it_goes(void **state)
{
    struct scenery *scenery = *state;
    int manager = listen_as_manager(scenery);

    start_server(scenery);
    expect_state(manager, "READY=1");
    assert_int_equal(kill(scenery->pid, SIGHUP), 0);
    expect_state(manager, "RELOADING=1\nMONOTONIC_USEC=");
    expect_state(manager, "READY=1");
    end_server(scenery, SIGTERM);
    expect_state(manager, "STOPPING=1");
    close(manager);
}

/* Its exit code when it is started so. */
static int exit_code_of(struct scenery *scenery, const char *option, const char *value)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(scenery->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        dup2(fd, STDERR_FILENO);
        execl(HOLDFAST_BIN, "holdfast", "serve", "--store", scenery->rig.url, "--pki",
              scenery->rig.pki.dir, option, value, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_wrong_configuration_is_told_by_the_exit_code(void **state)
{
    struct scenery *scenery = *state;

    assert_int_equal(exit_code_of(scenery, "--listen", "nowhere"), EX_CONFIG);
    assert_int_equal(exit_code_of(scenery, "--ttl", "1s"), EX_CONFIG);
    assert_int_equal(exit_code_of(scenery, "--store", "holdfast://127.0.0.1"), EX_CONFIG);
    assert_int_equal(exit_code_of(scenery, "--rights", "/nonexistent"), EX_CONFIG);
    assert_int_equal(exit_code_of(scenery, "--cert", "both.pem"), EX_USAGE);
    assert_int_equal(exit_code_of(scenery, "--key", "alone.pem"), EX_USAGE);
    assert_int_equal(exit_code_of(scenery, "--nonsense", "x"), EX_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_service_manager_hears_how_it_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_configuration_is_told_by_the_exit_code, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_acknowledged_is_missing, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("holdfast serve", tests, NULL, NULL);
}
