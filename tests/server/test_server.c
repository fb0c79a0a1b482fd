/* SPDX-License-Identifier: Apache-2.0 */
/* The service, spoken to frame by frame. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"
#include "wire/convert.h"

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    rig_open(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

/* --- requests ------------------------------------------------------------------------------------- */

static void what_one_host_commits_another_reads(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid, token, version, seen;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_open(rig, "host-b", "holdfast:agent");
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", false, &version), HF_OK);
    assert_int_equal(version, 2);
    assert_int_equal(call_find(b, "one", &seen, &version), HF_OK);
    assert_int_equal(seen, sid);
    assert_int_equal(version, 2);
    assert_int_equal(call_find(b, "two", &seen, &version), HF_NOENT);
    assert_int_equal(call_list(b, 0), 1);
    client_close(a);
    client_close(b);
}

static void a_hundred_requests_at_once_are_all_answered(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t sid[100], token[100], ids[100], version;
    char name[20];

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    for (size_t i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        assert_int_equal(call_create(a, a->host, name, name, false, &sid[i], &token[i]), HF_OK);
    }
    for (size_t i = 0; i < 100; i++)
        ids[i] = send_commit(a, a->host, sid[i], token[i], 1, "again", false);
    for (size_t i = 0; i < 100; i++) {
        Holdfast__Wire__Frame *frame = client_answer(a, ids[99 - i]);

        assert_non_null(frame);
        assert_int_equal(frame_status(frame), HF_OK);
        frame_free(frame);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(call_head(a, sid[i], &version), HF_OK);
        assert_int_equal(version, 2);
    }
    client_close(a);
}

static void a_first_request_that_is_no_hello_ends_the_connection(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t version;

    rig_start(rig);
    a = client_connect(rig, "host-a", "holdfast:agent");
    assert_int_equal(call_head(a, 0, &version), HF_IO);
    assert_true(client_ended(a, RIG_PATIENCE_MS));
    client_close(a);
}

static void request_numbers_must_grow(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t version;

    rig_start(rig);
    a = client_open(rig, "host-a", "holdfast:agent");
    a->last_id = 0;
    assert_int_equal(call_head(a, 0, &version), HF_IO);
    assert_true(client_ended(a, RIG_PATIENCE_MS));
    client_close(a);
}

/* Several times: who is not let in has all of it queued already, or not. */
static void what_follows_a_hello_that_is_refused_is_not_done(void **state)
{
    struct rig *rig = *state;
    Holdfast__Wire__Request hello = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__Hello of_tomorrow = HOLDFAST__WIRE__HELLO__INIT;
    Holdfast__Wire__Request head = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionRequest shared = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    struct client *client;

    of_tomorrow.protocol = 99;
    of_tomorrow.program = (char *)"test";
    hello.op_case = HOLDFAST__WIRE__REQUEST__OP_HELLO;
    hello.hello = &of_tomorrow;
    head.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_HEAD;
    head.session_head = &shared;
    rig_start(rig);
    for (int i = 0; i < 20; i++) {
        Holdfast__Wire__Frame *frame;
        uint64_t first, last = 0;

        client = client_connect(rig, "host-a", "holdfast:agent");
        first = client_send(client, &hello);
        for (int k = 0; k < 10; k++)
            last = client_send(client, &head);
        frame = client_answer(client, first);
        assert_int_equal(frame ? frame_status(frame) : HF_UNSUPPORTED, HF_UNSUPPORTED);
        frame_free(frame);
        frame = client_answer(client, last);
        assert_true(!frame || frame_status(frame) != HF_OK);
        frame_free(frame);
        assert_true(client_ended(client, RIG_PATIENCE_MS));
        client_close(client);
    }
    client = client_host(rig, "host-a", 1);
    client_close(client);
}

static void a_certificate_may_be_valid_for_ever(void **state)
{
    struct rig *rig = *state;
    struct pki_request request = {.kind = PKI_HOST,
                                  .name = "forever",
                                  .uri = "holdfast:agent",
                                  .not_after = 253402300799}; /* RFC 5280, 4.1.2.5 */
    struct client *client;
    uint64_t version;

    test_pki_issue(&rig->pki, request, &rig->pki.ca, "forever.pem");
    rig_start(rig);
    client = client_open(rig, "forever", NULL);
    assert_false(client_ended(client, 2000));
    assert_int_equal(call_head(client, 0, &version), HF_OK);
    client_close(client);
}

