/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the nodes of a file's extents: leaves are cut anew from each changed one until a boundary falls
 * on the start of a stored one, and so is each interior level over the one below it. */
#include <assert.h>
#include <stdlib.h>

#include "tree/extent_tree.h"

/* --- leaves ------------------------------------------------------------------------------------- */

/** The leaves as they will be. Those that are kept share their extents with the tree's. */
struct recut {
    struct leaf *leaves;
    size_t count, cap;
    struct node_writer writer;
    struct extent *extents; /* of the node being written */
    size_t extents_cap;
    uint64_t start;
    uint64_t end;
    bool has_base;
    struct object_id base; /* of the node being written */
};

static int push_leaf(struct recut *recut, const struct leaf *leaf)
{
    if (recut->count == recut->cap) {
        size_t cap = recut->cap ? recut->cap * 2 : 16;
        struct leaf *leaves = reallocarray(recut->leaves, cap, sizeof *leaves);

        if (!leaves)
            return HF_NOMEM;
        recut->leaves = leaves;
        recut->cap = cap;
    }
    recut->leaves[recut->count++] = *leaf;
    return HF_OK;
}

/** Ends the node being written and makes it a leaf. */
static int finish_leaf(struct recut *recut, struct blob_sink *sink, struct hf_error *err)
{
    uint32_t count = recut->writer.count;
    struct leaf leaf = {
        .start = recut->start, .count = count, .parent = EXTENT_NO_PARENT, .stored = true};
    int rc = blob_sink_add(sink, OBJECT_FILE, buf_slice(&recut->writer.bytes),
                           recut->has_base ? &recut->base : NULL, &leaf.id, err);

    if (rc != HF_OK)
        return rc;
    recut->has_base = false;
    leaf.extents = malloc(count * sizeof *leaf.extents);
    if (!leaf.extents)
        return HF_NOMEM;
    memcpy(leaf.extents, recut->extents, count * sizeof *leaf.extents);
    if (push_leaf(recut, &leaf) != HF_OK) {
        free(leaf.extents);
        return HF_NOMEM;
    }
    recut->start = recut->end;
    return node_writer_start(&recut->writer, OBJECT_FILE, 0);
}

static int add_extent(struct recut *recut, const struct extent *extent, struct blob_sink *sink,
                      struct hf_error *err)
{
    int rc;

    if (recut->writer.count == recut->extents_cap) {
        size_t cap = recut->extents_cap ? recut->extents_cap * 2 : 128;
        struct extent *extents = reallocarray(recut->extents, cap, sizeof *extents);

        if (!extents)
            return HF_NOMEM;
        recut->extents = extents;
        recut->extents_cap = cap;
    }
    /* No code here leaves two holes side by side, but two nodes of a store may. */
    if (extent->hole && recut->writer.count > 0 && recut->extents[recut->writer.count - 1].hole)
        return hf_fail(err, HF_CORRUPT, "a file has two holes side by side");
    recut->extents[recut->writer.count] = *extent;
    if ((rc = node_writer_extent(&recut->writer, extent)) != HF_OK)
        return rc;
    recut->end += extent->len;
    return node_writer_at_boundary(&recut->writer) ? finish_leaf(recut, sink, err) : HF_OK;
}

/** Writes from the changed leaf *i on until a node ends where a leaf does; *i is the leaf after it. */
static int recut_from(struct extent_tree *tree, size_t *i, struct recut *recut,
                      struct blob_sink *sink, struct hf_error *err)
{
    int rc = node_writer_start(&recut->writer, OBJECT_FILE, 0);

    recut->start = recut->end = tree->leaves[*i].start;
    recut->has_base = tree->leaves[*i].replaces;
    recut->base = tree->leaves[*i].id;
    do {
        if (rc == HF_OK)
            rc = extent_leaf_load(tree, *i, err);
        for (uint32_t j = 0; rc == HF_OK && j < tree->leaves[*i].count; j++)
            rc = add_extent(recut, &tree->leaves[*i].extents[j], sink, err);
        if (rc != HF_OK)
            return rc;
        ++*i;
    } while (recut->writer.count > 0 && *i < tree->nleaves);
    return recut->writer.count > 0 ? finish_leaf(recut, sink, err) : HF_OK;
}

