/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Where two states of a file part: what the kernel has cached before that is good still. Both are trees of FILE
 * nodes cut by content, so equal subtrees have equal ids and are not looked into: an append to a long log costs a
 * few nodes.
 */
#ifndef TREE_DIFFERENCE_H
#define TREE_DIFFERENCE_H

#include "object/node.h"
#include "tree/blob.h"

/** They are equal. */
#define DIFFERENCE_NONE UINT64_MAX

/** The first byte in which the contents of a file, directory or symlink may differ: a lower bound (of a directory
 *  always 0). What cannot be read differs from its first byte on. */
uint64_t difference_start(struct blob_cache *cache, const struct content *a,
                          const struct content *b);

#endif
