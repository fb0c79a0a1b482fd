/* SPDX-License-Identifier: Apache-2.0 */
/* Collections of garbage: what goes, what stays, and for how long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

#define HOUR_NS (3600 * 1000000000LL)
#define BIG 5000

/* Whether the engine under test collects at all. */
static bool collects(struct fixture *fixture)
{
    struct collect_options look = {.dry_run = true};
    struct collect_totals totals;

    return store_collect(fixture->a.store, &look, &totals, NULL) != HF_UNSUPPORTED;
}

static struct collect_totals collect(struct fixture *fixture)
{
    struct collect_totals totals = {0};

    if (store_collect(fixture->a.store, NULL, &totals, &fixture->err) != HF_OK)
        fail_msg("cannot collect: %s", fixture->err.message);
    contract_assert_sound(fixture->a.store);
    return totals;
}

static struct collect_totals look(struct fixture *fixture)
{
    struct collect_options options = {.dry_run = true};
    struct collect_totals totals = {0};

    assert_int_equal(store_collect(fixture->a.store, &options, &totals, &fixture->err), HF_OK);
    return totals;
}

/* A tree with a directory and a file of some chunks in the scene, all of its own. */
static struct object_id make_tree(struct fixture *fixture, uint64_t seed)
{
    static uint8_t data[3 * BIG];
    struct scene_node file = {.name = "file", .data = data, .len = sizeof data};
    struct scene_node nodes[] = {
        {.name = "dir", .directory = true, .children = &file, .nchildren = 1},
        {.name = "other", .data = data, .len = BIG}};

    scene_clear(&fixture->scene);
    scene_fill(seed, data, sizeof data);
    return scene_root(&fixture->scene, nodes, 2);
}

static void put(struct fixture *fixture, uint64_t host)
{
    assert_int_equal(
        store_put(fixture->a.store, host, fixture->scene.objects, fixture->scene.n, &fixture->err),
        HF_OK);
}

/* How many objects of the scene are missing. */
static size_t count_missing(struct fixture *fixture)
{
    size_t n = 0;

    for (size_t i = 0; i < fixture->scene.n; i++) {
        bool missing = false;

        assert_int_equal(store_missing(fixture->a.store, 0, &fixture->scene.objects[i].id, 1,
                                       &missing, &fixture->err),
                         HF_OK);
        n += missing;
    }
    return n;
}

static void assert_readable(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->scene.n; i++) {
        BUF_AUTO content = {0};

        assert_int_equal(
            store_get(fixture->a.store, &fixture->scene.objects[i].id, 1, &content, &fixture->err),
            HF_OK);
        assert_int_equal(content.len, fixture->scene.objects[i].content.len);
    }
}

static void what_nothing_reaches_goes(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "kept", "text");
    struct collect_totals would, did;
    struct store_stats before, after;

    if (!collects(fixture))
        return;
    make_tree(fixture, 1);
    assert_int_equal(store_stats(fixture->a.store, &before, NULL), HF_OK);
    put(fixture, 0);
    would = look(fixture);
    assert_int_equal(count_missing(fixture), 0);
    did = collect(fixture);
    assert_int_equal(count_missing(fixture), fixture->scene.n);
    assert_int_equal(did.removed, fixture->scene.n);
    assert_int_equal(would.removed, did.removed);
    assert_int_equal(would.removed_bytes, did.removed_bytes);
    assert_int_equal(would.reachable, did.reachable);
    assert_true(did.removed_bytes > BIG / 2);
    assert_int_equal(did.roots, 2); /* the head and its row of history */
    assert_int_equal(store_stats(fixture->a.store, &after, NULL), HF_OK);
    assert_int_equal(after.objects, before.objects);
    contract_assert_note(fixture->a.store, &lease.head.root, "text");
    assert_int_equal(collect(fixture).removed, 0);
}

static void what_went_can_be_put_again(void **state)
{
    struct fixture *fixture = *state;
    struct object_id root;
    struct commit commit;
    struct lease lease;

    if (!collects(fixture))
        return;
    root = make_tree(fixture, 2);
    put(fixture, 0);
    collect(fixture);
    assert_int_equal(count_missing(fixture), fixture->scene.n);
    commit = scene_commit(&fixture->scene, 0, 0, 0, root);
    commit.nobjects = 0;
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "s", &commit, &lease,
                                          &fixture->err),
                     HF_MISSING);
    commit.nobjects = fixture->scene.n;
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "s", &commit, &lease,
                                          &fixture->err),
                     HF_OK);
    assert_int_equal(collect(fixture).removed, 0);
    assert_readable(fixture);
}

