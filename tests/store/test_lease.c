/* SPDX-License-Identifier: Apache-2.0 */
/* The lease state machine by itself, and against a model that draws requests at random. */
#include "store/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/htable.h"

#define MS 1000000

static const struct lease_row free_row = {.token = 7};
static const struct lease_row held = {LEASE_HELD, 7, 3, 1000, false};
static const struct lease_row recalled = {LEASE_RECALLED, 7, 3, 1000, false};

static struct lease_step step_of(const struct lease_row *row, struct lease_request request)
{
    struct lease_step step;

    assert_int_equal(lease_step(row, &request, &step, NULL), HF_OK);
    return step;
}

static void assert_refused(const struct lease_row *row, struct lease_request request, int status)
{
    struct lease_step step = {.naudits = 77};
    struct hf_error err = {0};

    assert_int_equal(lease_step(row, &request, &step, &err), status);
    assert_int_equal(step.naudits, 77); /* untouched */
    assert_true(err.message[0] != '\0');
}

/* The last of the step's `n` entries is this one. */
static void assert_audits(const struct lease_step *step, size_t n, enum audit_event event,
                          uint64_t host, uint64_t token)
{
    assert_int_equal(step->naudits, n);
    assert_int_equal(step->audits[n - 1].event, event);
    assert_int_equal(step->audits[n - 1].host, host);
    assert_int_equal(step->audits[n - 1].token, token);
}

static void assert_tells(const struct lease_step *step, size_t n, enum event_kind kind,
                         uint64_t host, uint64_t token)
{
    assert_int_equal(step->ntells, n);
    assert_int_equal(step->tells[n - 1].kind, kind);
    assert_int_equal(step->tells[n - 1].host, host);
    assert_int_equal(step->tells[n - 1].token, token);
}

static void asking_for_a_free_lease_grants_it_with_the_next_token(void **state)
{
    struct lease_step step = step_of(&free_row, (struct lease_request){.host = 5, .now = 42});

    (void)state;
    assert_int_equal(step.outcome, LEASE_GRANTED);
    assert_int_equal(step.row.state, LEASE_HELD);
    assert_int_equal(step.row.token, 8);
    assert_int_equal(step.row.host, 5);
    assert_int_equal(step.row.since, 42);
    assert_audits(&step, 1, AUDIT_GRANT, 5, 8);
    assert_int_equal(step.ntells, 0);
}

static void the_holder_keeps_what_it_asks_for_again(void **state)
{
    struct lease_request ask = {.host = 3, .holder_alive = true};

    (void)state;
    assert_int_equal(step_of(&held, ask).outcome, LEASE_KEPT);
    assert_false(step_of(&held, ask).changed);
    assert_int_equal(step_of(&recalled, ask).outcome, LEASE_KEPT);
    assert_int_equal(step_of(&recalled, ask).row.state, LEASE_RECALLED);
}

static void a_living_holder_is_recalled_once(void **state)
{
    struct lease_request ask = {.host = 5, .holder_alive = true};
    struct lease_step step = step_of(&held, ask);

    (void)state;
    assert_int_equal(step.outcome, LEASE_WAITING);
    assert_int_equal(step.row.state, LEASE_RECALLED);
    assert_int_equal(step.row.token, 7);
    assert_tells(&step, 1, EVENT_LEASE_RECALLED, 3, 7);
    assert_audits(&step, 1, AUDIT_RECALL, 5, 7);
    step = step_of(&recalled, ask);
    assert_int_equal(step.outcome, LEASE_WAITING);
    assert_false(step.changed);
    assert_int_equal(step.naudits, 0);
    assert_int_equal(step.ntells, 0);
}

static void a_dead_holder_is_taken_over(void **state)
{
    const struct lease_row *const rows[] = {&held, &recalled};
    struct lease_request ask = {.host = 5, .holder_alive = false};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct lease_step step = step_of(rows[i], ask);

        assert_int_equal(step.outcome, LEASE_GRANTED);
        assert_int_equal(step.row.token, 8);
        assert_int_equal(step.row.host, 5);
        assert_audits(&step, 1, AUDIT_TAKEOVER, 5, 8);
    }
}

