/* SPDX-License-Identifier: Apache-2.0 */
/** Keeps loaded sessions, their live inodes and their opened directories in bounds. */
#ifndef TREE_EVICT_H
#define TREE_EVICT_H

struct tree;

/** Drops sessions that nothing has used for a while (their leases are given back), and, when there are
 *  too many, asks the kernel to forget the least recently used. On the worker thread, nothing locked. */
void evict_idle(struct tree *tree);

#endif
