/* SPDX-License-Identifier: Apache-2.0 */
/* A host's own view of its host session: every state with every event, and random walks. */
#include "store/contact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../object/rng.h"

#define MS ((int64_t)1000000)
#define S (1000 * MS)
#define TTL_MS 30000
#define T0 (5000 * S)
#define MIDDLE 0x80000000u

enum { STATES = CONTACT_ENDED + 1, EVENTS = CONTACT_CLOSED + 1 };

/* The table of contact.h, said once more: may `event` lead from `from` to `to`? */
static bool expected(enum contact_state from, enum contact_event event, enum contact_state to)
{
    static const char *const table[STATES][EVENTS] = {
        [CONTACT_NONE] = {"LF", "N", "N", "N", "N", "E"},
        [CONTACT_LIVE] = {"LF", "LF", "AF", "LF", "N", "E"},
        [CONTACT_AWAY] = {"LF", "AF", "AF", "AF", "N", "E"},
        [CONTACT_FENCED] = {"LF", "LF", "F", "F", "N", "E"},
        [CONTACT_ENDED] = {"E", "E", "E", "E", "E", "E"},
    };

    return strchr(table[from][event], "NLAFE"[to]) != NULL;
}

static void registered_at(struct contact *contact, int64_t now)
{
    contact_init(contact, TTL_MS);
    assert_int_equal(contact_step(contact, CONTACT_REGISTERED, now, now, MIDDLE), CONTACT_LIVE);
}

/* A contact in a state, registered at T0. */
static void in_state(struct contact *contact, enum contact_state state)
{
    registered_at(contact, T0);
    if (state == CONTACT_NONE)
        contact_step(contact, CONTACT_REFUSED, T0, 0, 0);
    else if (state == CONTACT_AWAY)
        contact_step(contact, CONTACT_CUT, T0, 0, 0);
    else if (state == CONTACT_FENCED)
        contact_step(contact, CONTACT_TICK, T0 + 27 * S, 0, 0);
    else if (state == CONTACT_ENDED)
        contact_step(contact, CONTACT_CLOSED, T0, 0, 0);
    assert_int_equal(contact->state, state);
}

static void every_state_takes_every_event_as_the_table_says(void **state)
{
    (void)state;
    for (int from = 0; from < STATES; from++)
        for (int event = 0; event < EVENTS; event++)
            for (int64_t now = from == CONTACT_FENCED ? T0 + 27 * S : T0; now <= T0 + 60 * S;
                 now += 500 * MS)
                for (int64_t sent = T0; sent <= now; sent += 500 * MS) {
                    struct contact contact;
                    enum contact_state to;
                    int64_t before;

                    in_state(&contact, (enum contact_state)from);
                    before = contact_deadline(&contact);
                    to = contact_step(&contact, (enum contact_event)event, now, sent, 0);
                    assert_int_equal(to, contact.state);
                    assert_true(expected((enum contact_state)from, (enum contact_event)event, to));
                    if (to == CONTACT_NONE || to == CONTACT_ENDED)
                        assert_true(contact_deadline(&contact) == 0);
                    else
                        assert_true(contact_deadline(&contact) >= before);
                    assert_true((to == CONTACT_LIVE || to == CONTACT_AWAY) ==
                                (now < contact_deadline(&contact)));
                }
}

static void the_deadline_lies_a_margin_before_the_ttl_counted_from_the_sending(void **state)
{
    struct contact contact;

    (void)state;
    contact_init(&contact, TTL_MS);
    assert_true(contact_deadline(&contact) == 0);
    contact_step(&contact, CONTACT_REGISTERED, T0 + 4 * S, T0, MIDDLE);
    assert_true(contact_deadline(&contact) == T0 + 27 * S);
    contact_init(&contact, 5000); /* a tenth would be half a second */
    contact_step(&contact, CONTACT_REGISTERED, T0, T0, MIDDLE);
    assert_true(contact_deadline(&contact) == T0 + 4 * S);
    contact_init(&contact, 1000); /* a second would be all */
    contact_step(&contact, CONTACT_REGISTERED, T0, T0, MIDDLE);
    assert_true(contact_deadline(&contact) == T0 + 500 * MS);
}

static void an_answer_that_came_too_late_fences(void **state)
{
    struct contact contact;

    (void)state;
    contact_init(&contact, TTL_MS);
    assert_int_equal(contact_step(&contact, CONTACT_REGISTERED, T0 + 27 * S, T0, 0),
                     CONTACT_FENCED);
}

static void an_older_answer_never_shortens_the_deadline(void **state)
{
    struct contact contact;

    (void)state;
    registered_at(&contact, T0);
    contact_step(&contact, CONTACT_RENEWED, T0 + 12 * S, T0 + 10 * S, 0);
    contact_step(&contact, CONTACT_RENEWED, T0 + 13 * S, T0 + 5 * S, 0);
    assert_true(contact_deadline(&contact) == T0 + 37 * S);
}

