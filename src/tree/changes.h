/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What changed between two roots, path by path.
 *
 *      before  [a..f) [f..k) [k..z)          both trees of DIR nodes are walked side by side; a node that
 *      after   [a..f) [f..h) [h..k) [k..z)   stands at the same place in both is not looked into
 *                =      walked       =
 *
 * So the cost follows the changes, in a directory of ten entries as of a hundred thousand. Only where a file
 * with several names changed is everything looked through, as nothing else tells where its names are.
 */
#ifndef TREE_CHANGES_H
#define TREE_CHANGES_H

#include "object/node.h"
#include "tree/blob.h"

enum change_kind {
    CHANGE_ADDED = 1,
    CHANGE_REMOVED = 2,
    CHANGE_MODIFIED = 3,
};

/** What differs in a modified inode. The entries of a directory are changes of their own. */
enum change_what {
    CHANGE_DATA = 1 << 0, /**< content or size of a file, target of a symlink, number of a device */
    CHANGE_MODE = 1 << 1,
    CHANGE_OWNER = 1 << 2,
    CHANGE_TIMES = 1 << 3,
    CHANGE_XATTRS = 1 << 4,
    CHANGE_INODE = 1 << 5, /**< another inode number, or number of names */
};

struct change {
    enum change_kind kind;
    unsigned what;                             /**< of MODIFIED: enum change_what, at least one */
    const char *path;                          /**< relative to the top; "" is the top itself */
    const struct inode_record *before, *after; /**< NULL where there is none */
};

/** A non-zero return stops the walk and is returned. */
typedef int (*change_visit_fn)(const struct change *change, void *arg);

/**
 * Visits what differs, parents first, within a directory in byte order of name. Where a name has become another
 * type of file it is removed (with all below it) and added. A root that is NULL is an empty tree. What a
 * change points to is valid during the call only; the visitor may use the cache.
 */
int changes_walk(struct blob_cache *cache, const struct object_id *before,
                 const struct object_id *after, change_visit_fn visit, void *arg,
                 struct hf_error *err);

#endif
