/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The lease of a session and the queue for it as a state machine, the same for every engine.
 *
 * An engine reads the lease's row and its queue in a transaction, lets lease_step() decide, and writes the
 * new row, the audit entries and the queue in that transaction. Nothing here reads a clock, waits or keeps
 * anything.
 *
 *              ask (token + 1)                     another asks
 *      FREE ------------------------> HELD ------------------------> RECALLED
 *       ^                            |    ^                          |     |
 *       |        left, no heir       |    |          refuse          |     |
 *       +----------------------------+    +--------------------------+     |
 *       |                                 |   left, to the heir; or the    |
 *       |                                 |   holder is dead (token + 1)   |
 *       |        left, no heir            +--------------------------------+
 *       +------------------------------------------------------------------+
 *
 * Left: released, broken, or the holder is gone; the end of the session leaves it without an heir. A HELD one
 * that is left, or whose holder is dead, may stay HELD: by the heir, or by the one who asks (token + 1).
 *
 * | from     | ask            | refuse    | release    | break       | end       | holder gone | holder dead |
 * | FREE     | HELD           | HF_FENCED | HF_FENCED  | HF_CONFLICT | HF_FENCED | FREE        | FREE        |
 * | HELD     | HELD, RECALLED | HELD      | FREE, HELD | FREE, HELD  | FREE      | FREE, HELD  | HELD        |
 * | RECALLED | RECALLED, HELD | HELD      | FREE, HELD | FREE, HELD  | FREE      | FREE, HELD  | same, HELD  |
 *
 * Whoever waits stands in the lease's queue. What is given back, broken or left by a holder that is gone is
 * granted in the same step to the heir, the first of the queue who may inherit; so a host that gave up an idle
 * lease cannot win it back before the one who asked for it. A lease is FREE only while nobody may inherit it.
 *
 *      asker                    store                     holder
 *        |--- ask ----------------->|--- LEASE_RECALLED ---->|      in the queue, until when it is told
 *        |<-- pending, until T -----|<-- release ------------|      or refuse
 *        |<-- LEASE_ANSWERED -------|                               granted to the first, or all are told: no
 *        |--- ask ----------------->|                               it is told: granted, pending or busy
 *        |<-- token ----------------|
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
/** How often one who waits for a pinned lease asks again: so often at first, and after a tenth of the time
 *  that it has waited already, but at least so often. */
#define LEASE_ASK_AGAIN_MS 100
#define LEASE_ASK_AGAIN_MAX_MS 1000
/** One who has not asked again so long after it should have is no longer waiting. */
#define LEASE_ABSENT_MS 2000

/** What an engine keeps of a session's lease. All zero: never held. */
struct lease_row {
    enum lease_state state;
    uint64_t token; /**< of the last grant */
    uint64_t host;  /**< the holder; 0 when free */
    int64_t since;  /**< of the last grant */
    bool refused;   /**< the holder has answered a recall with no under this token */
};

enum lease_verb {
    LEASE_ASK,     /**< `host` wants the lease. Of a dead holder's: see lease_waiter_inherits(). */
    LEASE_REFUSE,  /**< `host` answers a recall: no */
    LEASE_RELEASE, /**< `host` gives it back */
    LEASE_BREAK,   /**< somebody takes it from its holder */
    LEASE_END,     /**< `host` ends the session (moves it to the trash) */
    LEASE_HOLDER_GONE, /**< the holder ended its host session, or was replaced */
    LEASE_HOLDER_DEAD, /**< the holder was found dead. Without an heir it stays the holder, until
                            somebody asks. */
};

struct lease_request {
    enum lease_verb verb;
    uint64_t host;     /**< who asks; not used by BREAK and HOLDER_… */
    uint64_t token;    /**< that it names; not used by ASK and HOLDER_… */
    bool holder_alive; /**< ASK: whether row->host is */
    uint64_t
        heir; /**< RELEASE, BREAK, HOLDER_…: the first of the queue who may inherit; 0: nobody */
    int64_t now;
};

