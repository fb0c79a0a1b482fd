/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Whether the store can be asked. While the server of a store is away, each call would wait for it; readers are
 * better served with what is in memory:
 *
 *      there --contact lost--> waited for (REACH_PATIENCE_NS) --still away--> not asked any more --back--> there
 *
 * The wait bridges a restart of the server, after which readers see what was committed before it.
 */
#ifndef TREE_REACH_H
#define TREE_REACH_H

#include <stdbool.h>

#include "store/store.h"

#define REACH_PATIENCE_NS 3000000000LL

/** Whether to ask. It may wait, for all callers together as long as said above from the loss of contact on. */
bool reach_store(struct store *store);

#endif
