/* SPDX-License-Identifier: Apache-2.0 */
/** A map from object ids to small numbers (open addressing). Guarded by its caller. */
#ifndef STORE_IDMAP_H
#define STORE_IDMAP_H

#include "object/object.h"

struct idmap_entry {
    struct object_id id;
    uint32_t value; /**< 0: the slot is empty */
};

/** All zero is a valid empty map. */
struct idmap {
    struct idmap_entry *slots;
    size_t nslots; /**< a power of two, or 0 */
    size_t count;
};

/**
 * The value of `id`, added as `value` (not 0) if it is not there yet; `*ret_value` points to it until
 * the map changes. Returns 1 when it was added, 0 when it was there, or HF_NOMEM.
 */
int idmap_add(struct idmap *map, const struct object_id *id, uint32_t value, uint32_t **ret_value);
/** The value of `id`, or NULL. Valid until the map changes. */
uint32_t *idmap_find(const struct idmap *map, const struct object_id *id);
void idmap_free(struct idmap *map);

#endif
