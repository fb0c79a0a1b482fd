/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections asked for over the network: how far they are is told, they hold up nobody, and nobody is held up by one
 * that is not wanted any more. The collection itself is a double that goes on until it is let go or told to stop
 * (linked in the place of store_collect()).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/open.h"
#include "rig.h"
#include "store/engine.h"

/* --- the double ----------------------------------------------------------------------------------- */

struct pace {
    bool running, stopped, let_go;
    uint64_t begun;
    struct collect_options options;
};

static struct {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct pace pace;
} double_ = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int __real_store_collect(struct store *store, const struct collect_options *options,
                         struct collect_totals *ret_totals, struct hf_error *err);
int __wrap_store_collect(struct store *store, const struct collect_options *options,
                         struct collect_totals *ret_totals, struct hf_error *err);

/* Waits a little, or until something is changed. The lock is held. */
static void wait_a_little(unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&double_.changed, &double_.lock, &until);
}

static int go_on(const struct collect_options *options, uint64_t done)
{
    int rc;

    pthread_mutex_unlock(&double_.lock);
    rc = options->progress(done < 3 ? "mark" : "sweep", done, 1000, options->arg);
    pthread_mutex_lock(&double_.lock);
    return rc;
}

int __wrap_store_collect(struct store *store, const struct collect_options *options,
                         struct collect_totals *ret_totals, struct hf_error *err)
{
    uint64_t done = 0;
    int rc = HF_OK;

    if (strcmp(store->ops->name, "remote") == 0)
        return __real_store_collect(store, options, ret_totals, err);
    pthread_mutex_lock(&double_.lock);
    if (double_.pace.running)
        rc = hf_fail(err, HF_BUSY, "a collection is under way");
    if (rc == HF_OK) {
        double_.pace.running = true;
        double_.pace.begun++;
        double_.pace.options = *options;
        while (!double_.pace.let_go && (rc = go_on(options, ++done)) == HF_OK)
            wait_a_little(5);
        double_.pace.stopped = rc != HF_OK;
        double_.pace.running = false;
    }
    pthread_cond_broadcast(&double_.changed);
    pthread_mutex_unlock(&double_.lock);
    if (rc == HF_OK)
        *ret_totals = (struct collect_totals){.roots = 7, .removed = done, .longest_ns = 12};
    return rc;
}

static struct pace look(void)
{
    struct pace pace;

    pthread_mutex_lock(&double_.lock);
    pace = double_.pace;
    pthread_mutex_unlock(&double_.lock);
    return pace;
}

static void let_it_go(void)
{
    pthread_mutex_lock(&double_.lock);
    double_.pace.let_go = true;
    pthread_cond_broadcast(&double_.changed);
    pthread_mutex_unlock(&double_.lock);
}

static void wait_until(bool running)
{
    pthread_mutex_lock(&double_.lock);
    for (int i = 0; double_.pace.running != running; i++) {
        assert_true(i < RIG_PATIENCE_MS);
        wait_a_little(1);
    }
    pthread_mutex_unlock(&double_.lock);
}

/* --- the server and its hosts --------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    double_.pace = (struct pace){0};
    rig_open(rig);
    snprintf(rig->url, sizeof rig->url, "memory:");
    rig->options.workers = 1; /* a collection that took it would be in everybody's way */
    rig_start(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    let_it_go();
    rig_close(*state);
    free(*state);
    return 0;
}

static struct store *open_store(struct rig *rig, const char *host, const char *rights)
{
    struct store *store;
    struct hf_error err;
    char url[512], bundle[64];

    test_pki_host(&rig->pki, host, rights);
    snprintf(bundle, sizeof bundle, "%s.pem", host);
    snprintf(url, sizeof url, "holdfast://127.0.0.1:%u?cert=%s", rig->port,
             test_pki_path(&rig->pki, bundle));
    if (store_open(url, 0, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("%s", err.message);
    return store;
}

static uint64_t send_collect(struct client *client)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__CollectRequest collect = HOLDFAST__WIRE__COLLECT_REQUEST__INIT;

    request.op_case = HOLDFAST__WIRE__REQUEST__OP_COLLECT;
    request.collect = &collect;
    return client_send(client, &request);
}

/* What a caller of the remote store does when it is told how far a collection is. */
struct caller {
    unsigned told;
    bool swept, stop, let_go;
};

static int hear(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    struct caller *caller = arg;

    caller->told++;
    caller->swept |= strcmp(phase, "sweep") == 0;
    assert_true(done > 0);
    assert_int_equal(all, 1000);
    if (caller->let_go && caller->swept)
        let_it_go();
    return caller->stop;
}

static int run_collect(struct store *store, struct caller *caller,
                       struct collect_totals *ret_totals, struct hf_error *err)
{
    const struct collect_options options = {
        .dry_run = true, .percent = 30, .progress = hear, .arg = caller};