static void every_kind_of_root_keeps(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease gone = contract_session(fixture, &fixture->a, "gone", "wun");
    struct object_id first = lease.head.root, second, rescued, shared;
    struct commit commit;
    uint64_t version, rescue;

    if (!collects(fixture))
        return;
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    second = lease.head.root;
    assert_int_equal(store_snapshot_create(store, "pin", NULL, 0, NULL), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "six"), HF_OK);
    assert_int_equal(store_session_delete(store, fixture->a.host, gone.sid, gone.token, NULL),
                     HF_OK);
    scene_clear(&fixture->scene);
    rescued = scene_note(&fixture->scene, "lost");
    commit = scene_commit(&fixture->scene, lease.sid, lease.token, 2, rescued);
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "lost", &rescue, NULL), HF_OK);
    scene_clear(&fixture->scene);
    shared = scene_note(&fixture->scene, "shared");
    commit = scene_commit(&fixture->scene, SHARED_SID, 0, 0, shared);
    assert_int_equal(store_commit(store, fixture->a.host, &commit, &version, NULL), HF_OK);

    assert_int_equal(collect(fixture).removed, 0);
    contract_assert_note(store, &first, "one");
    contract_assert_note(store, &second, "two");
    contract_assert_note(store, &lease.head.root, "six");
    contract_assert_note(store, &gone.head.root, "wun");
    contract_assert_note(store, &rescued, "lost");
    contract_assert_note(store, &shared, "shared");
}

/* Ends host-c, and lets so much time pass. */
static void let_c_be_gone(struct fixture *fixture, int64_t ns)
{
    if (fixture->c.store)
        contract_unmount(&fixture->c);
    if (fixture->engine && fixture->engine->turn && !fixture->engine->served)
        fixture->engine->turn(fixture->url, ns);
}

static bool time_can_pass(const struct fixture *fixture)
{
    return fixture->engine && fixture->engine->turn && !fixture->engine->served;
}

static void what_a_host_put_stays_until_it_has_been_gone_for_a_day(void **state)
{
    struct fixture *fixture = *state;

    if (!collects(fixture))
        return;
    contract_open_c(fixture);
    make_tree(fixture, 3);
    assert_int_equal(store_put(fixture->c.store, fixture->c.host, fixture->scene.objects,
                               fixture->scene.n, NULL),
                     HF_OK);
    assert_int_equal(collect(fixture).removed, 0);
    let_c_be_gone(fixture, 48 * HOUR_NS);
    assert_int_equal(look(fixture).removed, 0);
    assert_int_equal(collect(fixture).removed, 0); /* its end is noticed now */
    assert_readable(fixture);
    if (!time_can_pass(fixture))
        return;
    let_c_be_gone(fixture, 23 * HOUR_NS);
    assert_int_equal(collect(fixture).removed, 0);
    let_c_be_gone(fixture, 2 * HOUR_NS);
    assert_int_equal(look(fixture).removed, fixture->scene.n);
    assert_int_equal(collect(fixture).removed, fixture->scene.n);
}

static void what_a_host_found_present_stays(void **state)
{
    struct fixture *fixture = *state;
    struct object_id root;
    bool missing = true;

    if (!collects(fixture))
        return;
    contract_open_c(fixture);
    root = make_tree(fixture, 4);
    put(fixture, 0);
    assert_int_equal(store_missing(fixture->c.store, fixture->c.host, &root, 1, &missing, NULL),
                     HF_OK);
    assert_false(missing);
    assert_int_equal(collect(fixture).removed, 0); /* with what hangs from it */
    assert_readable(fixture);
}

static void a_put_of_what_is_there_keeps_it(void **state)
{
    struct fixture *fixture = *state;

    if (!collects(fixture))
        return;
    make_tree(fixture, 5);
    put(fixture, 0);
    put(fixture, fixture->a.host);
    assert_int_equal(collect(fixture).removed, 0);
}

