/* SPDX-License-Identifier: Apache-2.0 */
/* The remote engine against a server that loses answers, breaks connections, and says what it should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/remote/address.h"
#include "engine/remote/order.h"
#include "engine/remote/remote.h"
#include "scene.h"
#include "scripted_peer.h"
#include "wire/convert.h"

#define OP(name) HOLDFAST__WIRE__REQUEST__OP_##name
#define HOST 7

struct listener {
    pthread_mutex_t mutex;
    pthread_cond_t heard;
    enum event_kind kinds[64];
    uint64_t sids[64];
    size_t n;
};

struct fixture {
    struct test_pki pki;
    struct scripted_peer peer;
    struct listener listener;
    struct store *store;
    uint64_t host;
    struct hf_error err;
};

static int64_t now_ms(void)
{
    return clock_boottime(&clock_system) / 1000000;
}

/* --- listening ------------------------------------------------------------------------------------------ */

static void hear(const struct store_event *event, void *arg)
{
    struct listener *listener = arg;

    pthread_mutex_lock(&listener->mutex);
    if (listener->n < 64) {
        listener->kinds[listener->n] = event->kind;
        listener->sids[listener->n++] = event->sid;
    }
    pthread_cond_broadcast(&listener->heard);
    pthread_mutex_unlock(&listener->mutex);
}

static void wait_for_events(struct listener *listener, size_t n)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&listener->mutex);
    while (listener->n < n && rc == 0)
        rc = pthread_cond_timedwait(&listener->heard, &listener->mutex, &until);
    pthread_mutex_unlock(&listener->mutex);
    assert_int_equal(rc, 0);
}

static size_t count_events(struct listener *listener, enum event_kind kind)
{
    size_t n = 0;

    pthread_mutex_lock(&listener->mutex);
    for (size_t i = 0; i < listener->n; i++)
        n += listener->kinds[i] == kind;
    pthread_mutex_unlock(&listener->mutex);
    return n;
}

/* --- the fixture ------------------------------------------------------------------------------------------ */

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    test_pki_make(&fixture->pki);
    test_pki_host(&fixture->pki, "host-a", "holdfast:agent");
    pthread_mutex_init(&fixture->listener.mutex, NULL);
    pthread_cond_init(&fixture->listener.heard, NULL);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    store_close(fixture->store);
    if (fixture->peer.loop)
        scripted_peer_stop(&fixture->peer);
    test_pki_remove(&fixture->pki);
    pthread_cond_destroy(&fixture->listener.heard);
    pthread_mutex_destroy(&fixture->listener.mutex);
    free(fixture);
    return 0;
}

static void start(struct fixture *fixture, scripted_fn script, void *arg)
{
    fixture->peer.script = script;
    fixture->peer.arg = arg;
    scripted_peer_start(&fixture->peer, &fixture->pki);
}

static int try_open(struct fixture *fixture)
{
    char url[400];

    scripted_peer_url(&fixture->peer, "host-a.pem", url, sizeof url);
    return remote_store_open(url, 0, &clock_system, &fixture->store, &fixture->err);
}

static void open_store(struct fixture *fixture)
{
    if (try_open(fixture) != HF_OK)
        fail_msg("cannot open: %s", fixture->err.message);
}

static int register_host(struct fixture *fixture)
{
    struct host_identity identity = {.incarnation = 1, .pid = 1, .host_name = "host-a"};
    struct store_listener listener = {.event = hear, .arg = &fixture->listener};

    memcpy(identity.host_id, "machine-machine-", UUID_SIZE);
    return store_host_register(fixture->store, &identity, &listener, &fixture->host, &fixture->err);
}

static void begin(struct fixture *fixture, scripted_fn script, void *arg)
{
    start(fixture, script, arg);
    open_store(fixture);
    if (register_host(fixture) != HF_OK)
        fail_msg("cannot register: %s", fixture->err.message);
    assert_int_equal(fixture->host, HOST);
}

static struct remote_counters counters(struct fixture *fixture)
{
    struct remote_counters counters;

    remote_store_counters(fixture->store, &counters);
    return counters;
}

static int commit_note(struct fixture *fixture, uint64_t *ret_version)
{
    struct scene scene;
    struct commit commit;
    int rc;

    scene_init(&scene, fixture->store);
    commit = scene_commit(&scene, 3, 5, 1, scene_note(&scene, "a note"));
    rc = store_commit(fixture->store, fixture->host, &commit, ret_version, &fixture->err);
    scene_clear(&scene);
    return rc;
}

/* Answers every commit with its base version and one, every put, and heads with their number as version. */
static void serve(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    const Holdfast__Wire__Request *request = frame->request;
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__Head head = HOLDFAST__WIRE__HEAD__INIT;

    (void)arg;
    if (request->op_case == OP(COMMIT)) {
        scripted_reply_number(peer, frame->id, request->commit->commit->base_version + 1);
    } else if (request->op_case == OP(SESSION_HEAD)) {
        head.sid = request->session_head->sid;
        head.version = head.sid;
        reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_HEAD;
        reply.head = &head;
        scripted_reply(peer, frame->id, &reply);
    } else {
        scripted_reply(peer, frame->id, NULL);
    }
}

