/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, rescue versions and snapshots that come from another store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

#define MANY 3000
#define COPIED_MAX (1ULL << 62)

static const uint8_t there[UUID_SIZE] =
    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xAB";
static const char there_text[] = "01020304-0506-0708-090a-0b0c0d0e0fab";

struct text {
    char bytes[4000];
};

static void add(struct text *text, const char *item)
{
    size_t len = strlen(text->bytes);

    snprintf(text->bytes + len, sizeof text->bytes - len, "%s", item);
}

/* The root of a note, which the store has. */
static struct object_id put_note(struct fixture *fixture, const char *text)
{
    struct scene *scene = &fixture->scene;
    struct object_id root;

    scene_clear(scene);
    root = scene_note(scene, text);
    assert_int_equal(
        store_put(fixture->a.store, fixture->a.host, scene->objects, scene->n, &fixture->err),
        HF_OK);
    return root;
}

static struct history_entry version_of(struct fixture *fixture, uint64_t version, const char *text)
{
    return (struct history_entry){
        .version = version,
        .root = put_note(fixture, text),
        .time = 1000 + (int64_t)version,
        .host = 40,
        .host_name = "far",
        .token = 6,
        .bytes = strlen(text),
        .files = 1,
    };
}

static struct session_copy copy_of(uint64_t sid, const char *name,
                                   const struct history_entry *versions, size_t n)
{
    struct session_copy copy = {
        .sid = sid,
        .name = name,
        .state = SESSION_LIVE,
        .created = 500,
        .token = 6,
        .versions = versions,
        .nversions = n,
        .meta = {.repository = "org/project", .branch = "main"},
    };

    memcpy(copy.origin, there, UUID_SIZE);
    return copy;
}

static void receive(struct fixture *fixture, const struct session_copy *copy)
{
    if (store_session_receive(fixture->a.store, copy, &fixture->err) != HF_OK)
        fail_msg("session %s is not received: %s", copy->name, fixture->err.message);
}

/* One session with one version of this text. */
static void receive_note(struct fixture *fixture, uint64_t sid, const char *name, uint64_t version,
                         const char *text)
{
    struct history_entry entry = version_of(fixture, version, text);
    struct session_copy copy = copy_of(sid, name, &entry, 1);

    receive(fixture, &copy);
}

/* --- what is here ------------------------------------------------------------------------------------------ */

static int add_version(const struct history_entry *entry, void *arg)
{
    char item[100];

    snprintf(item, sizeof item, "%llu@%lld %s/%llu/%llu ", (unsigned long long)entry->version,
             (long long)entry->time, entry->host_name ? entry->host_name : "-",
             (unsigned long long)entry->token, (unsigned long long)entry->bytes);
    add(arg, item);
    return 0;
}

