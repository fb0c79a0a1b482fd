/* SPDX-License-Identifier: Apache-2.0 */
#include "store/idmap.h"

#include <stdlib.h>

/* The slot of `id`, or the empty one where it belongs. There is always an empty one. */
static struct idmap_entry *slot_of(const struct idmap *map, const struct object_id *id)
{
    size_t i = object_id_hash(id) & (map->nslots - 1);

    while (map->slots[i].value != 0 && !object_id_equal(&map->slots[i].id, id))
        i = (i + 1) & (map->nslots - 1);
    return &map->slots[i];
}

static int grow(struct idmap *map)
{
    struct idmap bigger = {.nslots = map->nslots ? map->nslots * 2 : 64, .count = map->count};

    bigger.slots = calloc(bigger.nslots, sizeof *bigger.slots);
    if (!bigger.slots)
        return HF_NOMEM;
    for (size_t i = 0; i < map->nslots; i++)
        if (map->slots[i].value != 0)
            *slot_of(&bigger, &map->slots[i].id) = map->slots[i];
    free(map->slots);
    *map = bigger;
    return HF_OK;
}

int idmap_add(struct idmap *map, const struct object_id *id, uint32_t value, uint32_t **ret_value)
{
    struct idmap_entry *slot;

    if (map->count >= map->nslots / 2 && grow(map) != HF_OK)
        return HF_NOMEM;
    slot = slot_of(map, id);
    *ret_value = &slot->value;
    if (slot->value != 0)
        return 0;
    *slot = (struct idmap_entry){*id, value};
    map->count++;
    return 1;
}

uint32_t *idmap_find(const struct idmap *map, const struct object_id *id)
{
    struct idmap_entry *slot = map->nslots ? slot_of(map, id) : NULL;

    return slot && slot->value != 0 ? &slot->value : NULL;
}

void idmap_free(struct idmap *map)
{
    free(map->slots);
    *map = (struct idmap){0};
}