static void assert_serves(struct fixture *fixture)
{
    struct session_head head;

    if (store_session_head(fixture->store, 9, &head, &fixture->err) != HF_OK)
        fail_msg("not answered: %s", fixture->err.message);
    assert_int_equal(head.version, 9);
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static void urls_are_taken_apart(void **state)
{
    struct remote_address address;
    struct hf_error err;
    char text[200];

    (void)state;
    assert_int_equal(remote_address_parse("a.example,[2001:db8::1]:99,10.0.0.1:7?cert=/x%20y&ca=/c",
                                          &address, &err),
                     0);
    assert_int_equal(address.nplaces, 3);
    assert_string_equal(address.places[0].host, "a.example");
    assert_int_equal(address.places[0].port, REMOTE_PORT);
    assert_string_equal(address.places[1].host, "2001:db8::1");
    assert_int_equal(address.places[1].port, 99);
    assert_int_equal(address.places[2].port, 7);
    assert_string_equal(address.certificate, "/x y");
    assert_null(address.key);
    assert_string_equal(address.ca, "/c");
    remote_address_location(&address, text, sizeof text);
    assert_string_equal(text, "holdfast://a.example:7420,[2001:db8::1]:99,10.0.0.1:7");
    remote_address_release(&address);
}

static void urls_that_make_no_sense_are_refused(void **state)
{
    static const char *const wrong[] = {"",      ":7420",  "a,",     "a:0",        "a:65536",
                                        "a:7x",  "[::1",   "[::1]x", "a?cert=%zz", "a?cert=%00",
                                        "a?x=1", "a?cert", "a:",     "a?cert=%4"};
    struct remote_address address;
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (remote_address_parse(wrong[i], &address, &err) != HF_INVAL)
            fail_msg("taken for a URL: %s", wrong[i]);
}

static void a_store_says_what_it_is(void **state)
{
    struct fixture *fixture = *state;
    const struct store_info *info;

    fixture->peer.uuid = 42;
    start(fixture, serve, NULL);
    open_store(fixture);
    info = store_info(fixture->store);
    assert_int_equal(info->uuid[0], 42);
    assert_int_equal(info->chunker.avg, 8192);
    assert_int_equal(info->close_durability, DURABILITY_SYNC);
    assert_false(info->read_only);
    assert_null(strstr(info->location, "cert"));
    assert_ptr_equal(strstr(info->location, "holdfast://127.0.0.1:"), info->location);
}

static void a_host_without_a_certificate_is_told_where_one_belongs(void **state)
{
    struct fixture *fixture = *state;

    unsetenv("HOLDFAST_CERT");
    setenv("XDG_CONFIG_HOME", fixture->pki.dir, 1);
    if (access("/etc/holdfast/host.pem", F_OK) == 0)
        skip();
    assert_int_equal(
        remote_store_open("127.0.0.1", 0, &clock_system, &fixture->store, &fixture->err),
        HF_CONFIG);
    assert_non_null(strstr(fixture->err.message, fixture->pki.dir));
    assert_non_null(strstr(fixture->err.message, "holdfast cert issue"));
    unsetenv("XDG_CONFIG_HOME");
}

static void a_server_that_is_not_there_is_a_time_out(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, serve, NULL);
    scripted_peer_go_away(&fixture->peer);
    assert_int_equal(try_open(fixture), HF_TIMEOUT);
}

static void a_server_of_another_ca_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct pki_pair other;
    struct pki_request request = {.kind = PKI_HOST, .name = "stranger", .uri = "holdfast:agent"};
    char url[600];

    test_pki_other_ca(&other);
    test_pki_issue(&fixture->pki, request, &other, "stranger.pem");
    pki_pair_release(&other);
    start(fixture, serve, NULL);
    scripted_peer_url(&fixture->peer, "stranger.pem", url, sizeof url);
    assert_int_equal(remote_store_open(url, 0, &clock_system, &fixture->store, &fixture->err),
                     HF_ACCESS);
}

static void a_server_that_says_no_is_quoted(void **state)
{
    struct fixture *fixture = *state;

    fixture->peer.hello_status = HF_ACCESS;
    start(fixture, serve, NULL);
    assert_int_equal(try_open(fixture), HF_ACCESS);
    assert_non_null(strstr(fixture->err.message, "not this one"));
}

static void a_second_server_takes_the_place_of_a_dead_one(void **state)
{
    struct fixture *fixture = *state;
    char url[600], both[700];

    start(fixture, serve, NULL);
    scripted_peer_url(&fixture->peer, "host-a.pem", url, sizeof url);
    snprintf(both, sizeof both, "127.0.0.1:1,%s", url);
    assert_int_equal(remote_store_open(both, 0, &clock_system, &fixture->store, &fixture->err), 0);
    assert_serves(fixture);
    assert_int_equal(counters(fixture).connections, 2);
}

/* --- round trips ------------------------------------------------------------------------------------------ */

static void a_commit_is_one_round_trip(void **state)
{
    struct fixture *fixture = *state;
    uint64_t version, before;

    begin(fixture, serve, NULL);
    before = counters(fixture).requests;
    assert_int_equal(commit_note(fixture, &version), HF_OK);
    assert_int_equal(version, 2);
    assert_int_equal(counters(fixture).requests - before, 1);
}

