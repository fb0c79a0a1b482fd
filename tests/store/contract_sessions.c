/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "contract.h"

/* --- lists as text ------------------------------------------------------------------------------------------ */

struct names {
    char text[4000];
    size_t limit, n;
};

static int add_name(const struct session_info *info, void *arg)
{
    struct names *names = arg;
    size_t len = strlen(names->text);

    snprintf(names->text + len, sizeof names->text - len, "%s ", info->name);
    names->n++;
    return names->limit > 0 && names->n == names->limit ? 77 : 0;
}

static void assert_list(struct store *store, const struct session_filter *filter,
                        const char *expected)
{
    struct names names = {.n = 0};

    assert_int_equal(store_session_list(store, filter, add_name, &names, NULL), HF_OK);
    assert_string_equal(names.text, expected);
}

/* --- making and finding ----------------------------------------------------------------------------------------- */

static void a_new_session_is_at_version_one_and_leased(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "hello");
    struct session_head by_name, by_id;

    assert_true(lease.sid != SHARED_SID);
    assert_true(lease.token > 0);
    assert_int_equal(lease.head.version, 1);
    assert_int_equal(lease.head.files, 1);
    assert_int_equal(lease.head.bytes, 5);
    assert_int_equal(store_session_find(fixture->a.store, "alpha", &by_name, NULL), HF_OK);
    assert_int_equal(store_session_head(fixture->a.store, lease.sid, &by_id, NULL), HF_OK);
    assert_int_equal(by_name.sid, lease.sid);
    assert_true(object_id_equal(&by_name.root, &by_id.root));
    contract_assert_note(fixture->a.store, &by_id.root, "hello");
}

static void a_session_made_without_a_host_is_free(void **state)
{
    struct fixture *fixture = *state;
    struct mount tool = {.store = fixture->a.store};
    struct lease lease = contract_session(fixture, &tool, "alpha", "hello");
    struct lease mine;

    assert_int_equal(lease.token, 0);
    assert_int_equal(
        store_lease_acquire(fixture->a.store, fixture->a.host, lease.sid, 0, &mine, NULL), HF_OK);
    assert_true(mine.token > 0);
}

static void a_name_is_given_once(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct commit commit;
    struct lease other = {0};

    scene_clear(&fixture->scene);
    commit = scene_commit(&fixture->scene, 0, 0, 0, lease.head.root);
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "alpha", &commit,
                                          &other, &fixture->err),
                     HF_EXIST);
    assert_int_equal(other.sid, 0);
    contract_session(fixture, &fixture->a, "beta", "two");
    assert_list(fixture->a.store, NULL, "alpha beta ");
}

static void a_bad_name_is_refused(void **state)
{
    static const char *const bad[] = {"", ".", "..", ".hidden", "a/b"};
    struct fixture *fixture = *state;
    char long_name[SESSION_NAME_MAX + 2];
    struct session_head head;
    struct commit commit;
    struct lease lease;

    commit = scene_commit(&fixture->scene, 0, 0, 0, scene_note(&fixture->scene, "x"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, bad[i], &commit,
                                              &lease, &fixture->err),
                         HF_INVAL);
        assert_int_equal(store_session_find(fixture->a.store, bad[i], &head, NULL), HF_INVAL);
    }
    memset(long_name, 'n', sizeof long_name);
    long_name[SESSION_NAME_MAX + 1] = '\0';
    assert_int_equal(
        store_session_create(fixture->a.store, fixture->a.host, long_name, &commit, &lease, NULL),
        HF_NAMETOOLONG);
    long_name[SESSION_NAME_MAX] = '\0';
    assert_int_equal(
        store_session_create(fixture->a.store, fixture->a.host, long_name, &commit, &lease, NULL),
        HF_OK);
    assert_int_equal(store_session_find(fixture->a.store, long_name, &head, NULL), HF_OK);
}

static void a_name_is_bytes(void **state)
{
    static const char name[] = "\xff\xfe not utf-8 \x01\n'\"%_";
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, name, "x");
    struct session_head head;

    assert_int_equal(store_session_find(fixture->a.store, name, &head, NULL), HF_OK);
    assert_int_equal(head.sid, lease.sid);
    assert_int_equal(store_session_find(fixture->a.store, "\xff\xfe", &head, NULL), HF_NOENT);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct session_head head = {.sid = 99};

    assert_int_equal(store_session_find(fixture->a.store, "nobody", &head, &fixture->err),
                     HF_NOENT);
    assert_int_equal(store_session_head(fixture->a.store, 12345, &head, NULL), HF_NOENT);
    assert_int_equal(head.sid, 99);
}

