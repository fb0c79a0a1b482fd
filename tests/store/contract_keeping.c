/* SPDX-License-Identifier: Apache-2.0 */
/* What a store keeps of the past, and how it is told to forget it. */
#include <stdio.h>
#include <string.h>

#include "contract.h"

struct text {
    char bytes[4000];
};

static void add(struct text *text, const char *item)
{
    size_t len = strlen(text->bytes);

    snprintf(text->bytes + len, sizeof text->bytes - len, "%s", item);
}

/* --- history ----------------------------------------------------------------------------------------------- */

static int add_version(const struct history_entry *entry, void *arg)
{
    char item[32];

    snprintf(item, sizeof item, "%llu ", (unsigned long long)entry->version);
    add(arg, item);
    return 0;
}

static void assert_versions(struct store *store, uint64_t sid, const char *expected)
{
    struct text text = {""};

    assert_int_equal(store_history(store, sid, UINT64_MAX, 0, add_version, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static void versions_are_forgotten_but_never_the_heads(void **state)
{
    static const uint64_t most[] = {2, 4, 99, 2, 5}, old[] = {1, 2, 3};
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct session_head head;
    struct store_stats stats;
    uint64_t dropped = 99;

    for (int i = 0; i < 4; i++)
        assert_int_equal(contract_commit(fixture, &fixture->a, &lease, i % 2 ? "two" : "six"),
                         HF_OK);
    assert_int_equal(store_history_drop(store, lease.sid, most, 5, &dropped, NULL), HF_OK);
    assert_int_equal(dropped, 2);
    assert_versions(store, lease.sid, "5 3 1 ");
    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    assert_int_equal(stats.versions, 3);
    assert_int_equal(store_history_drop(store, lease.sid, NULL, 0, &dropped, NULL), HF_OK);
    assert_int_equal(dropped, 0);
    /* The writer is not disturbed. */
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "ten"), HF_OK);
    assert_versions(store, lease.sid, "6 5 3 1 ");
    assert_int_equal(store_session_delete(store, fixture->a.host, lease.sid, lease.token, NULL),
                     HF_OK);
    assert_int_equal(store_history_drop(store, lease.sid, old, 3, NULL, NULL), HF_OK);
    assert_versions(store, lease.sid, "6 5 ");
    assert_int_equal(store_session_undelete(store, lease.sid, NULL, NULL), HF_OK);
    assert_int_equal(store_session_head(store, lease.sid, &head, NULL), HF_OK);
    assert_int_equal(head.version, 6);
    assert_int_equal(store_history_drop(store, 4711, old, 3, &dropped, &fixture->err), HF_NOENT);
    contract_assert_sound(store);
}

static void versions_of_the_shared_tree_are_forgotten_too(void **state)
{
    static const uint64_t all[] = {1, 2, 3};
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    uint64_t version = 0, dropped;

    assert_int_equal(store_history_drop(store, SHARED_SID, all, 3, &dropped, NULL), HF_OK);
    assert_int_equal(dropped, 0);
    for (uint64_t base = 0; base < 3; base++) {
        struct commit commit;

        scene_clear(&fixture->scene);
        commit = scene_commit(&fixture->scene, SHARED_SID, 0, base,
                              scene_note(&fixture->scene, base % 2 ? "two" : "one"));
        assert_int_equal(store_commit(store, fixture->a.host, &commit, &version, NULL), HF_OK);
    }
    assert_int_equal(store_history_drop(store, SHARED_SID, all, 3, &dropped, NULL), HF_OK);
    assert_int_equal(dropped, 2);
    assert_versions(store, SHARED_SID, "3 ");
    contract_assert_sound(store);
}

/* --- the trash --------------------------------------------------------------------------------------------- */

struct seen {
    unsigned n;
    int64_t trashed;
};

static int see_session(const struct session_info *info, void *arg)
{
    struct seen *seen = arg;

    seen->n++;
    seen->trashed = info->trashed;
    return 0;
}

static struct seen look_for(struct store *store, uint64_t sid, bool trashed)
{
    struct session_filter filter = {.sid = sid, .trashed = trashed};
    struct seen seen = {0};

    assert_int_equal(store_session_list(store, &filter, see_session, &seen, NULL), HF_OK);
    return seen;
}

static void the_trash_says_since_when(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    int64_t created = lease.head.time;

    assert_int_equal(look_for(store, lease.sid, false).n, 1);
    assert_int_equal(look_for(store, lease.sid, false).trashed, 0);
    assert_int_equal(store_session_delete(store, fixture->a.host, lease.sid, lease.token, NULL),
                     HF_OK);
    assert_true(look_for(store, lease.sid, true).trashed >= created);
    assert_int_equal(store_session_undelete(store, lease.sid, NULL, NULL), HF_OK);
    assert_int_equal(look_for(store, lease.sid, false).trashed, 0);
}

/* A session in the trash with two versions and a rescue. */
static struct lease trashed_session(struct fixture *fixture, const char *name)
{
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, name, "one");
    struct commit commit;
    uint64_t rescue;

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    commit = scene_commit(&fixture->scene, lease.sid, lease.token, 1, lease.head.root);
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "lost", &rescue, NULL), HF_OK);
    assert_int_equal(store_session_delete(store, fixture->a.host, lease.sid, lease.token, NULL),
                     HF_OK);
    return lease;
}