static void a_certificate_without_rights_is_told_so(void **state)
{
    struct rig *rig = *state;
    struct client *a;

    rig_start(rig);
    a = client_connect(rig, "host-a", NULL);
    assert_int_equal(call_hello(a), HF_ACCESS);
    assert_true(client_ended(a, RIG_PATIENCE_MS));
    client_close(a);
}

static void a_request_of_a_kind_that_is_not_known_is_refused_alone(void **state)
{
    struct rig *rig = *state;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    struct client *a;
    uint64_t version;

    rig_start(rig);
    a = client_open(rig, "host-a", "holdfast:agent");
    assert_int_equal(client_call(a, &request, NULL), HF_UNSUPPORTED);
    assert_int_equal(call_head(a, 0, &version), HF_OK);
    client_close(a);
}

/* --- host sessions -------------------------------------------------------------------------------- */

static void the_number_of_anothers_host_session_is_worth_nothing(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid, token, version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    assert_int_equal(call_commit(b, a->host, sid, token, 1, "forged", false, &version), HF_FENCED);
    assert_int_equal(call_commit(b, b->host, sid, token, 1, "forged", false, &version), HF_FENCED);
    assert_int_equal(call_release(b, a->host, sid, token, false), HF_FENCED);
    assert_int_equal(call_heartbeat(b, a->host), HF_FENCED);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "true", false, &version), HF_OK);
    client_close(a);
    client_close(b);
}

static void a_host_cannot_take_anothers_identity(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid, token, version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    b = client_host(rig, "host-b", 1); /* the same ids, another certificate */
    assert_int_not_equal(a->host, b->host);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", false, &version), HF_OK);
    client_close(a);
    client_close(b);
}

static void a_newer_connection_of_a_host_takes_over(void **state)
{
    struct rig *rig = *state;
    struct client *old, *new;
    Holdfast__Wire__Event event;
    uint64_t sid, token, version;

    rig_start(rig);
    old = client_host(rig, "host-a", 1);
    assert_int_equal(call_create(old, old->host, "one", "first", false, &sid, &token), HF_OK);
    new = client_host(rig, "host-a", 1);
    assert_int_equal(new->host, old->host);
    assert_true(client_event(new, EVENT_MISSED, RIG_PATIENCE_MS, &event));
    assert_int_equal(event.host, new->host);
    assert_true(client_ended(old, RIG_PATIENCE_MS));
    assert_int_equal(call_commit(new, new->host, sid, token, 1, "second", false, &version), HF_OK);
    client_close(old);
    client_close(new);
}

static void a_host_that_comes_back_in_time_keeps_its_leases(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t sid, token, version, host;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    host = a->host;
    assert_int_equal(call_create(a, host, "one", "first", false, &sid, &token), HF_OK);
    client_close(a);
    a = client_host(rig, "host-a", 1);
    assert_int_equal(a->host, host);
    assert_int_equal(call_commit(a, host, sid, token, 1, "second", false, &version), HF_OK);
    client_close(a);
}

static void a_host_whose_connection_ended_is_replaced_in_seconds(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid, token, token_b, version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    client_close(a);
    assert_int_equal(call_acquire(b, b->host, sid, 10000, &token_b), HF_OK);
    assert_true(token_b > token);
    assert_int_equal(call_commit(b, b->host, sid, token_b, 1, "second", false, &version), HF_OK);
    client_close(b);
}

/* --- waiting for leases ---------------------------------------------------------------------------- */

static void who_waits_is_granted_the_lease_when_it_is_given_back(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    Holdfast__Wire__Event event;
    Holdfast__Wire__Frame *frame;
    uint64_t sid, token, id;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    id = send_acquire(b, b->host, sid, 0);
    assert_true(client_event(a, EVENT_LEASE_RECALLED, RIG_PATIENCE_MS, &event));
    assert_int_equal(event.sid, sid);
    assert_int_equal(event.token, token);
    assert_int_equal(call_release(a, a->host, sid, token, false), HF_OK);
    frame = client_answer(b, id);
    assert_int_equal(frame_status(frame), HF_OK);
    assert_true(frame->reply->lease->token > token);
    frame_free(frame);
    client_close(a);
    client_close(b);
}

