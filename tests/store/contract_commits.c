/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "contract.h"
#include "engine/options.h"

/* --- history as text ------------------------------------------------------------------------------------------ */

struct versions {
    char text[2000];
    struct fixture *fixture;
    const char *const *notes; /* by version - 1, or NULL */
};

static int add_version(const struct history_entry *entry, void *arg)
{
    struct versions *versions = arg;
    size_t len = strlen(versions->text);

    snprintf(versions->text + len, sizeof versions->text - len, "%llu ",
             (unsigned long long)entry->version);
    assert_true(entry->time > 0);
    return 0;
}

static void assert_history(struct fixture *fixture, uint64_t sid, uint64_t from, uint64_t limit,
                           const char *expected)
{
    struct versions versions = {.fixture = fixture};

    assert_int_equal(
        store_history(fixture->a.store, sid, from, limit, add_version, &versions, NULL), HF_OK);
    assert_string_equal(versions.text, expected);
}

/* --- commits ---------------------------------------------------------------------------------------------------- */

static void commits_make_a_chain_of_versions(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct session_head head;

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "three"), HF_OK);
    assert_int_equal(store_session_head(fixture->a.store, lease.sid, &head, NULL), HF_OK);
    assert_int_equal(head.version, 3);
    assert_int_equal(head.bytes, 5);
    contract_assert_note(fixture->a.store, &head.root, "three");
    assert_history(fixture, lease.sid, UINT64_MAX, 0, "3 2 1 ");
    assert_history(fixture, lease.sid, 2, 0, "2 1 ");
    assert_history(fixture, lease.sid, UINT64_MAX, 1, "3 ");
    assert_history(fixture, lease.sid, 0, 0, "");
    assert_int_equal(store_history(fixture->a.store, 999, 1, 0, add_version, NULL, NULL), HF_NOENT);
}

static struct object_id first_root;

static int check_first(const struct history_entry *entry, void *arg)
{
    struct fixture *fixture = arg;

    assert_int_equal(entry->version, 1);
    assert_int_equal(entry->host, fixture->a.host);
    assert_string_equal(entry->host_name, "host-a");
    assert_true(entry->token > 0);
    assert_int_equal(entry->bytes, 3);
    assert_int_equal(entry->files, 1);
    first_root = entry->root;
    return 3;
}

static void an_old_version_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    contract_open_b(fixture);
    for (int i = 0; i < 5; i++)
        assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "more"), HF_OK);
    assert_int_equal(store_history(fixture->a.store, lease.sid, 1, 1, check_first, fixture, NULL),
                     3);
    contract_assert_note(fixture->b.store, &first_root, "one");
}

static void history_outlives_deletion(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_history(fixture, lease.sid, UINT64_MAX, 0, "2 1 ");
}

static void a_stale_token_is_fenced(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease stale = lease;
    struct session_head head;
    char audit[200];

    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &stale, "released"), HF_FENCED);
    assert_int_equal(
        store_lease_acquire(fixture->a.store, fixture->a.host, lease.sid, 0, &lease, NULL), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &stale, "an old token"), HF_FENCED);
    stale.token = lease.token + 1;
    assert_int_equal(contract_commit(fixture, &fixture->a, &stale, "a token to come"), HF_FENCED);
    stale.token = 0;
    assert_int_equal(contract_commit(fixture, &fixture->a, &stale, "no token"), HF_FENCED);
    assert_int_equal(store_session_head(fixture->a.store, lease.sid, &head, NULL), HF_OK);
    assert_int_equal(head.version, 1);
    contract_audit_text(fixture->a.store, lease.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT RELEASE FENCED GRANT FENCED FENCED FENCED ");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "the right one"), HF_OK);
}

static void the_token_of_another_host_is_fenced(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    contract_open_b(fixture);
    assert_int_equal(contract_commit(fixture, &fixture->b, &lease, "stolen"), HF_FENCED);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "mine"), HF_OK);
}

