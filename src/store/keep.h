/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which of a row of dated things stay: all of the last days, then one of each hour, day, week, month.
 *
 *     now        all       hourly          daily                 weekly
 *      |...........|.  .  .  .|.      .      .      .|.                    .        older ->
 *
 * A period keeps the last thing of each of its buckets: of each hour, day, week (from Monday) or month by UTC,
 * as long as that thing is no older than the period says. A thing stays if any period, its place among the last
 * ones, or a pin says so. What is last in its bucket is so among the things that stay, too: keeping
 * twice changes nothing, and what goes at one time would go at every later time as well. Pure; thread safe.
 */
#ifndef STORE_KEEP_H
#define STORE_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum keep_period { KEEP_ALL, KEEP_HOURLY, KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY, KEEP_PERIODS };

/** Longer than anything. */
#define KEEP_FOREVER INT64_MAX

/** All zero keeps nothing but what is pinned. */
struct keep_rule {
    int64_t
        within[KEEP_PERIODS]; /**< ns, or KEEP_FOREVER; 0: the rule does not speak of that period */
    uint64_t last;            /**< so many, whatever their age */
};

struct keep_item {
    int64_t time; /**< ns since the epoch; need not fall from item to item */
    bool pinned;  /**< stays in any case */
    bool stays;   /**< filled in */
};

/** Decides of `n` items, latest first. Returns 0 or HF_NOMEM. */
int keep_decide(const struct keep_rule *rule, int64_t now, struct keep_item *items, size_t n);

/** The finest period that reaches back to `time`: the one in whose bucket something later was, of a thing that goes.
 *  KEEP_PERIODS: it is older than any. */
enum keep_period keep_period_of(const struct keep_rule *rule, int64_t now, int64_t time);

/** The bucket of a period that `time` is in; of KEEP_ALL every time is its own. */
int64_t keep_bucket(enum keep_period period, int64_t time);

/** "all", "hourly" … */
const char *keep_period_name(enum keep_period period);

#endif
