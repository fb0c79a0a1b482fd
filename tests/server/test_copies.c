/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies that are too long for a frame: the store at the server is called once, with all of it. What takes them there
 * is a double that remembers what it was given (linked in the place of the calls of store.h).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/open.h"
#include "rig.h"
#include "server/staging.h"
#include "store/engine.h"
#include "wire/convert.h"

#define VERSIONS 40000
#define PINS 30000

/* --- the double ----------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock; /* guards what follows */
    unsigned calls;
    unsigned stale; /* so many calls more are answered as if parts of the copy had been lost */
    bool wrong;     /* something came otherwise than it was sent */
    size_t items;
} double_ = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint8_t byte_of(uint64_t sid, size_t i)
{
    return (uint8_t)(sid * 31 + i * 7);
}

static struct history_entry version_of(uint64_t sid, size_t i)
{
    struct history_entry entry = {.sid = sid,
                                  .version = i + 1,
                                  .time = (int64_t)i,
                                  .host = i % 3,
                                  .host_name = i % 2 ? "host-a" : NULL,
                                  .token = 4,
                                  .bytes = i};

    memset(entry.root.bytes, byte_of(sid, i), sizeof entry.root.bytes);
    return entry;
}

static struct pin_info pin_of(size_t i)
{
    static const char *const names[] = {"two", "one", "another-session-of-some-length"};
    struct pin_info pin = {
        .sid = i, .session_name = i ? names[i % 3] : "", .version = i + 1, .files = i};

    memset(pin.root.bytes, byte_of(9, i), sizeof pin.root.bytes);
    return pin;
}

static bool same_version(const struct history_entry *a, const struct history_entry *b)
{
    return a->sid == b->sid && a->version == b->version && object_id_equal(&a->root, &b->root) &&
           a->time == b->time && a->host == b->host && a->token == b->token &&
           a->bytes == b->bytes && !a->host_name == !b->host_name &&
           (!a->host_name || strcmp(a->host_name, b->host_name) == 0);
}

static bool same_pin(const struct pin_info *a, const struct pin_info *b)
{
    return a->sid == b->sid && strcmp(a->session_name, b->session_name) == 0 &&
           a->version == b->version && object_id_equal(&a->root, &b->root) && a->files == b->files;
}

/* Notes a call. */
static int took(size_t items, bool wrong, struct hf_error *err)
{
    bool stale;

    pthread_mutex_lock(&double_.lock);
    double_.calls++;
    double_.items = items;
    double_.wrong |= wrong;
    stale = double_.stale > 0;
    double_.stale -= stale;
    pthread_mutex_unlock(&double_.lock);
    return stale ? hf_fail(err, HF_STALE, "as if parts were lost") : HF_OK;
}

int __real_store_session_receive(struct store *store, const struct session_copy *copy,
                                 struct hf_error *err);
int __wrap_store_session_receive(struct store *store, const struct session_copy *copy,
                                 struct hf_error *err);
int __real_store_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                                  struct hf_error *err);
int __wrap_store_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                                  struct hf_error *err);

int __wrap_store_session_receive(struct store *store, const struct session_copy *copy,
                                 struct hf_error *err)
{
    bool wrong = strcmp(copy->name, "long") != 0 || copy->token != 5 || copy->origin[3] != 0xcc ||
                 strcmp(copy->meta.cwd, "/srv") != 0;

    if (strcmp(store->ops->name, "remote") == 0)
        return __real_store_session_receive(store, copy, err);
    for (size_t i = 0; i < copy->nversions; i++) {
        struct history_entry expected = version_of(copy->sid, i);

        wrong |= !same_version(&copy->versions[i], &expected);
    }
    return took(copy->nversions, wrong, err);
}

int __wrap_store_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                                  struct hf_error *err)
{
    bool wrong = strcmp(copy->name, "nightly") != 0 || copy->time != 77;

    if (strcmp(store->ops->name, "remote") == 0)
        return __real_store_snapshot_receive(store, copy, err);
    for (size_t i = 0; i < copy->npins; i++) {
        struct pin_info expected = pin_of(i);

        wrong |= !same_pin(&copy->pins[i], &expected);
    }
    return took(copy->npins, wrong, err);
}

