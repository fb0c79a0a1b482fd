/* SPDX-License-Identifier: Apache-2.0 */
/* Several host sessions of one handle: each with its own events, leases, locks and end. */
#include <stdio.h>
#include <string.h>

#include "contract.h"

/* Opens host-d over the handle of host-a. */
static struct mount *join_a(struct fixture *fixture)
{
    struct host_identity identity = contract_identity("host-d");

    contract_join(&fixture->d, fixture->a.store, &identity);
    return &fixture->d;
}

static int acquire(struct fixture *fixture, struct mount *mount, uint64_t sid, uint32_t wait_ms,
                   struct lease *ret_lease)
{
    return store_lease_acquire(mount->store, mount->host, sid, wait_ms, ret_lease, &fixture->err);
}

/* Everything that `mount` was told before has been heard. */
static void hear_all(struct fixture *fixture, struct mount *mount, struct mount *by)
{
    static unsigned number;
    struct lease lease;
    char name[32];

    snprintf(name, sizeof name, "marker-%u", ++number);
    lease = contract_session(fixture, by, name, "x");
    recorder_wait(&mount->recorder, EVENT_SESSIONS_CHANGED, lease.sid);
}

static void one_handle_has_many_hosts(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct host_identity same = contract_identity("host-d");
    uint64_t host = 0;

    assert_true(d->host != fixture->a.host);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
    /* Without a TTL the kernel knows whether one lives: the same identity is another host session. */
    assert_int_equal(store_host_register(d->store, &same, NULL, &host, NULL), HF_OK);
    assert_true(host != d->host && host != fixture->a.host);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
    assert_int_equal(store_host_end(d->store, host, NULL), HF_OK);
    assert_int_equal(store_host_heartbeat(d->store, host, NULL), HF_FENCED);
}

static void each_host_hears_what_is_for_it(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct lease mine = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease theirs = contract_session(fixture, d, "beta", "one"), lease;

    contract_open_b(fixture);
    contract_answer(d, RECALL_RELEASE);
    contract_answer(&fixture->a, RECALL_RELEASE);
    assert_int_equal(acquire(fixture, &fixture->b, theirs.sid, 0, &lease), HF_OK);
    recorder_wait(&d->recorder, EVENT_LEASE_RECALLED, theirs.sid);
    assert_int_equal(acquire(fixture, &fixture->b, mine.sid, 0, &lease), HF_OK);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_RECALLED, mine.sid);
    hear_all(fixture, d, &fixture->b);
    hear_all(fixture, &fixture->a, &fixture->b);
    assert_int_equal(recorder_count(&fixture->a.recorder, EVENT_LEASE_RECALLED, theirs.sid), 0);
    assert_int_equal(recorder_count(&d->recorder, EVENT_LEASE_RECALLED, mine.sid), 0);
}

static void the_origin_of_an_event_does_not_hear_it(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    recorder_wait(&d->recorder, EVENT_SESSIONS_CHANGED, lease.sid);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(recorder_wait(&d->recorder, EVENT_HEAD_MOVED, lease.sid).version, 2);
    hear_all(fixture, &fixture->a, d);
    assert_int_equal(recorder_count(&fixture->a.recorder, EVENT_HEAD_MOVED, lease.sid), 0);
    assert_int_equal(recorder_count(&fixture->a.recorder, EVENT_SESSIONS_CHANGED, lease.sid), 0);
}

static void hosts_of_one_handle_hand_a_lease_over(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct lease mine = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_answer(&fixture->a, RECALL_RELEASE);
    assert_int_equal(acquire(fixture, d, mine.sid, 0, &theirs), HF_OK);
    assert_true(theirs.token > mine.token);
    assert_int_equal(contract_commit(fixture, &fixture->a, &mine, "late"), HF_FENCED);
    assert_int_equal(contract_commit(fixture, d, &theirs, "two"), HF_OK);
    /* The token of one is of no use to the other. */
    mine = theirs;
    assert_int_equal(contract_commit(fixture, &fixture->a, &mine, "stolen"), HF_FENCED);
    contract_answer(d, RECALL_REFUSE);
    assert_int_equal(acquire(fixture, &fixture->a, mine.sid, 0, &mine), HF_BUSY);
    assert_non_null(strstr(fixture->err.message, "host-d"));
}

