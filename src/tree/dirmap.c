/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dirmap.h"

#include <assert.h>
#include <stdlib.h>

#include "tree/dirnode.h"

/** A leaf with more entries than this is split in memory, so that insertions stay cheap. */
#define LEAF_SPLIT 256
/** Leaves read ahead in one call of the store when entries are listed in order. */
#define READ_AHEAD 8
/** What an entry's name and record are taken to weigh. */
#define ENTRY_BYTES 128

int dirmap_no_memory(struct hf_error *err)
{
    return hf_fail(err, HF_NOMEM, "out of memory for a directory");
}

void dirmap_free(struct dirmap *map)
{
    if (!map)
        return;
    dirlevels_clear(map->cache, map->levels);
    buf_free(&map->leaf);
    free(map);
}

uint64_t dirmap_count(const struct dirmap *map)
{
    return map->count;
}

bool dirmap_is_dirty(const struct dirmap *map)
{
    return map->dirty;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The first item whose name is not before `name`. */
static size_t find_item(const struct dirnode *leaf, struct slice name, bool *ret_equal)
{
    size_t low = 0, high = leaf->count;

    *ret_equal = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(leaf->items[middle].entry.name, name);

        if (order == 0)
            *ret_equal = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Finds the leaf and the place in it where `name` is or would be. */
static int locate(struct dirmap *map, struct slice name, size_t *ret_leaf, size_t *ret_item,
                  bool *ret_equal, struct hf_error *err)
{
    size_t index = dirlevel_find(&map->levels[0], name);
    int rc = dirmap_load_leaf(map, index, err);

    if (rc != HF_OK)
        return rc;
    *ret_item = find_item(&map->levels[0].nodes[index], name, ret_equal);
    *ret_leaf = index;
    return HF_OK;
}

static int no_entry(struct hf_error *err)
{
    return hf_fail(err, HF_NOENT, "no such entry");
}

int dirmap_find(struct dirmap *map, struct slice name, struct dir_entry *ret_entry,
                struct hf_error *err)
{
    size_t leaf, item;
    bool equal;
    int rc;

    if (map->levels[0].n == 0)
        return no_entry(err);
    rc = locate(map, name, &leaf, &item, &equal, err);
    if (rc != HF_OK)
        return rc;
    if (!equal)
        return no_entry(err);
    *ret_entry = map->levels[0].nodes[leaf].items[item].entry;
    return HF_OK;
}

int dirmap_next(struct dirmap *map, struct slice name, struct dir_entry *ret_entry,
                struct hf_error *err)
{
    const struct dirlevel *level = &map->levels[0];
    size_t leaf, item;
    bool equal;
    int rc;

    if (level->n == 0)
        return no_entry(err);
    rc = locate(map, name, &leaf, &item, &equal, err);
    if (rc != HF_OK)
        return rc;
    item += equal ? 1 : 0;
    for (; item == level->nodes[leaf].count; item = 0) {
        if (++leaf == level->n)
            return no_entry(err);
        if (!level->nodes[leaf].loaded)
            dirmap_prefetch(map, level, leaf,
                            level->n - leaf < READ_AHEAD ? level->n - leaf : READ_AHEAD);
        rc = dirmap_load_leaf(map, leaf, err);
        if (rc != HF_OK)
            return rc;
    }
    *ret_entry = level->nodes[leaf].items[item].entry;
    return HF_OK;
}

/* --- changing --------------------------------------------------------------------------------- */

static int item_make(const struct dir_entry *entry, struct diritem *ret_item)
{
    uint8_t *own = malloc(entry->name.len + entry->record.len);

    if (!own)
        return HF_NOMEM;
    memcpy(own, entry->name.data, entry->name.len);
    if (entry->record.len > 0)
        memcpy(own + entry->name.len, entry->record.data, entry->record.len);
    *ret_item = (struct diritem){.entry = *entry, .own = own};
    ret_item->entry.name.data = own;
    ret_item->entry.record.data = entry->record.len > 0 ? own + entry->name.len : NULL;
    return HF_OK;
}

static int leaf_reserve(struct dirnode *leaf)
{
    size_t cap = leaf->cap < 16 ? 32 : leaf->cap + leaf->cap / 2;
    struct diritem *items;

    if (leaf->count < leaf->cap)
        return HF_OK;
    items = reallocarray(leaf->items, cap, sizeof *items);
    if (!items)
        return HF_NOMEM;
    leaf->items = items;
    leaf->cap = cap;
    return HF_OK;
}

static void mark_dirty(struct dirmap *map, struct dirnode *leaf)
{
    leaf->dirty = true;
    map->dirty = true;
}

/* Moves the upper half of a large leaf's items into a new one. Merely an optimisation: out of memory is
 * no failure. */
static void split_leaf(struct dirmap *map, size_t index)
{
    struct dirlevel *level = &map->levels[0];
    const size_t keep = level->nodes[index].count / 2, moved = level->nodes[index].count - keep;
    struct diritem *items = calloc(moved + moved / 2, sizeof *items);
    struct dirnode *from, *to;

    if (!items)
        return;
    if (dirlevel_insert(level, index + 1, level->nodes[index].items[keep].entry.name) != HF_OK) {
        free(items);
        return;
    }
    from = &level->nodes[index];
    to = &level->nodes[index + 1];
    memcpy(items, from->items + keep, moved * sizeof *items);
    to->items = items;
    to->cap = moved + moved / 2;
    to->count = moved;
    to->loaded = true;
    to->id = from->id;
    to->has_id = from->has_id;
    to->blob = from->blob ? blob_ref(from->blob) : NULL;
    to->dirty = true;
    from->count = keep;
}

static bool entry_same(const struct dir_entry *a, const struct dir_entry *b)
{
    return a->ino == b->ino && a->mode == b->mode && slice_compare(a->record, b->record) == 0;
}

static int insert_item(struct dirmap *map, size_t index, size_t at, const struct diritem *item)
{
    struct dirnode *leaf = &map->levels[0].nodes[index];
    int rc = leaf_reserve(leaf);

    if (rc != HF_OK)
        return rc;
    assert(leaf->items);
    memmove(leaf->items + at + 1, leaf->items + at, (leaf->count - at) * sizeof *leaf->items);
    leaf->items[at] = *item;
    leaf->count++;
    map->count++;
    mark_dirty(map, leaf);
    if (leaf->count > LEAF_SPLIT)
        split_leaf(map, index);
    return HF_OK;
}

static int ensure_leaf(struct dirmap *map, struct slice first)
{
    int rc = map->levels[0].n == 0 ? dirlevel_insert(&map->levels[0], 0, first) : HF_OK;

    if (rc == HF_OK && map->levels[0].nodes[0].count == 0)
        map->levels[0].nodes[0].loaded = true;
    return rc;
}

int dirmap_put(struct dirmap *map, const struct dir_entry *entry, struct hf_error *err)
{
    size_t index, at;
    struct diritem item, *old;
    bool equal;
    int rc = ensure_leaf(map, entry->name);

    if (rc != HF_OK)
        return dirmap_no_memory(err);
    rc = locate(map, entry->name, &index, &at, &equal, err);
    if (rc != HF_OK)
        return rc;
    old = equal ? &map->levels[0].nodes[index].items[at] : NULL;
    if (old && entry_same(&old->entry, entry))
        return HF_OK;
    if (item_make(entry, &item) != HF_OK)
        return dirmap_no_memory(err);
    if (old) {
        free(old->own);
        *old = item;
        mark_dirty(map, &map->levels[0].nodes[index]);
    } else if (insert_item(map, index, at, &item) != HF_OK) {
        free(item.own);
        return dirmap_no_memory(err);
    }
    return HF_OK;
}

int dirmap_remove(struct dirmap *map, struct slice name, struct hf_error *err)
{
    struct dirnode *leaf;
    size_t index, at;
    bool equal;
    int rc;

    if (map->levels[0].n == 0)
        return no_entry(err);
    rc = locate(map, name, &index, &at, &equal, err);
    if (rc != HF_OK)
        return rc;
    if (!equal)
        return no_entry(err);
    leaf = &map->levels[0].nodes[index];
    free(leaf->items[at].own);
    leaf->count--;
    memmove(leaf->items + at, leaf->items + at + 1, (leaf->count - at) * sizeof *leaf->items);
    map->count--;
    mark_dirty(map, leaf);
    return HF_OK;
}

void dirmap_trim(struct dirmap *map)
{
    for (size_t i = 0; i < map->levels[0].n; i++) {
        struct dirnode *leaf = &map->levels[0].nodes[i];

        if (!leaf->dirty)
            dirnode_unload(map->cache, leaf);
    }
}

size_t dirmap_memory(const struct dirmap *map)
{
    size_t sum = sizeof *map + map->leaf.cap;

    for (size_t h = 0; h <= map->height; h++)
        sum += map->levels[h].cap * sizeof(struct dirnode);
    for (size_t i = 0; i < map->levels[0].n; i++) {
        const struct dirnode *leaf = &map->levels[0].nodes[i];

        if (leaf->blob)
            sum += blob_content(leaf->blob).len;
        if (leaf->loaded)
            sum += leaf->cap * sizeof *leaf->items + leaf->count * ENTRY_BYTES;
    }
    return sum;
}
