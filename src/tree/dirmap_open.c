/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include "tree/dirnode.h"

static int damaged(const struct dirnode *node, int rc, struct hf_error *err)
{
    char hex[OBJECT_ID_HEX_SIZE] = "(in place)";

    if (rc == HF_NOMEM)
        return dirmap_no_memory(err);
    if (node->has_id)
        object_id_hex(&node->id, hex);
    return hf_fail(err, rc, "directory node %s: %s", hex, hf_status_text(rc));
}

/* Fills leaf->items from its node. `next`: the name that the next leaf begins with, or empty. */
static int leaf_parse(struct dirnode *leaf, struct slice bytes, struct slice next)
{
    struct node_reader reader;
    struct diritem *items;
    size_t n = 0;
    int rc = node_reader_start(&reader, OBJECT_DIR, bytes);

    if (rc != HF_OK)
        return rc;
    if (reader.height != 0 || reader.count != leaf->count)
        return HF_CORRUPT;
    items = calloc(reader.count, sizeof *items);
    if (!items)
        return HF_NOMEM;
    while ((rc = node_reader_dir_entry(&reader, &items[n].entry)) == 1)
        if (++n == reader.count)
            break;
    if (rc == 1 && reader.rest.len > 0)
        rc = HF_CORRUPT;
    else if (rc == 1)
        rc = slice_compare(items[0].entry.name, dirnode_first(leaf)) == 0 ? HF_OK : HF_CORRUPT;
    if (rc == HF_OK && next.len > 0 && slice_compare(items[n - 1].entry.name, next) >= 0)
        rc = HF_CORRUPT;
    if (rc != HF_OK) {
        free(items);
        return rc;
    }
    leaf->items = items;
    leaf->cap = n;
    leaf->loaded = true;
    return HF_OK;
}

int dirmap_load_leaf(struct dirmap *map, size_t index, struct hf_error *err)
{
    struct dirlevel *level = &map->levels[0];
    struct dirnode *leaf = &level->nodes[index];
    struct slice next = {0};
    struct blob *blob = NULL;
    int rc;

    if (leaf->loaded)
        return HF_OK;
    if (index + 1 < level->n)
        next = dirnode_first(&level->nodes[index + 1]);
    if (leaf->has_id) {
        rc = blob_get(map->cache, &leaf->id, &blob, err);
        if (rc != HF_OK)
            return rc;
    }
    rc = leaf_parse(leaf, blob ? blob_content(blob) : buf_slice(&map->leaf), next);
    if (rc == HF_OK)
        leaf->blob = blob;
    else if (blob)
        blob_unref(map->cache, blob);
    return rc == HF_OK ? rc : damaged(leaf, rc, err);
}

/* Appends the children of an interior node to the level below. */
static int parse_children(struct dirnode *node, uint8_t height, struct slice bytes,
                          struct dirlevel *below)
{
    struct node_reader reader;
    struct dir_child child;
    uint64_t count = 0;
    int rc = node_reader_start(&reader, OBJECT_DIR, bytes);

    if (rc == HF_OK && reader.height != height)
        rc = HF_CORRUPT;
    if (rc != HF_OK)
        return rc;
    node->start = below->n;
    while ((rc = node_reader_dir_child(&reader, &child)) == 1) {
        struct dirnode *last = below->n > 0 ? &below->nodes[below->n - 1] : NULL;

        if (last && slice_compare(dirnode_first(last), child.first) >= 0)
            return HF_CORRUPT;
        rc = dirlevel_insert(below, below->n, child.first);
        if (rc != HF_OK)
            return rc;
        below->nodes[below->n - 1].id = child.id;
        below->nodes[below->n - 1].has_id = true;
        below->nodes[below->n - 1].count = child.count;
        count += child.count;
    }
    node->n = below->n - node->start;
    if (rc == HF_OK && node->first.len > 0 &&
        slice_compare(dirnode_first(node), dirnode_first(&below->nodes[node->start])) != 0)
        rc = HF_CORRUPT;
    return rc == HF_OK && count != node->count ? HF_CORRUPT : rc;
}

