/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A host session as its host sees it: until when may it believe in its leases?
 *
 *             registered                connection lost
 *   NONE ------------------> LIVE ------------------------> AWAY
 *    ^                        | ^  <------------------------ |
 *    |                        | |         registered         |
 *    |        deadline passed | | registered, renewed        | deadline passed
 *    |                        v |                            |
 *    |                      FENCED <-------------------------+
 *    |
 *    +--- refused: from LIVE, AWAY and FENCED.          closed: ENDED, from any
 *
 * | from   | registered   | renewed      | cut          | tick         | refused | closed |
 * | NONE   | LIVE, FENCED | NONE         | NONE         | NONE         | NONE    | ENDED  |
 * | LIVE   | LIVE, FENCED | LIVE, FENCED | AWAY, FENCED | LIVE, FENCED | NONE    | ENDED  |
 * | AWAY   | LIVE, FENCED | AWAY, FENCED | AWAY, FENCED | AWAY, FENCED | NONE    | ENDED  |
 * | FENCED | LIVE, FENCED | LIVE, FENCED | FENCED       | FENCED       | NONE    | ENDED  |
 * | ENDED  | ENDED        | ENDED        | ENDED        | ENDED        | ENDED   | ENDED  |
 *
 * FENCED admits no change, but has not lost its leases for certain: a renewal that the store still grants
 * proves that they were never given away. NONE has lost them: a host session that was refused stays dead, and
 * the host registers anew under another number.
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

enum contact_state { CONTACT_NONE, CONTACT_LIVE, CONTACT_AWAY, CONTACT_FENCED, CONTACT_ENDED };

enum contact_event {
    CONTACT_REGISTERED, /**< the store gave or resumed the host session; `sent`: before it was asked */
    CONTACT_RENEWED,    /**< a heartbeat was answered; `sent`: before it was sent */
    CONTACT_CUT,        /**< the connection is gone, or a try to connect has failed */
    CONTACT_TICK,       /**< time went by; what is due (see `next`) is being done */
    CONTACT_REFUSED,    /**< the store says that this host session is dead */
    CONTACT_CLOSED,     /**< the host ends it */
};

struct contact {
    enum contact_state state;
    int64_t ttl, margin;           /**< ns */
    atomic_int_least64_t deadline; /**< admit no change from then on; 0: none may be admitted */
    int64_t next;  /**< when it is time to register (NONE), beat (LIVE, FENCED) or connect (AWAY) */
    int64_t retry; /**< ns between tries that are not answered */
};

/** The margin by which a host fences itself before its TTL ends: a tenth of it, at least a second, at most
 *  half of it. It pays for clocks that run at different speeds. */
#define CONTACT_MARGIN_MIN_NS 1000000000LL
#define CONTACT_RETRY_NS 1000000000LL

/** A host session that is not registered yet. */
void contact_init(struct contact *contact, uint32_t ttl_ms);

/**
 * Takes an event at `now`. `sent` as told at the event, else 0. `jitter` is a random number: the next
 * heartbeat is due at a third of the TTL, a tenth of that sooner or later; what is not answered or fails is
 * due again after a second, likewise; a broken connection is to be mended at once. An answer is only to be
 * told while the host session that it is about is the current one. The deadline only grows, except that
 * REFUSED and CLOSED make it 0. Returns the new state; asserts that the transition is in the table.
 *
 *     if (now >= contact.next)
 *         ... send a heartbeat, or connect and register ...
 *     contact_step(&contact, CONTACT_TICK, now, 0, jitter);      then sleep until `next` or the deadline
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
