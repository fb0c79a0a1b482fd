/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "contract.h"
#include "store/lease.h"

static int acquire(struct fixture *fixture, struct mount *mount, uint64_t sid, uint32_t wait_ms,
                   struct lease *ret_lease)
{
    return store_lease_acquire(mount->store, mount->host, sid, wait_ms, ret_lease, &fixture->err);
}

static void the_holder_gets_its_own_lease_again(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), again;

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(acquire(fixture, &fixture->a, lease.sid, 0, &again), HF_OK);
    assert_int_equal(again.token, lease.token);
    assert_int_equal(again.head.version, 2);
}

static void the_token_grows_with_every_grant(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    uint64_t last = lease.token;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
            HF_OK);
        assert_int_equal(acquire(fixture, &fixture->a, lease.sid, 0, &lease), HF_OK);
        assert_true(lease.token > last);
        last = lease.token;
        assert_int_equal(
            store_session_delete(fixture->a.store, fixture->a.host, lease.sid, last, NULL), HF_OK);
        assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, NULL, NULL), HF_OK);
        assert_int_equal(acquire(fixture, &fixture->a, lease.sid, 0, &lease), HF_OK);
        assert_true(lease.token > last);
        last = lease.token;
    }
}

static void releasing_twice_is_fenced(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token + 1, NULL),
        HF_FENCED);
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_FENCED);
}

static void a_recalled_lease_that_is_released_is_handed_over(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;
    struct store_event recall;
    char audit[200];

    contract_open_b(fixture);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    contract_answer(&fixture->a, RECALL_RELEASE);
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_OK);
    recall = recorder_wait(&fixture->a.recorder, EVENT_LEASE_RECALLED, lease.sid);
    assert_int_equal(recall.token, lease.token);
    assert_true(theirs.token > lease.token);
    assert_int_equal(theirs.head.version, 2);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "late"), HF_FENCED);
    assert_int_equal(contract_commit(fixture, &fixture->b, &theirs, "three"), HF_OK);
    contract_audit_text(fixture->a.store, lease.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT RECALL RELEASE GRANT FENCED ");
}

static void a_recalled_lease_that_is_refused_is_busy(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;
    char audit[200];

    contract_open_b(fixture);
    contract_answer(&fixture->a, RECALL_REFUSE);
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_BUSY);
    assert_non_null(strstr(fixture->err.message, "alpha"));
    assert_non_null(strstr(fixture->err.message, "host-a"));
    assert_non_null(strstr(fixture->err.message, "/mnt/sessions"));
    assert_non_null(strstr(fixture->err.message, "an open file"));
    /* It keeps it, and is asked again each time; the trail keeps the first time. */
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_BUSY);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    contract_audit_text(fixture->a.store, lease.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT RECALL REFUSE ");
    contract_answer(&fixture->a, RECALL_RELEASE);
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_OK);
    assert_int_equal(theirs.head.version, 2);
}

static void a_holder_that_does_not_answer_is_busy_after_a_while(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_BUSY);
    assert_non_null(strstr(fixture->err.message, "not answered"));
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    /* It may answer late. */
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_OK);
}

struct later {
    struct fixture *fixture;
    struct lease lease;
};

static void *release_later(void *arg)
{
    struct later *later = arg;

    recorder_wait(&later->fixture->a.recorder, EVENT_LEASE_RECALLED, later->lease.sid);
    contract_answer(&later->fixture->a, RECALL_RELEASE);
    store_lease_release(later->fixture->a.store, later->fixture->a.host, later->lease.sid,
                        later->lease.token, NULL);
    return NULL;
}

static void one_who_waits_gets_a_pinned_lease_when_it_is_released(void **state)
{
    struct fixture *fixture = *state;
    struct later later = {fixture, contract_session(fixture, &fixture->a, "alpha", "one")};
    struct lease theirs;
    pthread_t thread;

    contract_open_b(fixture);
    contract_answer(&fixture->a, RECALL_REFUSE);
    assert_int_equal(pthread_create(&thread, NULL, release_later, &later), 0);
    assert_int_equal(acquire(fixture, &fixture->b, later.lease.sid, 15000, &theirs), HF_OK);
    assert_true(theirs.token > later.lease.token);
    pthread_join(thread, NULL);
}