static void assert_versions(struct store *store, uint64_t sid, const char *expected)
{
    struct text text = {""};

    assert_int_equal(store_history(store, sid, UINT64_MAX, 0, add_version, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static int add_session(const struct session_info *info, void *arg)
{
    char item[300];

    snprintf(item, sizeof item, "%llu:%s@%llu/%s/%lld/%lld ", (unsigned long long)info->head.sid,
             info->name, (unsigned long long)info->head.version,
             info->meta.branch ? info->meta.branch : "-", (long long)info->created,
             (long long)(info->trashed > 1000000 ? 1 : info->trashed));
    add(arg, item);
    return 0;
}

/* Those that are live, "|", and those in the trash. */
static void assert_sessions(struct store *store, const char *expected)
{
    struct session_filter trash = {.trashed = true};
    struct text text = {""};

    assert_int_equal(store_session_list(store, NULL, add_session, &text, NULL), HF_OK);
    add(&text, "| ");
    assert_int_equal(store_session_list(store, &trash, add_session, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, expected);
}

static void assert_no_origin(struct store *store)
{
    BUF_AUTO text = {0};

    assert_int_equal(store_setting_get(store, SETTING_ORIGIN, &text, NULL), HF_NOENT);
}

/* --- sessions ---------------------------------------------------------------------------------------------- */

static void a_received_session_is_what_it_was_there(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry versions[] = {
        version_of(fixture, 3, "one"),
        version_of(fixture, 5, "three"),
        version_of(fixture, 9, "two"),
    };
    struct session_copy copy = copy_of(17, "alpha", versions, 3);
    struct session_head head;
    struct lease lease;
    BUF_AUTO origin = {0};

    assert_no_origin(store);
    versions[1].host = 0;
    versions[1].host_name = NULL;
    receive(fixture, &copy);
    assert_sessions(store, "17:alpha@9/main/500/0 | ");
    assert_versions(store, 17, "9@1009 far/6/3 5@1005 -/6/5 3@1003 far/6/3 ");
    assert_int_equal(store_session_find(store, "alpha", &head, NULL), HF_OK);
    assert_int_equal(head.time, 1009);
    contract_assert_note(store, &head.root, "two");
    assert_int_equal(store_setting_get(store, SETTING_ORIGIN, &origin, NULL), HF_OK);
    assert_int_equal(origin.len, strlen(there_text));
    assert_memory_equal(origin.data, there_text, origin.len);
    contract_assert_sound(store);
    /* From here on it is a session like any other. */
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 17, 0, &lease, NULL), HF_OK);
    assert_int_equal(lease.token, 7);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "four"), HF_OK);
    assert_int_equal(lease.head.version, 10);
    assert_int_equal(contract_session(fixture, &fixture->a, "beta", "one").sid, 18);
    contract_assert_sound(store);
}

static void what_is_new_is_added_and_what_is_known_left(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry versions[] = {
        version_of(fixture, 1, "one"),
        version_of(fixture, 2, "two"),
        version_of(fixture, 4, "six"),
        version_of(fixture, 6, "ten"),
    };
    struct session_copy first = copy_of(1, "alpha", versions + 1, 1);
    struct session_copy more = copy_of(1, "alpha", versions, 4);
    struct session_copy old = copy_of(1, "older", versions, 2);
    static const uint64_t dropped[] = {2};

    receive(fixture, &first);
    receive(fixture, &first);
    assert_versions(store, 1, "2@1002 far/6/3 ");
    receive(fixture, &more);
    assert_versions(store, 1, "6@1006 far/6/3 4@1004 far/6/3 2@1002 far/6/3 1@1001 far/6/3 ");
    assert_int_equal(store_history_drop(store, 1, dropped, 1, NULL, NULL), HF_OK);
    /* One that was read before another had come: the head stays. */
    old.token = 9;
    receive(fixture, &old);
    assert_sessions(store, "1:alpha@6/main/500/0 | ");
    assert_versions(store, 1, "6@1006 far/6/3 4@1004 far/6/3 2@1002 far/6/3 1@1001 far/6/3 ");
    contract_assert_sound(store);
}

static void the_next_token_is_above_both(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry entry = version_of(fixture, 1, "one");
    struct session_copy copy = copy_of(1, "alpha", &entry, 1);
    struct lease lease;

    receive(fixture, &copy);
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 1, 0, &lease, NULL), HF_OK);
    assert_int_equal(lease.token, 7);
    assert_int_equal(store_lease_release(store, fixture->a.host, 1, 7, NULL), HF_OK);
    receive(fixture, &copy);
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 1, 0, &lease, NULL), HF_OK);
    assert_int_equal(lease.token, 8);
    assert_int_equal(store_lease_release(store, fixture->a.host, 1, 8, NULL), HF_OK);
    copy.token = 1ULL << 32;
    receive(fixture, &copy);
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 1, 0, &lease, NULL), HF_OK);
    assert_int_equal(lease.token, (1ULL << 32) + 1);
}