static void a_refusal_is_remembered_and_told_once(void **state)
{
    struct lease_request no = {.verb = LEASE_REFUSE, .host = 3, .token = 7};
    struct lease_request ask = {.host = 5, .holder_alive = true};
    struct lease_step step = step_of(&recalled, no), again;

    (void)state;
    assert_int_equal(step.row.state, LEASE_HELD);
    assert_true(step.row.refused);
    assert_audits(&step, 1, AUDIT_REFUSE, 3, 7);
    assert_int_equal(step.audience, LEASE_TELL_ALL);
    /* The next one who asks recalls it again, but the trail has that already. */
    again = step_of(&step.row, ask);
    assert_int_equal(again.row.state, LEASE_RECALLED);
    assert_tells(&again, 1, EVENT_LEASE_RECALLED, 3, 7);
    assert_int_equal(again.naudits, 0);
    again = step_of(&again.row, no);
    assert_int_equal(again.row.state, LEASE_HELD);
    assert_int_equal(again.naudits, 0);
    /* Until it is granted anew. */
    again = step_of(&again.row, (struct lease_request){.host = 5});
    assert_false(again.row.refused);
}

static void only_the_holder_with_its_token_can_answer_release_or_end(void **state)
{
    const enum lease_verb verbs[] = {LEASE_REFUSE, LEASE_RELEASE, LEASE_END};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct lease_request request = {.verb = verbs[i], .host = 3, .token = 7};

        assert_int_equal(step_of(&held, request).outcome, LEASE_DONE);
        assert_refused(&free_row, request, HF_FENCED);
        request.token = 6;
        assert_refused(&held, request, HF_FENCED);
        request.token = 8;
        assert_refused(&recalled, request, HF_FENCED);
        request.token = 7;
        request.host = 4;
        assert_refused(&held, request, HF_FENCED);
    }
}

static void breaking_names_the_token(void **state)
{
    struct lease_request request = {.verb = LEASE_BREAK, .token = 7};
    struct lease_step step = step_of(&held, request);

    (void)state;
    assert_int_equal(step.row.state, LEASE_FREE);
    assert_int_equal(step.row.token, 7);
    assert_tells(&step, 1, EVENT_LEASE_LOST, 3, 7);
    assert_audits(&step, 1, AUDIT_BREAK, 3, 7);
    assert_refused(&free_row, request, HF_CONFLICT);
    request.token = 6;
    assert_refused(&held, request, HF_CONFLICT);
}

/* --- the heir ------------------------------------------------------------------------------------- */

static void what_is_released_goes_to_the_heir_in_the_same_step(void **state)
{
    const struct lease_row *const rows[] = {&held, &recalled};
    struct lease_request release = {
        .verb = LEASE_RELEASE, .host = 3, .token = 7, .heir = 5, .now = 42};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct lease_step step = step_of(rows[i], release);

        assert_true(step.changed && step.inherited);
        assert_int_equal(step.row.state, LEASE_HELD);
        assert_int_equal(step.row.host, 5);
        assert_int_equal(step.row.token, 8);
        assert_int_equal(step.row.since, 42);
        assert_audits(&step, 2, AUDIT_GRANT, 5, 8);
        assert_int_equal(step.audits[0].event, AUDIT_RELEASE);
        assert_int_equal(step.audits[0].host, 3);
        assert_int_equal(step.audits[0].token, 7);
        assert_tells(&step, 1, EVENT_LEASE_ANSWERED, 5, 8);
        assert_int_equal(step.audience, LEASE_TELL_FIRST);
        /* So the one who gave it up can only ask for it again. */
        step = step_of(&step.row, (struct lease_request){.host = 3, .holder_alive = true});
        assert_int_equal(step.outcome, LEASE_WAITING);
    }
}

