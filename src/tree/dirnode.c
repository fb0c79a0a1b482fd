/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dirnode.h"

#include <stdlib.h>

int dirname_copy(struct slice from, struct dirname *ret_name)
{
    uint8_t *bytes = malloc(from.len ? from.len : 1);

    if (!bytes)
        return HF_NOMEM;
    if (from.len > 0)
        memcpy(bytes, from.data, from.len);
    *ret_name = (struct dirname){(uint8_t)from.len, bytes};
    return HF_OK;
}

void dirnode_unload(struct blob_cache *cache, struct dirnode *leaf)
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

static void level_clear(struct blob_cache *cache, struct dirlevel *level)
{
    for (size_t i = 0; i < level->n; i++) {
        dirnode_unload(cache, &level->nodes[i]);
        free(level->nodes[i].first.bytes);
    }
    free(level->nodes);
    *level = (struct dirlevel){0};
}

void dirlevels_clear(struct blob_cache *cache, struct dirlevel *levels)
{
    for (size_t h = 0; h <= NODE_HEIGHT_MAX; h++)
        level_clear(cache, &levels[h]);
}

int dirlevel_reserve(struct dirlevel *level, size_t more)
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

int dirlevel_insert(struct dirlevel *level, size_t at, struct slice first)
{
    struct dirname name;
    int rc = dirlevel_reserve(level, 1);

    if (rc == HF_OK)
        rc = dirname_copy(first, &name);
    if (rc != HF_OK)
        return rc;
    memmove(level->nodes + at + 1, level->nodes + at, (level->n - at) * sizeof *level->nodes);
    level->nodes[at] = (struct dirnode){.first = name, .old = NO_NODE};
    level->n++;
    return HF_OK;
}

size_t dirlevel_find(const struct dirlevel *level, struct slice name)
{
    size_t low = 0, high = level->n;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (slice_compare(dirnode_first(&level->nodes[middle]), name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return level->n > 0 ? low : NO_NODE;
}
