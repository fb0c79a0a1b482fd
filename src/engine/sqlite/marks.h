/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Two bits for each object, by its number: what a collection has found out about it. Kept in pages, of which only
 * those with a bit set exist: in memory while objects are marked, and in the table `mark` for all to see while the
 * others are swept. Used by one thread at a time.
 */
#ifndef ENGINE_SQLITE_MARKS_H
#define ENGINE_SQLITE_MARKS_H

#include "engine/sqlite/db.h"

#define MARKS_PAGE_BYTES 1024
#define MARKS_PAGE_BITS (8 * MARKS_PAGE_BYTES)

enum mark_plane {
    MARK_REACHED = 1, /**< it stays */
    MARK_LEANED = 2,  /**< its row stays: one that stays is packed against it */
};

struct marks_page;

/** All zero is a valid empty one. */
struct marks {
    struct marks_page **pages; /**< or NULL, each */
    size_t npages;
    uint64_t reached; /**< bits set */
    size_t dirty;     /**< pages that the table does not have as they are */
};

void marks_free(struct marks *marks);

/** 1: the bit was set just now; 0: it was set before; or HF_NOMEM. */
int marks_set(struct marks *marks, uint64_t seq, enum mark_plane plane, struct hf_error *err);
/** Whether any of `planes` is set. */
bool marks_has(const struct marks *marks, uint64_t seq, unsigned planes);

/** Writes at most `limit` of the dirty pages to the table. */
int marks_write(struct marks *marks, struct db *db, size_t limit, struct hf_error *err);
/** A write that was rolled back has not been: all pages are dirty. */
void marks_soil(struct marks *marks);
/** Reads them all from the table, into an empty one. HF_CORRUPT. */
int marks_read(struct marks *marks, struct db *db, struct hf_error *err);
/** In the table: 1 when any of `planes` is set for `seq`, 0, or a failure. */
int marks_look_up(struct db *db, uint64_t seq, unsigned planes, struct hf_error *err);

#endif
