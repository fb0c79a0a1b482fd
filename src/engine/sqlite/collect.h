/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A collection of garbage beside writers (ADR 22): what the phases of collection.h are for.
 *
 *     begin      one transaction: from now on what others find is noted. Judged is what is there by now.
 *     mark       from every root, from loose objects, and from what others have found meanwhile
 *     switch     one transaction, in which nothing found is left unmarked: the marks are for all to see, and what has
 *                none is absent to everybody
 *     sweep      in transactions of some milliseconds, newest objects first
 *     return     the pages that are free now to the file system
 *
 * One at a time, by a lock that ends with the process.
 */
#ifndef ENGINE_SQLITE_COLLECT_H
#define ENGINE_SQLITE_COLLECT_H

#include "engine/sqlite/engine.h"
#include "engine/sqlite/mark.h"
#include "engine/sqlite/pace.h"
#include "engine/sqlite/sweep.h"

struct collector {
    struct sqlite_store *store;
    const struct collect_options *options;
    struct pace pace;
    struct db db; /**< reads */
    struct marks marks;
    struct mark mark;
    struct collect_totals totals;
    int64_t now; /**< by the store's clock */
};

/** A step of one in a transaction of the writer. */
struct collect_write {
    struct write write;
    struct collector *collector;
    int64_t began;            /**< 0 until it runs */
    struct sweep_item *items; /**< to sweep */
    struct loose *loose;      /**< to drop */
    size_t n;                 /**< of these; or how much of what else there is to do */
    uint64_t unswept;
    bool again; /**< set by it: not done, more is to be marked */
};

/** Runs it, and notes how long it took. `run` is as in struct write. */
int collect_do(struct collect_write *step,
               int (*run)(struct write *, struct transaction *, struct hf_error *),
               struct hf_error *err);
/** How much of something to do in the next transaction, after one that did `n` and took so long. */
size_t collect_next_size(size_t n, int64_t took);

/** From all roots and loose objects (collect_roots.c). */
int collect_mark_roots(struct collector *collector, struct hf_error *err);

#endif