static void a_wrong_base_version_is_a_conflict(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease old = lease;

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &old, "from one"), HF_CONFLICT);
    old.head.version = 3;
    assert_int_equal(contract_commit(fixture, &fixture->a, &old, "from three"), HF_CONFLICT);
    assert_history(fixture, lease.sid, UINT64_MAX, 0, "2 1 ");
}

static void a_commit_whose_object_is_missing_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct object_id missing, root;
    struct commit commit;
    uint64_t version = 42;
    bool gone = false;

    scene_clear(scene);
    root = scene_dangling(scene, &missing);
    commit = scene_commit(scene, lease.sid, lease.token, 1, root);
    assert_int_equal(
        store_commit(fixture->a.store, fixture->a.host, &commit, &version, &fixture->err),
        HF_MISSING);
    assert_int_equal(version, 42);
    /* Nothing of it stays: not even the root, which nobody can use. */
    assert_int_equal(store_missing(fixture->a.store, 0, &root, 1, &gone, NULL), HF_OK);
    assert_true(gone);
    commit = scene_commit(scene, lease.sid, lease.token, 1, missing);
    commit.nobjects = 0;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL),
                     HF_MISSING);
    assert_history(fixture, lease.sid, UINT64_MAX, 0, "1 ");
}

static void a_root_must_be_a_root(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct commit commit;
    uint64_t version;

    scene_clear(scene);
    commit =
        scene_commit(scene, lease.sid, lease.token, 1, scene_add(scene, OBJECT_CHUNK, "chunk", 5));
    commit.objects = scene->objects;
    commit.nobjects = scene->n;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL),
                     HF_CORRUPT);
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, scene->n, NULL), HF_OK);
    commit.nobjects = 0;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL),
                     HF_CORRUPT);
}

static void a_commit_may_use_objects_put_before(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    char data[40000];
    struct scene_node big = {.name = "big", .data = data, .len = sizeof data};
    struct commit commit;
    uint64_t version;

    scene_clear(scene);
    scene_fill(3, data, sizeof data);
    commit = scene_commit(scene, lease.sid, lease.token, 1, scene_root(scene, &big, 1));
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, scene->n - 1, NULL), HF_OK);
    commit.objects = &scene->objects[scene->n - 1];
    commit.nobjects = 1;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL),
                     HF_OK);
    assert_int_equal(version, 2);
    /* And of objects that another version has: none is new. */
    commit.base_version = 2;
    commit.nobjects = 0;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL),
                     HF_OK);
    assert_int_equal(version, 3);
}

static void a_synced_commit_and_a_sync_succeed(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct commit commit;
    uint64_t version;

    scene_clear(scene);
    commit = scene_commit(scene, lease.sid, lease.token, 1, scene_note(scene, "two"));
    commit.durability = DURABILITY_SYNC;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL),
                     HF_OK);
    assert_int_equal(store_sync(fixture->a.store, NULL), HF_OK);
}

static void a_commit_to_a_session_that_is_not_there_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct lease nowhere = {.sid = 4711, .token = 1};

    assert_int_equal(contract_commit(fixture, &fixture->a, &nowhere, "x"), HF_NOENT);
}

static int check_meta(const struct session_info *info, void *arg)
{
    const char *const *expected = arg;

    assert_string_equal(info->meta.repository, expected[0]);
    if (expected[1])
        assert_string_equal(info->meta.branch, expected[1]);
    else
        assert_null(info->meta.branch);
    return 0;
}

