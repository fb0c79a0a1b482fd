/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tree/dirnode.h"

/*
 * A save cuts the leaves anew from each dirty one on, until a boundary falls on the start of a clean one. Then
 * each interior level is cut anew over the new level below in the same way. What was saved is replaced only
 * after everything succeeded.
 */

/** A save in progress: the levels that will replace the map's. */
struct save {
    struct dirmap *map;
    struct blob_sink *sink;
    struct hf_error *err;
    bool allow_leaf;
    struct dirlevel levels[NODE_HEIGHT_MAX + 1];
    uint8_t height;
    struct buf leaf;           /* the only leaf, when it stays in place */
    struct node_writer writer; /* the node being filled */
    /* Of that node: */
    struct dirname first;
    uint64_t count;
    struct object_id base; /* the node that it replaces */
    bool has_base;
    size_t start; /* its first child in the level below */
};

static int begin_node(struct save *save, uint8_t height, struct slice first)
{
    int rc = node_writer_start(&save->writer, OBJECT_DIR, height);

    if (rc == HF_OK)
        rc = dirname_copy(first, &save->first);
    save->count = 0;
    save->has_base = false;
    return rc;
}

/* Appends the node being filled, whose id the caller gives it, to the new level. */
static int end_node(struct save *save, struct dirlevel *level, struct dirnode **ret_node)
{
    int rc = dirlevel_reserve(level, 1);

    if (rc != HF_OK)
        return rc;
    *ret_node = &level->nodes[level->n++];
    **ret_node = (struct dirnode){.first = save->first, .count = save->count, .old = NO_NODE};
    save->first = (struct dirname){0};
    save->count = 0;
    return HF_OK;
}

static int add_node(struct save *save, struct dirnode *node)
{
    int rc = blob_sink_add(save->sink, OBJECT_DIR, buf_slice(&save->writer.bytes),
                           save->has_base ? &save->base : NULL, &node->id, save->err);

    node->has_id = rc == HF_OK;
    return rc;
}

static int end_leaf(struct save *save)
{
    const bool in_place = save->allow_leaf && save->count == save->map->count;
    struct dirnode *node;

    if (end_node(save, &save->levels[0], &node) != HF_OK)
        return dirmap_no_memory(save->err);
    if (!in_place)
        return add_node(save, node);
    if (buf_append(&save->leaf, save->writer.bytes.data, save->writer.bytes.len) != HF_OK)
        return dirmap_no_memory(save->err);
    return HF_OK;
}

