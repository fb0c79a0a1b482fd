/* SPDX-License-Identifier: Apache-2.0 */
#include "store/keep.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "holdfast/error.h"

#define SECOND_NS 1000000000LL
#define HOUR_NS (3600 * SECOND_NS)
#define DAY_NS (24 * HOUR_NS)

const char *keep_period_name(enum keep_period period)
{
    static const char *const names[KEEP_PERIODS] = {"all", "hourly", "daily", "weekly", "monthly"};

    assert(period < KEEP_PERIODS);
    return names[period];
}

static int64_t divide_down(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

static int64_t month_of(int64_t time)
{
    time_t seconds = (time_t)divide_down(time, SECOND_NS);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

int64_t keep_bucket(enum keep_period period, int64_t time)
{
    switch (period) {
    case KEEP_HOURLY:
        return divide_down(time, HOUR_NS);
    case KEEP_DAILY:
        return divide_down(time, DAY_NS);
    case KEEP_WEEKLY: /* the epoch was a Thursday */
        return divide_down(divide_down(time, DAY_NS) + 3, 7);
    case KEEP_MONTHLY:
        return month_of(time);
    default:
        return time;
    }
}

static bool reaches(const struct keep_rule *rule, enum keep_period period, int64_t now,
                    int64_t time)
{
    int64_t within = rule->within[period], start;

    if (within == 0)
        return false;
    return within == KEEP_FOREVER || __builtin_sub_overflow(now, within, &start) || time >= start;
}

enum keep_period keep_period_of(const struct keep_rule *rule, int64_t now, int64_t time)
{
    enum keep_period period = KEEP_ALL;

    while (period < KEEP_PERIODS && !reaches(rule, period, now, time))
        period++;
    return period;
}

/* --- the last of each bucket ---------------------------------------------------------------------- */

/* Where an item lies. Times may go back and forth, so that a bucket's items need not be neighbours. */
struct place {
    int64_t bucket;
    size_t item;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static void keep_last_of_each(const struct keep_rule *rule, enum keep_period period, int64_t now,
                              struct keep_item *items, size_t n, struct place *places)
{
    for (size_t i = 0; i < n; i++)
        places[i] = (struct place){keep_bucket(period, items[i].time), i};
    qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 0; i < n; i++) {
        struct keep_item *item = &items[places[i].item];

        if (i > 0 && places[i].bucket == places[i - 1].bucket)
            continue;
        if (reaches(rule, period, now, item->time))
            item->stays = true;
    }
}

int keep_decide(const struct keep_rule *rule, int64_t now, struct keep_item *items, size_t n)
{
    struct place *places;

    for (size_t i = 0; i < n; i++)
        items[i].stays =
            items[i].pinned || i < rule->last || reaches(rule, KEEP_ALL, now, items[i].time);
    if (n == 0)
        return HF_OK;
    places = calloc(n, sizeof *places);
    if (!places)
        return HF_NOMEM;
    for (enum keep_period period = KEEP_HOURLY; period < KEEP_PERIODS; period++)
        if (rule->within[period] != 0)
            keep_last_of_each(rule, period, now, items, n, places);
    free(places);
    return HF_OK;
}
