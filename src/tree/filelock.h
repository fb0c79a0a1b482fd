/* SPDX-License-Identifier: Apache-2.0 */
/**
 * File locks of open files. Within a session its lease makes the mount's lock table the authority. In the
 * shared tree the local table comes first, and what it grants is then set in the store's table too,
 * always: whether another host is about is not looked at, so there is no moment at which it matters.
 *
 *      request --> local table --granted--> store's table --granted--> held
 *                    | waits                   | in the way: local lock undone; a waiter is tried
 *                    v                         v again at EVENT_LOCKS_CHANGED
 */
#ifndef TREE_FILELOCK_H
#define TREE_FILELOCK_H

#include "tree/tree.h"

/** Tries the waiting requests again that the store refused. On the worker thread. */
void filelock_retry(struct tree *tree);

/** Drops what a close(2) by `owner` drops. */
void filelock_close(struct tree_handle *handle, uint64_t owner);
/** Drops what the last close drops. */
void filelock_release(struct tree_handle *handle);

#endif