static void what_roots_reach_for_a_day_is_not_loose_any_more(void **state)
{
    struct fixture *fixture = *state;
    struct object_id root;
    struct commit commit;
    struct lease lease;

    if (!collects(fixture) || !time_can_pass(fixture))
        return;
    root = make_tree(fixture, 6);
    put(fixture, fixture->a.host);
    commit = scene_commit(&fixture->scene, 0, 0, 0, root);
    commit.nobjects = 0;
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "s", &commit, &lease,
                                          &fixture->err),
                     HF_OK);
    assert_int_equal(collect(fixture).removed, 0);
    let_c_be_gone(fixture, 25 * HOUR_NS);
    assert_int_equal(collect(fixture).removed, 0);
    if (store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL) !=
            0 ||
        store_session_purge(fixture->a.store, lease.sid, NULL) != HF_OK)
        return;
    assert_int_equal(collect(fixture).removed, fixture->scene.n);
}

static void a_host_that_is_over_puts_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct object_id id = scene_add(&fixture->scene, OBJECT_CHUNK, "late", 4);
    bool missing = true;

    if (!collects(fixture))
        return;
    assert_int_equal(store_host_end(fixture->a.store, fixture->a.host, NULL), HF_OK);
    assert_int_equal(
        store_put(fixture->a.store, fixture->a.host, fixture->scene.objects, 1, &fixture->err),
        HF_FENCED);
    assert_int_equal(
        store_missing(fixture->a.store, fixture->a.host, &id, 1, &missing, &fixture->err),
        HF_FENCED);
}

/* --- progress ------------------------------------------------------------------------------------------- */

struct watcher {
    struct fixture *fixture;
    const char *stop_at; /* the phase, or NULL */
    int second;          /* what another collection answered */
    unsigned told;
};

static int watch(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    struct watcher *watcher = arg;
    struct collect_totals totals;

    (void)done;
    (void)all;
    watcher->told++;
    if (watcher->fixture->b.store && watcher->second == HF_OK)
        watcher->second = store_collect(watcher->fixture->b.store, NULL, &totals, NULL);
    return watcher->stop_at && strcmp(phase, watcher->stop_at) == 0;
}

static void two_do_not_collect_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher = {.fixture = fixture};
    struct collect_options options = {.progress = watch, .arg = &watcher, .percent = 50};
    struct collect_totals totals;

    if (!collects(fixture) || (fixture->engine && fixture->engine->served))
        return;
    contract_open_b(fixture);
    assert_int_equal(store_collect(fixture->a.store, &options, &totals, &fixture->err), HF_OK);
    assert_true(watcher.told > 0);
    assert_int_equal(watcher.second, HF_BUSY);
    assert_int_equal(store_collect(fixture->b.store, NULL, &totals, &fixture->err), HF_OK);
    options.percent = 101;
    assert_int_equal(store_collect(fixture->a.store, &options, &totals, &fixture->err), HF_INVAL);
}

static void an_interrupted_collection_is_finished_by_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher = {.fixture = fixture};
    struct collect_options options = {.progress = watch, .arg = &watcher};
    struct collect_totals totals;
    const char *const phases[] = {"marking", "sweeping"};

    if (!collects(fixture))
        return;
    for (size_t i = 0; i < 2; i++) {
        make_tree(fixture, 7 + i);
        put(fixture, 0);
        watcher.stop_at = phases[i];
        assert_int_equal(store_collect(fixture->a.store, &options, &totals, &fixture->err),
                         HF_INTR);
        contract_assert_sound(fixture->a.store);
        put(fixture, fixture->a.host); /* whatever has gone is there again */
        assert_int_equal(count_missing(fixture), 0);
        collect(fixture);
        assert_readable(fixture);
        make_tree(fixture, 70 + i);
        put(fixture, 0);
        assert_int_equal(collect(fixture).removed, fixture->scene.n);
    }
}

const struct CMUnitTest contract_collect_tests[] = {
    CONTRACT_TEST(what_nothing_reaches_goes),
    CONTRACT_TEST(what_went_can_be_put_again),
    CONTRACT_TEST(every_kind_of_root_keeps),
    CONTRACT_TEST(what_a_host_put_stays_until_it_has_been_gone_for_a_day),
    CONTRACT_TEST(what_a_host_found_present_stays),
    CONTRACT_TEST(a_put_of_what_is_there_keeps_it),
    CONTRACT_TEST(what_roots_reach_for_a_day_is_not_loose_any_more),
    CONTRACT_TEST(a_host_that_is_over_puts_nothing),
    CONTRACT_TEST(two_do_not_collect_at_once),
    CONTRACT_TEST(an_interrupted_collection_is_finished_by_the_next),
};
const size_t contract_collect_count = CONTRACT_COUNT(contract_collect_tests);
