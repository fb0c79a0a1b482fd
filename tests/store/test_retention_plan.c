/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says should go of what is in a store, and that just this goes. */
#include "store/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../object/rng.h"
#include "aged.h"

static const char *engine;
static struct aged aged;

static int setup(void **state)
{
    (void)state;
    aged_open(&aged, engine);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    aged_close(&aged);
    return 0;
}

static struct retention *load(void)
{
    struct retention *policy = NULL;

    if (retention_load(aged.store, &policy, &aged.err) != HF_OK)
        fail_msg("%s", aged.err.message);
    return policy;
}

static struct retention_totals apply(uint64_t host)
{
    struct retention *policy = load();
    struct retention_totals totals;

    if (retention_apply(aged.store, host, policy, aged.now, NULL, &totals, &aged.err) != HF_OK)
        fail_msg("%s", aged.err.message);
    retention_free(policy);
    return totals;
}

struct plan {
    char text[4000];
    unsigned n;
};

static int note(const struct retention_action *action, void *arg)
{
    struct plan *plan = arg;
    size_t len = strlen(plan->text);
    const char *name = action->kind == RETENTION_SNAPSHOT ? action->snapshot : action->session_name;
    unsigned long long number = action->kind == RETENTION_RESCUE ? action->rescue : action->version;

    plan->n++;
    assert_true(action->time <= aged.now);
    snprintf(plan->text + len, sizeof plan->text - len, "%d %s %llu: %s\n", action->kind, name,
             action->kind == RETENTION_VERSION || action->kind == RETENTION_RESCUE ? number : 0,
             action->rule);
    return 0;
}

static struct plan plan(void)
{
    struct retention *policy = load();
    struct plan result = {0};
    const struct retention_watch watch = {.visit = note, .arg = &result};

    assert_int_equal(retention_plan(aged.store, policy, aged.now, &watch, &aged.err), HF_OK);
    retention_free(policy);
    return result;
}

/* --- versions --------------------------------------------------------------------------------------- */

static void versions_go_by_their_sessions_rule(void **state)
{
    struct lease a, b;
    struct plan what;

    (void)state;
    aged_policy(&aged, "history:\n"
                       "  - {sessions: 'a*', all: 1h, hourly: 1d}\n"
                       "  - {sessions: 'b*', last: 2}\n");
    a = aged_session(&aged, "a1", "x");
    aged_commits(&aged, &a, 5, AGED_HOUR / 2); /* 12:00, 12:30, 13:00, 13:30, 14:00, 14:30 */
    b = aged_session(&aged, "b1", "x");
    aged_commits(&aged, &b, 3, AGED_SECOND);
    what = plan();
    assert_string_equal(what.text, "1 a1 3: history of sessions 'a*': hourly for 1 day\n"
                                   "1 a1 1: history of sessions 'a*': hourly for 1 day\n"
                                   "1 b1 2: history of sessions 'b*': only the last 2\n"
                                   "1 b1 1: history of sessions 'b*': only the last 2\n");
    assert_string_equal(aged_versions(&aged, a.sid), "6 5 4 3 2 1");
    assert_int_equal(apply(0).versions, 4);
    assert_string_equal(aged_versions(&aged, a.sid), "6 5 4 2");
    assert_string_equal(aged_versions(&aged, b.sid), "4 3");
    assert_int_equal(plan().n, 0);
    assert_int_equal(apply(0).versions, 0);
}

static void the_head_stays_however_old(void **state)
{
    struct lease lease;

    (void)state;
    aged_policy(&aged, "history:\n  - {all: 1h}\n");
    lease = aged_session(&aged, "s", "x");
    aged_commits(&aged, &lease, 3, AGED_SECOND);
    aged.now += 1000 * AGED_DAY;
    assert_int_equal(apply(0).versions, 3);
    assert_string_equal(aged_versions(&aged, lease.sid), "4");
    aged_commit(&aged, &lease, "it goes on");
    assert_string_equal(aged_versions(&aged, lease.sid), "5 4");
}

static void sessions_that_no_rule_names_keep_all(void **state)
{
    struct lease lease;

    (void)state;
    aged_policy(&aged, "history:\n  - {sessions: 'a*', last: 1}\n");
    lease = aged_session(&aged, "b", "x");
    aged_commits(&aged, &lease, 3, AGED_DAY);
    aged.now += 1000 * AGED_DAY;
    assert_int_equal(plan().n, 0);
    assert_string_equal(aged_versions(&aged, lease.sid), "4 3 2 1");
}