/* Forgets what it took. */
static void set_double(unsigned stale)
{
    pthread_mutex_lock(&double_.lock);
    double_.calls = 0;
    double_.items = 0;
    double_.wrong = false;
    double_.stale = stale;
    pthread_mutex_unlock(&double_.lock);
}

static void assert_taken(unsigned calls, size_t items)
{
    pthread_mutex_lock(&double_.lock);
    assert_int_equal(double_.calls, calls);
    assert_int_equal(double_.items, items);
    assert_false(double_.wrong);
    pthread_mutex_unlock(&double_.lock);
}

/* --- the server and its hosts --------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    set_double(0);
    rig_open(rig);
    snprintf(rig->url, sizeof rig->url, "memory:");
    rig_start(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static struct store *open_store(struct rig *rig)
{
    struct store *store;
    struct hf_error err;
    char url[512];

    test_pki_host(&rig->pki, "operator", "holdfast:admin");
    snprintf(url, sizeof url, "holdfast://127.0.0.1:%u?cert=%s", rig->port,
             test_pki_path(&rig->pki, "operator.pem"));
    if (store_open(url, 0, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("%s", err.message);
    return store;
}

static int send_session(struct store *store, uint64_t sid, size_t n, struct hf_error *err)
{
    struct history_entry *versions = calloc(n + 1, sizeof *versions);
    struct session_copy copy = {.origin = {[3] = 0xcc},
                                .sid = sid,
                                .name = "long",
                                .state = SESSION_LIVE,
                                .token = 5,
                                .versions = versions,
                                .nversions = n,
                                .meta = {.cwd = "/srv"}};
    int rc;

    assert_non_null(versions);
    for (size_t i = 0; i < n; i++)
        versions[i] = version_of(sid, i);
    rc = store_session_receive(store, &copy, err);
    free(versions);
    return rc;
}

static int send_snapshot(struct store *store, size_t n, struct hf_error *err)
{
    struct pin_info *pins = calloc(n + 1, sizeof *pins);
    struct snapshot_copy copy = {.name = "nightly", .time = 77, .pins = pins, .npins = n};
    int rc;

    assert_non_null(pins);
    for (size_t i = 0; i < n; i++)
        pins[i] = pin_of(i);
    rc = store_snapshot_receive(store, &copy, err);
    free(pins);
    return rc;
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void a_long_copy_is_one_call_of_the_store(void **state)
{
    struct store *store = open_store(*state);

    assert_int_equal(send_session(store, 3, 1, NULL), HF_OK);
    assert_taken(1, 1);
    assert_int_equal(send_session(store, 3, VERSIONS, NULL), HF_OK);
    assert_taken(2, VERSIONS);
    assert_int_equal(send_snapshot(store, 0, NULL), HF_OK);
    assert_taken(3, 0);
    assert_int_equal(send_snapshot(store, PINS, NULL), HF_OK);
    assert_taken(4, PINS);
    store_close(store);
}

static void a_copy_whose_parts_were_lost_begins_anew(void **state)
{
    struct store *store = open_store(*state);
    struct hf_error err;

    set_double(2);
    assert_int_equal(send_session(store, 3, VERSIONS, NULL), HF_OK);
    assert_taken(3, VERSIONS);
    set_double(100);
    assert_int_equal(send_session(store, 3, VERSIONS, &err), HF_IO);
    assert_non_null(strstr(err.message, "copy"));
    store_close(store);
}

static void *copy_on_and_on(void *arg)
{
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_session(arg, 4, VERSIONS, NULL), HF_OK);
    return NULL;
}

static void two_at_once_do_not_mix(void **state)
{
    struct store *store = open_store(*state);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, copy_on_and_on, store), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_session(store, 5, VERSIONS, NULL), HF_OK);
    pthread_join(thread, NULL);
    assert_taken(6, VERSIONS);
    store_close(store);
}

/* One part, of versions from `at` on, spoken frame by frame. */
static int send_part(struct client *client, size_t at, size_t n, bool more)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionReceiveRequest receive = HOLDFAST__WIRE__SESSION_RECEIVE_REQUEST__INIT;
    Holdfast__Wire__CopyPart part = HOLDFAST__WIRE__COPY_PART__INIT;
    struct history_entry versions[8];
    struct session_copy copy = {.origin = {[3] = 0xcc},
                                .sid = 3,
                                .name = "long",
                                .state = SESSION_LIVE,
                                .token = 5,
                                .versions = versions,
                                .nversions = n,
                                .meta = {.cwd = "/srv"}};
    struct wire_arena arena = {0};
    int status;

    for (size_t i = 0; i < n; i++)
        versions[i] = version_of(3, at + i);
    assert_int_equal(wire_fill_session_copy(&copy, &arena, &receive.copy, NULL), HF_OK);
    part.at = at;
    part.more = more;
    receive.part = &part;
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_RECEIVE;
    request.session_receive = &receive;
    status = client_call(client, &request, NULL);
    wire_arena_free(&arena);
    return status;
}

