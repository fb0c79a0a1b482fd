/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a store in order: when it works, what it leaves alone, and that it gives way. */
#include "store/maintenance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "aged.h"
#include "engine/open.h"

#define MS 1000000LL
#define HOUR_MS (3600 * 1000)

static const char *engine;
static struct aged aged;

/* What was reported. */
static struct {
    char line[700];
    bool failed;
    atomic_uint n;
} told;

static int setup(void **state)
{
    (void)state;
    aged_open(&aged, engine);
    memset(&told, 0, sizeof told);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    aged_close(&aged);
    return 0;
}

static void report(bool failed, const char *line, void *arg)
{
    (void)arg;
    snprintf(told.line, sizeof told.line, "%s", line);
    told.failed = failed;
    atomic_fetch_add(&told.n, 1);
}

static struct host_identity identity(void)
{
    return (struct host_identity){
        .host_id = {1}, .boot_id = {2}, .incarnation = 1, .host_name = "host"};
}

static struct maintenance *make(struct store *store, const struct host_identity *who)
{
    const struct maintenance_options options = {.interval_ms = HOUR_MS,
                                                .percent = 100,
                                                .clock = &aged.clock,
                                                .identity = who,
                                                .report = report};
    struct maintenance *maintenance = NULL;

    assert_int_equal(maintenance_new(store, &options, &maintenance, NULL), HF_OK);
    return maintenance;
}

static uint64_t objects(void)
{
    struct store_stats stats;

    assert_int_equal(store_stats(aged.store, &stats, NULL), HF_OK);
    return stats.objects;
}

/* A session of ten versions, of which the policy keeps one. */
static struct lease ten_versions(void)
{
    struct lease lease;

    aged_policy(&aged, "history:\n  - last: 1\n");
    lease = aged_session(&aged, "s", "x");
    aged_commits(&aged, &lease, 9, AGED_SECOND);
    return lease;
}

static void what_goes_is_collected_and_told(void **state)
{
    struct lease lease = ten_versions();
    struct maintenance *maintenance = make(aged.store, NULL);
    uint64_t before = objects();

    (void)state;
    assert_int_equal(maintenance_turn(maintenance), HOUR_MS * MS);
    assert_string_equal(aged_versions(&aged, lease.sid), "10");
    /* The host session that put them is still there: they may be loose. */
    assert_true(objects() <= before);
    assert_int_equal(told.n, 1);
    assert_false(told.failed);
    assert_non_null(strstr(told.line, "maintenance: 9 versions"));
    assert_non_null(strstr(told.line, " went in "));
    maintenance_stop(maintenance);
}

static void nothing_to_do_is_not_told(void **state)
{
    struct maintenance *maintenance = make(aged.store, NULL);

    (void)state;
    aged_session(&aged, "s", "x");
    maintenance_turn(maintenance);
    aged.now += 3 * AGED_HOUR;
    maintenance_turn(maintenance);
    assert_int_equal(told.n, 0);
    maintenance_stop(maintenance);
}

static void it_is_done_once_in_an_interval_by_whoever_comes_first(void **state)
{
    struct maintenance *a = make(aged.store, NULL), *b = make(aged.store, NULL);
    struct lease lease = ten_versions();

    (void)state;
    assert_int_equal(maintenance_turn(a), HOUR_MS * MS);
    aged_commits(&aged, &lease, 1, AGED_HOUR / 4);
    assert_int_equal(maintenance_turn(b), (HOUR_MS - HOUR_MS / 4) * MS);
    assert_string_equal(aged_versions(&aged, lease.sid), "11 10");
    aged.now += AGED_HOUR;
    assert_int_equal(maintenance_turn(b), HOUR_MS * MS);
    assert_string_equal(aged_versions(&aged, lease.sid), "11");
    assert_int_equal(maintenance_turn(a), HOUR_MS * MS);
    assert_int_equal(told.n, 2);
    maintenance_stop(a);
    maintenance_stop(b);
}

static void a_clock_that_was_set_back_does_not_stop_it(void **state)
{
    struct maintenance *maintenance = make(aged.store, NULL);
    struct lease lease = ten_versions();

    (void)state;
    maintenance_turn(maintenance);
    aged.now -= 365 * AGED_DAY;
    aged_commit(&aged, &lease, "earlier");
    assert_int_equal(maintenance_turn(maintenance), HOUR_MS * MS);
    assert_string_equal(aged_versions(&aged, lease.sid), "11");
    maintenance_stop(maintenance);
}