static void what_is_broken_goes_to_the_heir_and_both_are_told(void **state)
{
    struct lease_request request = {.verb = LEASE_BREAK, .token = 7, .heir = 5};
    struct lease_step step = step_of(&recalled, request);

    (void)state;
    assert_tells(&step, 2, EVENT_LEASE_ANSWERED, 5, 8);
    assert_int_equal(step.tells[0].kind, EVENT_LEASE_LOST);
    assert_int_equal(step.tells[0].host, 3);
    assert_int_equal(step.tells[0].token, 7);
    assert_audits(&step, 2, AUDIT_GRANT, 5, 8);
    assert_int_equal(step.audits[0].event, AUDIT_BREAK);
    assert_refused(&free_row, request, HF_CONFLICT);
}

static void the_end_of_the_session_has_no_heir_and_all_are_told(void **state)
{
    struct lease_request end = {.verb = LEASE_END, .host = 3, .token = 7, .heir = 5};
    struct lease_step step = step_of(&recalled, end);

    (void)state;
    assert_int_equal(step.row.state, LEASE_FREE);
    assert_int_equal(step.row.token, 7);
    assert_false(step.inherited);
    assert_audits(&step, 1, AUDIT_DELETE, 3, 7);
    assert_int_equal(step.audience, LEASE_TELL_ALL);
}

static void a_holder_that_is_gone_leaves_its_lease(void **state)
{
    struct lease_request gone = {.verb = LEASE_HOLDER_GONE};
    struct lease_step step = step_of(&held, gone);

    (void)state;
    assert_int_equal(step.row.state, LEASE_FREE);
    assert_audits(&step, 1, AUDIT_RELEASE, 3, 7);
    gone.heir = 5;
    step = step_of(&held, gone);
    assert_int_equal(step.row.host, 5);
    assert_audits(&step, 2, AUDIT_GRANT, 5, 8);
    assert_false(step_of(&free_row, gone).changed);
}

static void a_dead_holders_lease_is_taken_over_by_the_heir_or_stays(void **state)
{
    struct lease_request dead = {.verb = LEASE_HOLDER_DEAD, .heir = 5};
    struct lease_step step = step_of(&recalled, dead);

    (void)state;
    assert_int_equal(step.row.host, 5);
    assert_int_equal(step.row.token, 8);
    assert_true(step.inherited);
    assert_audits(&step, 1, AUDIT_TAKEOVER, 5, 8);
    assert_tells(&step, 1, EVENT_LEASE_ANSWERED, 5, 8);
    dead.heir = 0;
    assert_false(step_of(&held, dead).changed);
    assert_false(step_of(&recalled, dead).changed);
    assert_false(step_of(&free_row, dead).changed);
}

static void only_the_current_grant_can_commit(void **state)
{
    (void)state;
    assert_int_equal(lease_check_commit(&held, 3, 7, NULL), HF_OK);
    assert_int_equal(lease_check_commit(&recalled, 3, 7, NULL), HF_OK);
    assert_int_equal(lease_check_commit(&held, 3, 6, NULL), HF_FENCED);
    assert_int_equal(lease_check_commit(&held, 3, 8, NULL), HF_FENCED);
    assert_int_equal(lease_check_commit(&held, 4, 7, NULL), HF_FENCED);
    assert_int_equal(lease_check_commit(&free_row, 3, 7, NULL), HF_FENCED);
    assert_int_equal(lease_check_commit(&free_row, 0, 7, NULL), HF_FENCED);
    assert_int_equal(lease_check_commit(&(struct lease_row){0}, 0, 0, NULL), HF_FENCED);
}

static void impossible_rows_are_named(void **state)
{
    (void)state;
    assert_null(lease_row_fault(&free_row));
    assert_null(lease_row_fault(&held));
    assert_null(lease_row_fault(&recalled));
    assert_non_null(lease_row_fault(&(struct lease_row){LEASE_FREE, 7, 3, 0, false}));
    assert_non_null(lease_row_fault(&(struct lease_row){LEASE_FREE, 7, 0, 0, true}));
    assert_non_null(lease_row_fault(&(struct lease_row){LEASE_HELD, 7, 0, 0, false}));
    assert_non_null(lease_row_fault(&(struct lease_row){LEASE_HELD, 0, 3, 0, false}));
    assert_non_null(lease_row_fault(&(struct lease_row){(enum lease_state)3, 7, 3, 0, false}));
}