/* From now on every event that answers one who waits is damaged when it is read. */
static void damage_answers(struct rig *rig)
{
    char sql[200];
    sqlite3 *db;

    snprintf(sql, sizeof sql,
             "CREATE TRIGGER damage AFTER INSERT ON event WHEN new.kind = %d "
             "BEGIN UPDATE event SET sum = sum + 1 WHERE id = new.id; END",
             EVENT_LEASE_ANSWERED);
    assert_int_equal(sqlite3_open(test_pki_path(&rig->pki, "store.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, RIG_PATIENCE_MS);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void who_waits_is_granted_the_lease_though_that_event_was_lost(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    Holdfast__Wire__Event event;
    uint64_t sid, token, id;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    damage_answers(rig);
    id = send_acquire(b, b->host, sid, 10 * RIG_PATIENCE_MS);
    assert_true(client_event(a, EVENT_LEASE_RECALLED, RIG_PATIENCE_MS, &event));
    assert_int_equal(call_release(a, a->host, sid, token, false), HF_OK);
    assert_true(client_answered(b, id, RIG_PATIENCE_MS / 2));
    client_close(a);
    client_close(b);
}

static void many_waits_hold_up_nothing(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid[200], token[200], id[200], version;
    char name[20];

    rig->options.workers = 4;
    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    for (size_t i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        assert_int_equal(call_create(a, a->host, name, name, false, &sid[i], &token[i]), HF_OK);
    }
    for (size_t i = 0; i < 200; i++)
        id[i] = send_acquire(b, b->host, sid[i], 10000);
    assert_int_equal(call_head(b, sid[0], &version), HF_OK);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(call_release(a, a->host, sid[i], token[i], false), HF_OK);
    for (size_t i = 0; i < 200; i++) {
        Holdfast__Wire__Frame *frame = client_answer(b, id[i]);

        assert_int_equal(frame_status(frame), HF_OK);
        frame_free(frame);
    }
    client_close(a);
    client_close(b);
}

static void call_cancel(struct client *client, uint64_t id)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__CancelRequest cancel = HOLDFAST__WIRE__CANCEL_REQUEST__INIT;

    cancel.id = id;
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_CANCEL;
    request.cancel = &cancel;
    assert_int_equal(client_call(client, &request, NULL), HF_OK);
}

static void a_wait_that_is_given_up_leaves_the_queue(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    Holdfast__Wire__Event event;
    Holdfast__Wire__Frame *frame;
    uint64_t sid, token, id;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    id = send_acquire(b, b->host, sid, 10000);
    assert_true(client_event(a, EVENT_LEASE_RECALLED, RIG_PATIENCE_MS, &event));
    call_cancel(b, id);
    frame = client_answer(b, id);
    assert_int_equal(frame_status(frame), HF_INTR);
    frame_free(frame);
    /* Had it stayed in the queue it would be granted the lease now. */
    assert_int_equal(call_release(a, a->host, sid, token, false), HF_OK);
    assert_int_equal(call_acquire(a, a->host, sid, 10000, &token), HF_OK);
    client_close(a);
    client_close(b);
}

static void a_wait_cancelled_before_it_began_is_answered(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    Holdfast__Wire__Frame *frame;
    uint64_t sid, token, id;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    for (int i = 0; i < 50; i++) {
        id = send_acquire(b, b->host, sid, 60000);
        call_cancel(b, id);
        frame = client_answer(b, id);
        assert_int_equal(frame_status(frame), HF_INTR);
        frame_free(frame);
    }
    client_close(a);
    client_close(b);
}

static void a_host_that_is_gone_does_not_wait_any_more(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    Holdfast__Wire__Event event;
    uint64_t sid, token;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    send_acquire(b, b->host, sid, 60000);
    assert_true(client_event(a, EVENT_LEASE_RECALLED, RIG_PATIENCE_MS, &event));
    client_close(b);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_release(a, a->host, sid, token, false), HF_OK);
    assert_int_equal(call_acquire(a, a->host, sid, 10000, &token), HF_OK);
    client_close(a);
    client_close(b);
}

/* --- lost replies ---------------------------------------------------------------------------------- */

static void what_is_asked_again_is_done_once(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t sid, again, token, token_again, version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &again, &token_again),
                     HF_EXIST);
    assert_int_equal(call_create(a, a->host, "one", "first", true, &again, &token_again), HF_OK);
    assert_int_equal(again, sid);
    assert_int_equal(token_again, token);
    assert_int_equal(call_create(a, a->host, "one", "other", true, &again, &token_again), HF_EXIST);

    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", false, &version), HF_OK);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", false, &version),
                     HF_CONFLICT);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", true, &version), HF_OK);
    assert_int_equal(version, 2);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "other", true, &version), HF_CONFLICT);
    assert_int_equal(call_commit(a, a->host, sid, token, 2, "third", true, &version), HF_OK);
    assert_int_equal(version, 3);

    assert_int_equal(call_release(a, a->host, sid, token, false), HF_OK);
    assert_int_equal(call_release(a, a->host, sid, token, false), HF_FENCED);
    assert_int_equal(call_release(a, a->host, sid, token, true), HF_OK);
    assert_int_equal(call_release(a, a->host, sid, token + 1, true), HF_FENCED);
    /* The answer to a commit may come as late as that. */
    assert_int_equal(call_commit(a, a->host, sid, token, 2, "third", true, &version), HF_OK);
    assert_int_equal(call_head(a, sid, &version), HF_OK);
    assert_int_equal(version, 3);
    client_close(a);
}