/* Feeds the entries of an old leaf into new ones. */
static int recut_leaf(struct save *save, const struct dirnode *leaf)
{
    for (size_t i = 0; i < leaf->count; i++) {
        const struct dir_entry *entry = &leaf->items[i].entry;
        int rc = save->count == 0 ? begin_node(save, 0, entry->name) : HF_OK;

        if (rc == HF_OK)
            rc = node_writer_dir_entry(&save->writer, entry);
        if (rc != HF_OK)
            return dirmap_no_memory(save->err);
        if (save->count++ == 0) {
            save->has_base = leaf->has_id;
            save->base = leaf->id;
        }
        rc = node_writer_at_boundary(&save->writer) ? end_leaf(save) : HF_OK;
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* Takes over a node of the old level at whose start a new boundary fell. Its name and items stay the old
 * one's until the end. */
static int keep_node(struct dirlevel *level, const struct dirlevel *olds, size_t index)
{
    const struct dirnode *old = &olds->nodes[index];

    if (dirlevel_reserve(level, 1) != HF_OK)
        return HF_NOMEM;
    level->nodes[level->n++] = (struct dirnode){
        .first = old->first, .count = old->count, .id = old->id, .has_id = true, .old = index};
    return HF_OK;
}

static bool can_keep(const struct save *save, const struct dirnode *leaf)
{
    return save->count == 0 && !leaf->dirty && leaf->has_id &&
           !(save->allow_leaf && leaf->count == save->map->count);
}

static int save_leaves(struct save *save)
{
    const struct dirlevel *old = &save->map->levels[0];
    int rc = HF_OK;

    if (dirlevel_reserve(&save->levels[0], old->n) != HF_OK)
        return dirmap_no_memory(save->err);
    for (size_t i = 0; i < old->n && rc == HF_OK; i++) {
        if (can_keep(save, &old->nodes[i])) {
            rc = keep_node(&save->levels[0], old, i);
            continue;
        }
        rc = dirmap_load_leaf(save->map, i, save->err);
        if (rc == HF_OK)
            rc = recut_leaf(save, &old->nodes[i]);
    }
    return rc == HF_OK && save->count > 0 ? end_leaf(save) : rc;
}

/* The last node that does not begin after `first`, or else the first. NULL when the level is empty. */
static const struct dirnode *node_before(const struct dirlevel *level, struct slice first)
{
    const size_t index = dirlevel_find(level, first);

    return index == NO_NODE ? NULL : &level->nodes[index];
}

/* Whether the children of the old node `parent` are now, unchanged, those from `start` on of the new level
 * below. Then it stays as it is: it ended at a boundary, or with the last child of all; and in the latter
 * case nothing follows now either, for what is added behind the last node changes that node. */
static bool same_children(const struct dirlevel *below, size_t start, const struct dirnode *parent)
{
    if (parent->n > below->n - start)
        return false;
    for (size_t i = 0; i < parent->n; i++)
        if (below->nodes[start + i].old != parent->start + i)
            return false;
    return true;
}

static int end_interior(struct save *save, uint8_t height, size_t end)
{
    const struct dirnode *base =
        node_before(&save->map->levels[height], slice_of(save->first.bytes, save->first.len));
    struct dirnode *node;

    if (end_node(save, &save->levels[height], &node) != HF_OK)
        return dirmap_no_memory(save->err);
    node->start = save->start;
    node->n = end - save->start;
    save->has_base = base != NULL;
    if (base)
        save->base = base->id;
    return add_node(save, node);
}

/* Feeds the child at `index` of the new level below into the node being filled. */
static int recut_child(struct save *save, uint8_t height, size_t index)
{
    const struct dirlevel *below = &save->levels[height - 1];
    const struct dirnode *node = &below->nodes[index];
    const struct dir_child child = {dirnode_first(node), node->count, node->id};
    int rc = HF_OK;

    if (save->count == 0) {
        save->start = index;
        rc = begin_node(save, height, child.first);
    }
    if (rc == HF_OK)
        rc = node_writer_dir_child(&save->writer, &child);
    if (rc != HF_OK)
        return dirmap_no_memory(save->err);
    save->count += node->count;
    if (node_writer_at_boundary(&save->writer) || index + 1 == below->n)
        rc = end_interior(save, height, index + 1);
    return rc;
}

static int save_interior(struct save *save, uint8_t height)
{
    const struct dirlevel *below = &save->levels[height - 1], *olds = &save->map->levels[height];
    struct dirlevel *level = &save->levels[height];
    int rc = HF_OK;

    for (size_t i = 0; i < below->n && rc == HF_OK;) {
        const struct dirnode *old =
            save->count == 0 ? node_before(olds, dirnode_first(&below->nodes[i])) : NULL;

        if (!old || !same_children(below, i, old)) {
            rc = recut_child(save, height, i++);
            continue;
        }
        rc = keep_node(level, olds, (size_t)(old - olds->nodes));
        if (rc == HF_OK) {
            level->nodes[level->n - 1].start = i;
            level->nodes[level->n - 1].n = old->n;
        }
        i += old->n;
    }
    return rc == HF_NOMEM ? dirmap_no_memory(save->err) : rc;
}

static int save_levels(struct save *save)
{
    int rc = save_leaves(save);

    while (rc == HF_OK && save->levels[save->height].n > 1) {
        if (save->height == NODE_HEIGHT_MAX)
            return hf_fail(save->err, HF_TOOBIG, "a directory of %llu entries is too large",
                           (unsigned long long)save->map->count);
        rc = save_interior(save, ++save->height);
    }
    return rc;
}

/* Of two nodes, the kept one and what it was, one owns the name and the items. */
static void give_parts(struct dirnode *kept, struct dirnode *old)
{
    kept->items = old->items;
    kept->cap = old->cap;
    kept->blob = old->blob;
    kept->loaded = old->loaded;
    old->loaded = false;
    old->first = (struct dirname){0};
}

/* Everything is written: the new levels take the place of the old ones. */
static void save_finish(struct save *save)
{
    struct dirmap *map = save->map;

    for (size_t h = 0; h <= save->height; h++)
        for (size_t i = 0; i < save->levels[h].n; i++) {
            struct dirnode *node = &save->levels[h].nodes[i];

            if (node->old != NO_NODE)
                give_parts(node, &map->levels[h].nodes[node->old]);
            node->old = NO_NODE;
        }
    dirlevels_clear(map->cache, map->levels);
    memcpy(map->levels, save->levels, sizeof map->levels);
    memset(save->levels, 0, sizeof save->levels);
    buf_free(&map->leaf);
    map->leaf = save->leaf;
    save->leaf = (struct buf){0};
    map->height = save->height;
    map->dirty = false;
}

/* Leaves with the old levels what belongs to them. */
static void save_abandon(struct save *save)
{
    for (size_t h = 0; h <= save->height; h++)
        for (size_t i = 0; i < save->levels[h].n; i++)
            if (save->levels[h].nodes[i].old != NO_NODE)
                save->levels[h].nodes[i].first = (struct dirname){0};
}

static bool in_place(const struct dirmap *map)
{
    return map->levels[0].n == 1 && !map->levels[0].nodes[0].has_id;
}

static struct content saved_content(const struct dirmap *map)
{
    struct content content = {.kind = CONTENT_NONE, .count = map->count};

    if (in_place(map)) {
        content.kind = CONTENT_LEAF;
        content.bytes = buf_slice(&map->leaf);
    } else if (map->levels[0].n > 0) {
        content.kind = CONTENT_DIR;
        content.ref.height = map->height;
        content.ref.id = map->levels[map->height].nodes[0].id;
    }
    return content;
}

int dirmap_save(struct dirmap *map, struct blob_sink *sink, bool allow_leaf,
                struct content *ret_content, struct hf_error *err)
{
    struct save save = {.map = map, .sink = sink, .err = err, .allow_leaf = allow_leaf};
    int rc = HF_OK;

    if (map->dirty || (map->levels[0].n == 1 && in_place(map) != allow_leaf)) {
        rc = save_levels(&save);
        if (rc == HF_OK)
            save_finish(&save);
        else
            save_abandon(&save);
    }
    dirlevels_clear(map->cache, save.levels);
    free(save.first.bytes);
    buf_free(&save.writer.bytes);
    buf_free(&save.leaf);
    if (rc == HF_OK)
        *ret_content = saved_content(map);
    return rc;
}