static void the_shared_tree_and_the_trash_have_history_too(void **state)
{
    struct lease shared = {0}, gone;

    (void)state;
    aged_policy(&aged, "history:\n  - {sessions: '.', last: 1}\n  - {sessions: '*', last: 2}\n");
    aged_commits(&aged, &shared, 4, AGED_SECOND);
    gone = aged_session(&aged, "gone", "x");
    aged_commits(&aged, &gone, 4, AGED_SECOND);
    aged_delete(&aged, &gone);
    assert_int_equal(apply(0).versions, 3 + 3);
    assert_string_equal(aged_versions(&aged, SHARED_SID), "4");
    assert_string_equal(aged_versions(&aged, gone.sid), "5 4");
}

static void more_versions_than_go_at_once_all_go(void **state)
{
    struct lease lease;

    (void)state;
    aged_policy(&aged, "history:\n  - {last: 3}\n");
    lease = aged_session(&aged, "s", "x");
    aged_commits(&aged, &lease, 600, AGED_SECOND);
    assert_int_equal(plan().n, 598);
    assert_int_equal(apply(0).versions, 598);
    assert_string_equal(aged_versions(&aged, lease.sid), "601 600 599");
}

/* --- sessions, trash, rescues ----------------------------------------------------------------------- */

static void idle_sessions_go_to_the_trash_and_out_of_it(void **state)
{
    struct lease held, freed;

    (void)state;
    aged_policy(&aged, "idle:\n  - {after: 30d}\ntrash:\n  - {keep: 10d}\n");
    held = aged_session(&aged, "held", "x");
    freed = aged_session(&aged, "freed", "x");
    aged_release(&aged, &freed);
    aged.now += 30 * AGED_DAY;
    assert_int_equal(plan().n, 0);
    aged.now += 1;
    assert_string_equal(plan().text,
                        "2 freed 0: sessions '*': to the trash after 30 days without a "
                        "change\n");
    assert_int_equal(apply(0).skipped, 1);
    assert_string_equal(aged_contents(&aged), "freed held rescues 0 snapshots 0");
    assert_int_equal(apply(aged.host).trashed, 1);
    assert_string_equal(aged_contents(&aged), "held (freed) rescues 0 snapshots 0");

    aged.now += 10 * AGED_DAY;
    assert_int_equal(plan().n, 0);
    aged.now += 1;
    assert_string_equal(plan().text, "3 freed 0: trash of sessions '*': for 10 days\n");
    assert_int_equal(apply(aged.host).purged, 1);
    assert_string_equal(aged_contents(&aged), "held rescues 0 snapshots 0");
    aged_commit(&aged, &held, "goes on");
}

/* Between the plan and the deed the session is used. */
static int use(const struct retention_action *action, void *arg)
{
    struct lease *lease = arg;

    if (action->kind != RETENTION_RESCUE)
        return 0;
    assert_int_equal(store_lease_acquire(aged.store, aged.host, lease->sid, 0, lease, &aged.err),
                     HF_OK);
    aged_commit(&aged, lease, "used");
    aged_release(&aged, lease);
    return 0;
}

static void an_idle_session_that_is_used_meanwhile_stays(void **state)
{
    struct retention_totals totals;
    struct retention *policy;
    struct lease lease;
    const struct retention_watch watch = {.visit = use, .arg = &lease};

    (void)state;
    aged_policy(&aged, "idle:\n  - {after: 30d}\nrescue:\n  - {keep: 1d}\n");
    lease = aged_session(&aged, "s", "x");
    aged_rescue(&aged, &lease, "work");
    aged_release(&aged, &lease);
    aged.now += 31 * AGED_DAY;
    policy = load();
    assert_int_equal(
        retention_apply(aged.store, aged.host, policy, aged.now, &watch, &totals, &aged.err),
        HF_OK);
    assert_int_equal(totals.rescues, 1);
    assert_int_equal(totals.trashed, 0);
    assert_int_equal(totals.skipped, 1);
    assert_string_equal(aged_contents(&aged), "s rescues 0 snapshots 0");
    /* And it is free. */
    assert_int_equal(store_lease_acquire(aged.store, aged.host, lease.sid, 0, &lease, &aged.err),
                     HF_OK);
    retention_free(policy);
}