/* The commit is there, but whoever made it had not waited for the medium yet when its connection broke. */
static void what_is_asked_again_is_on_the_medium_when_it_is_answered(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t sid, again, token, version;

    snprintf(rig->url, sizeof rig->url, "faulty(sync@1:EIO,sync@2:EIO)+sqlite:%s",
             test_pki_path(&rig->pki, "store.db"));
    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    assert_int_equal(call_create(a, a->host, "one", "first", true, &again, &token), HF_IO);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", false, &version), HF_OK);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", true, &version), HF_IO);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "second", true, &version), HF_OK);
    assert_int_equal(version, 2);
    client_close(a);
}

/* --- limits ----------------------------------------------------------------------------------------- */

static void a_host_has_only_so_many_connections(void **state)
{
    struct rig *rig = *state;
    struct client *a[3], *b;

    rig->options.max_connections_per_host = 2;
    rig_start(rig);
    a[0] = client_open(rig, "host-a", "holdfast:agent");
    a[1] = client_open(rig, "host-a", "holdfast:agent");
    a[2] = client_connect(rig, "host-a", "holdfast:agent");
    assert_int_equal(call_hello(a[2]), HF_AGAIN);
    assert_true(client_ended(a[2], RIG_PATIENCE_MS));
    b = client_open(rig, "host-b", "holdfast:agent");
    client_close(b);
    for (size_t i = 0; i < 3; i++)
        client_close(a[i]);
}

static void a_server_has_only_so_many_connections(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t version;

    rig->options.max_connections = 1;
    rig_start(rig);
    a = client_open(rig, "host-a", "holdfast:agent");
    b = client_connect(rig, "host-b", "holdfast:agent");
    assert_true(b->over || client_ended(b, RIG_PATIENCE_MS));
    assert_int_equal(call_head(a, 0, &version), HF_OK);
    client_close(b);
    client_close(a);
}

