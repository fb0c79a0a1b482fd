/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of the file map share. */
#ifndef TREE_FILEMAP_STATE_H
#define TREE_FILEMAP_STATE_H

#include "tree/extent_tree.h"
#include "tree/filemap.h"
#include "tree/former.h"
#include "tree/overlay.h"

/**
 * Content at an offset: that of the overlay's run, else that of the tree's extent, else (past the tree's
 * end) a hole. tree.len ≤ size, and no run reaches beyond size. A file of at most NODE_INLINE_MAX bytes
 * that is folded has no tree, and one run.
 */
struct filemap {
    struct blob_cache *cache;
    uint64_t size;
    struct extent_tree tree;
    struct overlay overlay;
    struct formers formers; /**< until it is saved */
    bool dirty;             /**< changed since it was saved */
    bool folded;            /**< not changed since it was folded */
};

/** The chunk under a cursor, whose length must be that of its extent. The caller owns a reference. */
int filemap_chunk(struct filemap *map, const struct extent_cursor *cursor, struct blob **ret_blob,
                  struct hf_error *err);

/** Notes that it is about to change. */
void filemap_touch(struct filemap *map);

#endif