static void rescues_go_when_they_are_old(void **state)
{
    struct lease lease;

    (void)state;
    aged_policy(&aged, "rescue:\n  - {sessions: 's*', keep: 90d}\n");
    lease = aged_session(&aged, "s", "x");
    aged_rescue(&aged, &lease, "first");
    aged.now += 50 * AGED_DAY;
    aged_rescue(&aged, &lease, "second");
    aged.now += 50 * AGED_DAY;
    assert_string_equal(plan().text, "4 s 1: rescues of sessions 's*': for 90 days\n");
    assert_int_equal(apply(0).rescues, 1);
    assert_string_equal(aged_contents(&aged), "s rescues 1 snapshots 0");
    assert_int_equal(plan().n, 0);
}

static void a_session_in_the_trash_stays_while_a_rescue_of_it_does(void **state)
{
    struct lease lease;

    (void)state;
    aged_policy(&aged, "trash:\n  - keep: 30d\nrescue:\n  - keep: 90d\n");
    lease = aged_session(&aged, "s", "x");
    aged_rescue(&aged, &lease, "work");
    aged_delete(&aged, &lease);
    aged.now += 60 * AGED_DAY;
    assert_int_equal(plan().n, 0);
    aged.now += 31 * AGED_DAY;
    assert_int_equal(apply(0).rescues, 1);
    apply(0);
    assert_string_equal(aged_contents(&aged), "rescues 0 snapshots 0");
}

/* --- snapshots -------------------------------------------------------------------------------------- */

static void snapshots_go_by_name_and_stay_without_a_rule(void **state)
{
    struct lease lease;

    (void)state;
    aged_policy(&aged, "snapshots:\n  - {names: 'daily-*', all: 2d, weekly: 4w, last: 1}\n"
                       "history:\n  - {last: 1}\n");
    lease = aged_session(&aged, "s", "x");
    assert_int_equal(store_snapshot_create(aged.store, "release", NULL, 0, NULL), HF_OK);
    for (int day = 0; day < 10; day++) { /* Monday the 4th to Wednesday the 13th */
        char name[40];

        snprintf(name, sizeof name, "daily-%02d", day + 4);
        assert_int_equal(store_snapshot_create(aged.store, name, NULL, 0, NULL), HF_OK);
        aged_commit(&aged, &lease, name);
        aged.now += AGED_DAY;
    }
    aged.now -= AGED_DAY / 2;
    /* Of the 12th and later all, of the week before the Sunday. */
    assert_int_equal(plan().n, 7 - 1 + 1 + 10);
    assert_int_equal(apply(0).snapshots, 7);
    assert_string_equal(aged_contents(&aged), "s rescues 0 snapshots 4");
    assert_int_equal(store_snapshot_delete(aged.store, "daily-10", NULL), HF_OK);
    assert_int_equal(store_snapshot_delete(aged.store, "daily-12", NULL), HF_OK);
    assert_int_equal(store_snapshot_delete(aged.store, "daily-13", NULL), HF_OK);
    assert_int_equal(store_snapshot_delete(aged.store, "release", NULL), HF_OK);
}

/* --- all together ----------------------------------------------------------------------------------- */

static void random_policy(struct rng *rng, char *text, size_t size)
{
    static const char *const histories[] = {"{all: 1h}", "{last: 3}", "{hourly: 1d, daily: 1w}",
                                            "{all: 2h, hourly: 2d, monthly: forever, last: 2}"};

    snprintf(text, size,
             "history:\n  - %s\nidle:\n  - {sessions: 's[0-4]', after: %lluh}\ntrash:\n  - {keep: "
             "%lluh}\nrescue:\n  - {keep: %lluh}\n",
             histories[rng_below(rng, 4)], 1 + (unsigned long long)rng_below(rng, 60),
             1 + (unsigned long long)rng_below(rng, 60),
             1 + (unsigned long long)rng_below(rng, 60));
}

static void random_life(struct rng *rng)
{
    char text[64];

    for (int i = 0; i < 12; i++) {
        struct session_head head;
        struct lease lease;

        snprintf(text, sizeof text, "s%llu", (unsigned long long)rng_below(rng, 9));
        if (store_session_find(aged.store, text, &head, NULL) != HF_OK)
            lease = aged_session(&aged, text, "x");
        else
            assert_int_equal(
                store_lease_acquire(aged.store, aged.host, head.sid, 0, &lease, &aged.err), HF_OK);
        aged_commits(&aged, &lease, (unsigned)rng_below(rng, 8),
                     (int64_t)rng_below(rng, 3 * AGED_HOUR));
        if (rng_below(rng, 4) == 0)
            aged_rescue(&aged, &lease, "work");
        if (rng_below(rng, 6) == 0)
            aged_delete(&aged, &lease);
        else if (rng_below(rng, 3) != 0)
            aged_release(&aged, &lease);
    }
}

