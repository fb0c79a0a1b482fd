/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The saved part of a file's content: its extents, in leaves, under levels of interior FILE nodes.
 *
 *     levels[2]            [      inner      ]            the interior nodes as they were last saved:
 *     levels[1]     [ inner ] [ inner ] [ inner ]         only what tells whether one can be used again
 *     leaves      [leaf][leaf][leaf][leaf][leaf]…         every leaf of the file, in order
 *                          |
 *     extents     [chunk][chunk][hole][chunk]…            of a leaf in use, read when first needed
 *
 * A leaf is `stored` (its node is in the store or the sink, and canonical) or changed since; a changed leaf
 * may have any length, and saving cuts it, and what follows it, where the format wants boundaries.
 * Guarded by the session's lock.
 */
#ifndef TREE_EXTENT_TREE_H
#define TREE_EXTENT_TREE_H

#include "object/node.h"
#include "tree/blob.h"

struct leaf {
    uint64_t start;         /**< offset in the file; it ends where the next one starts */
    struct extent *extents; /**< NULL: not in memory (only of a stored leaf) */
    uint32_t count;         /**< of extents, when they are in memory; never 0 then */
    uint32_t parent;        /**< index into levels[1], or EXTENT_NO_PARENT */
    bool stored;
    bool replaces;       /**< not stored, but `id` is of a stored one whose place it takes */
    struct object_id id; /**< when stored, or it replaces one */
};

#define EXTENT_NO_PARENT UINT32_MAX

struct inner {
    uint64_t len; /**< bytes of file below it */
    struct object_id id;
    uint32_t count;  /**< children */
    uint32_t parent; /**< index into the level above, or EXTENT_NO_PARENT */
    bool closed;     /**< it ended at a boundary, not only because the file did */
};

struct inner_level {
    struct inner *nodes;
    size_t count, cap;
};

struct extent_tree {
    struct blob_cache *cache;
    bool opened;         /**< false: only `ref`, `len` and `allocated` are known yet */
    struct node_ref ref; /**< until opened */
    uint64_t len;        /**< bytes */
    uint64_t allocated;  /**< bytes in chunks */
    struct leaf *leaves;
    size_t nleaves, cap;
    size_t nloaded; /**< leaves whose extents are in memory */
    struct inner_level levels[NODE_HEIGHT_MAX + 1];
    struct buf encoded; /**< bytes of the last saved CONTENT_EXTENTS */
};

/** A tree without extents. */
void extent_tree_init(struct extent_tree *tree, struct blob_cache *cache);
/** Takes over an EXTENTS or FILE content of `len` bytes; reads nothing. HF_CORRUPT, HF_NOMEM. */
int extent_tree_open(struct extent_tree *tree, const struct content *content, uint64_t len,
                     uint64_t allocated, struct hf_error *err);
/** Frees everything; the tree is empty and usable again. */
void extent_tree_clear(struct extent_tree *tree);

/** An extent and where it is. */
struct extent_cursor {
    uint64_t start, end;
    bool chunk; /**< false: a hole; past the tree's end there is one without end */
    struct object_id id;
    size_t leaf;
    uint32_t index;
};

/** The extent that covers `offset`. */
int extent_tree_seek(struct extent_tree *tree, uint64_t offset, struct extent_cursor *ret_cursor,
                     struct hf_error *err);
/** The one after it. The tree must not have changed. */
int extent_tree_next(struct extent_tree *tree, struct extent_cursor *cursor, struct hf_error *err);

/**
 * Replaces [start, end) by `extents`; what follows moves along when they are longer or shorter. Start and end lie
 * within the tree, at boundaries of extents or in holes. On failure nothing changed.
 */
int extent_tree_splice(struct extent_tree *tree, uint64_t start, uint64_t end,
                       const struct extent *extents, size_t n, struct hf_error *err);
/** Appends a hole up to `len`, if the tree is shorter. */
int extent_tree_extend(struct extent_tree *tree, uint64_t len, struct hf_error *err);

/** Writes every changed leaf to the sink, cut canonically. */
int extent_tree_settle(struct extent_tree *tree, struct blob_sink *sink, struct hf_error *err);
/** Writes all changed nodes to the sink and gives the content: NONE, EXTENTS or FILE. */
int extent_tree_save(struct extent_tree *tree, struct blob_sink *sink, struct content *ret_content,
                     struct hf_error *err);
/** Drops the extents of stored leaves. */
void extent_tree_trim(struct extent_tree *tree);

/* --- between the files of the extent tree ------------------------------------------------------- */

/** Reads the interior nodes, if that was not done yet. */
int extent_tree_load(struct extent_tree *tree, struct hf_error *err);
/** Reads the extents of leaf `i`, if they are not in memory. */
int extent_leaf_load(struct extent_tree *tree, size_t i, struct hf_error *err);
void extent_leaf_drop(struct extent_tree *tree, size_t i);
/** Where leaf `i` ends. */
uint64_t extent_leaf_end(const struct extent_tree *tree, size_t i);
/** Index of the leaf that covers `offset`, which is within the tree. */
size_t extent_leaf_find(const struct extent_tree *tree, uint64_t offset);
/** Forgets the interior levels; saving makes them anew. */
void extent_levels_clear(struct extent_tree *tree);

#endif