static int count_root(const struct root_info *root, void *arg)
{
    (void)root;
    ++*(unsigned *)arg;
    return 0;
}

static void a_purged_session_is_gone_for_good(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = trashed_session(fixture, "alpha"), next, none;
    struct text text = {""};
    struct session_head head;
    struct store_stats stats;
    struct commit commit;
    unsigned roots = 0;
    uint64_t id;
    char audit[200];

    assert_int_equal(store_session_purge(store, lease.sid, NULL), HF_OK);
    assert_int_equal(store_session_purge(store, lease.sid, &fixture->err), HF_NOENT);
    assert_int_equal(store_session_undelete(store, lease.sid, NULL, &fixture->err), HF_NOENT);
    assert_int_equal(store_session_head(store, lease.sid, &head, &fixture->err), HF_NOENT);
    assert_int_equal(store_lease_acquire(store, fixture->a.host, lease.sid, 0, &none, NULL),
                     HF_NOENT);
    assert_int_equal(store_history(store, lease.sid, UINT64_MAX, 0, add_version, &text, NULL),
                     HF_NOENT);
    commit = scene_commit(&fixture->scene, lease.sid, lease.token, 2, lease.head.root);
    assert_int_equal(store_commit(store, fixture->a.host, &commit, &id, NULL), HF_NOENT);
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "x", &id, NULL), HF_NOENT);
    assert_int_equal(look_for(store, lease.sid, true).n, 0);
    assert_int_equal(store_roots(store, count_root, &roots, NULL), HF_OK);
    assert_int_equal(roots, 0);
    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    assert_int_equal(stats.sessions + stats.trashed + stats.versions, 0);
    contract_audit_text(store, lease.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT RESCUE DELETE PURGE ");
    next = contract_session(fixture, &fixture->a, "alpha", "one");
    assert_true(next.sid > lease.sid);
    assert_int_equal(store_session_purge(store, next.sid, &fixture->err), HF_NOENT);
    assert_int_equal(store_session_purge(store, SHARED_SID, &fixture->err), HF_INVAL);
    assert_int_equal(store_session_purge(store, 4711, &fixture->err), HF_NOENT);
    contract_assert_sound(store);
}

static void other_hosts_hear_of_a_purge(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = trashed_session(fixture, "alpha");

    contract_open_b(fixture);
    assert_int_equal(store_session_purge(fixture->a.store, lease.sid, NULL), HF_OK);
    recorder_wait(&fixture->b.recorder, EVENT_SESSIONS_CHANGED, lease.sid);
}

/* --- snapshots --------------------------------------------------------------------------------------------- */

static int add_pin(const struct pin_info *pin, void *arg)
{
    char item[64];

    assert_true(pin->time > 0);
    assert_int_equal(pin->bytes, 3);
    assert_int_equal(pin->files, 1);
    snprintf(item, sizeof item, "%s@%llu ", pin->session_name, (unsigned long long)pin->version);
    add(arg, item);
    return 0;
}