struct sizes {
    size_t at_once, most_at_once;
    uint64_t ids[8];
    size_t nobjects;
};

/* Answers no put until four wait, then each at once. */
static void hold_puts(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    struct sizes *sizes = arg;

    if (frame->request->op_case != OP(PUT) && frame->request->op_case != OP(COMMIT))
        return;
    if (frame->request->op_case != OP(PUT)) {
        sizes->nobjects = frame->request->commit->commit->n_objects;
        scripted_reply_number(peer, frame->id, 2);
        return;
    }
    sizes->ids[sizes->at_once++] = frame->id;
    if (sizes->at_once > sizes->most_at_once)
        sizes->most_at_once = sizes->at_once;
    if (sizes->most_at_once < 4)
        return;
    while (sizes->at_once > 0)
        scripted_reply(peer, sizes->ids[--sizes->at_once], NULL);
}

/* 128 chunks of 64 KiB that do not compress: eight frames and a bit. */
static void a_large_commit_puts_its_objects_ahead(void **state)
{
    struct fixture *fixture = *state;
    struct sizes sizes = {0};
    struct scene scene;
    struct commit commit;
    static uint8_t data[7 * 1048576 + 4000];
    struct scene_node file = {.name = "file", .data = data, .len = sizeof data};
    uint64_t version;

    begin(fixture, hold_puts, &sizes);
    scene_init(&scene, fixture->store);
    scene_fill(1, data, sizeof data);
    commit = scene_commit(&scene, 3, 5, 1, scene_root(&scene, &file, 1));
    sizes.at_once = 0;
    assert_int_equal(store_commit(fixture->store, fixture->host, &commit, &version, &fixture->err),
                     HF_OK);
    assert_int_equal(sizes.nobjects, 0);
    assert_int_equal(sizes.most_at_once, 4);
    assert_true(scripted_peer_count(&fixture->peer, OP(PUT)) >= 8);
    for (size_t i = 0; i < scripted_peer_count(&fixture->peer, OP(PUT)); i++)
        assert_true(scripted_peer_seen(&fixture->peer, OP(PUT), i).size <
                    WIRE_BATCH_BYTES + OBJECT_MAX_SIZE + 4096);
    scene_clear(&scene);
}

static void pieces_of_a_tree_come_after_what_they_refer_to(void **state)
{
    struct scene_node leaf = {.name = "leaf", .data = "x", .len = 1, .xattr = "note"};
    struct scene_node inner = {
        .name = "inner", .directory = true, .children = &leaf, .nchildren = 1};
    struct scene_node outer = {
        .name = "outer", .directory = true, .children = &inner, .nchildren = 1};
    struct scene scene = {0};
    struct object ordered[16], reversed[16];
    size_t nchunks, n;

    (void)state;
    scene.next_ino = 2;
    scene_root(&scene, &outer, 1);
    n = scene.n;
    assert_true(n >= 4 && n <= 16);
    for (size_t i = 0; i < n; i++)
        reversed[i] = scene.objects[n - 1 - i];
    assert_int_equal(remote_order(reversed, n, ordered, &nchunks, NULL), 0);
    assert_int_equal(nchunks, 1);
    assert_int_equal(ordered[0].kind, OBJECT_CHUNK);
    assert_int_equal(ordered[n - 1].kind, OBJECT_ROOT);
    scene_clear(&scene);
}

struct flood {
    struct fixture *fixture;
    atomic_uint done;
};

static void *put_chunk(void *arg)
{
    struct flood *flood = arg;
    static uint8_t data[60000];
    struct object object = {.kind = OBJECT_CHUNK, .content = slice_of(data, sizeof data)};

    if (store_put(flood->fixture->store, 0, &object, 1, NULL) == HF_OK)
        atomic_fetch_add(&flood->done, 1);
    return NULL;
}

struct window {
    size_t waiting, most;
    uint64_t ids[16];
    size_t total;
};

/* Answers late, and counts how many requests it holds meanwhile. */
static void hold_window(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    struct window *window = arg;

    window->ids[window->waiting++] = frame->id;
    if (window->waiting > window->most)
        window->most = window->waiting;
    usleep(2000);
    while (window->waiting > 1 || (window->waiting > 0 && window->total > 0)) {
        scripted_reply(peer, window->ids[--window->waiting], NULL);
        window->total++;
    }
}

static void callers_wait_rather_than_fill_the_servers_memory(void **state)
{
    struct fixture *fixture = *state;
    struct window window = {.total = 1};
    struct flood flood = {.fixture = fixture};
    pthread_t threads[12];

    fixture->peer.max_in_flight = 1; /* so one at a time */
    start(fixture, hold_window, &window);
    open_store(fixture);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_chunk, &flood), 0);
    for (size_t i = 0; i < 12; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(flood.done, 12);
    assert_int_equal(window.most, 1);
}

/* --- answers that are wrong ------------------------------------------------------------------------------- */

static struct object_id id_of(const char *text)
{
    static const struct object_hasher plain;
    struct object_id id;

    assert_int_equal(object_id_compute(&plain, OBJECT_CHUNK, text, strlen(text), &id), 0);
    return id;
}

