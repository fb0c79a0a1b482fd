/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The metrics of stores: what the calls of store.h took, and what the stores hold. Calls are counted by a trace
 * decorator on top of the store; counting what a large store holds takes a while, and is done on a thread of its
 * own, for at most a hundredth of the time.
 */
#ifndef WEB_STORE_METRICS_H
#define WEB_STORE_METRICS_H

#include "engine/decorator/trace.h"
#include "store/store.h"
#include "web/metrics.h"

/** One store that is watched, kept by its owner until the end. All zero but the first three. */
struct store_watched {
    const char *tenant;
    struct store *store; /**< a trace store, or another whose calls are not counted */
    bool contents;       /**< what it holds is told, too, and not its calls alone */
    struct store_watched *next;
    struct store_stats stats; /**< as of the last count */
    bool counted;
    int64_t due; /**< by CLOCK_BOOTTIME (ns): when it is counted next */
};

struct store_watch;

int store_watch_new(struct store_watch **ret_watch, struct hf_error *err);
/** Counts from now on. */
int store_watch_start(struct store_watch *watch, struct hf_error *err);
/** Adds one. Thread safe. */
void store_watch_add(struct store_watch *watch, struct store_watched *store);
/** Nothing is called any more when this returns. Before the stores are closed. NULL is fine. */
void store_watch_free(struct store_watch *watch);

/** Writes the metrics of all. Thread safe. */
void store_watch_metrics(struct store_watch *watch, struct metrics *metrics);

#endif
