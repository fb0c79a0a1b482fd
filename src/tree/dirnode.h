/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The inside of a dirmap, shared by the files that implement it.
 *
 * levels[0] is the array of leaves, in order; levels[h] the interior nodes of height h, each over a run of
 * nodes of the level below. All interior levels stay in memory (about 100 bytes for 8 KiB of entries), the
 * leaves' entries only while they are used.
 */
#ifndef TREE_DIRNODE_H
#define TREE_DIRNODE_H

#include "tree/dirmap.h"

#define NO_NODE SIZE_MAX

/** An entry in memory. */
struct diritem {
    struct dir_entry entry;
    uint8_t *own; /**< holds its name and record, or NULL: they lie in the leaf's node */
};

/** A name that is owned. */
struct dirname {
    uint8_t len;
    uint8_t *bytes;
};

/** A leaf or an interior node. */
struct dirnode {
    /** The first name below it; of a dirty node a bound (the first node of a level has none). */
    struct dirname first;
    uint64_t count;      /**< entries below it */
    struct object_id id; /**< as last saved */
    bool has_id;         /**< false: new, or a LEAF in place (map->leaf) */
    /* Interior: its children in the level below, from `start` on, `n` of them. */
    size_t start, n;
    /* Leaf. */
    bool dirty;
    bool loaded;
    struct diritem *items; /**< `count` of them, in order of name */
    size_t cap;
    struct blob *blob; /**< what the items without `own` point into, or NULL */
    /** During a save: the index of the same node in the level that is replaced, or NO_NODE. */
    size_t old;
};

struct dirlevel {
    struct dirnode *nodes;
    size_t n, cap;
};

struct dirmap {
    struct blob_cache *cache;
    struct dirlevel levels[NODE_HEIGHT_MAX + 1];
    uint8_t height; /**< of the top; levels above are empty */
    uint64_t count;
    bool dirty;
    struct buf leaf; /**< the node of a LEAF in place; items of the only leaf may point into it */
};

static inline struct slice dirnode_first(const struct dirnode *node)
{
    return slice_of(node->first.bytes, node->first.len);
}

int dirname_copy(struct slice from, struct dirname *ret_name);
/** Lets go of a leaf's items. */
void dirnode_unload(struct blob_cache *cache, struct dirnode *leaf);

/** Makes room for `more` nodes. */
int dirlevel_reserve(struct dirlevel *level, size_t more);
/** Inserts a node that begins with `first`, all else zero. */
int dirlevel_insert(struct dirlevel *level, size_t at, struct slice first);
/** The last node that does not begin after `name`, or else the first. NO_NODE when the level is empty. */
size_t dirlevel_find(const struct dirlevel *level, struct slice name);
/** Frees all levels of a map or of a save. */
void dirlevels_clear(struct blob_cache *cache, struct dirlevel *levels);

/** Loads the items of leaf `index`, if they are not. */
int dirmap_load_leaf(struct dirmap *map, size_t index, struct hf_error *err);
/** Asks for those of nodes [from, from + n) that are not loaded, in one call of the store. */
void dirmap_prefetch(struct dirmap *map, const struct dirlevel *level, size_t from, size_t n);

#endif
