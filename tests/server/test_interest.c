/* SPDX-License-Identifier: Apache-2.0 */
/** Which moves of a head a peer hears of, and that none is lost between a head that is read and its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/interest.h"

static struct interest interest;

static int setup(void **state)
{
    (void)state;
    interest_init(&interest);
    interest_limit(&interest, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    interest_release(&interest);
    return 0;
}

static bool hears(uint64_t sid, uint64_t version)
{
    const struct store_event event = {.kind = EVENT_HEAD_MOVED, .sid = sid, .version = version};

    return interest_event(&interest, &event);
}

static void move_is_heard_once_until_asked_again(void **state)
{
    (void)state;
    assert_false(hears(7, 1));
    interest_told(&interest, 7, 1);
    assert_false(hears(8, 2));
    assert_true(hears(7, 2));
    assert_false(hears(7, 3));
    assert_true(interest_renew(&interest, 7));
    interest_told(&interest, 7, 3);
    assert_true(hears(7, 4));
}

/** The event of a version that was told already comes late: the host would pass over it, and not ask again. */
static void late_event_does_not_use_up_the_interest(void **state)
{
    (void)state;
    interest_told(&interest, 7, 5);
    assert_false(hears(7, 4));
    assert_false(hears(7, 5));
    assert_true(hears(7, 6));
}

/** The head is read, moves, and is answered then. */
static void move_between_reading_and_answering_is_heard(void **state)
{
    (void)state;
    assert_false(interest_note(&interest, 7));
    assert_true(hears(7, 6));
    interest_told(&interest, 7, 5);
    assert_true(hears(7, 7));
}

static void older_answer_does_not_take_back_a_newer_one(void **state)
{
    (void)state;
    interest_told(&interest, 7, 6);
    interest_told(&interest, 7, 5);
    assert_false(hears(7, 6));
    assert_true(hears(7, 7));
}

/** What the peer knows of one of two is forgotten: it hears of that more often. */
static void sessions_that_share_a_place_hear_more(void **state)
{
    (void)state;
    interest_told(&interest, 7, 1);
    interest_told(&interest, 7 + INTEREST_TOLD, 1);
    assert_true(hears(7, 2));
    assert_true(hears(7, 3));
    assert_true(hears(7 + INTEREST_TOLD, 2));
    assert_false(hears(7 + INTEREST_TOLD, 3));
}

/** Whoever asks for any number takes no memory with it. */
static void interest_in_what_is_not_there_is_not_noted(void **state)
{
    (void)state;
    assert_false(interest_renew(&interest, 1000000));
    assert_false(hears(1000000, 1));
    assert_false(interest_note(&interest, 1000000));
    assert_true(interest_renew(&interest, 999999));
    assert_true(hears(1000000, 1));
}

static void without_a_limit_everything_is_heard(void **state)
{
    const struct store_event locks = {.kind = EVENT_LOCKS_CHANGED};

    (void)state;
    assert_true(interest_event(&interest, &locks));
    interest_limit(&interest, false);
    assert_true(hears(7, 1));
    assert_true(hears(7, 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(move_is_heard_once_until_asked_again),
        TEST(late_event_does_not_use_up_the_interest),
        TEST(move_between_reading_and_answering_is_heard),
        TEST(older_answer_does_not_take_back_a_newer_one),
        TEST(sessions_that_share_a_place_hear_more),
        TEST(interest_in_what_is_not_there_is_not_noted),
        TEST(without_a_limit_everything_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
