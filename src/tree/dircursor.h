/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Walks a directory's tree of DIR nodes in order of name, and goes below a node only when it is told to: what
 * stands next is either an entry or a whole subtree.
 */
#ifndef TREE_DIRCURSOR_H
#define TREE_DIRCURSOR_H

#include "object/node.h"
#include "tree/blob.h"

enum dircursor_at {
    DIRCURSOR_END = 0,
    DIRCURSOR_ENTRY = 1,
    DIRCURSOR_SUBTREE = 2,
};

struct dircursor {
    enum dircursor_at at;   /**< what stands next */
    struct slice first;     /**< its (first) name; empty: of the whole directory */
    struct dir_entry entry; /**< ENTRY: it points into a node that the cursor holds */
    struct node_ref ref;    /**< SUBTREE */
    /* Private. */
    struct blob_cache *cache;
    struct dircursor_level {
        struct node_reader reader;
        struct blob *blob; /* NULL: a LEAF in place */
    } levels[NODE_HEIGHT_MAX + 1];
    unsigned depth;
};

/** Stands before the content (NONE, LEAF or DIR) of a directory; the bytes of a LEAF are borrowed. Ended by
 *  dircursor_end(), after a failure too. */
int dircursor_start(struct dircursor *cursor, struct blob_cache *cache,
                    const struct content *content, struct hf_error *err);
void dircursor_end(struct dircursor *cursor);

/** Passes over the entry, or the whole subtree, that stands next. */
int dircursor_pass(struct dircursor *cursor, struct hf_error *err);
/** Goes to the first item below the subtree that stands next. */
int dircursor_enter(struct dircursor *cursor, struct hf_error *err);

#endif