static void reply_content(struct scripted_peer *peer, uint64_t id, const char *text, bool more)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__Contents contents = HOLDFAST__WIRE__CONTENTS__INIT;
    Holdfast__Wire__Content content = HOLDFAST__WIRE__CONTENT__INIT, *list = &content;

    content.size = (uint32_t)strlen(text);
    content.content = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    contents.n_contents = 1;
    contents.contents = &list;
    reply.more = more;
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_CONTENTS;
    reply.contents = &contents;
    scripted_reply(peer, id, &reply);
}

static void send_forgery(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    (void)arg;
    reply_content(peer, frame->id, "forged", false);
}

static void a_forged_object_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    struct object_id id = id_of("true");
    BUF_AUTO content = {0};

    start(fixture, send_forgery, NULL);
    open_store(fixture);
    assert_int_equal(store_get(fixture->store, &id, 1, &content, &fixture->err), HF_CORRUPT);
    assert_int_equal(content.len, 0);
}

static void send_something_else(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame,
                                void *arg)
{
    (void)arg;
    scripted_reply_number(peer, frame->id, 1);
}

static void an_answer_to_another_question_is_a_failure(void **state)
{
    struct fixture *fixture = *state;
    struct object_id id = id_of("true");
    BUF_AUTO content = {0};
    struct session_head head;
    bool missing;

    start(fixture, send_something_else, NULL);
    open_store(fixture);
    assert_int_equal(store_get(fixture->store, &id, 1, &content, NULL), HF_IO);
    assert_int_equal(store_missing(fixture->store, 0, &id, 1, &missing, NULL), HF_IO);
    assert_int_equal(store_session_head(fixture->store, 1, &head, NULL), HF_IO);
}

static void refuse_commit(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    (void)arg;
    scripted_reply_failure(peer, frame->id, HF_FENCED, "token 5 is not current, it is 6");
}

static void a_refusal_comes_with_the_servers_sentence(void **state)
{
    struct fixture *fixture = *state;
    uint64_t version;

    begin(fixture, refuse_commit, NULL);
    assert_int_equal(commit_note(fixture, &version), HF_FENCED);
    assert_string_equal(fixture->err.message, "token 5 is not current, it is 6");
}

/* --- connections that break ------------------------------------------------------------------------------- */

/* Hangs up at the first commit, and answers when it comes again. */
static void lose_first_answer(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame,
                              void *arg)
{
    bool *lost = arg;

    if (frame->request->op_case == OP(COMMIT) && !*lost) {
        *lost = true;
        scripted_hang_up(peer);
        return;
    }
    serve(peer, frame, NULL);
}

static void a_lost_answer_is_asked_for_again(void **state)
{
    struct fixture *fixture = *state;
    struct scripted_peer *peer = &fixture->peer;
    bool lost = false;
    uint64_t version;

    begin(fixture, lose_first_answer, &lost);
    assert_int_equal(commit_note(fixture, &version), HF_OK);
    assert_int_equal(version, 2);
    assert_int_equal(scripted_peer_count(peer, OP(COMMIT)), 2);
    assert_false(scripted_peer_seen(peer, OP(COMMIT), 0).retry);
    assert_true(scripted_peer_seen(peer, OP(COMMIT), 1).retry);
    /* On the new connection: hello, then the host session, then what was lost. */
    assert_int_equal(scripted_peer_count(peer, OP(HOST_REGISTER)), 2);
    assert_true(scripted_peer_seen(peer, OP(HOST_REGISTER), 1).retry);
    assert_int_equal(scripted_peer_seen(peer, OP(HOST_REGISTER), 1).id, 2);
    assert_int_equal(scripted_peer_seen(peer, OP(COMMIT), 1).id, 3);
    wait_for_events(&fixture->listener, 1);
    assert_int_equal(count_events(&fixture->listener, EVENT_MISSED), 1);
}

struct asker {
    pthread_t thread;
    struct fixture *fixture;
    uint64_t sid;
    int rc;
};

static void *ask_head(void *arg)
{
    struct asker *asker = arg;
    struct session_head head = {0};

    asker->rc = store_session_head(asker->fixture->store, asker->sid, &head, NULL);
    if (asker->rc == HF_OK && head.version != asker->sid)
        asker->rc = HF_CORRUPT; /* somebody else's answer */
    return NULL;
}

/* Gathers heads until there are as many as there are askers, and then hangs up. */
struct order {
    size_t n;
    uint64_t sids[32];
};

static void note_order(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    struct order *order = arg;

    order->sids[order->n++] = frame->request->session_head->sid;
    if (order->n == 8)
        scripted_hang_up(peer);
    else if (order->n > 8)
        serve(peer, frame, NULL);
}

static void requests_are_sent_again_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    struct order order = {0};
    struct asker askers[8];

    start(fixture, note_order, &order);
    open_store(fixture);
    for (size_t i = 0; i < 8; i++) {
        askers[i] = (struct asker){.fixture = fixture, .sid = 100 + i};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_head, &askers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].rc, HF_OK);
    }
    assert_int_equal(order.n, 16);
    assert_memory_equal(order.sids, order.sids + 8, 8 * sizeof order.sids[0]);
}