/* Connects and says nothing. */
static int dial(const struct rig *rig)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(rig->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void strangers_keep_no_host_out(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    int strangers[4];

    rig->options.max_connections = 4;
    rig_start(rig);
    for (size_t i = 0; i < 4; i++)
        strangers[i] = dial(rig);
    for (;;) { /* they may try for half a second */
        a = client_connect(rig, "host-a", "holdfast:agent");
        if (!a->over && call_hello(a) == HF_OK)
            break;
        client_close(a);
        usleep(50000);
    }
    client_close(a);
    for (size_t i = 0; i < 4; i++)
        close(strangers[i]);
}

static void above_its_limit_a_host_is_not_read_from(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid[100], token[100], id[100], late;
    char name[20];

    rig->options.max_in_flight = 64 << 10;
    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    for (size_t i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        assert_int_equal(call_create(a, a->host, name, name, false, &sid[i], &token[i]), HF_OK);
    }
    for (size_t i = 0; i < 100; i++)
        id[i] = send_acquire(b, b->host, sid[i], 10000);
    late = send_commit(b, b->host, 0, 0, 0, "x", false);
    assert_false(client_answered(b, late, 300));
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(call_release(a, a->host, sid[i], token[i], false), HF_OK);
    for (size_t i = 0; i < 100; i++)
        assert_true(client_answered(b, id[i], RIG_PATIENCE_MS));
    assert_true(client_answered(b, late, RIG_PATIENCE_MS));
    client_close(a);
    client_close(b);
}

/* --- the end, and a new beginning ------------------------------------------------------------------- */

#define BURST 60

/* Commits BURST times at once, to as many sessions, and has the server drained meanwhile. */
static void commits_under_way_are_answered_or_asked_again(void **state)
{
    struct rig *rig = *state;
    struct client *a;
    uint64_t sid[BURST], token[BURST], id[BURST], version, host;
    bool done[BURST] = {false};
    char name[20];

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    host = a->host;
    for (size_t i = 0; i < BURST; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        assert_int_equal(call_create(a, host, name, name, false, &sid[i], &token[i]), HF_OK);
    }
    for (size_t i = 0; i < BURST; i++)
        id[i] = send_commit(a, host, sid[i], token[i], 1, "again", false);
    assert_true(client_answered(a, id[0], RIG_PATIENCE_MS));
    server_stop(rig->server);
    assert_true(client_goodbye(a, RIG_PATIENCE_MS));
    for (size_t i = 0; i < BURST; i++)
        done[i] = client_answered(a, id[i], 0);
    rig_join(rig);
    client_close(a);

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    assert_int_equal(a->host, host);
    for (size_t i = 0; i < BURST; i++) {
        assert_int_equal(call_head(a, sid[i], &version), HF_OK);
        assert_true(version == 2 || (version == 1 && !done[i]));
        assert_int_equal(call_commit(a, host, sid[i], token[i], 1, "again", true, &version), HF_OK);
        assert_int_equal(version, 2);
    }
    client_close(a);
}

static void who_waits_goes_on_waiting_at_the_next_server(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    Holdfast__Wire__Event event;
    Holdfast__Wire__Frame *frame;
    uint64_t sid, token, id;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    assert_int_equal(call_create(a, a->host, "one", "first", false, &sid, &token), HF_OK);
    id = send_acquire(b, b->host, sid, 60000);
    assert_true(client_event(a, EVENT_LEASE_RECALLED, RIG_PATIENCE_MS, &event));
    server_stop(rig->server);
    assert_true(client_goodbye(b, RIG_PATIENCE_MS));
    assert_false(client_answered(b, id, 0));
    rig_join(rig);
    client_close(a);
    client_close(b);

    rig_start(rig);
    b = client_host(rig, "host-b", 2);
    id = send_acquire(b, b->host, sid, 60000);
    assert_false(client_answered(b, id, 100)); /* the holder may come back yet */
    a = client_host(rig, "host-a", 1);
    assert_int_equal(call_release(a, a->host, sid, token, false), HF_OK);
    frame = client_answer(b, id);
    assert_int_equal(frame_status(frame), HF_OK);
    assert_true(frame->reply->lease->token > token);
    frame_free(frame);
    client_close(a);
    client_close(b);
}

static void a_second_stop_ends_at_once(void **state)
{
    struct rig *rig = *state;
    struct client *a;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    server_stop(rig->server);
    server_stop(rig->server);
    rig_join(rig);
    assert_true(client_ended(a, RIG_PATIENCE_MS));
    client_close(a);
}

static void a_revoked_certificate_is_closed_on_reload(void **state)
{
    struct rig *rig = *state;
    struct hf_error err;
    struct client *a, *b;
    uint64_t version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_host(rig, "host-b", 2);
    test_pki_revoke(&rig->pki, "host-a.pem");
    assert_int_equal(call_head(a, 0, &version), HF_OK); /* not read yet */
    assert_int_equal(server_reload(rig->server, &err), HF_OK);
    assert_true(client_ended(a, RIG_PATIENCE_MS));
    assert_int_equal(call_head(b, 0, &version), HF_OK);
    client_close(a);
    a = client_connect(rig, "host-a", NULL);
    assert_true(a->over || call_hello(a) == HF_IO);
    client_close(a);
    client_close(b);
}

static void a_certificate_that_is_revoked_during_its_handshake_is_refused(void **state)
{
    struct rig *rig = *state;
    struct hf_error err;
    struct client *a, *b;

    rig_start(rig);
    a = client_dial(rig, "host-a", "holdfast:agent");
    b = client_open(rig, "host-b", "holdfast:agent"); /* so that the other was accepted before */
    test_pki_revoke(&rig->pki, "host-a.pem");
    assert_int_equal(server_reload(rig->server, &err), HF_OK);
    usleep(200000); /* for the loop to take it; less would let the test pass */
    client_shake_hands(a);
    assert_true(a->over || call_hello(a) != HF_OK);
    client_close(a);
    client_close(b);
}

static void a_reload_that_fails_changes_nothing(void **state)
{
    struct rig *rig = *state;
    struct hf_error err;
    struct client *a;
    uint64_t version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    assert_int_equal(truncate(test_pki_path(&rig->pki, "server.pem"), 10), 0);
    assert_int_equal(server_reload(rig->server, &err), HF_CONFIG);
    assert_int_equal(call_head(a, 0, &version), HF_OK);
    client_close(a);
    a = client_open(rig, "host-a", NULL);
    client_close(a);
}

static long serial_of_server(const struct client *client)
{
    X509 *certificate = SSL_get1_peer_certificate(client->ssl);
    long serial = (long)(ASN1_INTEGER_get(X509_get0_serialNumber(certificate)) ^
                         (long)X509_subject_name_hash(certificate));

    X509_free(certificate);
    return serial;
}

static void a_new_certificate_is_shown_after_a_reload(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    struct rig *rig = *state;
    struct hf_error err;
    struct client *before, *after;
    uint64_t version;

    rig_start(rig);
    before = client_open(rig, "host-a", "holdfast:agent");
    test_pki_issue(&rig->pki,
                   (struct pki_request){
                       .kind = PKI_SERVER, .name = "the next one", .hosts = hosts, .nhosts = 1},
                   &rig->pki.ca, "server.pem");
    assert_int_equal(server_reload(rig->server, &err), HF_OK);
    assert_int_equal(call_head(before, 0, &version), HF_OK);
    after = client_open(rig, "host-a", NULL);
    assert_int_not_equal(serial_of_server(before), serial_of_server(after));
    assert_int_equal(call_head(before, 0, &version), HF_OK);
    client_close(before);
    client_close(after);
}

static void write_rights(const char *path, const char *role)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fprintf(file, "host-a:\n  role: %s\n", role);
    fclose(file);
}