static void the_index_row_moves_with_the_head(void **state)
{
    static const char *const first[] = {"org/r", "main"}, *const second[] = {"org/q", NULL};
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct session_filter filter = {.repository = "org/r"};
    struct commit commit;
    uint64_t version;

    scene_clear(scene);
    commit = scene_commit(scene, lease.sid, lease.token, 1, scene_note(scene, "two"));
    commit.meta.repository = "org/r";
    commit.meta.branch = "main";
    commit.meta_strings_valid = true;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL), 0);
    assert_int_equal(store_session_list(fixture->a.store, NULL, check_meta, (void *)first, NULL),
                     0);
    /* Strings that are not valid leave the row's alone. */
    commit.base_version = 2;
    commit.meta_strings_valid = false;
    commit.meta.repository = "nonsense";
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL), 0);
    assert_int_equal(store_session_list(fixture->a.store, &filter, check_meta, (void *)first, NULL),
                     0);
    commit.base_version = 3;
    commit.meta_strings_valid = true;
    commit.meta.repository = "org/q";
    commit.meta.branch = NULL;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &version, NULL), 0);
    assert_int_equal(store_session_list(fixture->a.store, NULL, check_meta, (void *)second, NULL),
                     0);
}

static void other_hosts_hear_of_commits_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct recorder *recorder = &fixture->b.recorder;
    struct lease lease;
    uint64_t last = 0;

    contract_open_b(fixture);
    lease = contract_session(fixture, &fixture->a, "alpha", "one");
    for (int i = 0; i < 20; i++)
        assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "more"), HF_OK);
    /* A renaming comes after all of them. */
    assert_int_equal(store_session_rename(fixture->a.store, fixture->a.host, lease.sid, lease.token,
                                          "z", RENAME_SESSION_NEW, 0, NULL),
                     HF_OK);
    recorder_wait(recorder, EVENT_HEAD_MOVED, lease.sid);
    for (int i = 0; i < 200 && last < 21; i++) {
        recorder_wait(recorder, EVENT_HEAD_MOVED, lease.sid);
        pthread_mutex_lock(&recorder->mutex);
        last = 0;
        for (size_t e = 0; e < recorder->n; e++) {
            if (recorder->events[e].kind != EVENT_HEAD_MOVED)
                continue;
            assert_true(recorder->events[e].version > last);
            last = recorder->events[e].version;
        }
        if (last < 21) {
            struct timespec soon;

            clock_gettime(CLOCK_REALTIME, &soon);
            soon.tv_sec += 1;
            pthread_cond_timedwait(&recorder->heard, &recorder->mutex, &soon);
        }
        pthread_mutex_unlock(&recorder->mutex);
    }
    assert_int_equal(last, 21);
    pthread_mutex_lock(&fixture->a.recorder.mutex);
    for (size_t e = 0; e < fixture->a.recorder.n; e++)
        assert_int_not_equal(fixture->a.recorder.events[e].kind, EVENT_HEAD_MOVED);
    pthread_mutex_unlock(&fixture->a.recorder.mutex);
}

/* --- the shared tree ----------------------------------------------------------------------------------------------- */

static int commit_shared(struct fixture *fixture, uint64_t base, const char *text,
                         uint64_t *ret_version)
{
    struct scene *scene = &fixture->scene;
    struct object_id root;
    struct commit commit;

    scene_clear(scene);
    root = scene_note(scene, text);
    commit = scene_commit(scene, SHARED_SID, 0, base, root);
    return store_commit(fixture->a.store, fixture->a.host, &commit, ret_version, &fixture->err);
}

static void the_shared_tree_is_committed_by_compare_and_swap(void **state)
{
    struct fixture *fixture = *state;
    struct session_head head;
    uint64_t version = 0;

    assert_int_equal(commit_shared(fixture, 1, "x", &version), HF_CONFLICT);
    assert_int_equal(commit_shared(fixture, 0, "one", &version), HF_OK);
    assert_int_equal(version, 1);
    assert_int_equal(commit_shared(fixture, 0, "late", &version), HF_CONFLICT);
    assert_int_equal(commit_shared(fixture, 1, "two", &version), HF_OK);
    assert_int_equal(store_session_head(fixture->a.store, SHARED_SID, &head, NULL), HF_OK);
    assert_int_equal(head.version, 2);
    contract_assert_note(fixture->a.store, &head.root, "two");
    assert_history(fixture, SHARED_SID, UINT64_MAX, 0, "2 1 ");
}

