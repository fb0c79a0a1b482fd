/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The unsaved writes of one file: runs of bytes in order of offset, disjoint. Runs that touch are merged
 * while they are short; long ones stay apart, so that no write moves more than OVERLAY_RUN_MAX bytes.
 * A treap (R. Seidel, C. Aragon, "Randomized Search Trees", 1996) finds a run in O(log n).
 */
#ifndef TREE_OVERLAY_H
#define TREE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define OVERLAY_RUN_MAX (256 * 1024)

struct run {
    uint64_t start;
    struct buf bytes; /**< never empty */
    struct run *prev, *next;
    struct run *left, *right;
    uint64_t priority;
};

/** All zero is a valid empty overlay. */
struct overlay {
    struct run *root, *first, *last;
    size_t count;
    size_t bytes; /**< of all runs */
    uint64_t random;
};

static inline uint64_t run_end(const struct run *run)
{
    return run->start + run->bytes.len;
}

/** The first run that ends after `offset`: the one that covers it, or the next one. NULL: none. */
struct run *overlay_find(const struct overlay *overlay, uint64_t offset);
/** Writes. HF_NOMEM: a part of it may be written. */
int overlay_write(struct overlay *overlay, uint64_t offset, const uint8_t *data, size_t len);
/** Writes only where no run is. */
int overlay_fill(struct overlay *overlay, uint64_t offset, const uint8_t *data, size_t len);
/** Forgets all bytes in [start, end). HF_NOMEM (nothing changed) when a run has to be split. */
int overlay_forget(struct overlay *overlay, uint64_t start, uint64_t end);
void overlay_clear(struct overlay *overlay);
/** Bytes of memory, runs included. */
size_t overlay_memory(const struct overlay *overlay);

#endif
