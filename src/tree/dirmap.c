/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dirmap.h"

#include <assert.h>
#include <stdlib.h>

/*
 * levels[0] is the array of leaves, in order; levels[h] the interior nodes of height h, each over a run
 * of nodes of the level below. All interior levels stay in memory (about 100 bytes for 8 KiB of entries),
 * the leaves' entries only while they are used.
 *
 * A save cuts the leaves anew from each dirty one on, until a boundary falls on the start of a clean
 * one. Then each interior level is cut anew over the new level below in the same way. What was saved is replaced only after everything succeeded.
 */

/** A leaf with more entries than this is split in memory, so that insertions stay cheap. */
#define LEAF_SPLIT 256
/** Leaves read ahead in one call of the store when entries are listed in order. */
#define READ_AHEAD 8
#define NO_NODE SIZE_MAX

/** An entry in memory. */
struct item {
    struct dir_entry entry;
    uint8_t *own; /* holds its name and record, or NULL: they lie in the leaf's node */
};

/** A name that is owned. */
struct name {
    uint8_t len;
    uint8_t *bytes;
};

/** A leaf or an interior node. */
struct dirnode {
    struct name
        first;      /* the first name below it; where the node is dirty, a bound (the first node of
                          * a level has none) */
    uint64_t count; /* entries below it */
    struct object_id id; /* as last saved */
    bool has_id;         /* false: new, or a LEAF in place (map->leaf) */
    /* Interior: its children in the level below, from `start` on, `n` of them. */
    size_t start, n;
    /* Leaf. */
    bool dirty;
    bool loaded;
    struct item *items; /* `count` of them, in order of name */
    size_t cap;
    struct blob *blob; /* what the items without `own` point into, or NULL */
    /* During a save: the index of the same node in the level that is replaced, or NO_NODE. */
    size_t old;
};

struct level {
    struct dirnode *nodes;
    size_t n, cap;
};

struct dirmap {
    struct blob_cache *cache;
    struct level levels[NODE_HEIGHT_MAX + 1];
    uint8_t height; /* of the top; levels above are empty */
    uint64_t count;
    bool dirty;
    struct buf leaf; /* the node of a LEAF in place; items of the only leaf may point into it */
};

/* --- nodes and levels ------------------------------------------------------------------------- */

static struct slice name_slice(const struct name *name)
{
    return slice_of(name->bytes, name->len);
}

static int name_copy(struct slice from, struct name *ret_name)
{
    uint8_t *bytes = malloc(from.len ? from.len : 1);

    if (!bytes)
        return HF_NOMEM;
    if (from.len > 0)
        memcpy(bytes, from.data, from.len);
    *ret_name = (struct name){(uint8_t)from.len, bytes};
    return HF_OK;
}

static void leaf_unload(struct blob_cache *cache, struct dirnode *leaf)
{
    if (!leaf->loaded)
        return;
    for (size_t i = 0; i < leaf->count; i++)
        free(leaf->items[i].own);
    free(leaf->items);
    if (leaf->blob)
        blob_unref(cache, leaf->blob);
    leaf->items = NULL;
    leaf->cap = 0;
    leaf->blob = NULL;
    leaf->loaded = false;
}

static void level_clear(struct blob_cache *cache, struct level *level)
{
    for (size_t i = 0; i < level->n; i++) {
        leaf_unload(cache, &level->nodes[i]);
        free(level->nodes[i].first.bytes);
    }
    free(level->nodes);
    *level = (struct level){0};
}

static void levels_clear(struct blob_cache *cache, struct level *levels)
{
    for (size_t h = 0; h <= NODE_HEIGHT_MAX; h++)
        level_clear(cache, &levels[h]);
}

/* Makes room for `more` nodes. */
static int level_reserve(struct level *level, size_t more)
{
    size_t cap = level->cap ? level->cap + level->cap / 2 : 8;
    struct dirnode *nodes;

    if (level->cap - level->n >= more)
        return HF_OK;
    if (cap < level->n + more)
        cap = level->n + more;
    nodes = reallocarray(level->nodes, cap, sizeof *nodes);
    if (!nodes)
        return HF_NOMEM;
    level->nodes = nodes;
    level->cap = cap;
    return HF_OK;
}

