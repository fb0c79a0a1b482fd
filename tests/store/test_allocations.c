/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation of a memory store's life, and of a check of it, fails once: the call says so and has changed
 * nothing, and made again it succeeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/open.h"
#include "failing_alloc.h"
#include "scene.h"
#include "store/fsck.h"
#include "store/meta.h"

#define BIG (20 * 16384)

/* What is made beforehand, so that only the store's own allocations fail. */
struct world {
    struct scene first, second;
    struct object_id root[2];
    struct store *store;
    uint64_t host;
    size_t failures;
};

/* Makes a call again when it failed for memory; then it must answer so, as no allocation fails twice. */
#define STUBBORNLY_EXPECT(status, call)                                                            \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ == HF_NOMEM) {                                                                     \
            world->failures++;                                                                     \
            rc_ = (call);                                                                          \
        }                                                                                          \
        assert_int_equal(rc_, status);                                                             \
    } while (0)
#define STUBBORNLY(call) STUBBORNLY_EXPECT(HF_OK, call)

static int see_session(const struct session_info *info, void *arg)
{
    (void)info;
    ++*(unsigned *)arg;
    return 0;
}

static int no_finding(const struct check_finding *finding, void *arg)
{
    (void)arg;
    print_message("%s: %s\n", finding->what, finding->message);
    return 0;
}

static void open_store(struct world *world)
{
    struct host_identity identity = {.host_name = "host", .mount_point = "/mnt"};

    STUBBORNLY(store_open("faulty()+memory:", STORE_CREATE, NULL, NULL, &world->store, NULL));
    STUBBORNLY(store_host_register(world->store, &identity, NULL, &world->host, NULL));
}

static struct lease live_session(struct world *world)
{
    struct commit commit = scene_commit(&world->first, 0, 0, 0, world->root[0]);
    struct store *store = world->store;
    struct lease lease;
    uint64_t version, id;

    commit.meta.cwd = "/somewhere";
    commit.meta_strings_valid = true;
    STUBBORNLY(store_session_create(store, world->host, "alpha", &commit, &lease, NULL));
    STUBBORNLY(store_put(store, 0, world->second.objects, world->second.n - 1, NULL));
    commit = scene_commit(&world->second, lease.sid, lease.token, 1, world->root[1]);
    STUBBORNLY(store_commit(store, world->host, &commit, &version, NULL));
    assert_int_equal(version, 2);
    STUBBORNLY(store_rescue(store, world->host, &commit, "why", &id, NULL));
    STUBBORNLY(store_session_rename(store, world->host, lease.sid, lease.token, "beta",
                                    RENAME_SESSION_NEW, 0, NULL));
    STUBBORNLY(store_snapshot_create(store, "monday", NULL, 0, NULL));
    STUBBORNLY(store_lease_refuse(store, world->host, lease.sid, lease.token, "busy", NULL));
    STUBBORNLY(store_session_delete(store, world->host, lease.sid, lease.token, NULL));
    STUBBORNLY(store_session_undelete(store, lease.sid, "gamma", NULL));
    STUBBORNLY(store_lease_acquire(store, world->host, lease.sid, 0, &lease, NULL));
    STUBBORNLY(store_lease_break(store, lease.sid, lease.token, "a test", NULL));
    return lease;
}

static void use_locks(struct world *world)
{
    struct store_lock lock = {
        .ino = 3, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .end = 99, .owner = 1};

    STUBBORNLY(store_lock_set(world->store, world->host, &lock, NULL, NULL));
    lock.type = LOCK_TYPE_NONE;
    lock.start = 10;
    lock.end = 20;
    STUBBORNLY(store_lock_set(world->store, world->host, &lock, NULL, NULL));
}

static int see_waiting(const struct lease_info *info, void *arg)
{
    *(size_t *)arg = info->nwaiting;
    return 0;
}