static void a_closed_holder_frees_its_leases(void **state)
{
    struct fixture *fixture = *state;
    struct lease one = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease two = contract_session(fixture, &fixture->a, "beta", "two");
    struct lease theirs;

    contract_open_b(fixture);
    contract_unmount(&fixture->a);
    assert_int_equal(acquire(fixture, &fixture->b, one.sid, 0, &theirs), HF_OK);
    assert_true(theirs.token > one.token);
    assert_int_equal(acquire(fixture, &fixture->b, two.sid, 0, &theirs), HF_OK);
    assert_true(theirs.token > two.token);
}

static bool hear_of_hosts(struct recorder *recorder, unsigned others)
{
    struct timespec deadline;
    bool heard = false;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 20;
    pthread_mutex_lock(&recorder->mutex);
    while (!heard && rc == 0) {
        for (size_t i = 0; i < recorder->n; i++)
            heard |= recorder->events[i].kind == EVENT_HOSTS_CHANGED &&
                     recorder->events[i].other_hosts == others;
        if (!heard)
            rc = pthread_cond_timedwait(&recorder->heard, &recorder->mutex, &deadline);
    }
    pthread_mutex_unlock(&recorder->mutex);
    return heard;
}

static void a_host_hears_how_many_others_there_are(void **state)
{
    struct fixture *fixture = *state;

    contract_open_b(fixture);
    assert_true(hear_of_hosts(&fixture->a.recorder, 1));
    assert_true(hear_of_hosts(&fixture->b.recorder, 1));
    recorder_clear(&fixture->a.recorder);
    contract_unmount(&fixture->b);
    assert_true(hear_of_hosts(&fixture->a.recorder, 0));
}

/* The lease that a dead host leaves behind: made by killing a handle, or another process. */
static uint64_t leave_dead_holder(struct fixture *fixture)
{
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    int pid;

    if (fixture->engine->kill) {
        fixture->engine->kill(fixture->a.store);
        return lease.sid;
    }
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    pid = contract_start_holder(fixture->url, "alpha");
    contract_kill_holder(pid);
    return lease.sid;
}

static void a_dead_holder_is_taken_over_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct lease theirs;
    char audit[200];
    uint64_t sid;

    contract_open_b(fixture);
    sid = leave_dead_holder(fixture);
    assert_int_equal(acquire(fixture, &fixture->b, sid, 0, &theirs), HF_OK);
    assert_true(theirs.token > 1);
    contract_audit_text(fixture->b.store, sid, audit, sizeof audit);
    assert_non_null(strstr(audit, "TAKEOVER "));
    if (!fixture->engine->served)
        assert_null(strstr(audit, "RECALL "));
    assert_int_equal(contract_commit(fixture, &fixture->b, &theirs, "two"), HF_OK);
    contract_assert_sound(fixture->b.store);
}

static void a_broken_lease_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;
    struct store_event lost;
    char audit[200];

    contract_open_b(fixture);
    assert_int_equal(
        store_lease_break(fixture->b.store, lease.sid, lease.token + 1, "why", &fixture->err),
        HF_CONFLICT);
    assert_int_equal(store_lease_break(fixture->b.store, lease.sid, lease.token, "", NULL),
                     HF_INVAL);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    assert_int_equal(
        store_lease_break(fixture->b.store, lease.sid, lease.token, "the host is on fire", NULL),
        HF_OK);
    lost = recorder_wait(&fixture->a.recorder, EVENT_LEASE_LOST, lease.sid);
    assert_int_equal(lost.token, lease.token);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "late"), HF_FENCED);
    assert_int_equal(store_lease_break(fixture->b.store, lease.sid, lease.token, "again", NULL),
                     HF_CONFLICT);
    assert_int_equal(acquire(fixture, &fixture->b, lease.sid, 0, &theirs), HF_OK);
    assert_true(theirs.token > lease.token);
    contract_audit_text(fixture->a.store, lease.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT BREAK FENCED GRANT ");
}

static int find_break(const struct audit_entry *entry, void *arg)
{
    if (entry->event == AUDIT_BREAK) {
        assert_string_equal(entry->detail, "the host is on fire");
        assert_true(entry->time > 0 && entry->token > 0 && entry->sid > 0);
        *(uint64_t *)arg = entry->id;
    }
    return 0;
}

