/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for leases without waiting in the call: the queue, who inherits, withdrawal, patience. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "contract.h"
#include "store/lease.h"

#define LONG_MS 600000
#define WAITING_SIZE 600

/* One ask. */
static int ask_once(struct fixture *fixture, struct mount *mount, uint64_t sid, uint32_t wait_ms,
                    struct lease *ret_lease)
{
    int64_t again = 0;
    int rc =
        store_lease_ask(mount->store, mount->host, sid, wait_ms, ret_lease, &again, &fixture->err);

    assert_true(rc != HF_PENDING || again > 0);
    return rc;
}

/* Over a network the first answer is always HF_PENDING, and the last one comes without an event. */
static int ask(struct fixture *fixture, struct mount *mount, uint64_t sid, uint32_t wait_ms,
               struct lease *ret_lease)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    int rc = ask_once(fixture, mount, sid, wait_ms, ret_lease);

    for (int i = 0; i < 4000 && rc == HF_PENDING && fixture->engine->served; i++) {
        nanosleep(&pause, NULL);
        rc = ask_once(fixture, mount, sid, wait_ms, ret_lease);
    }
    return rc;
}

static int find_waiting(const struct lease_info *info, void *arg)
{
    char *text = arg;
    size_t len = 0;

    assert_true(info->since > 0);
    text[0] = '\0';
    for (size_t i = 0; i < info->nwaiting; i++)
        len += (size_t)snprintf(text + len, WAITING_SIZE - len, "%s ", info->waiting[i]);
    return 0;
}

static bool is_waiting(struct fixture *fixture, struct mount *mount, const char *host_name)
{
    char text[WAITING_SIZE] = "";

    assert_int_equal(store_lease_list(mount->store, find_waiting, text, &fixture->err), HF_OK);
    return strstr(text, host_name) != NULL;
}

/* Asks, and stands in the queue when this returns. */
static void assert_pending(struct fixture *fixture, struct mount *mount, uint64_t sid)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    const char *name = mount == &fixture->a ? "host-a" : mount == &fixture->b ? "host-b" : "host-c";
    struct lease lease = {.token = 4711};

    assert_int_equal(ask_once(fixture, mount, sid, LONG_MS, &lease), HF_PENDING);
    assert_int_equal(lease.token, 4711); /* untouched */
    for (int i = 0; i < 4000 && !is_waiting(fixture, mount, name); i++) {
        assert_true(fixture->engine->served);
        nanosleep(&pause, NULL);
    }
}

/* Waits until it is told. */
static void hear_answer(struct fixture *fixture, struct mount *mount, uint64_t sid)
{
    if (fixture->engine->served)
        return;
    recorder_wait(&mount->recorder, EVENT_LEASE_ANSWERED, sid);
    recorder_clear(&mount->recorder);
}

/* Waits until it is told, asks, and must get it. */
static struct lease take_answered(struct fixture *fixture, struct mount *mount, uint64_t sid)
{
    struct lease lease;

    hear_answer(fixture, mount, sid);
    if (ask(fixture, mount, sid, LONG_MS, &lease) != HF_OK)
        fail_msg("it was told, but has not got it: %s", fixture->err.message);
    return lease;
}

static void release(struct mount *mount, const struct lease *lease)
{
    assert_int_equal(store_lease_release(mount->store, mount->host, lease->sid, lease->token, NULL),
                     HF_OK);
}

/* Everything that `mount` was told before this has been heard when it returns. */
static void hear_all(struct fixture *fixture, struct mount *mount)
{
    static unsigned number;
    struct lease lease;
    char name[32];

    snprintf(name, sizeof name, "mark-%u", ++number);
    lease = contract_session(fixture, mount == &fixture->a ? &fixture->b : &fixture->a, name, "x");
    recorder_wait(&mount->recorder, EVENT_SESSIONS_CHANGED, lease.sid);
}

/* --- who is next ------------------------------------------------------------------------------------ */