static void calls_wait_for_a_server_that_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct asker asker = {.fixture = fixture, .sid = 9};

    start(fixture, serve, NULL);
    open_store(fixture);
    scripted_peer_go_away(&fixture->peer);
    assert_int_equal(pthread_create(&asker.thread, NULL, ask_head, &asker), 0);
    usleep(300000);
    scripted_peer_come_back(&fixture->peer);
    pthread_join(asker.thread, NULL);
    assert_int_equal(asker.rc, HF_OK);
}

/* A clock of the test's own: that of the system, and an idle while. */
static atomic_llong idle_ns;

static int64_t idle_boottime(const struct clock *clock)
{
    (void)clock;
    return clock_boottime(&clock_system) + atomic_load(&idle_ns);
}

/* Answers a head after the loop has looked at its clock. */
static void serve_slowly(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    (void)arg;
    if (frame->request->op_case == OP(SESSION_HEAD))
        usleep(1500000);
    serve(peer, frame, NULL);
}

static void a_long_pause_without_questions_is_not_taken_for_silence(void **state)
{
    static const struct clock clock = {.boottime = idle_boottime};
    struct fixture *fixture = *state;
    struct asker asker = {.fixture = fixture, .sid = 9};
    char url[400];

    start(fixture, serve_slowly, NULL);
    scripted_peer_url(&fixture->peer, "host-a.pem", url, sizeof url);
    assert_int_equal(remote_store_open(url, 0, &clock, &fixture->store, &fixture->err), HF_OK);
    atomic_store(&idle_ns, 60000000000LL);
    ask_head(&asker);
    assert_int_equal(asker.rc, HF_OK);
    assert_int_equal(counters(fixture).losses, 0);
    assert_int_equal(counters(fixture).retries, 0);
}

/* Breaks the connection at every head that is asked for, but not for ever: the test is to end in any case. */
static void break_at_heads(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame,
                           void *arg)
{
    const int64_t *end = arg;

    if (frame->request->op_case == OP(SESSION_HEAD) && clock_boottime(&clock_system) < *end)
        scripted_hang_up(peer);
    else
        serve(peer, frame, NULL);
}

static void a_question_that_breaks_every_connection_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    int64_t end = clock_boottime(&clock_system) + 6LL * REMOTE_READ_PATIENCE_MS * 1000000;
    struct asker asker = {.fixture = fixture, .sid = 9};
    uint64_t version;

    begin(fixture, break_at_heads, &end);
    ask_head(&asker);
    assert_int_equal(asker.rc, HF_TIMEOUT);
    assert_true(clock_boottime(&clock_system) < end);
    assert_int_equal(commit_note(fixture, &version), HF_OK);
}

/* Gives what was asked for, one object a part, and hangs up after the second. */
static void send_and_tear(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    static const char *const texts[] = {"one", "two", "three"};
    size_t *asked = arg, n = frame->request->get->ids.len / OBJECT_ID_SIZE;

    asked[asked[0] == 0 ? 0 : 1] = n;
    for (size_t i = 3 - n; i < 3; i++) {
        if (i == 2 && n == 3) {
            scripted_hang_up(peer);
            return;
        }
        reply_content(peer, frame->id, texts[i], i < 2);
        usleep(100000); /* so that the part is taken before the connection breaks */
    }
}

static void the_rest_of_a_torn_answer_is_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct object_id ids[3] = {id_of("one"), id_of("two"), id_of("three")};
    struct buf contents[3] = {0};
    size_t asked[2] = {0};

    start(fixture, send_and_tear, asked);
    open_store(fixture);
    assert_int_equal(store_get(fixture->store, ids, 3, contents, &fixture->err), HF_OK);
    assert_int_equal(contents[2].len, 5);
    assert_memory_equal(contents[2].data, "three", 5);
    assert_int_equal(contents[0].len, 3);
    for (size_t i = 0; i < 3; i++)
        buf_free(&contents[i]);
}

static void reply_audit(struct scripted_peer *peer, uint64_t id, uint64_t from, size_t n, bool more)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__AuditEntries entries = HOLDFAST__WIRE__AUDIT_ENTRIES__INIT;
    Holdfast__Wire__AuditEntry rows[16], *list[16];

    for (size_t i = 0; i < n; i++) {
        rows[i] = (Holdfast__Wire__AuditEntry)HOLDFAST__WIRE__AUDIT_ENTRY__INIT;
        rows[i].id = from + i;
        rows[i].event = AUDIT_GRANT;
        list[i] = &rows[i];
    }
    entries.n_entries = n;
    entries.entries = list;
    reply.more = more;
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_AUDIT;
    reply.audit = &entries;
    scripted_reply(peer, id, &reply);
}

struct trail {
    uint64_t last;
    size_t n, stop_after;
    bool torn;
};

static int see_entry(const struct audit_entry *entry, void *arg)
{
    struct trail *trail = arg;

    assert_int_equal(entry->id, trail->last + 1);
    trail->last = entry->id;
    return ++trail->n == trail->stop_after ? 77 : 0;
}

/* Thirty rows, ten a part; the connection breaks after the first part. */
static void send_trail(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    struct trail *trail = arg;
    uint64_t from = frame->request->audit->from;

    reply_audit(peer, frame->id, from, 10, true);
    if (!trail->torn) {
        trail->torn = true;
        usleep(100000);
        scripted_hang_up(peer);
        return;
    }
    /* The first part may not have arrived before the break: then all is asked for again. */
    for (uint64_t next = from + 10; next <= 21; next += 10)
        reply_audit(peer, frame->id, next, 10, next < 21);
}