    return store_collect(store, &options, ret_totals, err);
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void a_collection_tells_how_far_it_is_and_then_what_it_did(void **state)
{
    struct store *store = open_store(*state, "operator", "holdfast:admin");
    struct caller caller = {.let_go = true};
    struct collect_totals totals;
    struct hf_error err;

    if (run_collect(store, &caller, &totals, &err) != HF_OK)
        fail_msg("%s", err.message);
    assert_true(caller.told >= 2);
    assert_true(caller.swept);
    assert_int_equal(totals.roots, 7);
    assert_true(totals.removed >= 3);
    assert_int_equal(totals.longest_ns, 12);
    assert_true(look().options.dry_run);
    assert_int_equal(look().options.percent, 30);
    store_close(store);
}

static void who_wants_no_more_of_it_has_stopped_it(void **state)
{
    struct store *store = open_store(*state, "operator", "holdfast:admin");
    struct caller caller = {.stop = true};
    struct collect_totals totals;
    struct hf_error err;

    assert_int_equal(run_collect(store, &caller, &totals, &err), HF_INTR);
    assert_int_equal(caller.told, 1);
    assert_true(look().stopped);
    assert_false(look().running);
    caller = (struct caller){.let_go = true};
    assert_int_equal(run_collect(store, &caller, &totals, &err), HF_OK);
    store_close(store);
}

static void a_cancelled_one_stops_and_is_answered(void **state)
{
    struct client *client = client_open(*state, "operator", "holdfast:admin");
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__CancelRequest cancel = HOLDFAST__WIRE__CANCEL_REQUEST__INIT;
    Holdfast__Wire__Frame *frame;
    bool more = true;

    cancel.id = send_collect(client);
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_CANCEL;
    request.cancel = &cancel;
    wait_until(true);
    assert_int_equal(client_call(client, &request, NULL), HF_OK);
    while (more) {
        frame = client_answer(client, cancel.id);
        assert_non_null(frame);
        more = frame->reply->more;
        assert_int_equal(frame_status(frame), more ? HF_OK : HF_INTR);
        frame_free(frame);
    }
    assert_true(look().stopped);
    client_close(client);
}

static void one_whose_host_is_gone_stops(void **state)
{
    struct client *client = client_open(*state, "operator", "holdfast:admin");

    send_collect(client);
    wait_until(true);
    client_close(client);
    wait_until(false);
    assert_true(look().stopped);
}

static void a_second_one_is_refused_and_all_else_goes_on(void **state)
{
    struct client *client = client_open(*state, "operator", "holdfast:admin");
    struct client *other = client_host(*state, "host-a", 1);
    struct store *store = open_store(*state, "operator-2", "holdfast:admin");
    struct caller caller = {0};
    struct collect_totals totals;
    uint64_t sid, token, version;
    struct hf_error err;

    send_collect(client);
    wait_until(true);
    assert_int_equal(run_collect(store, &caller, &totals, &err), HF_BUSY);
    assert_non_null(strstr(err.message, "under way"));
    assert_int_equal(call_create(other, other->host, "one", "x", false, &sid, &token), HF_OK);
    assert_int_equal(call_head(client, sid, &version), HF_OK); /* on the same connection, too */
    assert_int_equal(version, 1);
    assert_true(look().running);
    assert_int_equal(look().begun, 1);
    client_close(client);
    client_close(other);
    store_close(store);
}

static void only_an_admin_collects(void **state)
{
    struct store *store = open_store(*state, "host-a", "holdfast:agent");
    struct collect_totals totals;
    struct caller caller = {0};
    struct hf_error err;

    assert_int_equal(run_collect(store, &caller, &totals, &err), HF_ACCESS);
    assert_int_equal(look().begun, 0);
    store_close(store);
}

static void a_server_that_ends_stops_it_and_says_so(void **state)
{
    struct rig *rig = *state;
    struct client *client = client_open(rig, "operator", "holdfast:admin");
    uint64_t id = send_collect(client);
    Holdfast__Wire__Frame *frame;
    bool more = true;

    wait_until(true);
    server_stop(rig->server);
    while (more) {
        frame = client_answer(client, id);
        assert_non_null(frame);
        more = frame->reply->more;
        assert_int_equal(frame_status(frame), more ? HF_OK : HF_INTR);
        frame_free(frame);
    }
    assert_true(client_goodbye(client, RIG_PATIENCE_MS));
    client_close(client);
    rig_join(rig);
    assert_true(look().stopped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_collection_tells_how_far_it_is_and_then_what_it_did),
        TEST(who_wants_no_more_of_it_has_stopped_it),
        TEST(a_cancelled_one_stops_and_is_answered),
        TEST(one_whose_host_is_gone_stops),
        TEST(a_second_one_is_refused_and_all_else_goes_on),
        TEST(only_an_admin_collects),
        TEST(a_server_that_ends_stops_it_and_says_so),
    };

    return cmocka_run_group_tests_name("collections over the network", tests, NULL, NULL);
}
