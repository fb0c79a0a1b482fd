/* SPDX-License-Identifier: Apache-2.0 */
/** A map from files with several names (device and inode number) to a number. */
#ifndef TOOLS_LINKMAP_H
#define TOOLS_LINKMAP_H

#include <stdbool.h>

#include "base/htable.h"

/** All zero is empty. */
struct linkmap {
    struct htable grid;
};

bool linkmap_find(const struct linkmap *map, uint64_t dev, uint64_t ino, uint64_t *ret_value);
/** Returns 0 or HF_NOMEM. */
int linkmap_add(struct linkmap *map, uint64_t dev, uint64_t ino, uint64_t value);
/** Calls visit (which may be NULL) with each value, and empties the map. */
void linkmap_clear(struct linkmap *map, void (*visit)(uint64_t value, void *arg), void *arg);

#endif