static void parts_that_do_not_follow_are_refused(void **state)
{
    struct client *client = client_open(*state, "operator", "holdfast:admin");

    assert_int_equal(send_part(client, 4, 2, false), HF_STALE);
    assert_int_equal(send_part(client, 0, 4, true), HF_OK);
    assert_int_equal(send_part(client, 3, 2, false), HF_STALE);
    assert_int_equal(send_part(client, 4, 2, false), HF_STALE); /* what came is forgotten */
    assert_int_equal(send_part(client, 0, 4, true), HF_OK);
    assert_int_equal(send_part(client, 0, 2, true), HF_OK); /* begins anew */
    assert_int_equal(send_part(client, 2, 3, true), HF_OK);
    assert_taken(0, 0);
    assert_int_equal(send_part(client, 5, 0, false), HF_OK);
    assert_taken(1, 5);
    assert_int_equal(send_part(client, 5, 1, false), HF_STALE);
    client_close(client);
}

static void parts_go_with_their_connection(void **state)
{
    struct client *client = client_open(*state, "operator", "holdfast:admin");

    assert_int_equal(send_part(client, 0, 4, true), HF_OK);
    client_close(client);
    client = client_open(*state, "operator", "holdfast:admin");
    assert_int_equal(send_part(client, 4, 2, false), HF_STALE);
    assert_taken(0, 0);
    client_close(client);
}

static void a_copy_without_versions_is_refused(void **state)
{
    struct client *client = client_open(*state, "operator", "holdfast:admin");

    assert_int_equal(send_part(client, 0, 0, false), HF_INVAL);
    assert_int_equal(send_part(client, 0, 0, true), HF_OK);
    assert_int_equal(send_part(client, 0, 0, false), HF_INVAL);
    assert_taken(0, 0);
    client_close(client);
}

static void there_is_a_limit(void **state)
{
    static const struct history_entry versions[10];
    struct staging *staging = staging_new(1, sizeof versions[0]);
    struct hf_error err;

    (void)state;
    assert_non_null(staging);
    assert_int_equal(staging_add(staging, versions, 10, &err), HF_OK);
    assert_int_equal(staging_add(staging, versions, WIRE_COPY_MAX - 9, &err), HF_TOOBIG);
    assert_int_equal(staging_add(staging, versions, SIZE_MAX, &err), HF_TOOBIG);
    assert_int_equal(staging_add(staging, versions, 10, &err), HF_OK);
    assert_int_equal(staging->n, 20);
    staging_free(staging);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_copy_is_one_call_of_the_store),
        TEST(a_copy_whose_parts_were_lost_begins_anew),
        TEST(two_at_once_do_not_mix),
        TEST(parts_that_do_not_follow_are_refused),
        TEST(parts_go_with_their_connection),
        TEST(a_copy_without_versions_is_refused),
        cmocka_unit_test(there_is_a_limit),
    };

    return cmocka_run_group_tests_name("copies in parts", tests, NULL, NULL);
}