static void the_end_of_a_host_session_frees_its_leases(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct lease one = contract_session(fixture, d, "alpha", "one"), two, next;

    two = contract_session(fixture, d, "beta", "two");
    contract_open_b(fixture);
    assert_int_equal(store_host_end(d->store, d->host, NULL), HF_OK);
    assert_int_equal(contract_commit(fixture, d, &one, "late"), HF_FENCED);
    assert_int_equal(store_host_end(d->store, d->host, NULL), HF_FENCED);
    assert_int_equal(acquire(fixture, d, one.sid, 0, &next), HF_FENCED);
    assert_int_equal(acquire(fixture, &fixture->a, one.sid, 0, &next), HF_OK);
    assert_true(next.token > one.token);
    assert_int_equal(acquire(fixture, &fixture->b, two.sid, 0, &next), HF_OK);
    assert_true(next.token > two.token);
    assert_int_equal(store_host_heartbeat(fixture->a.store, fixture->a.host, NULL), HF_OK);
    contract_assert_sound(fixture->a.store);
}

static void the_end_of_a_host_session_serves_those_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct lease held = contract_session(fixture, d, "alpha", "one"), next;
    int64_t again;

    contract_open_b(fixture);
    assert_int_equal(
        store_lease_ask(fixture->b.store, fixture->b.host, held.sid, 60000, &next, &again, NULL),
        HF_PENDING);
    assert_int_equal(store_host_end(d->store, d->host, NULL), HF_OK);
    recorder_wait(&fixture->b.recorder, EVENT_LEASE_ANSWERED, held.sid);
    assert_int_equal(
        store_lease_ask(fixture->b.store, fixture->b.host, held.sid, 60000, &next, &again, NULL),
        HF_OK);
    assert_int_equal(next.token, held.token + 1);
}

static void the_end_of_a_host_session_drops_its_locks(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct store_lock lock = {
        .ino = 9, .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 3};

    assert_int_equal(store_lock_set(d->store, d->host, &lock, NULL, NULL), HF_OK);
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &lock, NULL, NULL),
                     HF_AGAIN);
    recorder_clear(&fixture->a.recorder);
    assert_int_equal(store_host_end(d->store, d->host, NULL), HF_OK);
    recorder_wait(&fixture->a.recorder, EVENT_LOCKS_CHANGED, SHARED_SID);
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &lock, NULL, NULL), HF_OK);
    assert_int_equal(store_lock_set(d->store, d->host, &lock, NULL, NULL), HF_FENCED);
}

struct waiting {
    struct mount *mount;
    uint64_t sid;
    int rc;
};

static void *wait_for_lease(void *arg)
{
    struct waiting *waiting = arg;
    struct lease lease;

    waiting->rc = store_lease_acquire(waiting->mount->store, waiting->mount->host, waiting->sid,
                                      600000, &lease, NULL);
    return NULL;
}

static void the_end_of_a_host_session_ends_its_waits(void **state)
{
    struct fixture *fixture = *state;
    struct lease held = contract_session(fixture, &fixture->a, "alpha", "one");
    struct waiting waiting = {.mount = join_a(fixture), .sid = held.sid};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &waiting), 0);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_RECALLED, held.sid);
    assert_int_equal(store_host_end(fixture->d.store, fixture->d.host, NULL), HF_OK);
    pthread_join(thread, NULL);
    assert_int_equal(waiting.rc, HF_FENCED);
}

static void *make_noise(void *arg)
{
    struct mount *b = arg;
    struct store_lock lock = {
        .ino = 5, .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 1};

    for (int i = 0; i < 100; i++) {
        lock.type = lock.type == LOCK_TYPE_NONE ? LOCK_TYPE_WRITE : LOCK_TYPE_NONE;
        store_lock_set(b->store, b->host, &lock, NULL, NULL);
    }
    return NULL;
}

