/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The check of a whole store, whatever its engine: what the engine keeps (store_check()), and then every
 * reference from every root that the store keeps. Linear in the size of the store: each object is walked
 * once.
 *
 * Changes nothing, and may run beside mounts: roots are listed at one moment, and what they refer to does
 * not change. One that is forgotten meanwhile (history, trash, a snapshot), and then collected, is no finding.
 */
#ifndef STORE_FSCK_H
#define STORE_FSCK_H

#include "store/store.h"

/** What was looked at. */
struct fsck_totals {
    uint64_t roots;    /**< heads, versions, snapshots, rescues */
    uint64_t objects;  /**< that they reach */
    uint64_t findings; /**< 0: the store is sound */
};

/** Told how far the walk is: objects walked, of all that the store has (0: not known). */
typedef void (*fsck_progress_fn)(uint64_t done, uint64_t all, void *arg);

struct fsck_options {
    check_report_fn
        report; /**< each finding; a return other than 0 ends the check and is returned */
    void *report_arg;
    fsck_progress_fn progress; /**< or NULL */
    void *progress_arg;
};

/**
 * Checks. A damaged object is one finding, whatever refers to it; every version, snapshot and rescue that
 * it touches is one more, with the session and version. Returns 0 when the check ran to its end,
 * whatever it found; a store is sound when `ret_totals->findings` is 0 then.
 */
int fsck_run(struct store *store, const struct fsck_options *options,
             struct fsck_totals *ret_totals, struct hf_error *err);

#endif
