/* SPDX-License-Identifier: Apache-2.0 */
/* What time does to host sessions and to those who wait, by a clock that the test turns. */
#include <string.h>

#include "contract.h"
#include "store/lease.h"

#define MS 1000000LL
#define TTL_MS 600000
/* Longer than a holder may live. */
#define LONG_MS (3 * TTL_MS)

/* Opens host-d, which has a TTL, over the handle of host-a. */
static struct mount *join_mortal(struct fixture *fixture)
{
    struct host_identity identity = contract_identity("host-d");

    identity.ttl_ms = TTL_MS;
    contract_join(&fixture->d, fixture->a.store, &identity);
    return &fixture->d;
}

static void turn(struct fixture *fixture, int64_t ms)
{
    fixture->engine->turn(fixture->url, ms * MS);
}

static int ask(struct fixture *fixture, struct mount *mount, uint64_t sid, uint32_t wait_ms,
               struct lease *ret_lease)
{
    int64_t again;

    return store_lease_ask(mount->store, mount->host, sid, wait_ms, ret_lease, &again,
                           &fixture->err);
}

/* --- host sessions ------------------------------------------------------------------------------------- */

static void a_host_that_is_not_heard_of_for_its_ttl_is_dead(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_mortal(fixture);
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;
    char audit[200];

    turn(fixture, TTL_MS - 5000);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, 0, &next), HF_PENDING);
    turn(fixture, 6000);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_FENCED);
    recorder_wait(&d->recorder, EVENT_HOST_LOST, 0);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, 0, &next), HF_OK);
    assert_true(next.token > lease.token);
    assert_int_equal(contract_commit(fixture, d, &lease, "late"), HF_FENCED);
    assert_int_equal(contract_commit(fixture, &fixture->a, &next, "two"), HF_OK);
    contract_audit_text(fixture->a.store, lease.sid, audit, sizeof audit);
    assert_non_null(strstr(audit, "RENEWAL_FAILED "));
    assert_non_null(strstr(audit, "TAKEOVER "));
    assert_non_null(strstr(audit, "FENCED "));
    contract_assert_sound(fixture->a.store);
}

static void heartbeats_keep_it_alive(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_mortal(fixture);
    struct lease lease = contract_session(fixture, d, "alpha", "one");

    for (int i = 0; i < 4; i++) {
        turn(fixture, TTL_MS / 4 * 3);
        assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
    }
    assert_int_equal(contract_commit(fixture, d, &lease, "two"), HF_OK);
}

static void its_end_by_time_serves_those_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_mortal(fixture);
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    contract_open_b(fixture);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, LONG_MS, &next), HF_PENDING);
    turn(fixture, TTL_MS + 1000);
    /* Nobody asks: the store notices by itself. */
    recorder_wait(&fixture->b.recorder, EVENT_LEASE_ANSWERED, lease.sid);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_OK);
    assert_int_equal(next.token, lease.token + 1);
}

static void who_asks_first_after_its_end_does_not_pass_those_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_mortal(fixture);
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    contract_open_b(fixture);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    turn(fixture, TTL_MS + 1000);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_OK);
}

static void who_dies_waiting_inherits_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;
    struct mount *d = join_mortal(fixture);

    contract_open_b(fixture);
    assert_int_equal(ask(fixture, d, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    turn(fixture, TTL_MS + 1000);
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_OK);
    assert_int_equal(next.token, lease.token + 1);
    assert_int_equal(ask(fixture, d, lease.sid, LONG_MS, &next), HF_FENCED);
}

static void its_locks_go_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_mortal(fixture);
    struct store_lock lock = {
        .ino = 9, .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 3};

    assert_int_equal(store_lock_set(d->store, d->host, &lock, NULL, NULL), HF_OK);
    recorder_clear(&fixture->a.recorder);
    turn(fixture, TTL_MS + 1000);
    recorder_wait(&fixture->a.recorder, EVENT_LOCKS_CHANGED, SHARED_SID);
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &lock, NULL, NULL), HF_OK);
}

static void one_that_died_comes_back_as_another(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = contract_identity("host-d");
    struct mount *d = join_mortal(fixture), *again = &fixture->c;

    identity.ttl_ms = TTL_MS;
    turn(fixture, TTL_MS + 1000);
    contract_join(again, fixture->a.store, &identity);
    assert_true(again->host != d->host);
    assert_int_equal(store_host_heartbeat(again->store, again->host, NULL), HF_OK);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_FENCED);
}