static void a_free_lease_is_granted_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), again;

    release(&fixture->a, &lease);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, 0, &again), HF_OK);
    assert_int_equal(again.sid, lease.sid);
    assert_int_equal(again.head.version, 1);
    assert_true(again.token > lease.token);
    /* What it has, it is told again. */
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, 0, &lease), HF_OK);
    assert_int_equal(lease.token, again.token);
    assert_int_equal(ask(fixture, &fixture->a, 4711, 0, &lease), HF_NOENT);
    assert_int_equal(ask(fixture, &fixture->a, SHARED_SID, 0, &lease), HF_INVAL);
}

static void those_who_wait_are_served_in_the_order_they_came(void **state)
{
    struct fixture *fixture = *state;
    struct lease first = contract_session(fixture, &fixture->a, "alpha", "one"), second, third;
    char audit[200];

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_pending(fixture, &fixture->b, first.sid);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_RECALLED, first.sid);
    assert_pending(fixture, &fixture->c, first.sid);
    assert_pending(fixture, &fixture->b, first.sid); /* keeps its place */
    assert_int_equal(contract_commit(fixture, &fixture->a, &first, "two"), HF_OK);
    release(&fixture->a, &first);
    second = take_answered(fixture, &fixture->b, first.sid);
    assert_int_equal(second.token, first.token + 1);
    assert_int_equal(second.head.version, 2);
    /* The next one is told, too: to ask the new holder. */
    hear_answer(fixture, &fixture->c, first.sid);
    assert_pending(fixture, &fixture->c, first.sid);
    assert_int_equal(recorder_wait(&fixture->b.recorder, EVENT_LEASE_RECALLED, first.sid).token,
                     second.token);
    release(&fixture->b, &second);
    third = take_answered(fixture, &fixture->c, first.sid);
    assert_int_equal(third.token, first.token + 2);
    contract_audit_text(fixture->a.store, first.sid, audit, sizeof audit);
    assert_string_equal(audit, "GRANT RECALL RELEASE GRANT RECALL RELEASE GRANT ");
    contract_assert_sound(fixture->a.store);
}

static void who_gives_up_a_lease_cannot_win_it_back_before_the_asker(void **state)
{
    struct fixture *fixture = *state;
    struct lease mine = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    assert_pending(fixture, &fixture->b, mine.sid);
    release(&fixture->a, &mine);
    assert_pending(fixture, &fixture->a, mine.sid);
    assert_int_equal(contract_commit(fixture, &fixture->a, &mine, "late"), HF_FENCED);
    theirs = take_answered(fixture, &fixture->b, mine.sid);
    assert_int_equal(theirs.token, mine.token + 1);
    /* Now it is its turn. */
    release(&fixture->b, &theirs);
    mine = take_answered(fixture, &fixture->a, mine.sid);
    assert_int_equal(mine.token, theirs.token + 1);
}

static void a_grant_counts_from_the_release_on(void **state)
{
    struct fixture *fixture = *state;
    struct lease mine = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    assert_pending(fixture, &fixture->b, mine.sid);
    theirs = mine;
    theirs.token = mine.token + 1;
    assert_int_equal(contract_commit(fixture, &fixture->b, &theirs, "early"), HF_FENCED);
    release(&fixture->a, &mine);
    /* It has not asked again yet, but what it holds it holds. */
    assert_int_equal(contract_commit(fixture, &fixture->b, &theirs, "two"), HF_OK);
    theirs = take_answered(fixture, &fixture->b, mine.sid);
    assert_int_equal(theirs.token, mine.token + 1);
    if (!fixture->engine->served) /* its answer may be under way since the grant */
        assert_int_equal(theirs.head.version, 2);
}

static void assert_waiting(struct store *store, const char *expected)
{
    char text[WAITING_SIZE] = "no lease";

    assert_int_equal(store_lease_list(store, find_waiting, text, NULL), HF_OK);
    assert_string_equal(text, expected);
}

static void the_list_says_who_waits(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_waiting(fixture->a.store, "");
    assert_pending(fixture, &fixture->c, lease.sid);
    assert_pending(fixture, &fixture->b, lease.sid);
    assert_waiting(fixture->a.store, "host-c host-b ");
    assert_waiting(fixture->b.store, "host-c host-b ");
    release(&fixture->a, &lease);
    assert_waiting(fixture->a.store, "host-b "); /* the other has it, though it does not know */
}