static void a_host_whose_rights_have_changed_comes_back_with_the_new_ones(void **state)
{
    struct rig *rig = *state;
    struct hf_error err;
    struct client *a;
    char rights[300];
    uint64_t sid, token;

    snprintf(rights, sizeof rights, "%s", test_pki_path(&rig->pki, "rights.yaml"));
    write_rights(rights, "reader");
    rig->options.rights = rights;
    rig_start(rig);
    a = client_open(rig, "host-a", NULL);
    assert_int_equal(call_create(a, 0, "one", "x", false, &sid, &token), HF_ACCESS);
    write_rights(rights, "agent");
    assert_int_equal(server_reload(rig->server, &err), HF_OK);
    assert_true(client_goodbye(a, RIG_PATIENCE_MS));
    client_close(a);
    a = client_open(rig, "host-a", NULL);
    assert_int_equal(call_create(a, 0, "one", "x", false, &sid, &token), HF_OK);
    client_close(a);
    rig_stop(rig);
}

/* --- who may see what -------------------------------------------------------------------------------- */

static void a_host_sees_only_the_sessions_of_its_patterns(void **state)
{
    struct rig *rig = *state;
    struct client *admin, *dev;
    Holdfast__Wire__Event event;
    uint64_t prod, mine, token, version;

    rig_start(rig);
    admin = client_open(rig, "root", "holdfast:admin");
    assert_int_equal(call_register(admin, 1, 1), HF_OK);
    dev = client_open(rig, "dev", "holdfast:agent?session=dev-*");
    assert_int_equal(call_register(dev, 2, 1), HF_OK);
    assert_int_equal(call_create(admin, admin->host, "prod-1", "x", false, &prod, &token), HF_OK);
    assert_int_equal(call_create(dev, dev->host, "dev-1", "x", false, &mine, &version), HF_OK);
    assert_int_equal(call_create(dev, dev->host, "prod-2", "x", false, &mine, &version), HF_ACCESS);
    assert_int_equal(call_list(admin, 0), 2);
    assert_int_equal(call_list(dev, 0), 1);
    assert_int_equal(call_find(dev, "prod-1", &mine, &version), HF_NOENT);
    assert_int_equal(call_head(dev, prod, &version), HF_NOENT);
    assert_int_equal(call_acquire(dev, dev->host, prod, 0, &version), HF_NOENT);
    assert_int_equal(call_commit(dev, dev->host, prod, token, 1, "y", false, &version), HF_NOENT);
    assert_int_equal(call_commit(admin, admin->host, prod, token, 1, "y", false, &version), HF_OK);
    assert_false(client_event(dev, EVENT_HEAD_MOVED, 200, &event));
    client_close(admin);
    client_close(dev);
}

/* What a head is told with, before the writer moves it again. */
static void assert_hears_next(struct client *client, uint64_t sid, uint64_t version)
{
    Holdfast__Wire__Event event;

    assert_true(client_event(client, EVENT_HEAD_MOVED, RIG_PATIENCE_MS, &event));
    assert_int_equal(event.sid, sid);
    assert_int_equal(event.version, version);
}

