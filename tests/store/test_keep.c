/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a row of versions stay: examples by the calendar, and what holds for any row and any rule. */
#include "store/keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../object/rng.h"
#include "holdfast/error.h"

#define SECOND 1000000000LL
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define WEEK (7 * DAY)
#define ITEMS 120
#define ROUNDS 3000

/* "2026-01-31 10:00:00" by UTC. */
static int64_t at(const char *text)
{
    struct tm tm = {0};

    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return timegm(&tm) * SECOND;
}

/* Decides of the times, latest first; gives "x" for each that stays and "." for each that goes. */
static const char *decide(const struct keep_rule *rule, const char *now, const char *const *times)
{
    static char shown[ITEMS + 1];
    struct keep_item items[ITEMS] = {0};
    size_t n = 0;

    for (; times[n]; n++)
        items[n].time = at(times[n]);
    assert_int_equal(keep_decide(rule, at(now), items, n), HF_OK);
    for (size_t i = 0; i < n; i++)
        shown[i] = items[i].stays ? 'x' : '.';
    shown[n] = '\0';
    return shown;
}

static void the_last_of_each_hour_stays(void **state)
{
    static const char *const times[] = {"2026-05-04 12:59:59",
                                        "2026-05-04 12:10:00",
                                        "2026-05-04 12:00:00",
                                        "2026-05-04 11:59:59",
                                        "2026-05-04 11:00:00",
                                        "2026-05-04 08:00:00",
                                        NULL};
    const struct keep_rule rule = {.within[KEEP_HOURLY] = 4 * HOUR};

    (void)state;
    assert_string_equal(decide(&rule, "2026-05-04 13:00:00", times), "x..x..");
}

static void what_is_as_old_as_the_period_stays(void **state)
{
    static const char *const times[] = {"2026-05-04 11:00:00", "2026-05-04 10:59:59", NULL};
    const struct keep_rule rule = {.within[KEEP_ALL] = 2 * HOUR};

    (void)state;
    assert_string_equal(decide(&rule, "2026-05-04 13:00:00", times), "x.");
}

static void weeks_begin_on_monday_and_months_on_the_first(void **state)
{
    static const char *const times[] = {"2026-05-04 00:00:00" /* Monday */,
                                        "2026-05-03 23:59:59",
                                        "2026-05-01 00:00:00",
                                        "2026-04-30 23:59:59",
                                        "2026-04-27 00:00:00",
                                        "2026-04-26 23:59:59",
                                        NULL};
    const struct keep_rule weekly = {.within[KEEP_WEEKLY] = 52 * WEEK};
    const struct keep_rule monthly = {.within[KEEP_MONTHLY] = KEEP_FOREVER};

    (void)state;
    assert_string_equal(decide(&weekly, "2026-05-04 12:00:00", times), "xx...x");
    assert_string_equal(decide(&monthly, "2026-05-04 12:00:00", times), "x..x..");
}

static void february_and_the_turn_of_a_year_have_months_of_their_own(void **state)
{
    static const char *const times[] = {"2028-03-01 00:00:00", "2028-02-29 23:59:59",
                                        "2028-02-01 00:00:00", "2028-01-01 00:00:00",
                                        "2027-12-31 23:59:59", NULL};
    const struct keep_rule rule = {.within[KEEP_MONTHLY] = 365 * DAY};

    (void)state;
    assert_string_equal(decide(&rule, "2028-03-02 00:00:00", times), "xx.xx");
}

static void times_before_the_epoch_have_buckets_too(void **state)
{
    (void)state;
    assert_int_equal(keep_bucket(KEEP_HOURLY, -1), -1);
    assert_int_equal(keep_bucket(KEEP_DAILY, -DAY), -1);
    assert_int_equal(keep_bucket(KEEP_DAILY, -DAY - 1), -2);
    assert_int_equal(keep_bucket(KEEP_MONTHLY, at("1969-12-31 23:59:59")) + 1,
                     keep_bucket(KEEP_MONTHLY, 0));
}

static void the_last_ones_stay_whatever_their_age(void **state)
{
    static const char *const times[] = {"2026-01-03 00:00:00", "2026-01-02 00:00:00",
                                        "2026-01-01 00:00:00", NULL};
    const struct keep_rule rule = {.last = 2};

    (void)state;
    assert_string_equal(decide(&rule, "2030-01-01 00:00:00", times), "xx.");
}

static void a_version_of_a_clock_that_was_ahead_stays_until_its_time_is_over(void **state)
{
    static const char *const times[] = {"2026-01-03 00:00:00", "2031-01-01 00:00:00",
                                        "2026-01-01 00:00:00", NULL};
    const struct keep_rule rule = {.within[KEEP_ALL] = DAY};

    (void)state;
    assert_string_equal(decide(&rule, "2026-01-03 12:00:00", times), "xx.");
}

static void what_goes_is_told_by_the_finest_period_that_reaches_it(void **state)
{
    const struct keep_rule rule = {.within = {[KEEP_ALL] = HOUR, [KEEP_DAILY] = 9 * DAY}};
    int64_t now = 100 * DAY;

    (void)state;
    assert_int_equal(keep_period_of(&rule, now, now), KEEP_ALL);
    assert_int_equal(keep_period_of(&rule, now, now - HOUR - 1), KEEP_DAILY);
    assert_int_equal(keep_period_of(&rule, now, now - 9 * DAY - 1), KEEP_PERIODS);
}

/* --- for any row and any rule ----------------------------------------------------------------------- */

struct row {
    struct keep_rule rule;
    struct keep_item items[ITEMS];
    size_t n;
    int64_t now;
};

static const int64_t unit_of[KEEP_PERIODS] = {HOUR, HOUR, DAY, WEEK, 30 * DAY};

