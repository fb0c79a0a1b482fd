/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A host session as its host sees it: until when may it believe in its leases?
 *
 *             registered                 connection lost
 *   NONE ------------------> LIVE <------------------------> AWAY
 *    ^                        |        resumed (same number)   |
 *    |  registered anew       | deadline passed                | deadline passed
 *    |                        v                                v
 *    +---- store says dead -- FENCED <-------------------------+
 *                             |  (a renewal that the store still grants brings FENCED back to LIVE:
 *                             |   the leases were never given away)
 *                             +--> ended on purpose: ENDED
 *
 * Every renewal counts from before its request was sent: the store counts from later, so the host's
 * deadline (sent + TTL - margin) lies before the store's. All times are CLOCK_BOOTTIME in ns, which goes on
 * while the machine is suspended. Clocks decide only when a host stops by itself; that a late commit is
 * refused is the token's doing (store/lease.h).
 *
 * Pure functions on plain data, driven by the remote engine and by the simulation in tests/model. The caller
 * serialises; contact_deadline() alone may be read by any thread at any time.
 */
#ifndef STORE_CONTACT_H
#define STORE_CONTACT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"

enum contact_state { CONTACT_NONE, CONTACT_LIVE, CONTACT_AWAY, CONTACT_FENCED, CONTACT_ENDED };

enum contact_event {
    CONTACT_REGISTERED, /**< the store gave or resumed the host session; `sent`: before it was asked */
    CONTACT_RENEWED,    /**< a heartbeat was answered; `sent`: before it was sent */
    CONTACT_CUT,        /**< the connection is gone */
    CONTACT_TICK,       /**< time went by */
    CONTACT_REFUSED,    /**< the store says that the host session is dead */
    CONTACT_CLOSED,     /**< the host ends it */
};

struct contact {
    enum contact_state state;
    int64_t ttl, margin;           /**< ns */
    atomic_int_least64_t deadline; /**< admit no change from then on; 0: none may be admitted */
    int64_t next;                  /**< when the next heartbeat is due */
    int64_t retry;                 /**< ns between tries after a failure */
};

/** The margin by which a host fences itself before its TTL ends: a tenth of it, at least a second. */
#define CONTACT_MARGIN_MIN_NS 1000000000LL
#define CONTACT_RETRY_NS 1000000000LL

/** A host session that is not registered yet. */
void contact_init(struct contact *contact, uint32_t ttl_ms);

/**
 * Takes an event at `now`. `sent` as told at the event, else 0. `jitter` is a random number: the next
 * heartbeat is due at a third of the TTL, a tenth of that sooner or later; after a failure every second.
 * Returns the new state; asserts that the transition is in the table.
 */
enum contact_state contact_step(struct contact *contact, enum contact_event event, int64_t now,
                                int64_t sent, uint32_t jitter);

/** The moment from which on no change may be admitted. Any thread. */
static inline int64_t contact_deadline(const struct contact *contact)
{
    return atomic_load(&contact->deadline);
}

/** "live", "away" … */
const char *contact_state_name(enum contact_state state);

#endif