static void a_renewal_brings_a_fenced_host_back_and_a_refusal_does_not(void **state)
{
    struct contact contact;

    (void)state;
    in_state(&contact, CONTACT_FENCED);
    assert_int_equal(contact_step(&contact, CONTACT_RENEWED, T0 + 28 * S, T0 + 20 * S, 0),
                     CONTACT_LIVE);
    in_state(&contact, CONTACT_FENCED);
    assert_int_equal(contact_step(&contact, CONTACT_REFUSED, T0 + 28 * S, 0, 0), CONTACT_NONE);
    assert_true(contact.next == T0 + 28 * S); /* register at once */
    assert_int_equal(contact_step(&contact, CONTACT_RENEWED, T0 + 29 * S, T0 + 27 * S, 0),
                     CONTACT_NONE);
    assert_true(contact_deadline(&contact) == 0);
}

static void heartbeats_are_due_at_a_third_with_jitter_and_retried_every_second(void **state)
{
    struct contact contact;

    (void)state;
    for (uint32_t i = 0; i <= 16; i++) {
        uint32_t jitter = i == 16 ? UINT32_MAX : i << 28;
        int64_t next;

        contact_init(&contact, TTL_MS);
        contact_step(&contact, CONTACT_REGISTERED, T0, T0, jitter);
        next = contact.next;
        assert_in_range(next, T0 + 9 * S, T0 + 11 * S);
        assert_true(i != 0 || next == T0 + 9 * S);
        assert_true(i != 16 || next == T0 + 11 * S);
        contact_step(&contact, CONTACT_TICK, next - 1, 0, jitter);
        assert_true(contact.next == next);
        contact_step(&contact, CONTACT_TICK, next, 0, jitter); /* sent, not answered */
        assert_in_range(contact.next, next + 900 * MS, next + 1100 * MS);
    }
}

static void a_broken_connection_is_mended_at_once_and_then_every_second(void **state)
{
    struct contact contact;

    (void)state;
    registered_at(&contact, T0);
    contact_step(&contact, CONTACT_CUT, T0 + 3 * S, 0, MIDDLE);
    assert_true(contact.next == T0 + 3 * S);
    contact_step(&contact, CONTACT_TICK, T0 + 3 * S, 0, MIDDLE);
    contact_step(&contact, CONTACT_CUT, T0 + 4 * S, 0, MIDDLE);
    assert_in_range(contact.next, T0 + 4900 * MS, T0 + 5100 * MS);
    /* A renewal that was on its way counts, but is no reason to stop trying. */
    contact_step(&contact, CONTACT_RENEWED, T0 + 4500 * MS, T0 + 2 * S, MIDDLE);
    assert_in_range(contact.next, T0 + 4900 * MS, T0 + 5100 * MS);
    assert_true(contact_deadline(&contact) == T0 + 29 * S);
    assert_int_equal(contact_step(&contact, CONTACT_REGISTERED, T0 + 5 * S, T0 + 5 * S, MIDDLE),
                     CONTACT_LIVE);
    assert_in_range(contact.next, T0 + 14 * S, T0 + 16 * S);
}

/* Whatever happens in whatever order, nothing is admitted later than the last renewal allows. */
static void no_walk_admits_a_change_beyond_the_last_renewal(void **state)
{
    struct rng rng = rng_make(20251);

    (void)state;
    for (int walk = 0; walk < 2000; walk++) {
        struct contact contact;
        int64_t now = T0, granted = 0;

        contact_init(&contact, 5000);
        for (int i = 0; i < 60; i++) {
            enum contact_event event = (enum contact_event)rng_below(&rng, CONTACT_CLOSED);
            int64_t sent = now - (int64_t)rng_below(&rng, 8) * S;
            enum contact_state from = contact.state;

            now += (int64_t)rng_below(&rng, 3000) * MS;
            contact_step(&contact, event, now, sent, (uint32_t)rng_below(&rng, UINT32_MAX));
            if (event == CONTACT_REFUSED)
                granted = 0;
            if ((event == CONTACT_REGISTERED ||
                 (event == CONTACT_RENEWED && from != CONTACT_NONE)) &&
                sent > granted)
                granted = sent;
            assert_true(contact_deadline(&contact) == (granted ? granted + 4 * S : 0));
        }
    }
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < STATES; i++)
        assert_string_not_equal(contact_state_name((enum contact_state)i), "?");
    assert_string_equal(contact_state_name(CONTACT_AWAY), "away");
    assert_string_equal(contact_state_name((enum contact_state)STATES), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_takes_every_event_as_the_table_says),
        cmocka_unit_test(the_deadline_lies_a_margin_before_the_ttl_counted_from_the_sending),
        cmocka_unit_test(an_answer_that_came_too_late_fences),
        cmocka_unit_test(an_older_answer_never_shortens_the_deadline),
        cmocka_unit_test(a_renewal_brings_a_fenced_host_back_and_a_refusal_does_not),
        cmocka_unit_test(heartbeats_are_due_at_a_third_with_jitter_and_retried_every_second),
        cmocka_unit_test(a_broken_connection_is_mended_at_once_and_then_every_second),
        cmocka_unit_test(no_walk_admits_a_change_beyond_the_last_renewal),
        cmocka_unit_test(every_state_has_a_name),
    };

    return cmocka_run_group_tests_name("contact", tests, NULL, NULL);
}