/* Rows of all densities; clocks that were set back now and then, or ahead. */
static void make_row(struct rng *rng, struct row *row)
{
    int64_t step =
        (int64_t)rng_below(rng, 3) == 0 ? 10 * 60 * SECOND : (int64_t)rng_below(rng, 3 * DAY) + 1;
    int64_t time = at("2026-05-04 12:34:56") + (int64_t)rng_below(rng, 400 * DAY);

    memset(row, 0, sizeof *row);
    row->now = time + (int64_t)rng_below(rng, 5 * DAY);
    row->n = 1 + rng_below(rng, ITEMS);
    for (size_t i = 0; i < row->n; i++) {
        row->items[i].time = time;
        row->items[i].pinned = i == 0 || rng_below(rng, 50) == 0;
        time -= (int64_t)rng_below(rng, (uint64_t)step * 2);
        if (rng_below(rng, 20) == 0)
            time += (int64_t)rng_below(rng, (uint64_t)step * 10);
    }
    for (int p = 0; p < KEEP_PERIODS; p++)
        if (rng_below(rng, 2) == 0)
            row->rule.within[p] = unit_of[p] * (int64_t)(1 + rng_below(rng, 40));
    if (rng_below(rng, 10) == 0)
        row->rule.within[KEEP_MONTHLY] = KEEP_FOREVER;
    row->rule.last = rng_below(rng, 3) == 0 ? rng_below(rng, ITEMS) : 0;
}

/* By the definition, without any of the code's ways: whether something says that this one stays. */
static bool is_justified(const struct row *row, size_t i)
{
    if (row->items[i].pinned || i < row->rule.last)
        return true;
    for (enum keep_period p = KEEP_ALL; p < KEEP_PERIODS; p++) {
        int64_t within = row->rule.within[p];
        bool last = true;

        if (within == 0 || (within != KEEP_FOREVER && row->now - row->items[i].time > within))
            continue;
        for (size_t later = 0; p != KEEP_ALL && later < i; later++)
            if (keep_bucket(p, row->items[later].time) == keep_bucket(p, row->items[i].time))
                last = false;
        if (last)
            return true;
    }
    return false;
}

static size_t drop(struct row *row)
{
    size_t n = 0;

    for (size_t i = 0; i < row->n; i++)
        if (row->items[i].stays)
            row->items[n++] = row->items[i];
    n = row->n - n;
    row->n -= n;
    return n;
}

static void check_row(struct rng *rng, struct row *row, size_t *dropped)
{
    struct row later = *row;
    assert_int_equal(keep_decide(&row->rule, row->now, row->items, row->n), HF_OK);
    assert_true(row->items[0].stays);
    for (size_t i = 0; i < row->n; i++)
        assert_int_equal(row->items[i].stays, is_justified(row, i));

    later.now += (int64_t)rng_below(rng, 60 * DAY);
    assert_int_equal(keep_decide(&row->rule, later.now, later.items, later.n), HF_OK);
    for (size_t i = 0; i < row->n; i++)
        assert_true(row->items[i].stays || !later.items[i].stays);

    *dropped += drop(row);
    assert_int_equal(keep_decide(&row->rule, row->now, row->items, row->n), HF_OK);
    assert_int_equal(drop(row), 0);

    /* What is dropped in between does not matter to what is left later. */
    drop(&later);
    assert_int_equal(keep_decide(&row->rule, later.now, row->items, row->n), HF_OK);
    drop(row);
    assert_true(row->n >= later.n);
    for (size_t i = 0, j = 0; i < later.n; i++, j++) {
        while (j < row->n && row->items[j].time != later.items[i].time)
            j++;
        assert_true(j < row->n);
    }
}

static void any_row_keeps_what_is_justified_and_no_more(void **state)
{
    struct rng rng = rng_make((uint64_t)time(NULL));
    struct row row;
    size_t dropped = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        make_row(&rng, &row);
        check_row(&rng, &row, &dropped);
    }
    assert_true(dropped > ROUNDS);
}

static void a_decision_takes_hardly_longer_for_many(void **state)
{
    const struct keep_rule rule = {
        .within = {[KEEP_ALL] = DAY, [KEEP_HOURLY] = 14 * DAY, [KEEP_MONTHLY] = KEEP_FOREVER}};
    size_t n = 200000, stay = 0;
    struct keep_item *items = calloc(n, sizeof *items);
    int64_t now = at("2026-05-04 12:00:00");

    (void)state;
    assert_non_null(items);
    for (size_t i = 0; i < n; i++)
        items[i].time = now - (int64_t)i * 60 * SECOND;
    assert_int_equal(keep_decide(&rule, now, items, n), HF_OK);
    for (size_t i = 0; i < n; i++)
        stay += items[i].stays;
    /* A day of minutes, 13 days of hours, and the months of 139 days. */
    assert_in_range(stay, 1441 + 312, 1441 + 313 + 5);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_of_each_hour_stays),
        cmocka_unit_test(what_is_as_old_as_the_period_stays),
        cmocka_unit_test(weeks_begin_on_monday_and_months_on_the_first),
        cmocka_unit_test(february_and_the_turn_of_a_year_have_months_of_their_own),
        cmocka_unit_test(times_before_the_epoch_have_buckets_too),
        cmocka_unit_test(the_last_ones_stay_whatever_their_age),
        cmocka_unit_test(a_version_of_a_clock_that_was_ahead_stays_until_its_time_is_over),
        cmocka_unit_test(what_goes_is_told_by_the_finest_period_that_reaches_it),
        cmocka_unit_test(any_row_keeps_what_is_justified_and_no_more),
        cmocka_unit_test(a_decision_takes_hardly_longer_for_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
