/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/extent_tree.h"

#include <assert.h>
#include <stdlib.h>

/** Interior nodes asked for in one call of the store. */
#define LOAD_BATCH 128

void extent_tree_init(struct extent_tree *tree, struct blob_cache *cache)
{
    *tree = (struct extent_tree){.cache = cache, .opened = true};
}

void extent_levels_clear(struct extent_tree *tree)
{
    for (size_t i = 0; i <= NODE_HEIGHT_MAX; i++) {
        free(tree->levels[i].nodes);
        tree->levels[i] = (struct inner_level){0};
    }
    for (size_t i = 0; i < tree->nleaves; i++)
        tree->leaves[i].parent = EXTENT_NO_PARENT;
}

void extent_tree_clear(struct extent_tree *tree)
{
    for (size_t i = 0; i < tree->nleaves; i++)
        free(tree->leaves[i].extents);
    tree->nleaves = 0;
    extent_levels_clear(tree);
    free(tree->leaves);
    buf_free(&tree->encoded);
    extent_tree_init(tree, tree->cache);
}

static int corrupt(struct hf_error *err)
{
    return hf_fail(err, HF_CORRUPT, "a file's extents do not add up to its size");
}

/* --- leaves ------------------------------------------------------------------------------------- */

uint64_t extent_leaf_end(const struct extent_tree *tree, size_t i)
{
    return i + 1 < tree->nleaves ? tree->leaves[i + 1].start : tree->len;
}