static void a_new_store_has_a_shared_tree_without_a_root(void **state)
{
    struct fixture *fixture = *state;
    struct object_id none = {{0}};
    struct session_head head;

    assert_int_equal(store_session_head(fixture->a.store, SHARED_SID, &head, NULL), HF_OK);
    assert_int_equal(head.version, 0);
    assert_true(object_id_equal(&head.root, &none));
    assert_list(fixture->a.store, NULL, "");
}

static void a_session_whose_root_is_missing_is_not_made(void **state)
{
    struct fixture *fixture = *state;
    struct object_id missing;
    struct session_head head;
    struct commit commit;
    struct lease lease;

    commit = scene_commit(&fixture->scene, 0, 0, 0, scene_dangling(&fixture->scene, &missing));
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "alpha", &commit,
                                          &lease, &fixture->err),
                     HF_MISSING);
    commit.nobjects = 0;
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "alpha", &commit,
                                          &lease, &fixture->err),
                     HF_MISSING);
    assert_int_equal(store_session_find(fixture->a.store, "alpha", &head, NULL), HF_NOENT);
}

/* --- renaming ------------------------------------------------------------------------------------------------------ */

static int rename_to(struct fixture *fixture, const struct lease *lease, const char *name,
                     enum session_rename_mode mode, uint64_t other_token)
{
    return store_session_rename(fixture->a.store, fixture->a.host, lease->sid, lease->token, name,
                                mode, other_token, &fixture->err);
}

static void a_session_can_be_renamed(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "x");
    struct session_head head;

    assert_int_equal(rename_to(fixture, &lease, "omega", RENAME_SESSION_NEW, 0), HF_OK);
    assert_int_equal(store_session_find(fixture->a.store, "alpha", &head, NULL), HF_NOENT);
    assert_int_equal(store_session_find(fixture->a.store, "omega", &head, NULL), HF_OK);
    assert_int_equal(head.sid, lease.sid);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "still mine"), HF_OK);
    contract_session(fixture, &fixture->a, "alpha", "the name is free");
    assert_list(fixture->a.store, NULL, "alpha omega ");
}

static void renaming_needs_the_token(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "x");

    lease.token++;
    assert_int_equal(rename_to(fixture, &lease, "omega", RENAME_SESSION_NEW, 0), HF_FENCED);
    assert_list(fixture->a.store, NULL, "alpha ");
}

static void renaming_onto_another_is_refused_unless_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct lease one = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease two = contract_session(fixture, &fixture->a, "beta", "two");
    struct session_filter trash = {.trashed = true};
    struct session_head head;

    assert_int_equal(rename_to(fixture, &one, "beta", RENAME_SESSION_NEW, 0), HF_EXIST);
    assert_int_equal(rename_to(fixture, &one, "beta", RENAME_SESSION_REPLACE, two.token + 1),
                     HF_FENCED);
    assert_list(fixture->a.store, NULL, "alpha beta ");
    assert_int_equal(rename_to(fixture, &one, "beta", RENAME_SESSION_REPLACE, two.token), HF_OK);
    assert_list(fixture->a.store, NULL, "beta ");
    assert_list(fixture->a.store, &trash, "beta ");
    assert_int_equal(store_session_find(fixture->a.store, "beta", &head, NULL), HF_OK);
    assert_int_equal(head.sid, one.sid);
    assert_int_equal(contract_commit(fixture, &fixture->a, &two, "too late"), HF_FENCED);
    assert_int_equal(contract_commit(fixture, &fixture->a, &one, "mine"), HF_OK);
}

static void two_sessions_can_swap_names(void **state)
{
    struct fixture *fixture = *state;
    struct lease one = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease two = contract_session(fixture, &fixture->a, "beta", "two");
    struct session_head head;

    assert_int_equal(rename_to(fixture, &one, "gamma", RENAME_SESSION_EXCHANGE, 0), HF_NOENT);
    assert_int_equal(rename_to(fixture, &one, "beta", RENAME_SESSION_EXCHANGE, two.token), HF_OK);
    assert_int_equal(store_session_find(fixture->a.store, "beta", &head, NULL), HF_OK);
    assert_int_equal(head.sid, one.sid);
    assert_int_equal(store_session_find(fixture->a.store, "alpha", &head, NULL), HF_OK);
    assert_int_equal(head.sid, two.sid);
}

static void renaming_to_the_own_name_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct lease one = contract_session(fixture, &fixture->a, "alpha", "one");

    assert_int_equal(rename_to(fixture, &one, "alpha", RENAME_SESSION_NEW, 0), HF_OK);
    assert_int_equal(rename_to(fixture, &one, "alpha", RENAME_SESSION_REPLACE, 0), HF_OK);
    assert_list(fixture->a.store, NULL, "alpha ");
}

/* --- the trash ------------------------------------------------------------------------------------------------------- */