/* --- leaving ------------------------------------------------------------------------------------------ */

/* Over a network the grant may meet the withdrawal half-way. Then it is recalled when somebody wants it, and the host
 * gives back what it does not know to have. */
static void withdraw(struct fixture *fixture, struct mount *mount, uint64_t sid)
{
    if (fixture->engine->served)
        contract_answer(mount, RECALL_RELEASE);
    assert_int_equal(store_lease_withdraw(mount->store, mount->host, sid, NULL), HF_OK);
}

static void who_withdraws_is_not_served(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    assert_pending(fixture, &fixture->c, lease.sid);
    withdraw(fixture, &fixture->b, lease.sid);
    release(&fixture->a, &lease);
    take_answered(fixture, &fixture->c, lease.sid);
    hear_all(fixture, &fixture->b);
    assert_int_equal(recorder_count(&fixture->b.recorder, EVENT_LEASE_ANSWERED, lease.sid), 0);
}

static void withdrawing_gives_back_what_was_granted_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;
    char audit[200];

    contract_open_b(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    release(&fixture->a, &lease);
    withdraw(fixture, &fixture->b, lease.sid);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, LONG_MS, &next), HF_OK);
    assert_int_equal(next.token, lease.token + 2);
    contract_audit_text(fixture->a.store, lease.sid, audit, sizeof audit);
    if (!fixture->engine->served)
        assert_string_equal(audit, "GRANT RECALL RELEASE GRANT RELEASE GRANT ");
}

static void what_is_withdrawn_goes_to_the_next(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    assert_pending(fixture, &fixture->c, lease.sid);
    release(&fixture->a, &lease);
    withdraw(fixture, &fixture->b, lease.sid);
    hear_answer(fixture, &fixture->c, lease.sid);
    assert_int_equal(ask(fixture, &fixture->c, lease.sid, LONG_MS, &lease), HF_OK);
}

static void withdrawing_keeps_what_one_knows_to_have(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    release(&fixture->a, &lease);
    theirs = take_answered(fixture, &fixture->b, lease.sid);
    assert_int_equal(store_lease_withdraw(fixture->b.store, fixture->b.host, lease.sid, NULL),
                     HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->b, &theirs, "two"), HF_OK);
}

static void who_is_gone_inherits_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    assert_pending(fixture, &fixture->c, lease.sid);
    contract_unmount(&fixture->b);
    assert_waiting(fixture->a.store, "host-c ");
    release(&fixture->a, &lease);
    next = take_answered(fixture, &fixture->c, lease.sid);
    assert_int_equal(next.token, lease.token + 1);
}

/* --- answers ------------------------------------------------------------------------------------------ */

static void a_refusal_answers_who_has_no_patience_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    assert_int_equal(ask_once(fixture, &fixture->b, lease.sid, 0, &theirs), HF_PENDING);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_RECALLED, lease.sid);
    assert_int_equal(store_lease_refuse(fixture->a.store, fixture->a.host, lease.sid, lease.token,
                                        "an open file", NULL),
                     HF_OK);
    hear_answer(fixture, &fixture->b, lease.sid);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, 0, &theirs), HF_BUSY);
    assert_non_null(strstr(fixture->err.message, "host-a"));
    assert_non_null(strstr(fixture->err.message, "an open file"));
    /* It is not in the queue any more. */
    assert_waiting(fixture->a.store, "");
    release(&fixture->a, &lease);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, 0, &theirs), HF_OK);
}

static void a_refusal_leaves_the_patient_in_the_queue(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    contract_open_b(fixture);
    contract_answer(&fixture->a, RECALL_REFUSE);
    assert_pending(fixture, &fixture->b, lease.sid);
    hear_answer(fixture, &fixture->b, lease.sid);
    assert_pending(fixture, &fixture->b, lease.sid);
    contract_answer(&fixture->a, RECALL_IGNORE);
    release(&fixture->a, &lease);
    take_answered(fixture, &fixture->b, lease.sid);
}