/* --- every request in every small state --------------------------------------------------------------------------- */

struct
try {
    struct lease_row row;
    struct lease_request request;
    struct lease_step step;
    int rc;
};

static unsigned count_audits(const struct lease_step *step, enum audit_event event, uint64_t host,
                             uint64_t token)
{
    unsigned n = 0;

    for (size_t i = 0; i < step->naudits; i++)
        n += step->audits[i].event == event && step->audits[i].host == host &&
             step->audits[i].token == token;
    return n;
}

static unsigned count_tells(const struct lease_step *step, enum event_kind kind, uint64_t host,
                            uint64_t token)
{
    unsigned n = 0;

    for (size_t i = 0; i < step->ntells; i++)
        n += step->tells[i].kind == kind && step->tells[i].host == host &&
             step->tells[i].token == token;
    return n;
}

static bool is_holders(enum lease_verb verb)
{
    return verb == LEASE_REFUSE || verb == LEASE_RELEASE || verb == LEASE_END;
}

static void check_refusal(const struct try *try)
{
    const struct lease_request *request = &try->request;
    bool current = lease_check_commit(&try->row, request->host, request->token, NULL) == HF_OK;
    bool named = try->row.state != LEASE_FREE && request->token == try->row.token;

    if (is_holders(request->verb))
        assert_int_equal(try->rc, current ? HF_OK : HF_FENCED);
    else if (request->verb == LEASE_BREAK)
        assert_int_equal(try->rc, named ? HF_OK : HF_CONFLICT);
    else
        assert_int_equal(try->rc, HF_OK);
}

static void check_grant(const struct try *try, uint64_t host)
{
    const struct lease_step *step = &try->step;

    assert_int_equal(step->row.state, LEASE_HELD);
    assert_int_equal(step->row.host, host);
    assert_int_equal(step->row.since, try->request.now);
    assert_false(step->row.refused);
    assert_int_equal(count_audits(step, AUDIT_GRANT, host, step->row.token) +
                         count_audits(step, AUDIT_TAKEOVER, host, step->row.token),
                     1);
    assert_int_equal(lease_check_commit(&step->row, host, step->row.token, NULL), HF_OK);
    assert_int_equal(lease_check_commit(&step->row, try->row.host, try->row.token, NULL),
                     HF_FENCED);
}

static void check_step(const struct try *try)
{
    const struct lease_row *old = &try->row, *row = &try->step.row;
    const struct lease_step *step = &try->step;
    bool granted = step->outcome == LEASE_GRANTED || step->inherited;
    bool is_recalled = old->state == LEASE_HELD && row->state == LEASE_RECALLED;

    assert_null(lease_row_fault(row));
    assert_int_equal(row->token, old->token + granted);
    assert_int_equal(step->changed, row->state != old->state || row->token != old->token ||
                                        row->refused != old->refused);
    if (granted)
        check_grant(try, step->inherited ? try->request.heir : try->request.host);
    else
        assert_true(row->host == old->host || row->host == 0);
    /* Nobody who may inherit is left standing, but at the session's end. */
    if (old->state != LEASE_FREE && row->state == LEASE_FREE)
        assert_true(try->request.heir == 0 || try->request.verb == LEASE_END);
    assert_int_equal(count_tells(step, EVENT_LEASE_RECALLED, old->host, old->token), is_recalled);
    assert_int_equal(count_tells(step, EVENT_LEASE_ANSWERED, row->host, row->token),
                     step->inherited);
    assert_int_equal(count_tells(step, EVENT_LEASE_LOST, old->host, old->token),
                     try->request.verb == LEASE_BREAK);
}