static void a_deleted_session_is_in_the_trash_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct session_filter trash = {.trashed = true};
    struct session_head head;
    struct lease again;

    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token + 1, NULL),
        HF_FENCED);
    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_list(fixture->a.store, NULL, "");
    assert_list(fixture->a.store, &trash, "alpha ");
    assert_int_equal(store_session_find(fixture->a.store, "alpha", &head, NULL), HF_NOENT);
    assert_int_equal(store_session_head(fixture->a.store, lease.sid, &head, NULL), HF_NOENT);
    assert_int_equal(
        store_lease_acquire(fixture->a.store, fixture->a.host, lease.sid, 0, &again, NULL),
        HF_NOENT);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "late"), HF_FENCED);

    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, NULL, NULL), HF_OK);
    assert_list(fixture->a.store, NULL, "alpha ");
    assert_list(fixture->a.store, &trash, "");
    assert_int_equal(
        store_lease_acquire(fixture->a.store, fixture->a.host, lease.sid, 0, &again, NULL), HF_OK);
    assert_true(again.token > lease.token);
    contract_assert_note(fixture->a.store, &again.head.root, "one");
}

static void undeleting_needs_a_free_name(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, NULL, NULL), HF_NOENT);
    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    contract_session(fixture, &fixture->a, "alpha", "two");
    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, NULL, &fixture->err),
                     HF_EXIST);
    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, ".x", &fixture->err),
                     HF_INVAL);
    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, "beta", NULL), HF_OK);
    assert_list(fixture->a.store, NULL, "alpha beta ");
    assert_int_equal(store_session_undelete(fixture->a.store, 4711, NULL, NULL), HF_NOENT);
}

static void session_numbers_are_never_given_twice(void **state)
{
    struct fixture *fixture = *state;
    struct lease one = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease two;

    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, one.sid, one.token, NULL), HF_OK);
    two = contract_session(fixture, &fixture->a, "alpha", "two");
    assert_true(two.sid > one.sid);
}

/* --- listing ----------------------------------------------------------------------------------------------------------- */

static void make_described(struct fixture *fixture, const char *name, const char *repository,
                           const char *branch)
{
    struct commit commit;
    struct lease lease;

    scene_clear(&fixture->scene);
    commit = scene_commit(&fixture->scene, 0, 0, 0, scene_note(&fixture->scene, name));
    commit.meta.repository = repository;
    commit.meta.branch = branch;
    commit.meta.cwd = "/src/project";
    commit.meta_strings_valid = true;
    assert_int_equal(store_session_create(fixture->a.store, 0, name, &commit, &lease, NULL), HF_OK);
}

static void a_list_is_in_byte_order_and_filtered(void **state)
{
    struct fixture *fixture = *state;
    struct session_filter filter = {0};

    make_described(fixture, "b1", "org/one", "main");
    make_described(fixture, "a2", "org/two", "main");
    make_described(fixture, "a1", "org/one", "feature");
    make_described(fixture, "\xc3\xa4", "org/one", NULL);
    make_described(fixture, "B0", NULL, NULL);
    assert_list(fixture->a.store, NULL, "B0 a1 a2 b1 \xc3\xa4 ");
    filter.repository = "org/one";
    assert_list(fixture->a.store, &filter, "a1 b1 \xc3\xa4 ");
    filter.branch = "main";
    assert_list(fixture->a.store, &filter, "b1 ");
    filter = (struct session_filter){.name_glob = "a?"};
    assert_list(fixture->a.store, &filter, "a1 a2 ");
    filter = (struct session_filter){.cwd = "/src/project", .name_glob = "[bB]*"};
    assert_list(fixture->a.store, &filter, "B0 b1 ");
    filter = (struct session_filter){.git_root = "/src"};
    assert_list(fixture->a.store, &filter, "");
    filter = (struct session_filter){.changed_since = INT64_MAX};
    assert_list(fixture->a.store, &filter, "");
}

static void a_list_comes_in_pages(void **state)
{
    struct fixture *fixture = *state;
    struct session_filter filter = {.limit = 2};

    for (int i = 0; i < 5; i++) {
        char name[8];

        snprintf(name, sizeof name, "s%d", i);
        make_described(fixture, name, NULL, NULL);
    }
    assert_list(fixture->a.store, &filter, "s0 s1 ");
    filter.after = "s1";
    assert_list(fixture->a.store, &filter, "s2 s3 ");
    filter.after = "s3";
    assert_list(fixture->a.store, &filter, "s4 ");
    filter.after = "s4";
    assert_list(fixture->a.store, &filter, "");
    filter = (struct session_filter){.after = "s2x"};
    assert_list(fixture->a.store, &filter, "s3 s4 ");
}