static void another_history_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry versions[] = {
        version_of(fixture, 1, "one"),
        version_of(fixture, 2, "two"),
        version_of(fixture, 3, "six"),
    };
    struct session_copy copy = copy_of(1, "alpha", versions, 2);

    receive(fixture, &copy);
    versions[1] = version_of(fixture, 2, "ten");
    copy.nversions = 3;
    copy.token = 99;
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_CONFLICT);
    copy.sid = 2;
    copy.name = "beta";
    copy.origin[0]++;
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_CONFLICT);
    assert_sessions(store, "1:alpha@2/main/500/0 | ");
    assert_versions(store, 1, "2@1002 far/6/3 1@1001 far/6/3 ");
    contract_assert_sound(store);
}

static void a_store_with_sessions_of_its_own_takes_no_copies(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease = contract_session(fixture, &fixture->a, "own", "one");
    struct history_entry entry = version_of(fixture, 1, "one");
    struct session_copy copy = copy_of(7, "alpha", &entry, 1);

    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_CONFLICT);
    assert_int_equal(store_session_delete(store, fixture->a.host, lease.sid, lease.token, NULL),
                     HF_OK);
    assert_int_equal(store_session_purge(store, lease.sid, NULL), HF_OK);
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_CONFLICT);
    assert_no_origin(store);
    contract_assert_sound(store);
}

static void a_store_with_a_shared_tree_of_its_own_takes_no_copies(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry entry = version_of(fixture, 1, "one");
    struct session_copy copy = copy_of(7, "alpha", &entry, 1);
    struct commit commit =
        scene_commit(&fixture->scene, SHARED_SID, 0, 0, scene_note(&fixture->scene, "x"));
    uint64_t version;

    assert_int_equal(store_commit(store, fixture->a.host, &commit, &version, NULL), HF_OK);
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_CONFLICT);
    assert_no_origin(store);
}

static void what_it_refers_to_must_be_here(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry versions[] = {version_of(fixture, 1, "one"),
                                       version_of(fixture, 2, "two")};
    struct session_copy copy = copy_of(1, "alpha", versions, 2);
    struct snapshot_copy snapshot = {.name = "pin", .time = 9, .npins = 1};
    struct pin_info pin = {.sid = 1, .session_name = "alpha", .version = 1, .time = 9};

    memcpy(snapshot.origin, there, UUID_SIZE);
    snapshot.pins = &pin;
    versions[1].root.bytes[3] ^= 1;
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_MISSING);
    assert_int_equal(store_snapshot_receive(store, &snapshot, &fixture->err), HF_MISSING);
    assert_sessions(store, "| ");
    assert_no_origin(store);
    contract_assert_sound(store);
}

static void sessions_that_swapped_names_come_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;

    receive_note(fixture, 1, "alpha", 1, "one");
    receive_note(fixture, 2, "beta", 1, "two");
    receive_note(fixture, 1, "beta", 1, "one");
    assert_sessions(store, "1:beta@1/main/500/0 | 2:beta@1/main/500/1 ");
    receive_note(fixture, 2, "alpha", 1, "two");
    assert_sessions(store, "2:alpha@1/main/500/0 1:beta@1/main/500/0 | ");
    contract_assert_sound(store);
}

static void a_session_in_the_trash_arrives_there(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry entry = version_of(fixture, 1, "one");
    struct session_copy copy = copy_of(1, "alpha", &entry, 1);

    receive(fixture, &copy);
    copy.state = SESSION_TRASHED;
    copy.trashed = 777;
    receive(fixture, &copy);
    /* Under a name that is another's now. */
    receive_note(fixture, 2, "alpha", 1, "two");
    receive(fixture, &copy);
    assert_sessions(store, "2:alpha@1/main/500/0 | 1:alpha@1/main/500/777 ");
    copy.state = SESSION_LIVE;
    copy.name = "gamma";
    receive(fixture, &copy);
    assert_sessions(store, "2:alpha@1/main/500/0 1:gamma@1/main/500/0 | ");
    contract_assert_sound(store);
}

