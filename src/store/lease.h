/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The lease of a session as a state machine, the same for every engine.
 *
 * An engine reads the lease's row in a transaction, lets lease_step() decide, and writes the new row and
 * the audit entry in that transaction. Nothing here reads a clock, waits or keeps anything.
 *
 *            ask (token + 1)                    ask by another, holder alive
 *   FREE ---------------------> HELD --------------------------------------> RECALLED
 *    ^  ^                       |  ^                                          |  |  |
 *    |  |                       |  +------------------ refuse ----------------+  |  |
 *    |  |                       |  ^                                             |  |
 *    |  |                       |  +--- ask, holder dead: takeover (token + 1) --+  |
 *    |  +--- release, break, ---+                                                   |
 *    |       end, holder gone                                                       |
 *    +------------------------- release, break, end, holder gone -------------------+
 *
 * | from     | ask            | refuse    | release   | break       | end       | holder gone |
 * | FREE     | HELD           | HF_FENCED | HF_FENCED | HF_CONFLICT | HF_FENCED | FREE        |
 * | HELD     | HELD, RECALLED | HELD      | FREE      | FREE        | FREE      | FREE        |
 * | RECALLED | RECALLED, HELD | HELD      | FREE      | FREE        | FREE      | FREE        |
 *
 * The token grows with every grant and never otherwise, and a row is never thrown away: so no token is
 * ever given out twice, whatever happens to the session. Whether a holder is alive decides when a lease
 * may be taken over; only the token decides who can commit.
 *
 * Pure functions; thread safe.
 */
#ifndef STORE_LEASE_H
#define STORE_LEASE_H

#include "holdfast/error.h"
#include "store/types.h"

/** How long a living holder may take to answer a recall before the one who asked gets HF_BUSY. */
#define LEASE_RECALL_MS 2000
/** How often one who waits for a pinned lease asks again. */
#define LEASE_ASK_AGAIN_MS 100

/** What an engine keeps of a session's lease. All zero: never held. */
struct lease_row {
    enum lease_state state;
    uint64_t token; /**< of the last grant */
    uint64_t host;  /**< the holder; 0 when free */
    int64_t since;  /**< of the last grant */
    bool refused;   /**< the holder has answered a recall with no under this token */
};

enum lease_verb {
    LEASE_ASK,         /**< `host` wants the lease */
    LEASE_REFUSE,      /**< `host` answers a recall: no */
    LEASE_RELEASE,     /**< `host` gives it back */
    LEASE_BREAK,       /**< somebody takes it from its holder */
    LEASE_END,         /**< `host` ends the session (moves it to the trash) */
    LEASE_HOLDER_GONE, /**< the holder closed, or is known to be dead */
};

struct lease_request {
    enum lease_verb verb;
    uint64_t host;     /**< who asks; not used by BREAK and HOLDER_GONE */
    uint64_t token;    /**< that it names; not used by ASK and HOLDER_GONE */
    bool holder_alive; /**< ASK: whether row->host is */
    int64_t now;
};

enum lease_outcome {
    LEASE_DONE,    /**< nothing more to say */
    LEASE_GRANTED, /**< to the one who asked, with a new token */
    LEASE_KEPT,    /**< the one who asked has it already */
    LEASE_WAITING, /**< the holder has been recalled; see lease_waiter */
};

/** What a request makes of a row. */
struct lease_step {
    enum lease_outcome outcome;
    struct lease_row row;   /**< to be written if `changed` */
    bool changed;           /**< else the row stays as it was */
    enum audit_event audit; /**< 0: none. Its token is `audit_token`. */
    uint64_t audit_token;
    enum event_kind
        tell; /**< EVENT_LEASE_RECALLED or EVENT_LEASE_LOST for host `tell_host`, or 0 */
    uint64_t tell_host;
    uint64_t tell_token;
};

/** Decides. HF_FENCED when a holder's request is not the current holder's, HF_CONFLICT when BREAK names
 *  another token than the one held. */
int lease_step(const struct lease_row *row, const struct lease_request *request,
               struct lease_step *ret_step, struct hf_error *err);

/**
 * Whether `host` may change the session with `token`: only under the current grant. HF_FENCED else. This
 * is what keeps a late writer out: every engine calls it in the transaction that moves the head.
 */
int lease_check_commit(const struct lease_row *row, uint64_t host, uint64_t token,
                       struct hf_error *err);

/** Whether a row can be: NULL, or a sentence that says what is wrong with it. For checks of a store. */
const char *lease_row_fault(const struct lease_row *row);

/* --- waiting --------------------------------------------------------------------------------- */

/** One who waits after LEASE_WAITING, by a steady clock (CLOCK_BOOTTIME). */
struct lease_waiter {
    uint64_t token;   /**< of the holder that was recalled */
    int64_t started;  /**< when it first asked */
    int64_t asked;    /**< when it last asked */
    uint32_t wait_ms; /**< for a holder that refuses */
};

enum lease_patience {
    LEASE_ASK_NOW, /**< ask again */
    LEASE_SLEEP,   /**< look again at `ret_until`, or when the row changes */
    LEASE_GIVE_UP, /**< answer HF_BUSY */
};

/** What to do, given the row as it is now. */
enum lease_patience lease_waiter_look(const struct lease_waiter *waiter,
                                      const struct lease_row *row, bool holder_alive, int64_t now,
                                      int64_t *ret_until);

/** Fills `err` with who holds the session, where, since when and why. Returns HF_BUSY. */
int lease_busy(const struct lease_info *info, struct hf_error *err);

#endif
