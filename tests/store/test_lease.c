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
    struct lease_step step = {.audit = AUDIT_RESCUE};
    struct hf_error err = {0};

    assert_int_equal(lease_step(row, &request, &step, &err), status);
    assert_int_equal(step.audit, AUDIT_RESCUE); /* untouched */
    assert_true(err.message[0] != '\0');
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
    assert_int_equal(step.audit, AUDIT_GRANT);
    assert_int_equal(step.audit_token, 8);
    assert_int_equal(step.tell, 0);
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
    assert_int_equal(step.tell, EVENT_LEASE_RECALLED);
    assert_int_equal(step.tell_host, 3);
    assert_int_equal(step.tell_token, 7);
    assert_int_equal(step.audit, AUDIT_RECALL);
    step = step_of(&recalled, ask);
    assert_int_equal(step.outcome, LEASE_WAITING);
    assert_false(step.changed);
    assert_int_equal(step.audit, 0);
    assert_int_equal(step.tell, 0);
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
        assert_int_equal(step.audit, AUDIT_TAKEOVER);
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
    assert_int_equal(step.audit, AUDIT_REFUSE);
    /* The next one who asks recalls it again, but the trail has that already. */
    again = step_of(&step.row, ask);
    assert_int_equal(again.row.state, LEASE_RECALLED);
    assert_int_equal(again.tell, EVENT_LEASE_RECALLED);
    assert_int_equal(again.audit, 0);
    again = step_of(&again.row, no);
    assert_int_equal(again.row.state, LEASE_HELD);
    assert_int_equal(again.audit, 0);
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
    assert_int_equal(step.tell, EVENT_LEASE_LOST);
    assert_int_equal(step.tell_host, 3);
    assert_int_equal(step.audit, AUDIT_BREAK);
    assert_refused(&free_row, request, HF_CONFLICT);
    request.token = 6;
    assert_refused(&held, request, HF_CONFLICT);
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
        struct lease_request request = {.verb = (enum lease_verb)(draw % 6),
                                        .host = host,
                                        .token = model.believed[host],
                                        .holder_alive = !model.dead[model.row.host]};
        struct lease_step step;

        if (draw >> 60 == 0)
            model.dead[host] = true;
        if (request.verb == LEASE_BREAK && (draw >> 40) % 8 != 0)
            continue;
        if (request.verb == LEASE_BREAK)
            request.token = model.row.token;
        if (lease_step(&model.row, &request, &step, NULL) != HF_OK) {
            assert_true(request.verb != LEASE_ASK && request.verb != LEASE_HOLDER_GONE);
            continue;
        }
        assert_true(step.row.token == model.row.token + (step.outcome == LEASE_GRANTED));
        model.row = step.row;
        if (step.outcome == LEASE_GRANTED)
            take_grant(&model, host);
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
        cmocka_unit_test(only_the_current_grant_can_commit),
        cmocka_unit_test(impossible_rows_are_named),
        cmocka_unit_test(tokens_grow_and_one_host_can_write_whatever_comes),
        cmocka_unit_test(one_who_waits_sleeps_asks_again_and_gives_up),
        cmocka_unit_test(the_sentence_says_who_where_when_and_why),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
