/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Keeps a store in order while nobody looks: lets go what its retention policy does not keep, and collects what
 * nothing can reach any more.
 *
 *     maintenance_start() --> a thread: sleep, maintenance_turn(), sleep, ... --> maintenance_stop()
 *
 * Many may do this for one store: every mount of an embedded one, a server. When it was done last stands in the store
 * (the setting "maintenance"), and each looks there first, so that one of them does it each time. It works only a part of
 * the time, and gives way at once when it is to stop: what is left over is done the next time.
 */
#ifndef STORE_MAINTENANCE_H
#define STORE_MAINTENANCE_H

#include "base/clock.h"
#include "store/store.h"

#define MAINTENANCE_SETTING "maintenance"
#define MAINTENANCE_INTERVAL_MS (60 * 60 * 1000)
#define MAINTENANCE_PERCENT 25
/** What may have been left behind without retention is collected this often, in intervals. */
#define MAINTENANCE_COLLECT_EVERY 24

/** Borrowed until maintenance_stop(). */
struct maintenance_options {
    uint32_t interval_ms;      /**< 0: MAINTENANCE_INTERVAL_MS */
    uint32_t percent;          /**< of the time that it may work; 0: MAINTENANCE_PERCENT */
    const struct clock *clock; /**< NULL: the system's */
    const struct host_identity
        *identity; /**< for leases of idle sessions, which else stay; or NULL */
    /** Told in one line what was done, or why it could not be; not when there was nothing to do. */
    void (*report)(bool failed, const char *line, void *arg);
    void *arg;
};

struct maintenance;

/** Starts the thread. The store is borrowed; it must not be read-only. */
int maintenance_start(struct store *store, const struct maintenance_options *options,
                      struct maintenance **ret_maintenance, struct hf_error *err);
/** Ends it, within a moment. NULL is fine. */
void maintenance_stop(struct maintenance *maintenance);

/** The same without a thread, for whoever calls maintenance_turn(). */
int maintenance_new(struct store *store, const struct maintenance_options *options,
                    struct maintenance **ret_maintenance, struct hf_error *err);
/** Does what is due; returns after how many ns to look again. */
int64_t maintenance_turn(struct maintenance *maintenance);

#endif
