/* SPDX-License-Identifier: Apache-2.0 */
#include "linkmap.h"

#include <stdlib.h>

#include "holdfast/error.h"

struct link_entry {
    struct hnode node;
    uint64_t dev, ino, value;
};

struct clear_request {
    void (*visit)(uint64_t value, void *arg);
    void *arg;
};

static uint64_t hash(uint64_t dev, uint64_t ino)
{
    return htable_hash_u64(ino ^ htable_hash_u64(dev));
}

bool linkmap_find(const struct linkmap *map, uint64_t dev, uint64_t ino, uint64_t *ret_value)
{
    for (struct hnode *n = htable_find(&map->grid, hash(dev, ino)); n; n = htable_next(n)) {
        const struct link_entry *entry = HTABLE_ENTRY(n, struct link_entry, node);
        if (entry->dev == dev && entry->ino == ino) {
            *ret_value = entry->value;
            return true;
        }
    }
    return false;
}

int linkmap_add(struct linkmap *map, uint64_t dev, uint64_t ino, uint64_t value)
{
    struct link_entry *entry = calloc(1, sizeof *entry);

    if (!entry)
        return HF_NOMEM;
    *entry = (struct link_entry){.dev = dev, .ino = ino, .value = value};
    if (htable_insert(&map->grid, &entry->node, hash(dev, ino)) != 0) {
        free(entry);
        return HF_NOMEM;
    }
    return 0;
}

static void free_entry(struct hnode *node, void *arg)
{
    struct link_entry *entry = HTABLE_ENTRY(node, struct link_entry, node);
    const struct clear_request *request = arg;

    if (request->visit)
        request->visit(entry->value, request->arg);
    free(entry);
}

void linkmap_clear(struct linkmap *map, void (*visit)(uint64_t value, void *arg), void *arg)
{
    struct clear_request request = {visit, arg};

    htable_each(&map->grid, free_entry, &request);
    htable_free(&map->grid);
    *map = (struct linkmap){0};
}