static int count_entries(const struct audit_entry *entry, void *arg)
{
    (void)entry;
    ++*(unsigned *)arg;
    return 0;
}

static void the_audit_trail_says_why(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    unsigned later = 0;
    uint64_t id = 0;

    contract_session(fixture, &fixture->a, "beta", "two");
    assert_int_equal(
        store_lease_break(fixture->a.store, lease.sid, lease.token, "the host is on fire", NULL),
        HF_OK);
    assert_int_equal(store_audit(fixture->a.store, UINT64_MAX, 0, find_break, &id, NULL), HF_OK);
    assert_true(id > 0);
    assert_int_equal(store_audit(fixture->a.store, UINT64_MAX, id, count_entries, &later, NULL),
                     HF_OK);
    assert_int_equal(later, 1);
}

static int find_lease(const struct lease_info *info, void *arg)
{
    struct lease_info *found = arg;

    if (found->sid == info->sid) {
        assert_string_equal(info->session_name, "alpha");
        assert_string_equal(info->host_name, "host-a");
        assert_string_equal(info->mount_point, "/mnt/sessions");
        assert_true(info->pid > 0 && info->since > 0 && info->holder_alive);
        found->state = info->state;
        found->token = info->token;
        found->host = info->host;
    }
    return 0;
}

static void held_leases_are_listed(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    struct lease_info found = {.sid = lease.sid};

    assert_int_equal(store_lease_list(fixture->a.store, find_lease, &found, NULL), HF_OK);
    assert_int_equal(found.state, LEASE_HELD);
    assert_int_equal(found.token, lease.token);
    assert_int_equal(found.host, fixture->a.host);
}

static int count_alive(const struct host_info *info, void *arg)
{
    *(unsigned *)arg += info->alive;
    assert_non_null(info->identity.host_name);
    assert_true(info->registered > 0);
    return 0;
}

static void hosts_are_listed(void **state)
{
    struct fixture *fixture = *state;
    unsigned alive = 0;

    contract_open_b(fixture);
    assert_int_equal(store_host_list(fixture->a.store, count_alive, &alive, NULL), HF_OK);
    assert_int_equal(alive, 2);
    assert_int_equal(store_host_heartbeat(fixture->a.store, fixture->a.host, NULL), HF_OK);
    assert_int_equal(store_host_heartbeat(fixture->a.store, 4711, NULL), HF_FENCED);
    contract_unmount(&fixture->b);
    alive = 0;
    assert_int_equal(store_host_list(fixture->a.store, count_alive, &alive, NULL), HF_OK);
    assert_int_equal(alive, 1);
}

static void a_session_that_is_not_there_has_no_lease(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease;

    assert_int_equal(acquire(fixture, &fixture->a, 4711, 0, &lease), HF_NOENT);
    assert_int_equal(acquire(fixture, &fixture->a, SHARED_SID, 0, &lease), HF_INVAL);
    assert_int_equal(acquire(fixture, &fixture->a, SID_MAX + 1, 0, &lease), HF_INVAL);
}

const struct CMUnitTest contract_lease_tests[] = {
    CONTRACT_TEST(the_holder_gets_its_own_lease_again),
    CONTRACT_TEST(the_token_grows_with_every_grant),
    CONTRACT_TEST(releasing_twice_is_fenced),
    CONTRACT_TEST(a_recalled_lease_that_is_released_is_handed_over),
    CONTRACT_TEST(a_recalled_lease_that_is_refused_is_busy),
    CONTRACT_TEST(a_holder_that_does_not_answer_is_busy_after_a_while),
    CONTRACT_TEST(one_who_waits_gets_a_pinned_lease_when_it_is_released),
    CONTRACT_TEST(a_closed_holder_frees_its_leases),
    CONTRACT_TEST(a_host_hears_how_many_others_there_are),
    CONTRACT_TEST(a_dead_holder_is_taken_over_at_once),
    CONTRACT_TEST(a_broken_lease_is_lost),
    CONTRACT_TEST(the_audit_trail_says_why),
    CONTRACT_TEST(held_leases_are_listed),
    CONTRACT_TEST(hosts_are_listed),
    CONTRACT_TEST(a_session_that_is_not_there_has_no_lease),
};
const size_t contract_lease_count = CONTRACT_COUNT(contract_lease_tests);