/** Swaps the new list in, or frees what only it has. Both lists are in order of offset. */
static void settle_end(struct extent_tree *tree, struct recut *recut, bool ok)
{
    struct leaf *keep = ok ? recut->leaves : tree->leaves;
    struct leaf *drop = ok ? tree->leaves : recut->leaves;
    size_t nkeep = ok ? recut->count : tree->nleaves, ndrop = ok ? tree->nleaves : recut->count;

    for (size_t i = 0, j = 0; i < ndrop; i++) {
        while (j < nkeep && keep[j].start < drop[i].start)
            j++;
        if (j == nkeep || keep[j].extents != drop[i].extents)
            free(drop[i].extents);
    }
    free(drop);
    free(recut->extents);
    buf_free(&recut->writer.bytes);
    if (!ok)
        return;
    tree->leaves = recut->leaves;
    tree->nleaves = recut->count;
    tree->cap = recut->cap;
    tree->nloaded = 0;
    for (size_t i = 0; i < tree->nleaves; i++)
        tree->nloaded += tree->leaves[i].extents != NULL;
}

static bool all_stored(const struct extent_tree *tree)
{
    for (size_t i = 0; i < tree->nleaves; i++)
        if (!tree->leaves[i].stored)
            return false;
    return true;
}

int extent_tree_settle(struct extent_tree *tree, struct blob_sink *sink, struct hf_error *err)
{
    struct recut recut = {0};
    int rc = HF_OK;

    if (all_stored(tree))
        return HF_OK;
    for (size_t i = 0; rc == HF_OK && i < tree->nleaves;) {
        if (tree->leaves[i].stored)
            rc = push_leaf(&recut, &tree->leaves[i++]);
        else
            rc = recut_from(tree, &i, &recut, sink, err);
    }
    settle_end(tree, &recut, rc == HF_OK);
    return rc == HF_NOMEM ? hf_fail(err, rc, "no memory to save a file's extents") : rc;
}

/* --- interior levels ---------------------------------------------------------------------------- */

/** The children that a level is built over: leaves, or the level below. */
struct children {
    struct extent_tree *tree;
    struct inner *inners; /* NULL: leaves */
    size_t count;
};

static struct file_child child_at(const struct children *children, size_t i)
{
    const struct extent_tree *tree = children->tree;

    if (children->inners)
        return (struct file_child){.len = children->inners[i].len, .id = children->inners[i].id};
    return (struct file_child){.len = extent_leaf_end(tree, i) - tree->leaves[i].start,
                               .id = tree->leaves[i].id};
}

static uint32_t *parent_of(const struct children *children, size_t i)
{
    return children->inners ? &children->inners[i].parent : &children->tree->leaves[i].parent;
}

static int push_inner(struct inner_level *level, const struct inner *node)
{
    if (level->count == level->cap) {
        size_t cap = level->cap ? level->cap * 2 : 8;
        struct inner *nodes = reallocarray(level->nodes, cap, sizeof *nodes);

        if (!nodes)
            return HF_NOMEM;
        level->nodes = nodes;
        level->cap = cap;
    }
    level->nodes[level->count++] = *node;
    return HF_OK;
}

/** The old node over child `i`, if it is still what it would be now; else NULL. */
static const struct inner *unchanged(const struct inner_level *old, const struct children *children,
                                     size_t i)
{
    uint32_t parent = *parent_of(children, i);
    const struct inner *node;

    if (parent >= old->count)
        return NULL;
    node = &old->nodes[parent];
    if (node->count > children->count - i)
        return NULL;
    for (size_t j = 1; j < node->count; j++)
        if (*parent_of(children, i + j) != parent)
            return NULL;
    return node->closed || i + node->count == children->count ? node : NULL;
}

/** The old node that the one over `n` children from `i` on takes the place of, if any of them was below one. */
static const struct object_id *inner_before(const struct inner_level *old,
                                            const struct children *children, size_t i, size_t n)
{
    for (size_t j = i; j < i + n; j++)
        if (*parent_of(children, j) < old->count)
            return &old->nodes[*parent_of(children, j)].id;
    return NULL;
}

/** Writes one node over the children from `i` on. */
static int write_inner(struct node_writer *writer, uint8_t height, const struct inner_level *old,
                       const struct children *children, size_t i, struct blob_sink *sink,
                       struct inner *ret_node, struct hf_error *err)
{
    struct inner node = {.parent = EXTENT_NO_PARENT};
    size_t first = i;
    int rc = node_writer_start(writer, OBJECT_FILE, height);

    while (rc == HF_OK && !node.closed && i < children->count) {
        struct file_child child = child_at(children, i++);

        rc = node_writer_file_child(writer, &child);
        node.len += child.len;
        node.count++;
        node.closed = node_writer_at_boundary(writer);
    }
    if (rc == HF_OK)
        rc = blob_sink_add(sink, OBJECT_FILE, buf_slice(&writer->bytes),
                           inner_before(old, children, first, node.count), &node.id, err);
    if (rc == HF_OK)
        *ret_node = node;
    return rc;
}