static void a_visitor_can_stop_a_list(void **state)
{
    struct fixture *fixture = *state;
    struct names names = {.limit = 2};

    contract_session(fixture, &fixture->a, "s0", "x");
    contract_session(fixture, &fixture->a, "s1", "x");
    contract_session(fixture, &fixture->a, "s2", "x");
    assert_int_equal(store_session_list(fixture->a.store, NULL, add_name, &names, NULL), 77);
    assert_string_equal(names.text, "s0 s1 ");
    contract_assert_sound(fixture->a.store); /* and the store goes on */
}

static int check_info(const struct session_info *info, void *arg)
{
    struct fixture *fixture = arg;

    assert_string_equal(info->name, "alpha");
    assert_int_equal(info->state, SESSION_LIVE);
    assert_int_equal(info->head.version, 1);
    assert_true(info->created > 0 && info->head.time >= info->created);
    assert_int_equal(info->holder, fixture->a.host);
    assert_string_equal(info->holder_name, "host-a");
    assert_string_equal(info->meta.cwd, "/c");
    assert_string_equal(info->meta.git_root, "/g");
    assert_string_equal(info->meta.repository, "r");
    assert_string_equal(info->meta.branch, "b");
    assert_string_equal(info->meta.name, "n");
    assert_string_equal(info->meta.created_at, "yesterday");
    assert_null(info->meta.updated_at);
    assert_int_equal(info->meta.bytes, 5);
    assert_int_equal(info->meta.files, 1);
    return 5;
}

static void a_list_tells_everything_about_a_session(void **state)
{
    struct fixture *fixture = *state;
    struct commit commit;
    struct lease lease;

    commit = scene_commit(&fixture->scene, 0, 0, 0, scene_note(&fixture->scene, "hello"));
    commit.meta = (struct session_meta){
        .cwd = "/c",
        .git_root = "/g",
        .repository = "r",
        .branch = "b",
        .name = "n",
        .created_at = "yesterday",
        .bytes = 5,
        .files = 1,
    };
    commit.meta_strings_valid = true;
    assert_int_equal(
        store_session_create(fixture->a.store, fixture->a.host, "alpha", &commit, &lease, NULL),
        HF_OK);
    assert_int_equal(store_session_list(fixture->a.store, NULL, check_info, fixture, NULL), 5);
}

static void another_host_hears_of_sessions(void **state)
{
    struct fixture *fixture = *state;
    struct recorder *recorder = &fixture->b.recorder;
    struct lease lease;

    contract_open_b(fixture);
    lease = contract_session(fixture, &fixture->a, "alpha", "x");
    recorder_wait(recorder, EVENT_SESSIONS_CHANGED, lease.sid);
    recorder_clear(recorder);
    assert_int_equal(rename_to(fixture, &lease, "beta", RENAME_SESSION_NEW, 0), HF_OK);
    recorder_wait(recorder, EVENT_SESSIONS_CHANGED, lease.sid);
    recorder_clear(recorder);
    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    recorder_wait(recorder, EVENT_SESSIONS_CHANGED, lease.sid);
    recorder_clear(recorder);
    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, NULL, NULL), HF_OK);
    recorder_wait(recorder, EVENT_SESSIONS_CHANGED, lease.sid);
}

const struct CMUnitTest contract_session_tests[] = {
    CONTRACT_TEST(a_new_session_is_at_version_one_and_leased),
    CONTRACT_TEST(a_session_made_without_a_host_is_free),
    CONTRACT_TEST(a_name_is_given_once),
    CONTRACT_TEST(a_bad_name_is_refused),
    CONTRACT_TEST(a_name_is_bytes),
    CONTRACT_TEST(what_is_not_there_is_not_found),
    CONTRACT_TEST(a_new_store_has_a_shared_tree_without_a_root),
    CONTRACT_TEST(a_session_whose_root_is_missing_is_not_made),
    CONTRACT_TEST(a_session_can_be_renamed),
    CONTRACT_TEST(renaming_needs_the_token),
    CONTRACT_TEST(renaming_onto_another_is_refused_unless_asked_for),
    CONTRACT_TEST(two_sessions_can_swap_names),
    CONTRACT_TEST(renaming_to_the_own_name_changes_nothing),
    CONTRACT_TEST(a_deleted_session_is_in_the_trash_and_comes_back),
    CONTRACT_TEST(undeleting_needs_a_free_name),
    CONTRACT_TEST(session_numbers_are_never_given_twice),
    CONTRACT_TEST(a_list_is_in_byte_order_and_filtered),
    CONTRACT_TEST(a_list_comes_in_pages),
    CONTRACT_TEST(a_visitor_can_stop_a_list),
    CONTRACT_TEST(a_list_tells_everything_about_a_session),
    CONTRACT_TEST(another_host_hears_of_sessions),
};
const size_t contract_session_count = CONTRACT_COUNT(contract_session_tests);
