/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Finds what a collection has not marked, from the newest object down: what is packed against another came after it
 * and so goes first, and whoever reads garbage while it goes sees it whole or not at all.
 */
#ifndef ENGINE_SQLITE_SWEEP_H
#define ENGINE_SQLITE_SWEEP_H

#include "engine/sqlite/db.h"
#include "engine/sqlite/marks.h"

/** An object that is to go, or (`hide`) to be hidden, as one that stays is packed against it. */
struct sweep_item {
    uint64_t seq;
    uint64_t bytes; /**< packed */
    bool hide;
};

struct sweep {
    struct db *db; /**< a reader */
    const struct marks *marks;
    uint64_t at;     /**< objects above this one were looked at */
    uint64_t looked; /**< how many */
    uint64_t hidden; /**< of these, how many are hidden or are to be */
};

/** Looks at some more objects: up to `max` items. There may be none; the end is reached when `sweep->at` is 0. */
int sweep_look(struct sweep *sweep, struct sweep_item *ret_items, size_t max, size_t *ret_n,
               struct hf_error *err);
/** Removes or hides one, in a transaction of the writer. */
int sweep_apply(struct db *db, const struct sweep_item *item, struct hf_error *err);

#endif