/* Inserts a node that begins with `first`, all else zero. */
static int level_insert(struct level *level, size_t at, struct slice first)
{
    struct name name;
    int rc = level_reserve(level, 1);

    if (rc == HF_OK)
        rc = name_copy(first, &name);
    if (rc != HF_OK)
        return rc;
    memmove(level->nodes + at + 1, level->nodes + at, (level->n - at) * sizeof *level->nodes);
    level->nodes[at] = (struct dirnode){.first = name, .old = NO_NODE};
    level->n++;
    return HF_OK;
}

static int out_of_memory(struct hf_error *err)
{
    return hf_fail(err, HF_NOMEM, "out of memory for a directory");
}

static int damaged(const struct dirnode *node, int rc, struct hf_error *err)
{
    char hex[OBJECT_ID_HEX_SIZE] = "(in place)";

    if (rc == HF_NOMEM)
        return out_of_memory(err);
    if (node->has_id)
        object_id_hex(&node->id, hex);
    return hf_fail(err, rc, "directory node %s: %s", hex, hf_status_text(rc));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Fills leaf->items from its node. `next`: the name that the next leaf begins with, or empty. */
static int leaf_parse(struct dirnode *leaf, struct slice bytes, struct slice next)
{
    struct node_reader reader;
    struct item *items;
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
        rc = slice_compare(items[0].entry.name, name_slice(&leaf->first)) == 0 ? HF_OK : HF_CORRUPT;
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

static int leaf_load(struct dirmap *map, size_t index, struct hf_error *err)
{
    struct level *level = &map->levels[0];
    struct dirnode *leaf = &level->nodes[index];
    struct slice next = {0};
    struct blob *blob = NULL;
    int rc;

    if (leaf->loaded)
        return HF_OK;
    if (index + 1 < level->n)
        next = name_slice(&level->nodes[index + 1].first);
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
                          struct level *below)
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

        if (last && slice_compare(name_slice(&last->first), child.first) >= 0)
            return HF_CORRUPT;
        rc = level_insert(below, below->n, child.first);
        if (rc != HF_OK)
            return rc;
        below->nodes[below->n - 1].id = child.id;
        below->nodes[below->n - 1].has_id = true;
        below->nodes[below->n - 1].count = child.count;
        count += child.count;
    }
    node->n = below->n - node->start;
    if (rc == HF_OK && node->first.len > 0 &&
        slice_compare(name_slice(&node->first), name_slice(&below->nodes[node->start].first)) != 0)
        rc = HF_CORRUPT;
    return rc == HF_OK && count != node->count ? HF_CORRUPT : rc;
}

static void prefetch(struct dirmap *map, const struct level *level, size_t from, size_t n)
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
    struct level *level = &map->levels[height];
    struct blob *blob;
    int rc;

    prefetch(map, level, 0, level->n);
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
    struct name first;
    int rc = leaf->has_id ? blob_get(map->cache, &leaf->id, &blob, err) : HF_OK;

    if (rc != HF_OK)
        return rc;
    rc = node_reader_start(&reader, OBJECT_DIR, blob ? blob_content(blob) : buf_slice(&map->leaf));
    if (rc == HF_OK && node_reader_dir_entry(&reader, &entry) != 1)
        rc = HF_CORRUPT;
    if (rc == HF_OK)
        rc = name_copy(entry.name, &first);
    if (rc == HF_OK) {
        free(leaf->first.bytes);
        leaf->first = first;
    }
    if (blob)
        blob_unref(map->cache, blob);
    return rc == HF_OK ? leaf_load(map, 0, err) : damaged(leaf, rc, err);
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
        rc = level_insert(&map->levels[map->height], 0, (struct slice){0});
    if (rc != HF_OK)
        return out_of_memory(err);
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
        return out_of_memory(err);
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

