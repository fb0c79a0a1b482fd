/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The chunks that a file consisted of before it was cut off or spliced: programs rewrite a file by truncating it, and
 * what they write then is mostly what was there. A new chunk takes the former one at its place for its base;
 * where content that is met again shows that everything moved, so does the place.
 * Only hints: whatever goes wrong here costs space and nothing else. Guarded by the session's lock.
 */
#ifndef TREE_FORMER_H
#define TREE_FORMER_H

#include "tree/extent_tree.h"

struct former {
    uint64_t start, end;
    struct object_id id;
};

/** All zero is valid and empty. */
struct formers {
    struct former *items; /**< in order of offset */
    size_t count, cap;
    size_t next;    /**< after the one that was met last */
    uint64_t shift; /**< how far the content has moved, modulo 2^64 */
};

/** Remembers the chunks of `tree` in [from, to), unless some are remembered already. */
void formers_take(struct formers *formers, struct extent_tree *tree, uint64_t from, uint64_t to);
/** The former chunk that most of [start, end) would lie in. */
bool formers_find(const struct formers *formers, uint64_t start, uint64_t end,
                  struct object_id *ret_id);
/** Tells that a new chunk at `start` has this id. */
void formers_met(struct formers *formers, const struct object_id *id, uint64_t start);
void formers_clear(struct formers *formers);

#endif