/* Another host of the same handle waits for the lease, gets it, and ends. */
static void hand_over(struct world *world, uint64_t sid)
{
    struct host_identity identity = {
        .host_name = "other", .mount_point = "/mnt", .principal = "other", .ttl_ms = 60000};
    struct store *store = world->store;
    struct lease lease, theirs;
    uint64_t other, again_other;
    int64_t again;
    size_t waiting = 0;

    STUBBORNLY(store_lease_acquire(store, world->host, sid, 0, &lease, NULL));
    STUBBORNLY(store_host_register(store, &identity, NULL, &other, NULL));
    STUBBORNLY_EXPECT(HF_PENDING, store_lease_ask(store, other, sid, 9000, &theirs, &again, NULL));
    STUBBORNLY(store_lease_list(store, see_waiting, &waiting, NULL));
    assert_int_equal(waiting, 1);
    STUBBORNLY(store_lease_release(store, world->host, sid, lease.token, NULL));
    STUBBORNLY(store_lease_ask(store, other, sid, 9000, &theirs, &again, NULL));
    assert_int_equal(theirs.token, lease.token + 1);
    STUBBORNLY(store_host_register(store, &identity, NULL, &again_other, NULL));
    assert_int_equal(again_other, other);
    STUBBORNLY_EXPECT(HF_PENDING,
                      store_lease_ask(store, world->host, sid, 9000, &lease, &again, NULL));
    STUBBORNLY(store_lease_withdraw(store, world->host, sid, NULL));
    STUBBORNLY(store_host_end(store, other, NULL));
}

static int see_pin(const struct pin_info *pin, void *arg)
{
    (void)pin;
    ++*(unsigned *)arg;
    return 0;
}

static int see_rescue(const struct rescue_info *info, void *arg)
{
    *(uint64_t *)arg = info->id;
    return 0;
}

static void keep_and_forget(struct world *world, uint64_t sid)
{
    const uint64_t versions[] = {7, 8};
    struct commit commit = scene_commit(&world->first, 0, 0, 0, world->root[0]);
    struct store *store = world->store;
    struct lease lease;
    BUF_AUTO text = {0};
    uint64_t dropped, rescue = 0;
    unsigned pins = 0;

    STUBBORNLY(store_setting_set(store, "one", slice_of("text", 4), NULL));
    STUBBORNLY(store_setting_set(store, "one", slice_of("other", 5), NULL));
    STUBBORNLY(store_setting_get(store, "one", &text, NULL));
    assert_int_equal(text.len, 5);
    STUBBORNLY(store_snapshot_pins(store, "monday", see_pin, &pins, NULL));
    assert_int_equal(pins, 1);
    STUBBORNLY(store_history_drop(store, sid, versions, 2, &dropped, NULL));
    STUBBORNLY(store_rescue_list(store, sid, see_rescue, &rescue, NULL));
    STUBBORNLY(store_rescue_drop(store, sid, rescue, NULL));
    STUBBORNLY(store_session_create(store, world->host, "purged", &commit, &lease, NULL));
    STUBBORNLY(store_session_delete(store, world->host, lease.sid, lease.token, NULL));
    STUBBORNLY(store_session_purge(store, lease.sid, NULL));
}