static void a_torn_list_goes_on_behind_its_last_row(void **state)
{
    struct fixture *fixture = *state;
    struct trail trail = {0};

    start(fixture, send_trail, &trail);
    open_store(fixture);
    assert_int_equal(store_audit(fixture->store, UINT64_MAX, 1, see_entry, &trail, &fixture->err),
                     HF_OK);
    assert_int_equal(trail.n, 30);
}

static void send_endless_trail(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame,
                               void *arg)
{
    (void)arg;
    if (frame->request->op_case == OP(AUDIT))
        reply_audit(peer, frame->id, 1, 10, true);
    else if (frame->request->op_case == OP(CANCEL))
        scripted_reply(peer, frame->id, NULL);
    else
        serve(peer, frame, NULL);
}

static void who_has_seen_enough_stops_the_server(void **state)
{
    struct fixture *fixture = *state;
    struct trail trail = {.stop_after = 3};

    start(fixture, send_endless_trail, NULL);
    open_store(fixture);
    assert_int_equal(store_audit(fixture->store, UINT64_MAX, 1, see_entry, &trail, &fixture->err),
                     77);
    scripted_peer_wait(&fixture->peer, OP(CANCEL), 1);
    assert_serves(fixture);
}

/* Roots with long labels, a MiB in each part. */
#define FLOOD_PARTS 80
#define FLOOD_ROWS 128

struct tide {
    struct scripted_peer *peer;
    atomic_size_t queued; /* on the peer's side, after all was said */
    atomic_bool said;
    size_t seen;
};

static void send_flood(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    static uint8_t label[8000];
    uint8_t root[OBJECT_ID_SIZE] = {1};
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__RootInfos infos = HOLDFAST__WIRE__ROOT_INFOS__INIT;
    Holdfast__Wire__RootInfo rows[FLOOD_ROWS], *list[FLOOD_ROWS];
    struct tide *tide = arg;

    memset(label, 'x', sizeof label);
    for (size_t i = 0; i < FLOOD_ROWS; i++) {
        rows[i] = (Holdfast__Wire__RootInfo)HOLDFAST__WIRE__ROOT_INFO__INIT;
        rows[i].kind = ROOT_RESCUE;
        rows[i].sid = 1;
        rows[i].rescue = 1;
        rows[i].root = (ProtobufCBinaryData){sizeof root, root};
        rows[i].label = (ProtobufCBinaryData){sizeof label, label};
        list[i] = &rows[i];
    }
    infos.n_roots = FLOOD_ROWS;
    infos.roots = list;
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_ROOTS;
    reply.roots = &infos;
    for (size_t i = 0; i < FLOOD_PARTS; i++) {
        reply.more = i + 1 < FLOOD_PARTS;
        scripted_reply(peer, frame->id, &reply);
    }
    tide->said = true;
}

/* The first row waits until the flood has come as far as it does. */
static int wade(const struct root_info *root, void *arg)
{
    struct tide *tide = arg;

    (void)root;
    if (tide->seen++ == 0)
        sleep(1);
    if (tide->seen == 1)
        tide->queued = scripted_peer_queued(tide->peer);
    return 0;
}

static void who_reads_a_list_slowly_holds_little_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct tide tide = {.peer = &fixture->peer};

    start(fixture, send_flood, &tide);
    open_store(fixture);
    assert_int_equal(store_roots(fixture->store, wade, &tide, &fixture->err), HF_OK);
    assert_int_equal(tide.seen, FLOOD_PARTS * FLOOD_ROWS);
    assert_true(tide.said);
    /* Of 80 MiB, at most 32 and what the network takes. */
    assert_true(tide.queued > 20u << 20);
}

/* --- the server goes ---------------------------------------------------------------------------------------- */

/* Takes its leave at the first head, answers it all the same, and closes. */
static void take_leave(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    bool *left = arg;

    if (!*left) {
        *left = true;
        scripted_goodbye(peer, "it is being restarted", true);
        usleep(50000);
        serve(peer, frame, NULL);
        wire_conn_close(peer->conn, 1000, NULL);
        return;
    }
    serve(peer, frame, NULL);
}

static void a_server_that_takes_its_leave_answers_first(void **state)
{
    struct fixture *fixture = *state;
    bool left = false;

    start(fixture, take_leave, &left);
    open_store(fixture);
    assert_serves(fixture);
    assert_serves(fixture);
    assert_int_equal(counters(fixture).retries, 0);
    assert_int_equal(counters(fixture).ups, 2);
}

/* Takes its leave at the first head, answers it all the same, and waits. */
static void linger(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    bool *left = arg;

    if (!*left)
        scripted_goodbye(peer, "it is being restarted", true);
    *left = true;
    serve(peer, frame, NULL);
}

static void who_has_all_answers_does_not_wait_for_the_server_to_close(void **state)
{
    struct fixture *fixture = *state;
    bool left = false;
    int64_t before = now_ms();

    start(fixture, linger, &left);
    open_store(fixture);
    assert_serves(fixture);
    assert_serves(fixture);
    assert_int_equal(counters(fixture).ups, 2);
    assert_true(now_ms() - before < 10000);
}