/* --- what lasts ------------------------------------------------------------------------------------------------------ */

static void a_store_reopened_is_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), again;
    struct session_head head;

    if (!fixture->engine->durable)
        return;
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    contract_unmount(&fixture->a);
    contract_mount(fixture, &fixture->a, "host-a");
    assert_int_equal(store_session_find(fixture->a.store, "alpha", &head, NULL), HF_OK);
    assert_int_equal(head.version, 2);
    contract_assert_note(fixture->a.store, &head.root, "two");
    assert_int_equal(
        store_lease_acquire(fixture->a.store, fixture->a.host, head.sid, 0, &again, NULL), HF_OK);
    assert_true(again.token > lease.token);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "late"), HF_FENCED);
    contract_assert_sound(fixture->a.store);
}

static void a_read_only_handle_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct session_head head;
    struct store *reader;
    struct commit commit;
    uint64_t version;

    assert_int_equal(fixture->engine->open(fixture->url, STORE_READ_ONLY, &reader, &fixture->err),
                     HF_OK);
    assert_true(store_info(reader)->read_only);
    assert_int_equal(store_session_find(reader, "alpha", &head, NULL), HF_OK);
    contract_assert_note(reader, &head.root, "one");
    commit = scene_commit(&fixture->scene, lease.sid, lease.token, 1, lease.head.root);
    assert_int_equal(store_commit(reader, 0, &commit, &version, NULL), HF_ROFS);
    assert_int_equal(store_put(reader, 0, fixture->scene.objects, 1, NULL), HF_ROFS);
    assert_int_equal(store_session_undelete(reader, lease.sid, NULL, NULL), HF_ROFS);
    /* It sees what others do meanwhile. */
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(store_session_find(reader, "alpha", &head, NULL), HF_OK);
    assert_int_equal(head.version, 2);
    store_close(reader);
}

static void a_store_is_made_only_when_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    char url[512];

    if (fixture->engine->served)
        return; /* the server makes it */
    fixture->engine->new_url(url, sizeof url);
    assert_int_equal(fixture->engine->open(url, 0, &store, &fixture->err), HF_NOENT);
    assert_null(store);
    assert_true(fixture->err.message[0] != '\0');
    fixture->engine->remove(url);
}

const struct CMUnitTest contract_commit_tests[] = {
    CONTRACT_TEST(commits_make_a_chain_of_versions),
    CONTRACT_TEST(an_old_version_can_be_read),
    CONTRACT_TEST(history_outlives_deletion),
    CONTRACT_TEST(a_stale_token_is_fenced),
    CONTRACT_TEST(the_token_of_another_host_is_fenced),
    CONTRACT_TEST(a_wrong_base_version_is_a_conflict),
    CONTRACT_TEST(a_commit_whose_object_is_missing_is_refused),
    CONTRACT_TEST(a_root_must_be_a_root),
    CONTRACT_TEST(a_commit_may_use_objects_put_before),
    CONTRACT_TEST(a_synced_commit_and_a_sync_succeed),
    CONTRACT_TEST(a_commit_to_a_session_that_is_not_there_is_refused),
    CONTRACT_TEST(the_index_row_moves_with_the_head),
    CONTRACT_TEST(other_hosts_hear_of_commits_in_order),
    CONTRACT_TEST(the_shared_tree_is_committed_by_compare_and_swap),
    CONTRACT_TEST(a_store_reopened_is_as_it_was),
    CONTRACT_TEST(a_read_only_handle_changes_nothing),
    CONTRACT_TEST(a_store_is_made_only_when_asked_for),
};
const size_t contract_commit_count = CONTRACT_COUNT(contract_commit_tests);
