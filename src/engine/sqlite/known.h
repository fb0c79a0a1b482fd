/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Ids of objects that are known to be in the store, so that a commit need not ask for every chunk that a
 * changed node still refers to. It forgets the oldest. It holds while no sweep has removed objects; who
 * keeps it clears it then. Guarded by its owner.
 */
#ifndef ENGINE_SQLITE_KNOWN_H
#define ENGINE_SQLITE_KNOWN_H

#include "object/object.h"

#define KNOWN_WAYS 4
#define KNOWN_SETS 8192

struct known_entry {
    struct object_id id;
    uint8_t kind; /**< 0: empty */
};

struct known_set {
    struct known_entry ways[KNOWN_WAYS];
    uint8_t next; /**< the one to be overwritten next */
};

/** All zero is a valid empty one. */
struct known {
    struct known_set *sets; /**< KNOWN_SETS of them, or NULL */
};

/** The kind of an object that is known to be there, or 0. */
int known_find(const struct known *known, const struct object_id *id);
/** Adds one. Without memory it stays unknown. */
void known_add(struct known *known, const struct object_id *id, enum object_kind kind);
void known_clear(struct known *known);
void known_free(struct known *known);

#endif