void dirmap_prefetch(struct dirmap *map, const struct dirlevel *level, size_t from, size_t n)
{
    struct object_id *ids = calloc(n ? n : 1, sizeof *ids);
    size_t used = 0;

    for (size_t i = from; ids && i < from + n; i++)
        if (!level->nodes[i].loaded && level->nodes[i].has_id)
            ids[used++] = level->nodes[i].id;
    if (used > 1)
        blob_prefetch(map->cache, ids, used);
    free(ids);
}

/* Reads all nodes of `height` and so makes the level below. */
static int open_level(struct dirmap *map, uint8_t height, struct hf_error *err)
{
    struct dirlevel *level = &map->levels[height];
    struct blob *blob;
    int rc;

    dirmap_prefetch(map, level, 0, level->n);
    for (size_t i = 0; i < level->n; i++) {
        struct dirnode *node = &level->nodes[i];

        rc = blob_get(map->cache, &node->id, &blob, err);
        if (rc != HF_OK)
            return rc;
        rc = parse_children(node, height, blob_content(blob), &map->levels[height - 1]);
        blob_unref(map->cache, blob);
        if (rc != HF_OK)
            return damaged(node, rc, err);
    }
    return HF_OK;
}

/* The name that a tree without interior nodes begins with stands only in its leaf. */
static int open_single_leaf(struct dirmap *map, struct hf_error *err)
{
    struct dirnode *leaf = &map->levels[0].nodes[0];
    struct blob *blob = NULL;
    struct node_reader reader;
    struct dir_entry entry;
    struct dirname first;
    int rc = leaf->has_id ? blob_get(map->cache, &leaf->id, &blob, err) : HF_OK;

    if (rc != HF_OK)
        return rc;
    rc = node_reader_start(&reader, OBJECT_DIR, blob ? blob_content(blob) : buf_slice(&map->leaf));
    if (rc == HF_OK && node_reader_dir_entry(&reader, &entry) != 1)
        rc = HF_CORRUPT;
    if (rc == HF_OK)
        rc = dirname_copy(entry.name, &first);
    if (rc == HF_OK) {
        free(leaf->first.bytes);
        leaf->first = first;
    }
    if (blob)
        blob_unref(map->cache, blob);
    return rc == HF_OK ? dirmap_load_leaf(map, 0, err) : damaged(leaf, rc, err);
}

static int open_content(struct dirmap *map, const struct content *content, struct hf_error *err)
{
    struct dirnode *top;
    int rc = HF_OK;

    if (content->kind == CONTENT_DIR)
        map->height = content->ref.height;
    if (map->height > NODE_HEIGHT_MAX)
        return hf_fail(err, HF_CORRUPT, "a directory of height %u", map->height);
    if (content->kind == CONTENT_LEAF)
        rc = buf_append(&map->leaf, content->bytes.data, content->bytes.len);
    if (rc == HF_OK)
        rc = dirlevel_insert(&map->levels[map->height], 0, (struct slice){0});
    if (rc != HF_OK)
        return dirmap_no_memory(err);
    map->count = content->count;
    top = &map->levels[map->height].nodes[0];
    top->count = content->count;
    top->has_id = content->kind == CONTENT_DIR;
    top->id = content->ref.id;
    for (uint8_t h = map->height; h > 0 && rc == HF_OK; h--)
        rc = open_level(map, h, err);
    return rc == HF_OK && map->height == 0 ? open_single_leaf(map, err) : rc;
}

int dirmap_open(struct blob_cache *cache, const struct content *content, struct dirmap **ret_map,
                struct hf_error *err)
{
    struct dirmap *map = calloc(1, sizeof *map);
    int rc = HF_OK;

    if (!map)
        return dirmap_no_memory(err);
    map->cache = cache;
    if (content && content->kind != CONTENT_NONE) {
        assert(content->kind == CONTENT_DIR || content->kind == CONTENT_LEAF);
        rc = open_content(map, content, err);
    }
    if (rc == HF_OK)
        *ret_map = map;
    else
        dirmap_free(map);
    return rc;
}