static void a_detached_host_dies_after_its_grace(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = contract_identity("host-d");
    struct mount *d = join_mortal(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    identity.ttl_ms = TTL_MS;
    assert_int_equal(store_host_detach(d->store, d->host, 60000, NULL), HF_OK);
    turn(fixture, 30000);
    contract_join(again, fixture->a.store, &identity);
    assert_int_equal(again->host, d->host);
    turn(fixture, 60000); /* a grace that is over by now, if it had not come back */
    assert_int_equal(store_host_heartbeat(again->store, again->host, NULL), HF_OK);
    assert_int_equal(store_host_detach(again->store, again->host, 60000, NULL), HF_OK);
    turn(fixture, 61000);
    assert_int_equal(store_host_heartbeat(again->store, again->host, NULL), HF_FENCED);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, 0, &next), HF_OK);
}

static void the_deadline_comes_before_the_end_and_moves_with_heartbeats(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_mortal(fixture);
    int64_t before = store_host_deadline(d->store, d->host), after;
    int64_t now = contract_clock.boottime(&contract_clock);

    assert_true(before > now && before < now + TTL_MS * MS);
    turn(fixture, 10000);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
    after = store_host_deadline(d->store, d->host);
    assert_true(after >= before + 10000 * MS && after < before + 100000 * MS);
    turn(fixture, TTL_MS);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_FENCED);
    assert_true(store_host_deadline(d->store, d->host) <= contract_clock.boottime(&contract_clock));
}

static void tokens_grow_over_the_ends_of_hosts(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = contract_identity("host-d");
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");
    uint64_t last = lease.token;

    identity.ttl_ms = TTL_MS;
    assert_int_equal(store_lease_release(fixture->a.store, fixture->a.host, lease.sid, last, NULL),
                     HF_OK);
    for (int i = 0; i < 3; i++) {
        contract_join(&fixture->d, fixture->a.store, &identity);
        assert_int_equal(ask(fixture, &fixture->d, lease.sid, 0, &lease), HF_OK);
        assert_true(lease.token > last);
        last = lease.token;
        turn(fixture, TTL_MS + 1000);
        contract_leave(&fixture->d);
    }
}

/* --- patience --------------------------------------------------------------------------------------------- */

static void who_gets_no_answer_is_told_that_it_is_busy(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;
    int64_t again = 0, now = contract_clock.boottime(&contract_clock);

    contract_open_b(fixture);
    assert_int_equal(
        store_lease_ask(fixture->b.store, fixture->b.host, lease.sid, 5000, &next, &again, NULL),
        HF_PENDING);
    assert_true(again > now && again <= now + 60000 * MS);
    turn(fixture, 5000 + LEASE_RECALL_MS);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, 5000, &next), HF_BUSY);
    assert_non_null(strstr(fixture->err.message, "not answered"));
    /* What comes late is not for it. */
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, 0, &next), HF_OK);
}

static void the_holder_is_recalled_again_for_one_who_waits(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;

    contract_open_b(fixture);
    contract_answer(&fixture->a, RECALL_REFUSE);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    recorder_wait(&fixture->b.recorder, EVENT_LEASE_ANSWERED, lease.sid);
    recorder_clear(&fixture->a.recorder);
    recorder_clear(&fixture->b.recorder);
    contract_answer(&fixture->a, RECALL_RELEASE);
    turn(fixture, LEASE_ASK_AGAIN_MAX_MS);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_RECALLED, lease.sid);
    recorder_wait(&fixture->b.recorder, EVENT_LEASE_ANSWERED, lease.sid);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_OK);
}

static void who_stops_asking_loses_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, 1000, &next), HF_PENDING);
    turn(fixture, 1000 + LEASE_RECALL_MS + LEASE_ABSENT_MS);
    /* Asking now is asking anew. */
    assert_int_equal(ask(fixture, &fixture->c, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(
        store_lease_release(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->c, lease.sid, LONG_MS, &next), HF_OK);
}

const struct CMUnitTest contract_expiry_tests[] = {
    CONTRACT_TEST(a_host_that_is_not_heard_of_for_its_ttl_is_dead),
    CONTRACT_TEST(heartbeats_keep_it_alive),
    CONTRACT_TEST(its_end_by_time_serves_those_who_wait),
    CONTRACT_TEST(who_asks_first_after_its_end_does_not_pass_those_who_wait),
    CONTRACT_TEST(who_dies_waiting_inherits_nothing),
    CONTRACT_TEST(its_locks_go_with_it),
    CONTRACT_TEST(one_that_died_comes_back_as_another),
    CONTRACT_TEST(a_detached_host_dies_after_its_grace),
    CONTRACT_TEST(the_deadline_comes_before_the_end_and_moves_with_heartbeats),
    CONTRACT_TEST(tokens_grow_over_the_ends_of_hosts),
    CONTRACT_TEST(who_gets_no_answer_is_told_that_it_is_busy),
    CONTRACT_TEST(the_holder_is_recalled_again_for_one_who_waits),
    CONTRACT_TEST(who_stops_asking_loses_its_place),
};
const size_t contract_expiry_count = CONTRACT_COUNT(contract_expiry_tests);