enum lease_outcome {
    LEASE_DONE,    /**< nothing more to say */
    LEASE_GRANTED, /**< to the one who asked, with a new token */
    LEASE_KEPT,    /**< the one who asked has it already */
    LEASE_WAITING, /**< the holder has been recalled; see lease_waiter */
};

/** Who of the queue is told EVENT_LEASE_ANSWERED (without the heir, who is in `tells`). */
enum lease_audience {
    LEASE_TELL_NOBODY,
    LEASE_TELL_FIRST, /**< the next to inherit: it asks the new holder */
    LEASE_TELL_ALL,
};

#define LEASE_AUDITS_MAX 2
#define LEASE_TELLS_MAX 2

/** What a request makes of a row. */
struct lease_step {
    enum lease_outcome outcome;
    struct lease_row row; /**< to be written if `changed` */
    bool changed;         /**< else the row stays as it was */
    bool inherited;       /**< granted to request.heir: note it in its struct lease_waiter */
    struct {
        enum audit_event event;
        uint64_t host, token;
    } audits[LEASE_AUDITS_MAX]; /**< in this order */
    size_t naudits;
    struct {
        enum event_kind kind; /**< EVENT_LEASE_RECALLED, _LOST or _ANSWERED */
        uint64_t host, token;
    } tells[LEASE_TELLS_MAX];
    size_t ntells;
    enum lease_audience audience;
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

/**
 * One of the queue: a host that was told HF_PENDING, once per session and host, first come first. Times are
 * CLOCK_BOOTTIME. An engine's ask, in one transaction:
 *
 *   - Take the host's entry; one that lease_waiter_absent() or none: a new one, {host, started = now}, last.
 *   - If the holder is dead and somebody else may inherit: LEASE_HOLDER_DEAD first.
 *   - lease_waiter_look(). LEASE_GIVE_UP: drop the entry; HF_BUSY. LEASE_SLEEP: keep it; HF_PENDING.
 *   - LEASE_ASK_NOW: lease_step(LEASE_ASK). Granted or kept: drop the entry. LEASE_WAITING: asked = now,
 *     token = the row's; keep it; HF_PENDING.
 *
 * After a step that `inherited`, the heir's entry stays with `granted` = the new token until it asks, so that
 * a withdrawal knows what to give back; it is not waiting any more. Entries of dead hosts and absent ones
 * are dropped when they are met; after LEASE_END, all of them.
 */
struct lease_waiter {
    uint64_t host;
    uint64_t granted; /**< what it inherited and does not know yet; 0: it waits */
    uint64_t token;   /**< of the holder that was recalled for it; 0: none yet */
    int64_t started;  /**< when it first asked */
    int64_t asked;    /**< when the holder was last recalled for it */
    uint32_t wait_ms; /**< for a holder that refuses */
};

enum lease_patience {
    LEASE_ASK_NOW, /**< LEASE_ASK */
    LEASE_SLEEP,   /**< look again at `ret_until`, or when the row changes */
    LEASE_GIVE_UP, /**< answer HF_BUSY */
};

/** What to do, given the row as it is now. Granted, free or a dead holder's: LEASE_ASK_NOW. */
enum lease_patience lease_waiter_look(const struct lease_waiter *waiter,
                                      const struct lease_row *row, bool holder_alive, int64_t now,
                                      int64_t *ret_until);

/** Whether a lease that leaves its holder (`row`: before that) may go to this one, who is alive: it waits,
 *  for another's lease, and has not lost its patience. */
bool lease_waiter_inherits(const struct lease_waiter *waiter, const struct lease_row *row,
                           int64_t now);

/** Whether the entry is left over: of one who has stopped asking, or was granted what it has lost since. */
bool lease_waiter_absent(const struct lease_waiter *waiter, const struct lease_row *row,
                         int64_t now);

/** Fills `err` with who holds the session, where, since when and why. Returns HF_BUSY. */
int lease_busy(const struct lease_info *info, struct hf_error *err);

#endif