size_t extent_leaf_find(const struct extent_tree *tree, uint64_t offset)
{
    size_t low = 0, high = tree->nleaves;

    assert(offset < tree->len && high > 0);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (tree->leaves[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void extent_leaf_drop(struct extent_tree *tree, size_t i)
{
    struct leaf *leaf = &tree->leaves[i];

    if (leaf->extents)
        tree->nloaded--;
    free(leaf->extents);
    leaf->extents = NULL;
}

/** Reads all extents of a node or a record, which must take `len` bytes of file. */
static int read_extents(struct node_reader *reader, uint64_t len, struct extent **ret_extents,
                        uint32_t *ret_count, struct hf_error *err)
{
    uint32_t count = reader->count, n = 0;
    struct extent *extents = count > 0 ? calloc(count, sizeof *extents) : NULL;
    struct extent extent;
    uint64_t sum = 0;
    int rc;

    if (count == 0)
        return corrupt(err);
    if (!extents)
        return hf_fail(err, HF_NOMEM, "no memory for %u extents", count);
    while ((rc = node_reader_extent(reader, &extent)) > 0 && n < count) {
        extents[n++] = extent;
        if (__builtin_add_overflow(sum, extent.len, &sum))
            break;
    }
    if (rc != 0 || n != count || sum != len) {
        free(extents);
        return corrupt(err);
    }
    *ret_extents = extents;
    *ret_count = count;
    return HF_OK;
}

int extent_leaf_load(struct extent_tree *tree, size_t i, struct hf_error *err)
{
    struct leaf *leaf = &tree->leaves[i];
    struct node_reader reader;
    struct blob *blob;
    int rc;

    if (leaf->extents)
        return HF_OK;
    rc = blob_get(tree->cache, &leaf->id, &blob, err);
    if (rc != HF_OK)
        return rc;
    rc = node_reader_start(&reader, OBJECT_FILE, blob_content(blob));
    if (rc == HF_OK && reader.height != 0)
        rc = HF_CORRUPT;
    if (rc != HF_OK)
        rc = hf_fail(err, rc, "a leaf of a file's extents cannot be decoded");
    else
        rc = read_extents(&reader, extent_leaf_end(tree, i) - leaf->start, &leaf->extents,
                          &leaf->count, err);
    blob_unref(tree->cache, blob);
    if (rc == HF_OK)
        tree->nloaded++;
    return rc;
}

void extent_tree_trim(struct extent_tree *tree)
{
    for (size_t i = 0; i < tree->nleaves && tree->nloaded > 0; i++)
        if (tree->leaves[i].stored)
            extent_leaf_drop(tree, i);
}

/* --- opening ------------------------------------------------------------------------------------ */

static int open_extents(struct extent_tree *tree, const struct content *content, uint64_t len,
                        struct hf_error *err)
{
    struct node_reader reader;
    struct leaf *leaf = calloc(1, sizeof *leaf);
    int rc;

    if (!leaf)
        return hf_fail(err, HF_NOMEM, "no memory for a file's extents");
    rc = content_extents_start(&reader, content);
    if (rc == HF_OK)
        rc = read_extents(&reader, len, &leaf->extents, &leaf->count, err);
    if (rc != HF_OK) {
        free(leaf);
        return hf_fail(err, rc, "a file's extents cannot be decoded");
    }
    leaf->parent = EXTENT_NO_PARENT;
    tree->leaves = leaf;
    tree->nleaves = tree->cap = tree->nloaded = 1;
    return HF_OK;
}

int extent_tree_open(struct extent_tree *tree, const struct content *content, uint64_t len,
                     uint64_t allocated, struct hf_error *err)
{
    int rc = HF_OK;

    if (content->kind == CONTENT_EXTENTS) {
        rc = open_extents(tree, content, len, err);
    } else {
        assert(content->kind == CONTENT_FILE);
        if (content->ref.height > NODE_HEIGHT_MAX || len == 0)
            return corrupt(err);
        tree->ref = content->ref;
        tree->opened = false;
    }
    if (rc == HF_OK) {
        tree->len = len;
        tree->allocated = allocated;
    }
    return rc;
}

static int level_push(struct inner_level *level, const struct inner *node)
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

/** Appends the children of node `i` of the level at `height` to the level below it. */
static int read_inner(struct extent_tree *tree, unsigned height, uint32_t i, struct blob *blob)
{
    struct inner_level *below = &tree->levels[height - 1];
    struct inner *node = &tree->levels[height].nodes[i];
    struct node_reader reader;
    struct file_child child;
    uint64_t sum = 0;
    int rc = node_reader_start(&reader, OBJECT_FILE, blob_content(blob));

    if (rc == HF_OK && (reader.height != height || reader.count == 0))
        rc = HF_CORRUPT;
    if (rc != HF_OK)
        return rc;
    node->count = reader.count;
    while ((rc = node_reader_file_child(&reader, &child)) > 0) {
        struct inner below_node = {.len = child.len, .id = child.id, .parent = i, .closed = true};

        if (child.len == 0 || __builtin_add_overflow(sum, child.len, &sum))
            return HF_CORRUPT;
        if (level_push(below, &below_node) != HF_OK)
            return HF_NOMEM;
    }
    return rc == 0 && sum != node->len ? HF_CORRUPT : rc;
}

static void prefetch_level(struct extent_tree *tree, const struct inner_level *level, size_t from)
{
    struct object_id ids[LOAD_BATCH];
    size_t n = 0;

    for (size_t i = from; i < level->count && n < LOAD_BATCH; i++)
        ids[n++] = level->nodes[i].id;
    if (n > 1)
        blob_prefetch(tree->cache, ids, n);
}

/** Reads the nodes of one level, and so makes the level below it. */
static int load_level(struct extent_tree *tree, unsigned height, struct hf_error *err)
{
    struct inner_level *level = &tree->levels[height];
    struct inner_level *below = &tree->levels[height - 1];

    for (uint32_t i = 0; i < level->count; i++) {
        struct blob *blob;
        int rc;

        if (i % LOAD_BATCH == 0)
            prefetch_level(tree, level, i);
        rc = blob_get(tree->cache, &level->nodes[i].id, &blob, err);
        if (rc != HF_OK)
            return rc;
        rc = read_inner(tree, height, i, blob);
        blob_unref(tree->cache, blob);
        if (rc != HF_OK)
            return hf_fail(err, rc, "an indirect node of a file cannot be decoded");
    }
    /* Nothing tells whether the last one ended at a boundary. */
    below->nodes[below->count - 1].closed = false;
    return HF_OK;
}

/** Turns the lowest level, levels[0] while loading, into leaves. */
static int make_leaves(struct extent_tree *tree)
{
    struct inner_level *level = &tree->levels[0];
    struct leaf *leaves = calloc(level->count, sizeof *leaves);
    uint64_t start = 0;

    if (!leaves)
        return HF_NOMEM;
    for (size_t i = 0; i < level->count; i++) {
        const struct inner *node = &level->nodes[i];

        leaves[i] =
            (struct leaf){.start = start, .parent = node->parent, .stored = true, .id = node->id};
        start += node->len;
    }
    tree->leaves = leaves;
    tree->nleaves = tree->cap = level->count;
    free(level->nodes);
    *level = (struct inner_level){0};
    return HF_OK;
}

int extent_tree_load(struct extent_tree *tree, struct hf_error *err)
{
    struct inner top = {.len = tree->len, .id = tree->ref.id, .parent = EXTENT_NO_PARENT};
    int rc;

    if (tree->opened)
        return HF_OK;
    rc = level_push(&tree->levels[tree->ref.height], &top);
    for (unsigned height = tree->ref.height; rc == HF_OK && height > 0; height--)
        rc = load_level(tree, height, err);
    if (rc == HF_OK)
        rc = make_leaves(tree);
    if (rc == HF_NOMEM)
        rc = hf_fail(err, rc, "no memory for the extents of a file");
    if (rc == HF_OK)
        tree->opened = true;
    else
        extent_levels_clear(tree);
    return rc;
}

/* --- the cursor --------------------------------------------------------------------------------- */

static void cursor_at_end(const struct extent_tree *tree, struct extent_cursor *cursor)
{
    *cursor = (struct extent_cursor){.start = tree->len, .end = UINT64_MAX, .leaf = tree->nleaves};
}

static void cursor_set(const struct extent_tree *tree, struct extent_cursor *cursor, size_t leaf,
                       uint32_t index, uint64_t start)
{
    const struct extent *extent = &tree->leaves[leaf].extents[index];

    *cursor = (struct extent_cursor){.start = start,
                                     .end = start + extent->len,
                                     .chunk = !extent->hole,
                                     .id = extent->id,
                                     .leaf = leaf,
                                     .index = index};
}

int extent_tree_seek(struct extent_tree *tree, uint64_t offset, struct extent_cursor *ret_cursor,
                     struct hf_error *err)
{
    const struct leaf *leaf;
    uint32_t index = 0;
    uint64_t start;
    size_t i;
    int rc;

    if (offset >= tree->len) {
        rc = extent_tree_load(tree, err);
        if (rc == HF_OK)
            cursor_at_end(tree, ret_cursor);
        return rc;
    }
    if ((rc = extent_tree_load(tree, err)) != HF_OK)
        return rc;
    i = extent_leaf_find(tree, offset);
    if ((rc = extent_leaf_load(tree, i, err)) != HF_OK)
        return rc;
    leaf = &tree->leaves[i];
    start = leaf->start;
    while (offset - start >= leaf->extents[index].len)
        start += leaf->extents[index++].len;
    cursor_set(tree, ret_cursor, i, index, start);
    return HF_OK;
}

int extent_tree_next(struct extent_tree *tree, struct extent_cursor *cursor, struct hf_error *err)
{
    size_t i = cursor->leaf;
    uint32_t index = cursor->index + 1;
    int rc;

    assert(i < tree->nleaves);
    if (index == tree->leaves[i].count) {
        index = 0;
        if (++i == tree->nleaves) {
            cursor_at_end(tree, cursor);
            return HF_OK;
        }
        if ((rc = extent_leaf_load(tree, i, err)) != HF_OK)
            return rc;
    }
    cursor_set(tree, cursor, i, index, cursor->end);
    return HF_OK;
}