static void a_server_with_another_store_is_not_used(void **state)
{
    struct fixture *fixture = *state;
    struct asker asker = {.fixture = fixture, .sid = 9};

    start(fixture, serve, NULL);
    open_store(fixture);
    scripted_peer_go_away(&fixture->peer);
    fixture->peer.uuid = 1;
    assert_int_equal(pthread_create(&asker.thread, NULL, ask_head, &asker), 0);
    scripted_peer_come_back(&fixture->peer);
    scripted_peer_wait(&fixture->peer, OP(HELLO), 2);
    assert_int_equal(scripted_peer_count(&fixture->peer, OP(SESSION_HEAD)), 0);
    fixture->peer.uuid = 0;
    pthread_join(asker.thread, NULL);
    assert_int_equal(asker.rc, HF_OK);
}

static void who_is_turned_away_does_not_knock_all_the_time(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, serve, NULL);
    open_store(fixture);
    fixture->peer.hello_status = HF_ACCESS;
    scripted_peer_cut(&fixture->peer);
    scripted_peer_wait(&fixture->peer, OP(HELLO), 2);
    sleep(1);
    assert_in_range(scripted_peer_count(&fixture->peer, OP(HELLO)), 2, 2);
    fixture->peer.hello_status = HF_OK;
    assert_serves(fixture);
}

static void closing_does_not_wait_for_a_server_that_is_away(void **state)
{
    struct fixture *fixture = *state;
    int64_t before;

    begin(fixture, serve, NULL);
    scripted_peer_go_away(&fixture->peer);
    before = now_ms();
    store_close(fixture->store);
    fixture->store = NULL;
    assert_true(now_ms() - before < 5000);
}

static void closing_does_not_wait_for_a_deaf_server(void **state)
{
    struct fixture *fixture = *state;
    int64_t before;

    begin(fixture, serve, NULL);
    fixture->peer.deaf = true;
    before = now_ms();
    store_close(fixture->store);
    fixture->store = NULL;
    assert_true(now_ms() - before < 5000);
}

static void closing_ends_the_host_session(void **state)
{
    struct fixture *fixture = *state;

    begin(fixture, serve, NULL);
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(scripted_peer_count(&fixture->peer, OP(HOST_END)), 1);
}

/* --- host sessions -------------------------------------------------------------------------------------------- */

static void a_handle_has_one_host_session(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity other = {.incarnation = 2, .host_name = "host-b"};
    uint64_t host;

    begin(fixture, serve, NULL);
    assert_int_equal(store_host_register(fixture->store, &other, NULL, &host, NULL), HF_INVAL);
    assert_int_equal(store_host_end(fixture->store, HOST, &fixture->err), HF_OK);
    assert_int_equal(store_host_deadline(fixture->store, HOST), 0);
    assert_int_equal(store_host_register(fixture->store, &other, NULL, &host, NULL), HF_OK);
}

static void say_events(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame, void *arg)
{
    for (uint64_t sid = 1; sid <= 20; sid++) {
        scripted_event(peer, HOST, EVENT_SESSIONS_CHANGED, sid);
        scripted_event(peer, HOST + 1, EVENT_SESSIONS_CHANGED, 99);
        scripted_event(peer, HOST, 1000, 99);
    }
    serve(peer, frame, arg);
}

static void events_are_told_in_order_to_their_host(void **state)
{
    struct fixture *fixture = *state;

    begin(fixture, say_events, NULL);
    assert_serves(fixture);
    wait_for_events(&fixture->listener, 20);
    for (uint64_t sid = 1; sid <= 20; sid++)
        assert_int_equal(fixture->listener.sids[sid - 1], sid);
}

static void a_host_session_is_kept_alive(void **state)
{
    struct fixture *fixture = *state;
    int64_t first, sent;

    fixture->peer.ttl_ms = HOST_TTL_MIN_MS;
    sent = clock_boottime(&clock_system);
    begin(fixture, serve, NULL);
    first = store_host_deadline(fixture->store, HOST);
    assert_true(first > sent && first <= clock_boottime(&clock_system) + 4000000000LL);
    scripted_peer_wait(&fixture->peer, OP(HOST_HEARTBEAT), 2);
    assert_true(store_host_deadline(fixture->store, HOST) > first);
    assert_true(store_host_deadline(fixture->store, HOST) <=
                clock_boottime(&clock_system) + 4000000000LL);
    assert_int_equal(store_host_deadline(fixture->store, HOST + 1), 0);
}

static void assert_host_lost(struct fixture *fixture)
{
    uint64_t version;

    assert_int_equal(commit_note(fixture, &version), HF_FENCED);
    assert_int_equal(count_events(&fixture->listener, EVENT_HOST_LOST), 1);
    assert_int_equal(store_host_deadline(fixture->store, HOST), 0);
    assert_serves(fixture);
}

static void a_refused_heartbeat_ends_the_host_session(void **state)
{
    struct fixture *fixture = *state;

    fixture->peer.ttl_ms = HOST_TTL_MIN_MS;
    begin(fixture, serve, NULL);
    fixture->peer.beat_status = HF_FENCED;
    wait_for_events(&fixture->listener, 1);
    assert_host_lost(fixture);
    fixture->peer.beat_status = HF_OK;
    fixture->peer.host = HOST + 1;
    assert_int_equal(register_host(fixture), HF_OK);
    assert_int_equal(fixture->host, HOST + 1);
    assert_true(store_host_deadline(fixture->store, HOST + 1) > clock_boottime(&clock_system));
}