static void try_request(const struct lease_row *row, const struct lease_request *request)
{
    struct try try = {.row = *row, .request = *request};

    if (request->heir != 0 && request->heir == row->host)
        return; /* who holds it does not wait for it */
    try.rc = lease_step(row, request, &try.step, NULL);
    check_refusal(&try);
    if (try.rc == HF_OK)
        check_step(&try);
}

static void try_all_requests(const struct lease_row *row)
{
    struct lease_request request = {.now = 42};

    for (int verb = LEASE_ASK; verb <= LEASE_HOLDER_DEAD; verb++) {
        request.verb = (enum lease_verb)verb;
        for (request.host = 1; request.host <= 3; request.host++)
            for (request.token = 0; request.token <= 3; request.token++)
                for (request.heir = 0; request.heir <= 3; request.heir++)
                    for (int alive = 0; alive < 2; alive++) {
                        request.holder_alive = alive;
                        try_request(row, &request);
                    }
    }
}

static void every_request_in_every_small_state_keeps_the_rules(void **state)
{
    struct lease_row row = {.since = 7};
    unsigned rows = 0;

    (void)state;
    for (int of = LEASE_FREE; of <= LEASE_RECALLED; of++) {
        row.state = (enum lease_state)of;
        for (row.token = 0; row.token <= 2; row.token++)
            for (row.host = 0; row.host <= 3; row.host++)
                for (int refused = 0; refused < 2; refused++) {
                    row.refused = refused;
                    if (lease_row_fault(&row))
                        continue;
                    rows++;
                    try_all_requests(&row);
                }
    }
    assert_int_equal(rows, 3 + 2 * 2 * 3 * 2);
}

/* --- a random walk ------------------------------------------------------------------------------------------------ */

#define HOSTS 4

/* What every holder believes, and what was ever granted. */
struct model {
    struct lease_row row;
    uint64_t believed[HOSTS + 1]; /* token that each host thinks it has, or 0 */
    uint64_t last;
    bool dead[HOSTS + 1];
};

static void take_grant(struct model *model, uint64_t host)
{
    assert_true(model->row.token > model->last);
    model->last = model->row.token;
    model->believed[host] = model->row.token;
    model->dead[host] = false;
}

static void assert_one_writer(const struct model *model)
{
    unsigned writers = 0;

    assert_null(lease_row_fault(&model->row));
    for (uint64_t host = 1; host <= HOSTS; host++)
        writers += lease_check_commit(&model->row, host, model->believed[host], NULL) == HF_OK;
    assert_true(writers <= 1);
    assert_int_equal(writers, model->row.state != LEASE_FREE);
}

static void tokens_grow_and_one_host_can_write_whatever_comes(void **state)
{
    struct model model = {.last = 0};
    uint64_t seed = 0;

    (void)state;
    assert_int_equal(getrandom(&seed, 4, 0), 4);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 200000; i++) {
        uint64_t draw = htable_hash_u64(seed + (uint64_t)i);
        uint64_t host = 1 + (draw >> 8) % HOSTS;
        struct lease_request request = {.verb = (enum lease_verb)(draw % 7),
                                        .host = host,
                                        .token = model.believed[host],
                                        .heir = (draw >> 16) % 2 ? 1 + (draw >> 24) % HOSTS : 0,
                                        .holder_alive = !model.dead[model.row.host]};
        struct lease_step step;
        bool granted;

        if (draw >> 60 == 0)
            model.dead[host] = true;
        if (request.verb == LEASE_BREAK && (draw >> 40) % 8 != 0)
            continue;
        if (request.heir == model.row.host)
            request.heir = 0;
        if (request.verb == LEASE_BREAK)
            request.token = model.row.token;
        if (lease_step(&model.row, &request, &step, NULL) != HF_OK) {
            assert_true(request.verb == LEASE_BREAK || is_holders(request.verb));
            continue;
        }
        granted = step.outcome == LEASE_GRANTED || step.inherited;
        assert_true(step.row.token == model.row.token + granted);
        assert_true(granted || step.row.host == model.row.host || step.row.host == 0);
        model.row = step.row;
        if (granted)
            take_grant(&model, step.inherited ? request.heir : host);
        assert_one_writer(&model);
    }
}