static void what_was_purged_here_may_come_again_but_no_token(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct lease lease;

    receive_note(fixture, 3, "alpha", 4, "one");
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 3, 0, &lease, NULL), HF_OK);
    assert_int_equal(store_session_delete(store, fixture->a.host, 3, lease.token, NULL), HF_OK);
    assert_int_equal(store_session_purge(store, 3, NULL), HF_OK);
    contract_assert_sound(store);
    receive_note(fixture, 3, "alpha", 2, "two");
    assert_sessions(store, "3:alpha@2/main/500/0 | ");
    assert_versions(store, 3, "2@1002 far/6/3 ");
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 3, 0, &lease, NULL), HF_OK);
    assert_int_equal(lease.token, 8);
    contract_assert_sound(store);
}

static void a_session_that_is_leased_here_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry entry = version_of(fixture, 2, "two");
    struct session_copy copy = copy_of(1, "alpha", &entry, 1);
    struct session_copy namesake = copy_of(2, "alpha", &entry, 1);
    struct lease lease;

    receive_note(fixture, 1, "alpha", 1, "one");
    assert_int_equal(store_lease_acquire(store, fixture->a.host, 1, 0, &lease, NULL), HF_OK);
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_BUSY);
    assert_int_equal(store_session_receive(store, &namesake, &fixture->err), HF_BUSY);
    assert_sessions(store, "1:alpha@1/main/500/0 | ");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "ten"), HF_OK);
    assert_int_equal(store_lease_release(store, fixture->a.host, 1, lease.token, NULL), HF_OK);
    assert_int_equal(store_session_receive(store, &copy, &fixture->err), HF_CONFLICT);
    contract_assert_sound(store);
}

static void the_shared_tree_is_received_too(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct session_head head;

    receive_note(fixture, SHARED_SID, "", 3, "one");
    receive_note(fixture, 1, "alpha", 1, "two");
    receive_note(fixture, SHARED_SID, "", 5, "six");
    assert_int_equal(store_session_head(store, SHARED_SID, &head, NULL), HF_OK);
    assert_int_equal(head.version, 5);
    assert_versions(store, SHARED_SID, "5@1005 far/6/3 3@1003 far/6/3 ");
    assert_sessions(store, "1:alpha@1/main/500/0 | ");
    contract_assert_sound(store);
}

static void hosts_hear_of_what_is_received(void **state)
{
    struct fixture *fixture = *state;

    contract_open_b(fixture);
    receive_note(fixture, 1, "alpha", 1, "one");
    recorder_wait(&fixture->b.recorder, EVENT_SESSIONS_CHANGED, 1);
    assert_int_equal(recorder_wait(&fixture->b.recorder, EVENT_HEAD_MOVED, 1).version, 1);
    recorder_clear(&fixture->b.recorder);
    receive_note(fixture, 1, "alpha", 2, "two");
    assert_int_equal(recorder_wait(&fixture->b.recorder, EVENT_HEAD_MOVED, 1).version, 2);
}

static void thousands_of_versions_come_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry *versions = calloc(MANY, sizeof *versions);
    struct history_entry model = version_of(fixture, 1, "one");
    struct session_copy copy = copy_of(1, "alpha", versions, MANY / 2);
    struct store_stats stats;

    assert_non_null(versions);
    for (uint64_t i = 0; i < MANY; i++) {
        versions[i] = model;
        versions[i].version = 1 + 2 * i;
        versions[i].host = 1 + i % 3;
    }
    receive(fixture, &copy);
    copy.nversions = MANY;
    receive(fixture, &copy);
    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    assert_int_equal(stats.versions, MANY);
    contract_assert_sound(store);
    free(versions);
}

