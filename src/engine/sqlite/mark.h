/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Walks from roots over the objects that a collection judges, and marks what it reaches. It reads without
 * transactions: of what it walks over nothing can go before the collection sweeps. Objects that came later are not
 * walked: whoever put them has noted what they rely on. Every row is verified, and every node, as what is not seen
 * here will be removed: damage ends the walk. Used by one thread.
 */
#ifndef ENGINE_SQLITE_MARK_H
#define ENGINE_SQLITE_MARK_H

#include "engine/sqlite/collection.h"
#include "engine/sqlite/known.h"
#include "engine/sqlite/marks.h"
#include "engine/sqlite/pace.h"

struct mark_item {
    struct object_id id;
    enum object_kind kind;
};

struct mark {
    struct db *db; /**< a reader */
    const struct object_hasher *hasher;
    struct collection collection; /**< what it judges, and what can be found */
    struct marks *marks;
    struct pace *pace;
    struct known seen; /**< some of those that were walked over */
    struct mark_item *stack;
    size_t n, cap;
};

/** Adds a root: an object by its id; one by its number, or (`base`) its row alone. Nothing is read yet by the first;
 *  the second passes over what is not there. */
int mark_add(struct mark *mark, const struct object_id *id, enum object_kind kind,
             struct hf_error *err);
int mark_add_row(struct mark *mark, uint64_t seq, bool base, struct hf_error *err);
/** Marks all that hangs from what was added. HF_CORRUPT, HF_MISSING, HF_INTR. */
int mark_run(struct mark *mark, struct hf_error *err);
void mark_free(struct mark *mark);

#endif