static void assert_pins(struct store *store, const char *name, const char *expected)
{
    struct text text = {""};

    assert_int_equal(store_snapshot_pins(store, name, add_pin, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static int add_snapshot_root(const struct root_info *root, void *arg)
{
    if (root->kind == ROOT_SNAPSHOT) {
        add(arg, root->trashed ? "-" : "");
        add(arg, root->session_name);
        add(arg, " ");
    }
    return 0;
}

static void assert_snapshot_roots(struct store *store, const char *expected)
{
    struct text text = {""};

    assert_int_equal(store_roots(store, add_snapshot_root, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static void a_snapshot_outlives_what_it_pins(void **state)
{
    static const char *const globs[] = {"b*"};
    static const uint64_t first[] = {1};
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease alpha = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease beta = contract_session(fixture, &fixture->a, "beta", "two");
    struct object_id root = alpha.head.root;
    struct text text = {""};

    assert_int_equal(store_snapshot_create(store, "all", NULL, 0, NULL), HF_OK);
    assert_int_equal(store_snapshot_create(store, "some", globs, 1, NULL), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &alpha, "six"), HF_OK);
    assert_int_equal(store_history_drop(store, alpha.sid, first, 1, NULL, NULL), HF_OK);
    assert_int_equal(store_session_rename(store, fixture->a.host, beta.sid, beta.token, "gamma",
                                          RENAME_SESSION_NEW, 0, NULL),
                     HF_OK);
    assert_int_equal(store_session_delete(store, fixture->a.host, alpha.sid, alpha.token, NULL),
                     HF_OK);
    assert_pins(store, "all", "alpha@1 beta@1 ");
    assert_pins(store, "some", "beta@1 ");
    assert_snapshot_roots(store, "-alpha beta beta ");
    assert_int_equal(store_session_purge(store, alpha.sid, NULL), HF_OK);
    assert_pins(store, "all", "alpha@1 beta@1 ");
    assert_snapshot_roots(store, "alpha beta beta ");
    contract_assert_note(store, &root, "one");
    assert_int_equal(store_snapshot_pins(store, "none", add_pin, &text, &fixture->err), HF_NOENT);
    assert_int_equal(store_snapshot_delete(store, "all", NULL), HF_OK);
    assert_int_equal(store_snapshot_pins(store, "all", add_pin, &text, &fixture->err), HF_NOENT);
    contract_assert_sound(store);
}

/* --- rescues ----------------------------------------------------------------------------------------------- */

static int add_rescue(const struct rescue_info *info, void *arg)
{
    char item[100];

    assert_true(info->time > 0 && info->host > 0);
    assert_int_equal(info->files, 1);
    snprintf(item, sizeof item, "%llu:%s%s@%llu=%s by %s ", (unsigned long long)info->id,
             info->trashed ? "-" : "", info->session_name, (unsigned long long)info->version,
             info->reason, info->host_name);
    add(arg, item);
    return 0;
}

static void assert_rescues(struct store *store, uint64_t sid, const char *expected)
{
    struct text text = {""};

    assert_int_equal(store_rescue_list(store, sid, add_rescue, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static uint64_t rescue(struct fixture *fixture, const struct lease *lease, const char *reason)
{
    struct commit commit =
        scene_commit(&fixture->scene, lease->sid, lease->token, 1, lease->head.root);
    uint64_t id;

    commit.nobjects = 0;
    commit.meta.files = 1;
    assert_int_equal(store_rescue(fixture->a.store, fixture->a.host, &commit, reason, &id, NULL),
                     HF_OK);
    return id;
}

static void rescues_are_listed_and_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease alpha = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease beta = contract_session(fixture, &fixture->a, "beta", "two");
    struct text text = {""};

    assert_rescues(store, UINT64_MAX, "");
    assert_int_equal(rescue(fixture, &alpha, "why"), 1);
    assert_int_equal(rescue(fixture, &beta, "lost"), 2);
    alpha.token++;
    assert_int_equal(rescue(fixture, &alpha, "again"), 3);
    alpha.token--;
    assert_rescues(store, UINT64_MAX,
                   "1:alpha@1=why by host-a 2:beta@1=lost by host-a 3:alpha@1=again by host-a ");
    assert_rescues(store, beta.sid, "2:beta@1=lost by host-a ");
    assert_int_equal(store_rescue_drop(store, beta.sid, 1, &fixture->err), HF_NOENT);
    assert_int_equal(store_rescue_drop(store, alpha.sid, 1, NULL), HF_OK);
    assert_int_equal(store_rescue_drop(store, alpha.sid, 1, &fixture->err), HF_NOENT);
    assert_int_equal(store_rescue_drop(store, alpha.sid, 3, NULL), HF_OK);
    assert_rescues(store, UINT64_MAX, "2:beta@1=lost by host-a ");
    /* A number that somebody may have seen does not become that of other work. */
    assert_int_equal(rescue(fixture, &alpha, "new"), 4);
    assert_int_equal(store_session_delete(store, fixture->a.host, alpha.sid, alpha.token, NULL),
                     HF_OK);
    assert_rescues(store, alpha.sid, "4:-alpha@1=new by host-a ");
    assert_int_equal(store_session_purge(store, alpha.sid, NULL), HF_OK);
    assert_rescues(store, UINT64_MAX, "2:beta@1=lost by host-a ");
    assert_int_equal(store_rescue_list(store, alpha.sid, add_rescue, &text, NULL), HF_NOENT);
    contract_assert_sound(store);
}

const struct CMUnitTest contract_keeping_tests[] = {
    CONTRACT_TEST(versions_are_forgotten_but_never_the_heads),
    CONTRACT_TEST(versions_of_the_shared_tree_are_forgotten_too),
    CONTRACT_TEST(the_trash_says_since_when),
    CONTRACT_TEST(a_purged_session_is_gone_for_good),
    CONTRACT_TEST(other_hosts_hear_of_a_purge),
    CONTRACT_TEST(a_snapshot_outlives_what_it_pins),
    CONTRACT_TEST(rescues_are_listed_and_dropped),
};
const size_t contract_keeping_count = CONTRACT_COUNT(contract_keeping_tests);
