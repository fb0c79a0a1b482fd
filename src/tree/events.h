/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the store's events mean to the mount. On the worker thread, nothing locked.
 *
 *      HEAD_MOVED      a session that is not leased here is reloaded
 *      LEASE_RECALLED  the lease is given back, or refused (lease.h)
 *      LEASE_LOST      work that is not committed becomes a rescue version (commit.h)
 *      LEASE_ANSWERED  who waits for the lease asks again
 *      MISSED          all of these may have been: heads and leases are compared with the store's, waiting locks
 *                      tried again, and work that waited for the store is handed over
 *      HOST_LOST       registered anew; the sessions that were leased under the old number have lost their lease,
 *                      files of the shared tree their locks; then as after MISSED
 */
#ifndef TREE_EVENTS_H
#define TREE_EVENTS_H

#include "tree/worker.h"

void events_session(struct session *session, const struct duty *duty);
/** `chores`: bits of enum chore. */
void events_mount(struct tree *tree, unsigned chores);

#endif
