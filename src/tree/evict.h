/* SPDX-License-Identifier: Apache-2.0 */
/** Keeps loaded sessions, their live inodes and their opened directories in bounds. */
#ifndef TREE_EVICT_H
#define TREE_EVICT_H

struct session;
struct tree;

void evict_init(struct tree *tree);
/** Closes directories of a session (locked) that can be read again, when all that are open pin too much.
 *  Called where directories are about to be read: whoever calls has no dirmap in hand. */
void evict_relieve(struct session *session);

/** Drops sessions that nothing has used for a while (their leases are given back), and, when there are
 *  too many, asks the kernel to forget the least recently used. On the worker thread, nothing locked. */
void evict_idle(struct tree *tree);

#endif
