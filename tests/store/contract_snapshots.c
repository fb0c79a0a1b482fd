/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "contract.h"

struct text {
    char bytes[2000];
};

static int add_snapshot(const struct snapshot_info *info, void *arg)
{
    struct text *text = arg;
    size_t len = strlen(text->bytes);

    assert_true(info->time > 0);
    snprintf(text->bytes + len, sizeof text->bytes - len, "%s:%llu ", info->name,
             (unsigned long long)info->sessions);
    return 0;
}

static void assert_snapshots(struct store *store, const char *expected)
{
    struct text text = {""};

    assert_int_equal(store_snapshot_list(store, add_snapshot, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static void a_snapshot_pins_what_matches(void **state)
{
    static const char *const globs[] = {"a*", "c"}, *const none[] = {"zzz"};
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;

    contract_session(fixture, &fixture->a, "a1", "x");
    contract_session(fixture, &fixture->a, "a2", "x");
    contract_session(fixture, &fixture->a, "b", "x");
    contract_session(fixture, &fixture->a, "c", "x");
    assert_int_equal(store_snapshot_create(store, "z-all", NULL, 0, NULL), HF_OK);
    assert_int_equal(store_snapshot_create(store, "some", globs, 2, NULL), HF_OK);
    assert_int_equal(store_snapshot_create(store, "some", globs, 2, &fixture->err), HF_EXIST);
    assert_int_equal(store_snapshot_create(store, "none", none, 1, &fixture->err), HF_NOENT);
    assert_int_equal(store_snapshot_create(store, "a/b", NULL, 0, &fixture->err), HF_INVAL);
    assert_snapshots(store, "some:3 z-all:4 ");
    assert_int_equal(store_snapshot_delete(store, "some", NULL), HF_OK);
    assert_int_equal(store_snapshot_delete(store, "some", NULL), HF_NOENT);
    assert_snapshots(store, "z-all:4 ");
}

/* --- roots --------------------------------------------------------------------------------------------------------- */

static int add_root(const struct root_info *root, void *arg)
{
    static const char *const kinds[] = {"?", "head", "history", "snapshot", "rescue"};
    struct text *text = arg;
    size_t len = strlen(text->bytes);

    assert_int_equal(root->bytes, 3);
    assert_int_equal(root->files, 1);
    snprintf(text->bytes + len, sizeof text->bytes - len, "%s%s:%s@%llu%s%s ", kinds[root->kind],
             root->trashed ? "-trashed" : "", root->session_name, (unsigned long long)root->version,
             root->label ? "=" : "", root->label ? root->label : "");
    return 0;
}

/* The roots that `store` tells, each looked for by its text. */
static void assert_root(struct store *store, const char *expected, bool there)
{
    struct text text = {" "};
    char with_spaces[200];

    assert_int_equal(store_roots(store, add_root, &text, NULL), HF_OK);
    snprintf(with_spaces, sizeof with_spaces, " %s ", expected);
    if ((strstr(text.bytes, with_spaces) != NULL) != there)
        fail_msg("%s is %s of: %s", expected, there ? "none" : "one", text.bytes);
}

static void every_root_that_is_kept_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease gone = contract_session(fixture, &fixture->a, "gone", "wun");
    struct commit commit;
    uint64_t version, rescue;

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(store_snapshot_create(store, "pin", NULL, 0, NULL), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "six"), HF_OK);
    assert_int_equal(store_session_delete(store, fixture->a.host, gone.sid, gone.token, NULL),
                     HF_OK);
    scene_clear(&fixture->scene);
    commit = scene_commit(&fixture->scene, lease.sid, lease.token, 2, lease.head.root);
    commit.meta.bytes = 3;
    commit.meta.files = 1;
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "lost", &rescue, NULL), HF_OK);
    assert_root(store, "head:@1", false);
    commit = scene_commit(&fixture->scene, SHARED_SID, 0, 0, lease.head.root);
    commit.meta.bytes = 3;
    commit.meta.files = 1;
    assert_int_equal(store_commit(store, fixture->a.host, &commit, &version, NULL), HF_OK);

    assert_root(store, "head:alpha@3", true);
    assert_root(store, "history:alpha@3", true);
    assert_root(store, "history:alpha@2", true);
    assert_root(store, "history:alpha@1", true);
    assert_root(store, "head-trashed:gone@1", true);
    assert_root(store, "snapshot:alpha@2=pin", true);
    assert_root(store, "snapshot-trashed:gone@1=pin", true);
    assert_root(store, "rescue:alpha@2=lost", true);
    assert_root(store, "head:@1", true);
    assert_root(store, "history:@1", true);
    assert_int_equal(store_snapshot_delete(store, "pin", NULL), HF_OK);
    assert_root(store, "snapshot:alpha@2=pin", false);
}

/* --- rescue ------------------------------------------------------------------------------------------------------------ */

static void work_that_lost_its_lease_can_be_rescued(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct object_id missing, root;
    struct session_head head;
    struct commit commit;
    uint64_t id = 0, next = 0;
    char audit[200];

    assert_int_equal(store_lease_break(store, lease.sid, lease.token, "test", NULL), HF_OK);
    scene_clear(scene);
    root = scene_note(scene, "two");
    commit = scene_commit(scene, lease.sid, lease.token, 1, root);
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "lease lost", &id, NULL), HF_OK);
    /* Asked for again, as when the answer was lost, it is the same. */
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "again", &next, NULL), HF_OK);
    assert_int_equal(next, id);
    commit.token++;
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "again", &next, NULL), HF_OK);
    assert_true(id > 0 && next > id);
    contract_assert_note(store, &root, "two");
    assert_int_equal(store_session_head(store, lease.sid, &head, NULL), HF_OK);
    assert_int_equal(head.version, 1);
    contract_audit_text(store, lease.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT BREAK RESCUE RESCUE ");
    scene_clear(scene);
    commit = scene_commit(scene, lease.sid, lease.token, 1, scene_dangling(scene, &missing));
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "x", &id, NULL), HF_MISSING);
    commit.sid = 4711;
    assert_int_not_equal(store_rescue(store, fixture->a.host, &commit, "x", &id, NULL), HF_OK);
}

/* --- statistics ---------------------------------------------------------------------------------------------------------- */

static void statistics_count_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease gone = contract_session(fixture, &fixture->a, "gone", "three");
    struct store_stats stats;

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "four"), HF_OK);
    assert_int_equal(store_session_delete(store, fixture->a.host, gone.sid, gone.token, NULL),
                     HF_OK);
    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    assert_int_equal(stats.sessions, 1);
    assert_int_equal(stats.trashed, 1);
    assert_int_equal(stats.versions, 3);
    assert_int_equal(stats.objects, 3);
    assert_true(stats.logical_bytes >= 4 && stats.logical_bytes <= 9);
    assert_true(stats.unique_bytes > 0 && stats.stored_bytes > 0);
}

const struct CMUnitTest contract_snapshot_tests[] = {
    CONTRACT_TEST(a_snapshot_pins_what_matches),
    CONTRACT_TEST(every_root_that_is_kept_is_told),
    CONTRACT_TEST(work_that_lost_its_lease_can_be_rescued),
    CONTRACT_TEST(statistics_count_what_is_there),
};
const size_t contract_snapshot_count = CONTRACT_COUNT(contract_snapshot_tests);