/* --- waiting ------------------------------------------------------------------------------------------------------------ */

static void one_who_waits_sleeps_asks_again_and_gives_up(void **state)
{
    struct lease_waiter waiter = {.token = 7, .started = 0, .asked = 0, .wait_ms = 0};
    struct lease_row refused = held;
    int64_t until = 0;

    (void)state;
    refused.refused = true;
    /* Not answered: as long as a recall takes. */
    assert_int_equal(lease_waiter_look(&waiter, &recalled, true, 0, &until), LEASE_SLEEP);
    assert_true(until == (int64_t)LEASE_RECALL_MS * MS);
    assert_int_equal(lease_waiter_look(&waiter, &recalled, true, until, &until), LEASE_GIVE_UP);
    /* Refused: at once, or after the time that was given. */
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, 1, &until), LEASE_GIVE_UP);
    waiter.wait_ms = 1000;
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, 1, &until), LEASE_SLEEP);
    assert_true(until == (int64_t)LEASE_ASK_AGAIN_MS * MS);
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, until, &until), LEASE_ASK_NOW);
    waiter.asked = 950 * (int64_t)MS;
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, waiter.asked, &until), LEASE_SLEEP);
    assert_true(until == 1000 * (int64_t)MS);
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, until, &until), LEASE_GIVE_UP);
    /* Free, dead, or another's: ask. */
    assert_int_equal(lease_waiter_look(&waiter, &free_row, false, 1, &until), LEASE_ASK_NOW);
    assert_int_equal(lease_waiter_look(&waiter, &recalled, false, 1, &until), LEASE_ASK_NOW);
    waiter.token = 6;
    assert_int_equal(lease_waiter_look(&waiter, &held, true, 1, &until), LEASE_ASK_NOW);
}

static void a_refusal_counts_for_those_who_were_waiting_for_it(void **state)
{
    struct lease_waiter waiter = {.host = 5};
    struct lease_row refused = held;
    int64_t until = 0;

    (void)state;
    refused.refused = true;
    /* It was refused to somebody else; by now it may be idle. */
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, 10, &until), LEASE_ASK_NOW);
    waiter.token = 7;
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, 10, &until), LEASE_GIVE_UP);
    /* Another got it meanwhile, who has not been asked. */
    refused.token = 8;
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, 10, &until), LEASE_ASK_NOW);
    assert_int_equal(
        lease_waiter_look(&waiter, &refused, true, LEASE_RECALL_MS * (int64_t)MS, &until),
        LEASE_GIVE_UP);
}

static void one_who_waits_long_asks_less_often(void **state)
{
    struct lease_waiter waiter = {.host = 5, .token = 7, .wait_ms = UINT32_MAX};
    struct lease_row refused = held;
    int64_t until = 0;

    (void)state;
    refused.refused = true;
    waiter.asked = 5000 * (int64_t)MS;
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, waiter.asked, &until), LEASE_SLEEP);
    assert_true(until == waiter.asked + 500 * (int64_t)MS);
    waiter.asked = 3600000 * (int64_t)MS;
    assert_int_equal(lease_waiter_look(&waiter, &refused, true, waiter.asked, &until), LEASE_SLEEP);
    assert_true(until == waiter.asked + LEASE_ASK_AGAIN_MAX_MS * (int64_t)MS);
}

