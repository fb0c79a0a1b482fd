/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that do not take what they are sent: what they cost the server, and what they find in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"
#include "rig.h"
#include "wire/convert.h"

#define LISTS 60
#define MIB (1024 * 1024)

/* Sanitizers keep what is freed, and memory about memory: nothing can be said of how much there is. They are slow,
 * too. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEASURES_MEMORY false
#define SESSIONS 3000
#else
#define MEASURES_MEMORY true
#define SESSIONS 10000
#endif

struct scenery {
    struct rig rig;
    struct store *store; /* the server's own, which lives as long as this handle */
};

static int set_up(void **state)
{
    struct scenery *scenery = calloc(1, sizeof *scenery);
    struct hf_error err;

    assert_non_null(scenery);
    rig_open(&scenery->rig);
    snprintf(scenery->rig.url, sizeof scenery->rig.url, "memory:slow-%d-%p", getpid(),
             (void *)scenery);
    assert_int_equal(store_open(scenery->rig.url, STORE_CREATE, NULL, NULL, &scenery->store, &err),
                     HF_OK);
    rig_start(&scenery->rig);
    *state = scenery;
    return 0;
}

static int tear_down(void **state)
{
    struct scenery *scenery = *state;

    rig_close(&scenery->rig);
    store_close(scenery->store);
    free(scenery);
    return 0;
}

static void make_sessions(struct store *store, size_t n)
{
    struct scene scene;
    struct hf_error err;
    struct lease lease;
    struct commit first;
    char name[64];

    scene_init(&scene, store);
    first = scene_commit(&scene, 0, 0, 0, scene_note(&scene, "the same in all"));
    first.meta.cwd = "/home/dev/a/directory/of/some/length";
    first.meta_strings_valid = true;
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "squadron-dev-issue-%05zu", i);
        assert_int_equal(store_session_create(store, 0, name, &first, &lease, &err), HF_OK);
    }
    scene_clear(&scene);
}

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size, pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t send_list(struct client *client)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionListRequest list = HOLDFAST__WIRE__SESSION_LIST_REQUEST__INIT;

    request.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_LIST;
    request.session_list = &list;
    return client_send(client, &request);
}

/* How many sessions all the answers to come show. */
static size_t count_sessions(struct client *client, size_t lists)
{
    size_t n = 0;

    while (lists > 0) {
        Holdfast__Wire__Frame *frame = client_read(client, RIG_PATIENCE_MS);

        assert_non_null(frame);
        assert_int_equal(frame_status(frame), HF_OK);
        n += frame->reply->sessions->n_sessions;
        lists -= !frame->reply->more;
        frame_free(frame);
    }
    return n;
}

/* Waits until the server does nothing more for the connection: a host beside it is served meanwhile. */
static void settle(struct client *other)
{
    uint64_t version;

    for (int i = 0; i < 50; i++) {
        assert_int_equal(call_head(other, 0, &version), HF_OK);
        usleep(10000);
    }
}

static void a_long_list_does_not_pile_up_for_a_slow_host(void **state)
{
    struct scenery *scenery = *state;
    struct client *slow, *other;
    size_t before, after;

    make_sessions(scenery->store, SESSIONS);
    slow = client_open(&scenery->rig, "slow", "holdfast:agent");
    other = client_open(&scenery->rig, "other", "holdfast:agent");
    send_list(slow);
    assert_int_equal(count_sessions(slow, 1), SESSIONS);
    before = resident();
    for (size_t i = 0; i < LISTS; i++)
        send_list(slow);
    settle(other);
    after = resident();
    print_message("%d lists of %d sessions, not read: %zu KiB more\n", LISTS, SESSIONS,
                  after > before ? (after - before) / 1024 : 0);
    if (MEASURES_MEMORY)
        assert_true(after < before + 24 * MIB);
    assert_int_equal(count_sessions(slow, LISTS), (size_t)LISTS * SESSIONS);
    client_close(slow);
    client_close(other);
}

/* The events that come before the answer to `last`: how many, and the last version told of each session. */
static size_t read_events(struct client *client, uint64_t last, uint64_t *versions,
                          bool *ret_missed)
{
    size_t n = 0;

    for (;;) {
        Holdfast__Wire__Frame *frame = client_read(client, RIG_PATIENCE_MS);
        const Holdfast__Wire__Event *event;
        bool end;

        assert_non_null(frame);
        end = frame->id == last && !frame->reply->more;
        if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_NOTICE) {
            event = frame->notice->event;
            n++;
            *ret_missed |= event->kind == EVENT_MISSED;
            if (event->kind == EVENT_HEAD_MOVED && event->sid < 2 * SESSIONS)
                versions[event->sid] = event->version;
        }
        frame_free(frame);
        if (end)
            return n;
    }
}

#define COMMITS 300
#define WRITTEN 5

static void a_slow_host_hears_of_the_latest_versions_alone(void **state)
{
    struct scenery *scenery = *state;
    struct client *slow, *writer;
    uint64_t sid[WRITTEN], token[WRITTEN], version = 1, last = 0;
    uint64_t *versions = calloc(2 * SESSIONS, sizeof *versions);
    bool missed = false;
    char text[32];
    size_t n;

    assert_non_null(versions);
    make_sessions(scenery->store, SESSIONS);
    slow = client_host(&scenery->rig, "slow", 1);
    writer = client_host(&scenery->rig, "writer", 2);
    for (size_t i = 0; i < WRITTEN; i++) {
        snprintf(text, sizeof text, "written-%zu", i);
        assert_int_equal(call_create(writer, writer->host, text, text, false, &sid[i], &token[i]),
                         HF_OK);
        assert_true(sid[i] < 2 * SESSIONS);
    }
    for (size_t i = 0; i < LISTS; i++)
        send_list(slow);
    settle(writer);
    for (uint64_t base = 1; base <= COMMITS; base++)
        for (size_t i = 0; i < WRITTEN; i++) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)base);
            assert_int_equal(
                call_commit(writer, writer->host, sid[i], token[i], base, text, false, &version),
                HF_OK);
        }
    settle(writer);
    last = send_list(slow);
    n = read_events(slow, last, versions, &missed);
    print_message("%d commits, not read: %zu events\n", COMMITS * WRITTEN, n);
    assert_true(n < COMMITS * WRITTEN / 2);
    assert_false(missed);
    for (size_t i = 0; i < WRITTEN; i++)
        assert_int_equal(versions[sid[i]], version);
    client_close(slow);
    client_close(writer);
    free(versions);
}

/* More requests than what the network, the limit of requests and the limit of answers hold together. */
#define QUESTIONS 120000

static void who_takes_no_answers_is_not_read_from(void **state)
{
    struct scenery *scenery = *state;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionRequest find = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    const struct timeval patience = {.tv_sec = 2};
    char name[250] = "";
    struct client *slow, *other;
    int n = 0;

    memset(name, 'x', sizeof name - 1);
    find.name = wire_fill_text(name);
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_FIND;
    request.session_find = &find;
    slow = client_open(&scenery->rig, "slow", "holdfast:agent");
    other = client_open(&scenery->rig, "other", "holdfast:agent");
    setsockopt(slow->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    while (n < QUESTIONS && !slow->over) {
        client_send(slow, &request);
        n++;
    }
    print_message("%d questions, no answer taken\n", n);
    assert_true(n < QUESTIONS);
    settle(other);
    client_close(slow);
    client_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_takes_no_answers_is_not_read_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_list_does_not_pile_up_for_a_slow_host, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_slow_host_hears_of_the_latest_versions_alone, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("slow hosts", tests, NULL, NULL);
}