/** Builds the level at `height` and puts it in the place of the old one. */
static int build_level(struct extent_tree *tree, uint8_t height, const struct children *children,
                       struct blob_sink *sink, struct hf_error *err)
{
    struct inner_level *old = &tree->levels[height], level = {0};
    struct node_writer writer = {0};
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < children->count;) {
        const struct inner *same = unchanged(old, children, i);
        struct inner node;

        if (same)
            node = *same;
        else
            rc = write_inner(&writer, height, old, children, i, sink, &node, err);
        if (rc == HF_OK)
            rc = push_inner(&level, &node);
        for (uint32_t j = 0; rc == HF_OK && j < node.count; j++)
            *parent_of(children, i++) = (uint32_t)(level.count - 1);
    }
    buf_free(&writer.bytes);
    if (rc != HF_OK) {
        free(level.nodes);
        return rc;
    }
    free(old->nodes);
    *old = level;
    return HF_OK;
}

/** Brings all levels up to date; gives the top. */
static int build_levels(struct extent_tree *tree, struct blob_sink *sink, struct node_ref *ret_ref,
                        struct hf_error *err)
{
    struct children children = {.tree = tree, .count = tree->nleaves};
    uint8_t height = 0;

    while (children.count > 1) {
        int rc = HF_TOOBIG;

        if (height < NODE_HEIGHT_MAX)
            rc = build_level(tree, ++height, &children, sink, err);
        if (rc != HF_OK) {
            extent_levels_clear(tree);
            return rc == HF_NOMEM ? hf_fail(err, rc, "no memory for indirect nodes") : rc;
        }
        children.inners = tree->levels[height].nodes;
        children.count = tree->levels[height].count;
    }
    ret_ref->height = height;
    ret_ref->id = height == 0 ? tree->leaves[0].id : tree->levels[height].nodes[0].id;
    /* What stood above is gone: no child may take one of its nodes for a parent again. */
    for (uint8_t h = height + 1; h <= NODE_HEIGHT_MAX; h++)
        tree->levels[h].count = 0;
    *(height == 0 ? &tree->leaves[0].parent : &tree->levels[height].nodes[0].parent) =
        EXTENT_NO_PARENT;
    return HF_OK;
}

/* --- the content -------------------------------------------------------------------------------- */

/** Whether there are at most NODE_EXTENTS_INLINE extents. Loads as few leaves as it can to know. */
static int is_short(struct extent_tree *tree, bool *ret_short, struct hf_error *err)
{
    size_t count = 0;

    *ret_short = false;
    if (tree->nleaves > NODE_EXTENTS_INLINE)
        return HF_OK;
    for (size_t i = 0; i < tree->nleaves; i++)
        count += tree->leaves[i].extents ? tree->leaves[i].count : 1;
    for (size_t i = 0; count <= NODE_EXTENTS_INLINE && i < tree->nleaves; i++) {
        int rc;

        if (tree->leaves[i].extents)
            continue;
        if ((rc = extent_leaf_load(tree, i, err)) != HF_OK)
            return rc;
        count += tree->leaves[i].count - 1;
    }
    *ret_short = count <= NODE_EXTENTS_INLINE;
    return HF_OK;
}

static int encode_extents(struct extent_tree *tree)
{
    int rc = HF_OK;

    tree->encoded.len = 0;
    for (size_t i = 0; i < tree->nleaves; i++)
        for (uint32_t j = 0; rc == HF_OK && j < tree->leaves[i].count; j++)
            rc = content_extents_append(&tree->encoded, &tree->leaves[i].extents[j]);
    return rc;
}

int extent_tree_save(struct extent_tree *tree, struct blob_sink *sink, struct content *ret_content,
                     struct hf_error *err)
{
    struct content content = {.kind = CONTENT_NONE};
    bool is_list = false;
    int rc = HF_OK;

    if (!tree->opened) {
        *ret_content = (struct content){.kind = CONTENT_FILE, .ref = tree->ref};
        return HF_OK;
    }
    if (tree->nleaves > 0)
        rc = is_short(tree, &is_list, err);
    if (rc != HF_OK)
        return rc;
    if (is_list) {
        content.kind = CONTENT_EXTENTS;
        rc = encode_extents(tree);
        content.bytes = buf_slice(&tree->encoded);
    } else if (tree->nleaves > 0) {
        content.kind = CONTENT_FILE;
        rc = extent_tree_settle(tree, sink, err);
        if (rc == HF_OK)
            rc = build_levels(tree, sink, &content.ref, err);
    }
    if (rc == HF_OK)
        *ret_content = content;
    return rc;
}