static void a_moved_head_is_told_once_to_who_was_told_it(void **state)
{
    struct rig *rig = *state;
    struct client *writer, *reader, *other;
    uint64_t sids[2], tokens[2], version;

    rig_start(rig);
    writer = client_host(rig, "writer", 1);
    other = client_host(rig, "other", 2);
    reader = client_open(rig, "reader", "holdfast:agent");
    reader->heads_once = true;
    assert_int_equal(call_register(reader, 3, 1), HF_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            call_create(writer, writer->host, i ? "t" : "s", "x", false, &sids[i], &tokens[i]),
            HF_OK);
#define COMMIT(i, base)                                                                            \
    assert_int_equal(                                                                              \
        call_commit(writer, writer->host, sids[i], tokens[i], base, #base, false, &version),       \
        HF_OK)
    COMMIT(0, 1); /* it does not know this session */
    assert_int_equal(call_find(reader, "t", &sids[1], &version), HF_OK);
    COMMIT(1, 1);
    assert_hears_next(reader, sids[1], 2);
    COMMIT(1, 2); /* it has not asked again */
    assert_int_equal(call_head(reader, sids[0], &version), HF_OK);
    COMMIT(0, 2);
    assert_hears_next(reader, sids[0], 3);
    assert_int_equal(call_head(reader, sids[1], &version), HF_OK);
    assert_int_equal(version, 3);
    COMMIT(1, 3);
    assert_hears_next(reader, sids[1], 4);
    /* Another hears of everything. */
    assert_hears_next(other, sids[0], 2);
    for (uint64_t v = 2; v <= 3; v++)
        assert_hears_next(other, sids[1], v);
#undef COMMIT
    client_close(writer);
    client_close(reader);
    client_close(other);
    rig_stop(rig);
}

/* A host that gave a lease back hears of the next holder's first commit. */
static void who_released_a_lease_hears_of_the_next_move(void **state)
{
    struct rig *rig = *state;
    struct client *writer, *next;
    uint64_t sid, token, version;

    rig_start(rig);
    writer = client_open(rig, "writer", "holdfast:agent");
    writer->heads_once = true;
    assert_int_equal(call_register(writer, 1, 1), HF_OK);
    next = client_host(rig, "next", 2);
    assert_int_equal(call_create(writer, writer->host, "s", "x", false, &sid, &token), HF_OK);
    assert_int_equal(call_commit(writer, writer->host, sid, token, 1, "1", false, &version), HF_OK);
    assert_int_equal(call_release(writer, writer->host, sid, token, false), HF_OK);
    assert_int_equal(call_acquire(next, next->host, sid, 0, &token), HF_OK);
    assert_int_equal(call_commit(next, next->host, sid, token, 2, "2", false, &version), HF_OK);
    assert_hears_next(writer, sid, 3);
    client_close(writer);
    client_close(next);
    rig_stop(rig);
}

/* Looks for a session with this wish; returns the status, and how many objects came with the head. */
static int find_ahead(struct client *client, const char *name, const struct object_id *known,
                      uint32_t budget, size_t *ret_n, struct object_id *ret_root)
{
    Holdfast__Wire__SessionRequest session = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__Ahead wish = HOLDFAST__WIRE__AHEAD__INIT;
    Holdfast__Wire__Frame *frame;
    int status;

    if (known)
        wish.known = wire_fill_ids(known, 1);
    wish.budget = budget;
    session.name = wire_fill_text(name);
    session.ahead = &wish;
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_FIND;
    request.session_find = &session;
    status = client_call(client, &request, &frame);
    if (status != HF_OK)
        return status;
    *ret_n = frame->reply->n_ahead;
    memcpy(ret_root->bytes, frame->reply->head->root.data, OBJECT_ID_SIZE);
    frame_free(frame);
    return HF_OK;
}

static void objects_are_sent_ahead_to_who_may_see_the_session(void **state)
{
    struct rig *rig = *state;
    struct client *a, *dev;
    struct object_id one, two;
    uint64_t sid, token, version;
    size_t n;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    dev = client_open(rig, "dev", "holdfast:agent?session=dev-*");
    assert_int_equal(call_create(a, a->host, "one", "x", false, &sid, &token), HF_OK);
    assert_int_equal(find_ahead(a, "one", NULL, 0, &n, &one), HF_OK);
    assert_int_equal(n, 0);
    assert_int_equal(find_ahead(a, "one", NULL, 65536, &n, &one), HF_OK);
    assert_int_equal(n, 1);
    assert_int_equal(find_ahead(a, "one", &one, 65536, &n, &one), HF_OK);
    assert_int_equal(n, 0);
    assert_int_equal(call_commit(a, a->host, sid, token, 1, "y", false, &version), HF_OK);
    assert_int_equal(find_ahead(a, "one", &one, UINT32_MAX, &n, &two), HF_OK);
    assert_true(n > 0);
    assert_int_equal(find_ahead(a, "one", &one, 1, &n, &two), HF_OK);
    assert_int_equal(n, 0);
    assert_int_equal(find_ahead(dev, "one", &one, 65536, &n, &two), HF_NOENT);
    client_close(a);
    client_close(dev);
}

static void a_reader_changes_nothing(void **state)
{
    struct rig *rig = *state;
    struct client *a, *reader;
    uint64_t sid, token, version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    reader = client_open(rig, "reader", "holdfast:reader");
    assert_int_equal(call_register(reader, 2, 1), HF_OK);
    assert_int_equal(call_create(a, a->host, "one", "x", false, &sid, &token), HF_OK);
    assert_int_equal(call_head(reader, sid, &version), HF_OK);
    assert_int_equal(call_acquire(reader, reader->host, sid, 0, &token), HF_ACCESS);
    assert_int_equal(call_create(reader, 0, "two", "x", false, &sid, &token), HF_ACCESS);
    client_close(a);
    client_close(reader);
}

static void tenants_know_nothing_of_each_other(void **state)
{
    struct rig *rig = *state;
    struct client *a, *b;
    uint64_t sid, token, version;

    rig_start(rig);
    a = client_host(rig, "host-a", 1);
    b = client_open(rig, "other", "holdfast:agent?tenant=other");
    assert_int_equal(call_register(b, 1, 1), HF_OK);
    assert_int_equal(call_create(a, a->host, "one", "x", false, &sid, &token), HF_OK);
    assert_int_equal(call_list(b, 0), 0);
    assert_int_equal(call_find(b, "one", &sid, &version), HF_NOENT);
    assert_int_equal(call_create(b, b->host, "one", "y", false, &sid, &token), HF_OK);
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(what_one_host_commits_another_reads),
        TEST(a_hundred_requests_at_once_are_all_answered),
        TEST(a_first_request_that_is_no_hello_ends_the_connection),
        TEST(request_numbers_must_grow),
        TEST(what_follows_a_hello_that_is_refused_is_not_done),
        TEST(a_certificate_may_be_valid_for_ever),
        TEST(a_certificate_without_rights_is_told_so),
        TEST(a_request_of_a_kind_that_is_not_known_is_refused_alone),
        TEST(the_number_of_anothers_host_session_is_worth_nothing),
        TEST(a_host_cannot_take_anothers_identity),
        TEST(a_newer_connection_of_a_host_takes_over),
        TEST(a_host_that_comes_back_in_time_keeps_its_leases),
        TEST(a_host_whose_connection_ended_is_replaced_in_seconds),
        TEST(who_waits_is_granted_the_lease_when_it_is_given_back),
        TEST(who_waits_is_granted_the_lease_though_that_event_was_lost),
        TEST(many_waits_hold_up_nothing),
        TEST(a_wait_that_is_given_up_leaves_the_queue),
        TEST(a_wait_cancelled_before_it_began_is_answered),
        TEST(a_host_that_is_gone_does_not_wait_any_more),
        TEST(what_is_asked_again_is_done_once),
        TEST(what_is_asked_again_is_on_the_medium_when_it_is_answered),
        TEST(a_host_has_only_so_many_connections),
        TEST(a_server_has_only_so_many_connections),
        TEST(strangers_keep_no_host_out),
        TEST(above_its_limit_a_host_is_not_read_from),
        TEST(commits_under_way_are_answered_or_asked_again),
        TEST(who_waits_goes_on_waiting_at_the_next_server),
        TEST(a_second_stop_ends_at_once),
        TEST(a_revoked_certificate_is_closed_on_reload),
        TEST(a_certificate_that_is_revoked_during_its_handshake_is_refused),
        TEST(a_reload_that_fails_changes_nothing),
        TEST(a_new_certificate_is_shown_after_a_reload),
        TEST(a_host_whose_rights_have_changed_comes_back_with_the_new_ones),
        TEST(a_host_sees_only_the_sessions_of_its_patterns),
        TEST(a_moved_head_is_told_once_to_who_was_told_it),
        TEST(who_released_a_lease_hears_of_the_next_move),
        TEST(objects_are_sent_ahead_to_who_may_see_the_session),
        TEST(a_reader_changes_nothing),
        TEST(tenants_know_nothing_of_each_other),
    };

    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