static int count_head(const struct session_info *info, void *arg)
{
    struct object_id *roots = arg;

    roots[info->head.sid] = info->head.root;
    return 0;
}

static void what_was_planned_goes_and_nothing_else(void **state)
{
    struct rng rng = rng_make((uint64_t)time(NULL));
    char text[400];

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct object_id before[4096] = {0}, after[4096] = {0};
        struct retention_totals totals;
        struct plan what;

        random_policy(&rng, text, sizeof text);
        aged_policy(&aged, text);
        random_life(&rng);
        store_session_list(aged.store, NULL, count_head, before, NULL);
        what = plan();
        totals = apply(aged.host);
        assert_int_equal(what.n, totals.versions + totals.trashed + totals.purged + totals.rescues +
                                     totals.snapshots);
        assert_int_equal(totals.skipped, 0);
        /* A session that just went to the trash may have been purged of versions; nothing more goes now. */
        assert_int_equal(plan().n, 0);
        store_session_list(aged.store, NULL, count_head, after, NULL);
        for (size_t sid = 0; sid < 4096; sid++)
            if (memcmp(&after[sid], &(struct object_id){0}, sizeof after[sid]) != 0)
                assert_true(object_id_equal(&after[sid], &before[sid]));
    }
}

static int stop(void *arg)
{
    ++*(int *)arg;
    return HF_INTR;
}

static void a_watcher_stops_it(void **state)
{
    struct lease lease;
    int paused = 0;
    const struct retention_watch watch = {.pause = stop, .arg = &paused};
    struct retention_totals totals;
    struct retention *policy;

    (void)state;
    aged_policy(&aged, "history:\n  - {last: 1}\n");
    lease = aged_session(&aged, "s", "x");
    aged_commits(&aged, &lease, 3, AGED_SECOND);
    policy = load();
    assert_int_equal(retention_apply(aged.store, 0, policy, aged.now, &watch, &totals, &aged.err),
                     HF_INTR);
    assert_int_equal(paused, 1);
    assert_string_equal(aged_versions(&aged, lease.sid), "4 3 2 1");
    retention_free(policy);
}

static void a_store_without_a_policy_has_the_default_one(void **state)
{
    struct lease lease;

    (void)state;
    lease = aged_session(&aged, "s", "x");
    aged_commits(&aged, &lease, 99, AGED_SECOND);
    aged.now += 400 * AGED_DAY;
    assert_int_equal(apply(aged.host).versions, 50);
    aged_delete(&aged, &lease);
    aged.now += 31 * AGED_DAY;
    assert_int_equal(apply(aged.host).purged, 1);
}

static void a_policy_that_is_none_cannot_be_set(void **state)
{
    struct retention *policy;

    (void)state;
    assert_int_equal(
        store_setting_set(aged.store, "retention", slice_of("historx: 1\n", 11), &aged.err),
        HF_CONFIG);
    assert_non_null(strstr(aged.err.message, "line 1, column 1"));
    policy = load(); /* the default one still */
    retention_free(policy);
}

int main(void)
{
    static const char *const engines[] = {"memory", "sqlite"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions_go_by_their_sessions_rule, setup, teardown),
        cmocka_unit_test_setup_teardown(the_head_stays_however_old, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_that_no_rule_names_keep_all, setup, teardown),
        cmocka_unit_test_setup_teardown(the_shared_tree_and_the_trash_have_history_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(more_versions_than_go_at_once_all_go, setup, teardown),
        cmocka_unit_test_setup_teardown(idle_sessions_go_to_the_trash_and_out_of_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_idle_session_that_is_used_meanwhile_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rescues_go_when_they_are_old, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_in_the_trash_stays_while_a_rescue_of_it_does,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(snapshots_go_by_name_and_stay_without_a_rule, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_planned_goes_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watcher_stops_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_without_a_policy_has_the_default_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_policy_that_is_none_cannot_be_set, setup, teardown),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++) {
        engine = engines[i];
        failed += cmocka_run_group_tests_name(engine, tests, NULL, NULL);
    }
    return failed;
}