void dirmap_free(struct dirmap *map)
{
    if (!map)
        return;
    levels_clear(map->cache, map->levels);
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

/* The leaf that `name` belongs to. The map has leaves. */
static size_t find_leaf(const struct dirmap *map, struct slice name)
{
    const struct level *level = &map->levels[0];
    size_t low = 0, high = level->n;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (slice_compare(name_slice(&level->nodes[middle].first), name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

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
    size_t index = find_leaf(map, name);
    int rc = leaf_load(map, index, err);

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
    const struct level *level = &map->levels[0];
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
            prefetch(map, level, leaf, level->n - leaf < READ_AHEAD ? level->n - leaf : READ_AHEAD);
        rc = leaf_load(map, leaf, err);
        if (rc != HF_OK)
            return rc;
    }
    *ret_entry = level->nodes[leaf].items[item].entry;
    return HF_OK;
}

/* --- changing --------------------------------------------------------------------------------- */

static int item_make(const struct dir_entry *entry, struct item *ret_item)
{
    uint8_t *own = malloc(entry->name.len + entry->record.len);

    if (!own)
        return HF_NOMEM;
    memcpy(own, entry->name.data, entry->name.len);
    if (entry->record.len > 0)
        memcpy(own + entry->name.len, entry->record.data, entry->record.len);
    *ret_item = (struct item){.entry = *entry, .own = own};
    ret_item->entry.name.data = own;
    ret_item->entry.record.data = entry->record.len > 0 ? own + entry->name.len : NULL;
    return HF_OK;
}

static int leaf_reserve(struct dirnode *leaf)
{
    size_t cap = leaf->cap < 16 ? 32 : leaf->cap + leaf->cap / 2;
    struct item *items;

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
    struct level *level = &map->levels[0];
    const size_t keep = level->nodes[index].count / 2, moved = level->nodes[index].count - keep;
    struct item *items = calloc(moved + moved / 2, sizeof *items);
    struct dirnode *from, *to;

    if (!items)
        return;
    if (level_insert(level, index + 1, level->nodes[index].items[keep].entry.name) != HF_OK) {
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

static int insert_item(struct dirmap *map, size_t index, size_t at, const struct item *item)
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
    int rc = map->levels[0].n == 0 ? level_insert(&map->levels[0], 0, first) : HF_OK;

    if (rc == HF_OK && map->levels[0].nodes[0].count == 0)
        map->levels[0].nodes[0].loaded = true;
    return rc;
}

int dirmap_put(struct dirmap *map, const struct dir_entry *entry, struct hf_error *err)
{
    size_t index, at;
    struct item item, *old;
    bool equal;
    int rc = ensure_leaf(map, entry->name);

    if (rc != HF_OK)
        return out_of_memory(err);
    rc = locate(map, entry->name, &index, &at, &equal, err);
    if (rc != HF_OK)
        return rc;
    old = equal ? &map->levels[0].nodes[index].items[at] : NULL;
    if (old && entry_same(&old->entry, entry))
        return HF_OK;
    if (item_make(entry, &item) != HF_OK)
        return out_of_memory(err);
    if (old) {
        free(old->own);
        *old = item;
        mark_dirty(map, &map->levels[0].nodes[index]);
    } else if (insert_item(map, index, at, &item) != HF_OK) {
        free(item.own);
        return out_of_memory(err);
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
            leaf_unload(map->cache, leaf);
    }
}

/* --- saving ----------------------------------------------------------------------------------- */

/** A save in progress: the levels that will replace the map's. */
struct save {
    struct dirmap *map;
    struct blob_sink *sink;
    struct hf_error *err;
    bool allow_leaf;
    struct level levels[NODE_HEIGHT_MAX + 1];
    uint8_t height;
    struct buf leaf;           /* the only leaf, when it stays in place */
    struct node_writer writer; /* the node being filled */
    /* Of that node: */
    struct name first;
    uint64_t count;
    struct object_id base; /* the node that it replaces */
    bool has_base;
    size_t start; /* its first child in the level below */
};

static int begin_node(struct save *save, uint8_t height, struct slice first)
{
    int rc = node_writer_start(&save->writer, OBJECT_DIR, height);

    if (rc == HF_OK)
        rc = name_copy(first, &save->first);
    save->count = 0;
    save->has_base = false;
    return rc;
}

/* Appends the node being filled, whose id the caller gives it, to the new level. */
static int end_node(struct save *save, struct level *level, struct dirnode **ret_node)
{
    int rc = level_reserve(level, 1);

    if (rc != HF_OK)
        return rc;
    *ret_node = &level->nodes[level->n++];
    **ret_node = (struct dirnode){.first = save->first, .count = save->count, .old = NO_NODE};
    save->first = (struct name){0};
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
        return out_of_memory(save->err);
    if (!in_place)
        return add_node(save, node);
    if (buf_append(&save->leaf, save->writer.bytes.data, save->writer.bytes.len) != HF_OK)
        return out_of_memory(save->err);
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
            return out_of_memory(save->err);
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
static int keep_node(struct level *level, const struct level *olds, size_t index)
{
    const struct dirnode *old = &olds->nodes[index];

    if (level_reserve(level, 1) != HF_OK)
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
    const struct level *old = &save->map->levels[0];
    int rc = HF_OK;

    if (level_reserve(&save->levels[0], old->n) != HF_OK)
        return out_of_memory(save->err);
    for (size_t i = 0; i < old->n && rc == HF_OK; i++) {
        if (can_keep(save, &old->nodes[i])) {
            rc = keep_node(&save->levels[0], old, i);
            continue;
        }
        rc = leaf_load(save->map, i, save->err);
        if (rc == HF_OK)
            rc = recut_leaf(save, &old->nodes[i]);
    }
    return rc == HF_OK && save->count > 0 ? end_leaf(save) : rc;
}

/* The last node of `level` that does not begin after `first`, or its first one. NULL when it is empty. */
static const struct dirnode *node_before(const struct level *level, struct slice first)
{
    size_t low = 0, high = level->n;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (slice_compare(name_slice(&level->nodes[middle].first), first) <= 0)
            low = middle;
        else
            high = middle;
    }
    return level->n > 0 ? &level->nodes[low] : NULL;
}

/* Whether the children of the old node `parent` are now, unchanged, those from `start` on of the new level
 * below. Then it stays as it is: it ended at a boundary, or with the last child of all; and in the latter
 * case nothing follows now either, for what is added behind the last node changes that node. */
static bool same_children(const struct level *below, size_t start, const struct dirnode *parent)
{
    if (!parent || parent->n > below->n - start)
        return false;
    for (size_t i = 0; i < parent->n; i++)
        if (below->nodes[start + i].old != parent->start + i)
            return false;
    return true;
}

static int end_interior(struct save *save, uint8_t height, size_t end)
{
    const struct dirnode *base = node_before(&save->map->levels[height], name_slice(&save->first));
    struct dirnode *node;

    if (end_node(save, &save->levels[height], &node) != HF_OK)
        return out_of_memory(save->err);
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
    const struct level *below = &save->levels[height - 1];
    const struct dirnode *node = &below->nodes[index];
    const struct dir_child child = {name_slice(&node->first), node->count, node->id};
    int rc = HF_OK;

    if (save->count == 0) {
        save->start = index;
        rc = begin_node(save, height, child.first);
    }
    if (rc == HF_OK)
        rc = node_writer_dir_child(&save->writer, &child);
    if (rc != HF_OK)
        return out_of_memory(save->err);
    save->count += node->count;
    if (node_writer_at_boundary(&save->writer) || index + 1 == below->n)
        rc = end_interior(save, height, index + 1);
    return rc;
}

static int save_interior(struct save *save, uint8_t height)
{
    const struct level *below = &save->levels[height - 1], *olds = &save->map->levels[height];
    struct level *level = &save->levels[height];
    int rc = HF_OK;

    for (size_t i = 0; i < below->n && rc == HF_OK;) {
        const struct dirnode *old =
            save->count == 0 ? node_before(olds, name_slice(&below->nodes[i].first)) : NULL;

        if (!same_children(below, i, old)) {
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
    return rc == HF_NOMEM ? out_of_memory(save->err) : rc;
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
    old->first = (struct name){0};
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
    levels_clear(map->cache, map->levels);
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
                save->levels[h].nodes[i].first = (struct name){0};
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
    levels_clear(map->cache, save.levels);
    free(save.first.bytes);
    buf_free(&save.writer.bytes);
    buf_free(&save.leaf);
    if (rc == HF_OK)
        *ret_content = saved_content(map);
    return rc;
}