static void a_host_session_that_died_meanwhile_is_told_of_once(void **state)
{
    struct fixture *fixture = *state;
    bool lost = false;
    uint64_t version;

    fixture->peer.resume_as = HOST + 1;
    begin(fixture, lose_first_answer, &lost);
    assert_int_equal(commit_note(fixture, &version), HF_FENCED); /* it was under way */
    wait_for_events(&fixture->listener, 2);
    assert_int_equal(count_events(&fixture->listener, EVENT_MISSED), 1);
    assert_host_lost(fixture);
    assert_int_equal(register_host(fixture), HF_OK);
    assert_int_equal(fixture->host, HOST + 1);
}

static void a_host_that_is_cut_off_stops_at_its_deadline(void **state)
{
    struct fixture *fixture = *state;
    int64_t deadline, before;
    uint64_t version;

    fixture->peer.ttl_ms = HOST_TTL_MIN_MS;
    begin(fixture, serve, NULL);
    scripted_peer_go_away(&fixture->peer);
    deadline = store_host_deadline(fixture->store, HOST);
    assert_int_equal(commit_note(fixture, &version), HF_TIMEOUT);
    assert_true(clock_boottime(&clock_system) >= deadline);
    assert_non_null(strstr(fixture->err.message, "127.0.0.1"));
    before = now_ms();
    assert_int_equal(commit_note(fixture, &version), HF_TIMEOUT);
    assert_true(now_ms() - before < 1000);
    /* The store had not given the leases away: it goes on. */
    scripted_peer_come_back(&fixture->peer);
    scripted_peer_wait(&fixture->peer, OP(HOST_REGISTER), 2);
    wait_for_events(&fixture->listener, 1);
    assert_int_equal(commit_note(fixture, &version), HF_OK);
    assert_true(store_host_deadline(fixture->store, HOST) > deadline);
}

static void a_server_that_has_gone_deaf_is_left(void **state)
{
    struct fixture *fixture = *state;
    uint64_t version;

    fixture->peer.ttl_ms = HOST_TTL_MIN_MS;
    begin(fixture, serve, NULL);
    fixture->peer.deaf = true;
    scripted_peer_wait(&fixture->peer, OP(HOST_HEARTBEAT), 1);
    scripted_peer_wait(&fixture->peer, OP(HELLO), 2);
    fixture->peer.deaf = false;
    while (commit_note(fixture, &version) == HF_TIMEOUT)
        usleep(10000);
    assert_int_equal(commit_note(fixture, &version), HF_OK);
    assert_int_equal(count_events(&fixture->listener, EVENT_HOST_LOST), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(urls_that_make_no_sense_are_refused),
        TEST(a_store_says_what_it_is),
        TEST(a_host_without_a_certificate_is_told_where_one_belongs),
        TEST(a_server_that_is_not_there_is_a_time_out),
        TEST(a_server_of_another_ca_is_refused),
        TEST(a_server_that_says_no_is_quoted),
        TEST(a_second_server_takes_the_place_of_a_dead_one),
        TEST(a_commit_is_one_round_trip),
        TEST(a_large_commit_puts_its_objects_ahead),
        cmocka_unit_test(pieces_of_a_tree_come_after_what_they_refer_to),
        TEST(callers_wait_rather_than_fill_the_servers_memory),
        TEST(a_forged_object_is_not_believed),
        TEST(an_answer_to_another_question_is_a_failure),
        TEST(a_refusal_comes_with_the_servers_sentence),
        TEST(a_lost_answer_is_asked_for_again),
        TEST(requests_are_sent_again_in_their_order),
        TEST(calls_wait_for_a_server_that_comes_back),
        TEST(a_long_pause_without_questions_is_not_taken_for_silence),
        TEST(a_question_that_breaks_every_connection_is_given_up),
        TEST(the_rest_of_a_torn_answer_is_asked_for),
        TEST(a_torn_list_goes_on_behind_its_last_row),
        TEST(who_has_seen_enough_stops_the_server),
        TEST(who_reads_a_list_slowly_holds_little_of_it),
        TEST(a_server_that_takes_its_leave_answers_first),
        TEST(who_has_all_answers_does_not_wait_for_the_server_to_close),
        TEST(a_server_with_another_store_is_not_used),
        TEST(who_is_turned_away_does_not_knock_all_the_time),
        TEST(closing_does_not_wait_for_a_server_that_is_away),
        TEST(closing_does_not_wait_for_a_deaf_server),
        TEST(closing_ends_the_host_session),
        TEST(a_handle_has_one_host_session),
        TEST(events_are_told_in_order_to_their_host),
        TEST(a_host_session_is_kept_alive),
        TEST(a_refused_heartbeat_ends_the_host_session),
        TEST(a_host_session_that_died_meanwhile_is_told_of_once),
        TEST(a_host_that_is_cut_off_stops_at_its_deadline),
        TEST(a_server_that_has_gone_deaf_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
