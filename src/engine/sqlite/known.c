/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/known.h"

#include <stdlib.h>

static struct known_set *set_of(const struct known *known, const struct object_id *id)
{
    return &known->sets[object_id_hash(id) % KNOWN_SETS];
}

int known_find(const struct known *known, const struct object_id *id)
{
    const struct known_set *set;

    if (!known->sets)
        return 0;
    set = set_of(known, id);
    for (int i = 0; i < KNOWN_WAYS; i++)
        if (set->ways[i].kind != 0 && object_id_equal(&set->ways[i].id, id))
            return set->ways[i].kind;
    return 0;
}

void known_add(struct known *known, const struct object_id *id, enum object_kind kind)
{
    struct known_set *set;

    if (!known->sets)
        known->sets = calloc(KNOWN_SETS, sizeof *known->sets);
    if (!known->sets || known_find(known, id) != 0)
        return;
    set = set_of(known, id);
    set->ways[set->next].id = *id;
    set->ways[set->next].kind = (uint8_t)kind;
    set->next = (uint8_t)((set->next + 1) % KNOWN_WAYS);
}

void known_clear(struct known *known)
{
    if (known->sets)
        memset(known->sets, 0, KNOWN_SETS * sizeof *known->sets);
}

void known_free(struct known *known)
{
    free(known->sets);
    known->sets = NULL;
}