static void idle_sessions_go_to_the_trash_only_with_an_identity(void **state)
{
    const struct host_identity who = identity();
    struct maintenance *without = make(aged.store, NULL), *with = make(aged.store, &who);
    struct lease lease;

    (void)state;
    aged_policy(&aged, "idle:\n  - after: 1d\n");
    lease = aged_session(&aged, "s", "x");
    aged_release(&aged, &lease);
    aged.now += 2 * AGED_DAY;
    maintenance_turn(without);
    assert_string_equal(aged_contents(&aged), "s rescues 0 snapshots 0");
    aged.now += AGED_HOUR;
    maintenance_turn(with);
    assert_string_equal(aged_contents(&aged), "(s) rescues 0 snapshots 0");
    assert_non_null(strstr(told.line, "1 idle session went"));
    maintenance_stop(without);
    maintenance_stop(with);
}

static void a_failure_is_told_and_tried_again(void **state)
{
    struct maintenance *maintenance;
    struct store *faulty = NULL;
    char url[200];
    struct lease lease = ten_versions();

    (void)state;
    snprintf(url, sizeof url, "faulty(history_drop@1:EIO)+%s", aged.url);
    assert_int_equal(store_open(url, 0, NULL, &aged.clock, &faulty, &aged.err), HF_OK);
    maintenance = make(faulty, NULL);
    maintenance_turn(maintenance);
    assert_int_equal(told.n, 1);
    assert_true(told.failed);
    assert_non_null(strstr(told.line, "it failed: "));
    aged.now += AGED_HOUR;
    maintenance_turn(maintenance);
    assert_false(told.failed);
    assert_string_equal(aged_versions(&aged, lease.sid), "10");
    maintenance_stop(maintenance);
    store_close(faulty);
}

static void a_collection_that_failed_is_made_up_for(void **state)
{
    struct maintenance *maintenance;
    struct store *faulty = NULL;
    char url[200];

    (void)state;
    ten_versions();
    snprintf(url, sizeof url, "faulty(collect@1:EIO)+%s", aged.url);
    assert_int_equal(store_open(url, 0, NULL, &aged.clock, &faulty, &aged.err), HF_OK);
    maintenance = make(faulty, NULL);
    maintenance_turn(maintenance);
    assert_true(told.failed);
    assert_non_null(strstr(told.line, "9 versions"));
    aged.now += AGED_HOUR;
    /* Nothing goes by the policy now: yet it collects, and then no more. */
    assert_int_equal(store_host_end(aged.store, aged.host, NULL), HF_OK);
    maintenance_turn(maintenance);
    assert_true(told.n < 3);
    maintenance_stop(maintenance);
    store_close(faulty);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void its_thread_works_and_gives_way_at_once(void **state)
{
    struct maintenance_options options = {.interval_ms = 80, .percent = 1, .report = report};
    struct maintenance *maintenance = NULL;
    int64_t begun;

    (void)state;
    ten_versions();
    assert_int_equal(maintenance_start(aged.store, &options, &maintenance, NULL), HF_OK);
    for (int i = 0; i < 1000 && atomic_load(&told.n) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
    assert_int_equal(told.n, 1);
    begun = now_ms();
    maintenance_stop(maintenance);
    assert_true(now_ms() - begun < 2000);
    /* Nor does one that sleeps for an hour keep anybody. */
    options.interval_ms = HOUR_MS;
    assert_int_equal(maintenance_start(aged.store, &options, &maintenance, NULL), HF_OK);
    begun = now_ms();
    maintenance_stop(maintenance);
    assert_true(now_ms() - begun < 2000);
    maintenance_stop(NULL);
}

static void one_that_works_slowly_stops_in_the_middle(void **state)
{
    struct maintenance_options options = {.interval_ms = 8, .percent = 1, .report = report};
    struct maintenance *maintenance = NULL;
    struct lease lease;
    int64_t begun;

    (void)state;
    aged_policy(&aged, "history:\n  - last: 1\n");
    for (int i = 0; i < 40; i++) {
        char name[16];

        snprintf(name, sizeof name, "s%02d", i);
        lease = aged_session(&aged, name, "x");
        aged_commits(&aged, &lease, 30, 1);
    }
    assert_int_equal(maintenance_start(aged.store, &options, &maintenance, NULL), HF_OK);
    nanosleep(&(struct timespec){.tv_nsec = 50 * MS}, NULL);
    begun = now_ms();
    maintenance_stop(maintenance);
    assert_true(now_ms() - begun < 2000);
}

int main(void)
{
    static const char *const engines[] = {"memory", "sqlite"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_is_collected_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_do_is_not_told, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_done_once_in_an_interval_by_whoever_comes_first,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_was_set_back_does_not_stop_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(idle_sessions_go_to_the_trash_only_with_an_identity, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_told_and_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_collection_that_failed_is_made_up_for, setup, teardown),
        cmocka_unit_test_setup_teardown(its_thread_works_and_gives_way_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_works_slowly_stops_in_the_middle, setup, teardown),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
        engine = engines[i];
        failed += cmocka_run_group_tests_name(engine, tests, NULL, NULL);
    }
    return failed;
}
