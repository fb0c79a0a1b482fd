/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A session's lease, seen from the mount.
 *
 *      none --first change or lock--> held --recall, idle: commit, forget, release--> none
 *                                      |  ^                                            ^
 *                                      |  +-- recall while pinned: refused, with what pins it
 *                                      |        \--- not pinned any more: released ----+
 *                                      +----- lost: rescue, reload (commit.h) ---------+
 */
#ifndef TREE_LEASE_H
#define TREE_LEASE_H

#include "tree/session.h"

/** Who waits for a lease asks again after this at the latest. */
#define LEASEWAIT_EVERY_NS 1000000000LL

/** Asks the store for it, and moves on to the head that came with the grant. The session is locked; the
 *  lock is let go meanwhile. HF_BUSY: in use elsewhere, also `wait_ms` after its recall. HF_INTR: the request was
 *  interrupted. */
int lease_acquire(struct session *session, uint32_t wait_ms);
/** Takes a place in the queue, and asks once. 0: the lease is here or granted: session_admit_now() takes it.
 *  HF_PENDING, HF_BUSY: ask again at *ret_at (timer_now()), which is left alone where it is not known. Not
 *  locked. */
int lease_ask(struct session *session, uint32_t wait_ms, int64_t *ret_at);
/** Leaves the queue that lease_ask() took a place in. Not locked. */
void lease_withdraw(struct session *session);
/** The store says that the lease may be had: threads that wait for it ask again. Not locked. */
void lease_answered(struct session *session);
/** Notes a grant. Locked. */
void lease_granted(struct session *session, uint64_t host, uint64_t token);
/** Something that pinned the lease is gone: a recall that was refused or put off is looked at again. Any thread. */
void lease_eased(struct session *session);
/** What pins the lease, as a phrase: false when nothing does. Locked. */
bool lease_pinned_by(struct session *session, char *ret_text, size_t size);
/** Obeys or refuses a recall of `token`. On the worker thread, nothing locked. */
void lease_recalled(struct session *session, uint64_t token);
/** A recall was refused: gives the lease back now if nothing pins it any more. On the worker thread, nothing
 *  locked. */
void lease_yield(struct session *session);
/** Notes that `token` was taken away. On the worker thread, nothing locked. */
void lease_taken(struct session *session, uint64_t token);
/** Gives it back, if it is held, when nothing uses the session any more; false: something does. Nothing
 *  locked. */
bool lease_drop(struct session *session);
/** Commits, then gives it back if it is held, whatever uses the session. Nothing locked. */
int lease_give_back(struct session *session);

#endif
