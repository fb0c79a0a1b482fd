/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A host session with a TTL as its store sees it: may its leases be taken over?
 *
 *            registered, heartbeat                       connection ended
 *   (new) ------------------------> ALIVE <-----------------------------------> DETACHED
 *                                    |  ^         registered again                |
 *                                    |  | registered again, heartbeat             | grace passed
 *          the store was restarted   |  |                                         |
 *   (row) ----------> GRACE ---------|--+                                         |
 *                       |            | TTL passed                                 |
 *                       +---> DEAD <-+--------------------------------------------+
 *                          TTL passed                     ended by itself or replaced: DEAD from any
 *
 * A heartbeat of a detached one was sent before its connection ended, and changes nothing.
 * A dead one never lives again: its mount registers anew, under a new number. A store that was restarted
 * cannot know when it last heard of a host, so it gives each one whole TTL from its own start.
 *
 * Times are the store's CLOCK_BOOTTIME in ns. Pure functions; the caller serialises.
 */
#ifndef STORE_HOST_LIFE_H
#define STORE_HOST_LIFE_H

#include <stdint.h>

#include "store/types.h"

enum host_state { HOST_ALIVE = 1, HOST_DETACHED, HOST_GRACE, HOST_DEAD };

enum host_event {
    HOST_REGISTERED, /**< for the first time, or resumed */
    HOST_HEARD,      /**< a heartbeat */
    HOST_CUT,        /**< its connection ended; `grace` to come back */
    HOST_FOUND,      /**< its row was found by a store that just started */
    HOST_TICK,       /**< time went by */
    HOST_ENDED,      /**< it said good-bye, or its mount has come back as another */
};

struct host_life {
    enum host_state state; /**< 0: new */
    int64_t ttl;           /**< ns, more than 0; set before the first step */
    int64_t until;         /**< when it is dead unless something is heard of it */
};

/** Takes an event at `now` (`grace`: of HOST_CUT, ns). Returns the new state. An event that comes too late
 *  finds the host DEAD: expiry is judged before the event. Asserts that the transition is in the table. */
enum host_state host_life_step(struct host_life *life, enum host_event event, int64_t now,
                               int64_t grace);

enum host_kin {
    HOST_STRANGER,  /**< another mount, or one of which the kernel knows whether it lives */
    HOST_SAME,      /**< the same daemon again: it resumes its host session */
    HOST_SUCCESSOR, /**< the mount's daemon was started anew: the older host session is over */
};

/** What a mount that registers is to a living host session. Only those with a TTL have kin. */
enum host_kin host_kinship(const struct host_identity *living,
                           const struct host_identity *newcomer);

/** "alive", "detached" … */
const char *host_state_name(enum host_state state);

#endif