static void nothing_is_told_after_the_end(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;

    contract_open_b(fixture);
    for (int i = 0; i < 10; i++) {
        struct mount *d = join_a(fixture);

        recorder_clear(&fixture->a.recorder);
        assert_int_equal(pthread_create(&thread, NULL, make_noise, &fixture->b), 0);
        recorder_wait(&d->recorder, EVENT_LOCKS_CHANGED, SHARED_SID);
        assert_int_equal(store_host_end(d->store, d->host, NULL), HF_OK);
        pthread_mutex_lock(&d->recorder.mutex);
        d->recorder.closed = true;
        pthread_mutex_unlock(&d->recorder.mutex);
        pthread_join(thread, NULL);
        hear_all(fixture, &fixture->a, &fixture->b);
        contract_leave(d);
    }
}

static void without_a_ttl_no_clock_ends_a_host(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);

    assert_true(store_host_deadline(d->store, d->host) == INT64_MAX);
    assert_int_equal(store_host_detach(d->store, d->host, 100, NULL), HF_INVAL);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
}

static void closing_the_handle_ends_all_its_hosts(void **state)
{
    struct fixture *fixture = *state;
    struct lease mine = contract_session(fixture, &fixture->a, "alpha", "one"), theirs, next;

    theirs = contract_session(fixture, join_a(fixture), "beta", "two");
    contract_open_b(fixture);
    contract_unmount(&fixture->a);
    fixture->d.store = NULL;
    assert_int_equal(acquire(fixture, &fixture->b, mine.sid, 0, &next), HF_OK);
    assert_int_equal(acquire(fixture, &fixture->b, theirs.sid, 0, &next), HF_OK);
}

static int count_sessions(const struct session_info *info, void *arg)
{
    *(uint64_t *)arg = *(uint64_t *)arg * 1000 + info->head.sid;
    return 0;
}

static void sessions_are_found_by_number(void **state)
{
    struct fixture *fixture = *state;
    struct lease one = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease two = contract_session(fixture, &fixture->a, "beta", "two");
    struct session_filter filter = {.sid = two.sid};
    uint64_t found = 0;

    assert_int_equal(store_session_list(fixture->a.store, &filter, count_sessions, &found, NULL),
                     HF_OK);
    assert_int_equal(found, two.sid);
    filter = (struct session_filter){.sid = one.sid, .name_glob = "b*"};
    found = 0;
    assert_int_equal(store_session_list(fixture->a.store, &filter, count_sessions, &found, NULL),
                     HF_OK);
    assert_int_equal(found, 0);
    filter = (struct session_filter){.sid = 4711};
    assert_int_equal(store_session_list(fixture->a.store, &filter, count_sessions, &found, NULL),
                     HF_OK);
    assert_int_equal(found, 0);
    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, one.sid, one.token, NULL), HF_OK);
    filter = (struct session_filter){.sid = one.sid, .trashed = true};
    assert_int_equal(store_session_list(fixture->a.store, &filter, count_sessions, &found, NULL),
                     HF_OK);
    assert_int_equal(found, one.sid);
}

const struct CMUnitTest contract_host_tests[] = {
    CONTRACT_TEST(one_handle_has_many_hosts),
    CONTRACT_TEST(each_host_hears_what_is_for_it),
    CONTRACT_TEST(the_origin_of_an_event_does_not_hear_it),
    CONTRACT_TEST(hosts_of_one_handle_hand_a_lease_over),
    CONTRACT_TEST(the_end_of_a_host_session_frees_its_leases),
    CONTRACT_TEST(the_end_of_a_host_session_serves_those_who_wait),
    CONTRACT_TEST(the_end_of_a_host_session_drops_its_locks),
    CONTRACT_TEST(the_end_of_a_host_session_ends_its_waits),
    CONTRACT_TEST(nothing_is_told_after_the_end),
    CONTRACT_TEST(without_a_ttl_no_clock_ends_a_host),
    CONTRACT_TEST(closing_the_handle_ends_all_its_hosts),
    CONTRACT_TEST(sessions_are_found_by_number),
};
const size_t contract_host_count = CONTRACT_COUNT(contract_host_tests);