static void a_copy_that_makes_no_sense_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct history_entry versions[] = {version_of(fixture, 2, "two"),
                                       version_of(fixture, 3, "six")};
    struct session_copy good = copy_of(1, "alpha", versions, 2), bad = good;
    struct pin_info pins[2] = {{.sid = 2, .session_name = "b"}, {.sid = 2, .session_name = "c"}};
    struct snapshot_copy snapshot = {.name = "s", .pins = pins, .npins = 2};

    versions[1].version = 2;
    assert_int_equal(store_session_receive(store, &good, &fixture->err), HF_INVAL);
    versions[0].version = 0;
    assert_int_equal(store_session_receive(store, &good, &fixture->err), HF_INVAL);
    versions[0].version = 1;
    versions[1].version = COPIED_MAX + 1;
    assert_int_equal(store_session_receive(store, &good, &fixture->err), HF_INVAL);
    versions[1].version = 3;
    bad.token = COPIED_MAX + 1;
    assert_int_equal(store_session_receive(store, &bad, &fixture->err), HF_INVAL);
    bad = good;
    bad.sid = SID_MAX + 1;
    assert_int_equal(store_session_receive(store, &bad, &fixture->err), HF_INVAL);
    bad = good;
    bad.name = "a/b";
    assert_int_equal(store_session_receive(store, &bad, &fixture->err), HF_INVAL);
    bad = good;
    bad.sid = SHARED_SID;
    assert_int_equal(store_session_receive(store, &bad, &fixture->err), HF_INVAL);
    bad = good;
    bad.state = (enum session_state)3;
    assert_int_equal(store_session_receive(store, &bad, &fixture->err), HF_INVAL);
    assert_int_equal(store_snapshot_receive(store, &snapshot, &fixture->err), HF_INVAL);
    assert_sessions(store, "| ");
    receive(fixture, &good);
}

/* --- rescues ----------------------------------------------------------------------------------------------- */

static int add_rescue(const struct rescue_info *info, void *arg)
{
    char item[200];

    snprintf(item, sizeof item, "%llu:%s@%llu=%s by %s/%llu ", (unsigned long long)info->id,
             info->session_name, (unsigned long long)info->version, info->reason,
             info->host_name ? info->host_name : "-", (unsigned long long)info->token);
    add(arg, item);
    return 0;
}