static void the_end_of_the_session_answers_all(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    assert_pending(fixture, &fixture->c, lease.sid);
    assert_int_equal(
        store_session_delete(fixture->a.store, fixture->a.host, lease.sid, lease.token, NULL),
        HF_OK);
    hear_answer(fixture, &fixture->b, lease.sid);
    hear_answer(fixture, &fixture->c, lease.sid);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, LONG_MS, &theirs), HF_NOENT);
    /* Whoever waited then waits no more when it is back. */
    assert_int_equal(store_session_undelete(fixture->a.store, lease.sid, NULL, NULL), HF_OK);
    assert_int_equal(ask(fixture, &fixture->b, lease.sid, 0, &theirs), HF_OK);
    assert_true(theirs.token > lease.token);
    assert_waiting(fixture->a.store, "");
}

static void a_broken_lease_goes_to_the_first_of_the_queue(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    contract_open_c(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    assert_int_equal(store_lease_break(fixture->c.store, lease.sid, lease.token, "it hangs", NULL),
                     HF_OK);
    assert_int_equal(recorder_wait(&fixture->a.recorder, EVENT_LEASE_LOST, lease.sid).token,
                     lease.token);
    theirs = take_answered(fixture, &fixture->b, lease.sid);
    assert_int_equal(theirs.token, lease.token + 1);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "late"), HF_FENCED);
}

static void a_closed_holder_leaves_its_lease_to_the_first_of_the_queue(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), theirs;

    contract_open_b(fixture);
    assert_pending(fixture, &fixture->b, lease.sid);
    contract_unmount(&fixture->a);
    theirs = take_answered(fixture, &fixture->b, lease.sid);
    assert_int_equal(theirs.token, lease.token + 1);
}

/* --- tokens ---------------------------------------------------------------------------------------------- */

static void no_token_is_given_twice_whatever_happens(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one"), next;
    uint64_t sid = lease.sid;

    contract_open_b(fixture);
    for (int i = 0; i < 4; i++) {
        assert_pending(fixture, &fixture->b, sid);
        if (i % 2 == 0)
            release(&fixture->a, &lease);
        else
            assert_int_equal(store_lease_break(fixture->b.store, sid, lease.token, "why", NULL),
                             HF_OK);
        next = take_answered(fixture, &fixture->b, sid);
        assert_true(next.token > lease.token);
        assert_int_equal(
            store_session_delete(fixture->b.store, fixture->b.host, sid, next.token, NULL), HF_OK);
        assert_int_equal(store_session_undelete(fixture->b.store, sid, NULL, NULL), HF_OK);
        assert_int_equal(ask(fixture, &fixture->a, sid, 0, &lease), HF_OK);
        assert_true(lease.token > next.token);
    }
    contract_assert_sound(fixture->a.store);
}

const struct CMUnitTest contract_queue_tests[] = {
    CONTRACT_TEST(a_free_lease_is_granted_at_once),
    CONTRACT_TEST(those_who_wait_are_served_in_the_order_they_came),
    CONTRACT_TEST(who_gives_up_a_lease_cannot_win_it_back_before_the_asker),
    CONTRACT_TEST(a_grant_counts_from_the_release_on),
    CONTRACT_TEST(the_list_says_who_waits),
    CONTRACT_TEST(who_withdraws_is_not_served),
    CONTRACT_TEST(withdrawing_gives_back_what_was_granted_meanwhile),
    CONTRACT_TEST(what_is_withdrawn_goes_to_the_next),
    CONTRACT_TEST(withdrawing_keeps_what_one_knows_to_have),
    CONTRACT_TEST(who_is_gone_inherits_nothing),
    CONTRACT_TEST(a_refusal_answers_who_has_no_patience_at_once),
    CONTRACT_TEST(a_refusal_leaves_the_patient_in_the_queue),
    CONTRACT_TEST(the_end_of_the_session_answers_all),
    CONTRACT_TEST(a_broken_lease_goes_to_the_first_of_the_queue),
    CONTRACT_TEST(a_closed_holder_leaves_its_lease_to_the_first_of_the_queue),
    CONTRACT_TEST(no_token_is_given_twice_whatever_happens),
};
const size_t contract_queue_count = CONTRACT_COUNT(contract_queue_tests);
