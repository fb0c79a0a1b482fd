/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Lock requests in a session that wait for its lease, which another host has: none holds a thread.
 *
 *   tree_lock() --session is pinned elsewhere--> parked --answered, or from time to time: asks--+
 *                                                 |  ^----------------- not yet ----------------+
 *                       interrupted: HF_INTR <----+                                             |
 *                                                      in the mount's lock table <---- granted -+
 *                                                 (which grants it, or lets it wait for its turn)
 */
#ifndef TREE_LEASEWAIT_H
#define TREE_LEASEWAIT_H

#include <pthread.h>

#include "tree/tree.h"

struct session;
struct leasewait;

struct leasewaits {
    /** Everything here; recursive, since granting one request may end the waiting of another. */
    pthread_mutex_t lock;
    struct leasewait *first;
    uint64_t next_ticket;
};

void leasewaits_init(struct leasewaits *waits);
/** Ends all waiting with HF_INTR. */
void leasewaits_clear(struct tree *tree);

/** Lets a request wait for the session's lease. HF_PENDING: `done` comes later, maybe before this returns. */
int leasewait_park(struct session *session, const struct lock_request *request, lock_done_fn done,
                   void *arg, uint64_t *ret_ticket);
/** Whether `ticket` is of a request that was parked; it is ended with HF_INTR unless it has been granted. */
bool leasewait_cancel(struct tree *tree, uint64_t ticket, bool *ret_found);
/** Asks for the lease if somebody waits for it, and sets the locks if it is granted. On the worker thread, nothing
 *  locked. */
void leasewait_look(struct session *session);
/** Whether somebody waits for the session's lease. */
bool leasewait_any(struct session *session);

#endif