static void one_without_patience_inherits_nothing(void **state)
{
    struct lease_waiter waiter = {.host = 5, .token = 7, .wait_ms = 1000};
    struct lease_row refused = held;
    int64_t second = 1000 * (int64_t)MS;

    (void)state;
    refused.refused = true;
    assert_true(lease_waiter_inherits(&waiter, &recalled, 0));
    assert_true(lease_waiter_inherits(&waiter, &recalled, 3 * second - 1));
    assert_false(lease_waiter_inherits(&waiter, &recalled, 3 * second));
    assert_true(lease_waiter_inherits(&waiter, &refused, second - 1));
    assert_false(lease_waiter_inherits(&waiter, &refused, second));
    waiter.host = recalled.host; /* what it lets go */
    assert_false(lease_waiter_inherits(&waiter, &recalled, 0));
    waiter.host = 5;
    waiter.granted = 6;
    assert_false(lease_waiter_inherits(&waiter, &recalled, 0));
}

static void one_who_does_not_ask_any_more_is_absent(void **state)
{
    struct lease_waiter waiter = {.host = 5, .token = 7, .wait_ms = 1000};
    int64_t gone = (1000 + LEASE_RECALL_MS + LEASE_ABSENT_MS) * (int64_t)MS;
    struct lease_row mine = held;

    (void)state;
    assert_false(lease_waiter_absent(&waiter, &recalled, gone - 1));
    assert_true(lease_waiter_absent(&waiter, &recalled, gone));
    /* What was granted waits for it, until it is lost. */
    mine.host = waiter.host;
    waiter.granted = mine.token;
    assert_false(lease_waiter_absent(&waiter, &mine, gone));
    mine.token++;
    assert_true(lease_waiter_absent(&waiter, &mine, 0));
    assert_true(lease_waiter_absent(&waiter, &free_row, 0));
}

static void the_sentence_says_who_where_when_and_why(void **state)
{
    struct lease_info info = {.session_name = "alpha",
                              .state = LEASE_HELD,
                              .host_name = "build-7",
                              .mount_point = "/mnt/s",
                              .pid = 4711,
                              .since = 1767225600000000000,
                              .pinned_by = "an open file"};
    struct hf_error err;

    (void)state;
    assert_int_equal(lease_busy(&info, &err), HF_BUSY);
    assert_string_equal(err.message, "session alpha is in use on host build-7 (process 4711, "
                                     "mounted on /mnt/s) since 2026-01-01T00:00:00Z: an open file");
    info = (struct lease_info){.state = LEASE_RECALLED};
    assert_int_equal(lease_busy(&info, &err), HF_BUSY);
    assert_non_null(strstr(err.message, "has not answered"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asking_for_a_free_lease_grants_it_with_the_next_token),
        cmocka_unit_test(the_holder_keeps_what_it_asks_for_again),
        cmocka_unit_test(a_living_holder_is_recalled_once),
        cmocka_unit_test(a_dead_holder_is_taken_over),
        cmocka_unit_test(a_refusal_is_remembered_and_told_once),
        cmocka_unit_test(only_the_holder_with_its_token_can_answer_release_or_end),
        cmocka_unit_test(breaking_names_the_token),
        cmocka_unit_test(what_is_released_goes_to_the_heir_in_the_same_step),
        cmocka_unit_test(what_is_broken_goes_to_the_heir_and_both_are_told),
        cmocka_unit_test(the_end_of_the_session_has_no_heir_and_all_are_told),
        cmocka_unit_test(a_holder_that_is_gone_leaves_its_lease),
        cmocka_unit_test(a_dead_holders_lease_is_taken_over_by_the_heir_or_stays),
        cmocka_unit_test(only_the_current_grant_can_commit),
        cmocka_unit_test(impossible_rows_are_named),
        cmocka_unit_test(every_request_in_every_small_state_keeps_the_rules),
        cmocka_unit_test(tokens_grow_and_one_host_can_write_whatever_comes),
        cmocka_unit_test(one_who_waits_sleeps_asks_again_and_gives_up),
        cmocka_unit_test(a_refusal_counts_for_those_who_were_waiting_for_it),
        cmocka_unit_test(one_who_waits_long_asks_less_often),
        cmocka_unit_test(one_without_patience_inherits_nothing),
        cmocka_unit_test(one_who_does_not_ask_any_more_is_absent),
        cmocka_unit_test(the_sentence_says_who_where_when_and_why),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