static void rescues_are_received_under_their_numbers(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct rescue_info rescue = {.id = 5,
                                 .sid = 1,
                                 .version = 1,
                                 .root = put_note(fixture, "lost"),
                                 .time = 900,
                                 .host = 40,
                                 .host_name = "far",
                                 .token = 5,
                                 .bytes = 4,
                                 .files = 1,
                                 .reason = "why"};
    struct rescue_info other = rescue;
    struct text text = {""};
    struct commit commit;
    uint64_t id;

    assert_int_equal(store_rescue_receive(store, there, &rescue, &fixture->err), HF_NOENT);
    assert_no_origin(store);
    receive_note(fixture, 1, "alpha", 1, "one");
    assert_int_equal(store_rescue_receive(store, there, &rescue, &fixture->err), HF_OK);
    assert_int_equal(store_rescue_receive(store, there, &rescue, &fixture->err), HF_OK);
    other.root = put_note(fixture, "else");
    assert_int_equal(store_rescue_receive(store, there, &other, &fixture->err), HF_CONFLICT);
    other.id = 2;
    other.host_name = NULL;
    assert_int_equal(store_rescue_receive(store, there, &other, &fixture->err), HF_OK);
    other.id = 7;
    other.root.bytes[0] ^= 1;
    assert_int_equal(store_rescue_receive(store, there, &other, &fixture->err), HF_MISSING);
    assert_int_equal(
        store_rescue_receive(store, (const uint8_t *)"another store...", &rescue, NULL),
        HF_CONFLICT);
    commit = scene_commit(&fixture->scene, 1, 4, 1, rescue.root);
    assert_int_equal(store_rescue(store, fixture->a.host, &commit, "own", &id, NULL), HF_OK);
    assert_int_equal(id, 6);
    assert_int_equal(store_rescue_list(store, 1, add_rescue, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, "2:alpha@1=why by -/5 5:alpha@1=why by far/5 "
                                    "6:alpha@1=own by host-a/4 ");
    contract_assert_sound(store);
}

/* --- snapshots --------------------------------------------------------------------------------------------- */

static int add_pin(const struct pin_info *pin, void *arg)
{
    char item[200];

    snprintf(item, sizeof item, "%llu:%s@%llu/%lld ", (unsigned long long)pin->sid,
             pin->session_name, (unsigned long long)pin->version, (long long)pin->time);
    add(arg, item);
    return 0;
}

static int add_snapshot(const struct snapshot_info *info, void *arg)
{
    char item[100];

    snprintf(item, sizeof item, "%s@%lld:%llu ", info->name, (long long)info->time,
             (unsigned long long)info->sessions);
    add(arg, item);
    return 0;
}

static void snapshots_are_received_with_what_they_pin(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct object_id one = put_note(fixture, "one"), two = put_note(fixture, "two");
    struct pin_info pins[] = {
        {.sid = SHARED_SID, .session_name = "", .version = 8, .root = one, .time = 41},
        {.sid = 4, .session_name = "gone", .version = 2, .root = one, .time = 42},
        {.sid = 9, .session_name = "beta", .version = 3, .root = two, .time = 43},
    };
    struct snapshot_copy copy = {.name = "monday", .time = 99, .pins = pins, .npins = 3};
    struct text text = {""};

    memcpy(copy.origin, there, UUID_SIZE);
    assert_int_equal(store_snapshot_receive(store, &copy, &fixture->err), HF_OK);
    assert_int_equal(store_snapshot_receive(store, &copy, &fixture->err), HF_OK);
    assert_int_equal(store_snapshot_list(store, add_snapshot, &text, NULL), HF_OK);
    assert_int_equal(store_snapshot_pins(store, "monday", add_pin, &text, NULL), HF_OK);
    assert_string_equal(text.bytes, "monday@99:2 0:@8/41 4:gone@2/42 9:beta@3/43 ");
    pins[2].root = one;
    assert_int_equal(store_snapshot_receive(store, &copy, &fixture->err), HF_CONFLICT);
    copy.npins = 2;
    assert_int_equal(store_snapshot_receive(store, &copy, &fixture->err), HF_CONFLICT);
    copy.name = "empty";
    copy.npins = 0;
    assert_int_equal(store_snapshot_receive(store, &copy, &fixture->err), HF_OK);
    /* What is pinned is of sessions that had their numbers. */
    receive_note(fixture, 2, "alpha", 1, "two");
    assert_int_equal(contract_session(fixture, &fixture->a, "new", "one").sid, 10);
    contract_assert_note(store, &two, "two");
    contract_assert_sound(store);
}

const struct CMUnitTest contract_copy_tests[] = {
    CONTRACT_TEST(a_received_session_is_what_it_was_there),
    CONTRACT_TEST(what_is_new_is_added_and_what_is_known_left),
    CONTRACT_TEST(the_next_token_is_above_both),
    CONTRACT_TEST(another_history_is_refused),
    CONTRACT_TEST(a_store_with_sessions_of_its_own_takes_no_copies),
    CONTRACT_TEST(a_store_with_a_shared_tree_of_its_own_takes_no_copies),
    CONTRACT_TEST(what_it_refers_to_must_be_here),
    CONTRACT_TEST(sessions_that_swapped_names_come_in_any_order),
    CONTRACT_TEST(a_session_in_the_trash_arrives_there),
    CONTRACT_TEST(what_was_purged_here_may_come_again_but_no_token),
    CONTRACT_TEST(a_session_that_is_leased_here_is_left_alone),
    CONTRACT_TEST(the_shared_tree_is_received_too),
    CONTRACT_TEST(hosts_hear_of_what_is_received),
    CONTRACT_TEST(thousands_of_versions_come_at_once),
    CONTRACT_TEST(a_copy_that_makes_no_sense_is_refused),
    CONTRACT_TEST(rescues_are_received_under_their_numbers),
    CONTRACT_TEST(snapshots_are_received_with_what_they_pin),
};
const size_t contract_copy_count = CONTRACT_COUNT(contract_copy_tests);