/* Into a store of its own, which may hold nothing else. */
static void receive_copies(struct world *world)
{
    struct history_entry versions[] = {
        {.version = 2, .root = world->root[0], .host = 3, .host_name = "far"},
        {.version = 5, .root = world->root[1], .host = 4, .host_name = "away"},
    };
    struct pin_info pin = {.sid = 9, .session_name = "gone", .version = 1, .root = world->root[0]};
    struct snapshot_copy snapshot = {.name = "pin", .pins = &pin, .npins = 1};
    struct session_copy copy = {.sid = 4,
                                .name = "alpha",
                                .state = SESSION_LIVE,
                                .versions = versions,
                                .nversions = 1,
                                .meta = {.cwd = "/somewhere", .branch = "main"}};
    struct rescue_info rescue = {
        .id = 3, .sid = 4, .root = world->root[0], .host = 5, .host_name = "far", .reason = "why"};
    struct store *store;
    struct session_head head;

    STUBBORNLY(store_open("faulty()+memory:", STORE_CREATE, NULL, NULL, &store, NULL));
    STUBBORNLY(store_put(store, 0, world->first.objects, world->first.n, NULL));
    STUBBORNLY(store_put(store, 0, world->second.objects, world->second.n, NULL));
    STUBBORNLY(store_session_receive(store, &copy, NULL));
    copy.nversions = 2;
    copy.name = "beta";
    STUBBORNLY(store_session_receive(store, &copy, NULL));
    copy.sid = 6;
    STUBBORNLY(store_session_receive(store, &copy, NULL)); /* and takes the name */
    STUBBORNLY(store_rescue_receive(store, copy.origin, &rescue, NULL));
    STUBBORNLY(store_snapshot_receive(store, &snapshot, NULL));
    STUBBORNLY(store_session_find(store, "beta", &head, NULL));
    assert_int_equal(head.sid, 6);
    assert_int_equal(head.version, 5);
    STUBBORNLY_EXPECT(HF_EXIST, store_mend(store, &world->root[0],
                                           &world->first.objects[world->first.n - 1], NULL));
    store_close(store);
}

static void read_all(struct world *world, const struct lease *lease)
{
    struct fsck_options options = {.report = no_finding};
    struct fsck_totals totals = {.findings = 99};
    struct session_head head;
    struct store_stats stats;
    unsigned sessions = 0;

    STUBBORNLY(store_session_list(world->store, NULL, see_session, &sessions, NULL));
    assert_int_equal(sessions, 1);
    STUBBORNLY(store_session_find(world->store, "gamma", &head, NULL));
    assert_int_equal(head.version, 2);
    assert_int_equal(head.sid, lease->sid);
    STUBBORNLY(store_stats(world->store, &stats, NULL));
    assert_int_equal(stats.versions, 2);
    STUBBORNLY(fsck_run(world->store, &options, &totals, NULL));
    assert_int_equal(totals.findings, 0);
    assert_int_equal(totals.objects, stats.objects);
}

static void parse_meta(struct world *world)
{
    static const char yaml[] = "cwd: /x\ncwd: /y\nname: \"a b\"\nbranch: [a, {b: c}]\n";
    struct meta_strings strings;

    STUBBORNLY(meta_parse(slice_of(yaml, sizeof yaml - 1), &strings));
    assert_string_equal(strings.cwd, "/y");
    assert_string_equal(strings.name, "a b");
    meta_strings_free(&strings);
}

static void build_scene(struct scene *scene, const struct store *store, uint64_t seed,
                        struct object_id *ret_root)
{
    static uint8_t data[BIG];
    struct scene_node nodes[] = {
        {.name = "big", .data = data, .len = BIG, .xattr = "note"},
        {.name = "small", .data = "x", .len = 1},
    };

    scene_fill(seed, data, BIG);
    scene_init(scene, store);
    *ret_root = scene_root(scene, nodes, 2);
}

static void any_allocation_may_fail_once(void **state)
{
    struct world world_ = {.failures = 0}, *world = &world_;
    struct store *model;
    size_t n = 0;

    (void)state;
    assert_int_equal(store_open("memory:", STORE_CREATE, NULL, NULL, &model, NULL), HF_OK);
    build_scene(&world->first, model, 1, &world->root[0]);
    build_scene(&world->second, model, 2, &world->root[1]);
    store_close(model);
    for (bool failed = true; failed;) {
        struct lease lease;

        failing_alloc_after(++n);
        open_store(world);
        lease = live_session(world);
        use_locks(world);
        hand_over(world, lease.sid);
        keep_and_forget(world, lease.sid);
        receive_copies(world);
        read_all(world, &lease);
        parse_meta(world);
        failed = failing_alloc_stop();
        store_close(world->store);
    }
    print_message("%zu allocations, %zu calls failed\n", n - 1, world->failures);
    assert_true(n > 100 && world->failures > 50);
    scene_clear(&world->first);
    scene_clear(&world->second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail_once),
    };

    return cmocka_run_group_tests_name("allocations", tests, NULL, NULL);
}
