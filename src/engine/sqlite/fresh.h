/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Where the newest objects are. The table object_key leads from ids to rows, but only for objects up to the number in
 * `indexed`; what came later is told to it for thousands of objects at once, so that a commit writes none of its pages.
 *
 *     rows of object:   1 .......................... indexed | ................... newest
 *                           in object_key                       in memory, here
 *
 * This is a memory of the rows past `floor`, by the first eight bytes of their ids, shared by the connections of a
 * handle. It leads to candidates: who follows it looks at the row in his own snapshot, and may find another object
 * there or none. Nor does it hold more than it can: who finds nothing makes sure that it covers his snapshot, and
 * looks through the rows themselves when it does not. Thread safe.
 */
#ifndef ENGINE_SQLITE_FRESH_H
#define ENGINE_SQLITE_FRESH_H

#include <pthread.h>

#include "engine/sqlite/db.h"

/** Rows that object_key lags behind by before it is brought up to date. */
#define FRESH_MAX 4096
/** More candidates than these are not told apart here. */
#define FRESH_CANDIDATES 2

struct fresh_entry {
    int64_t key;
    uint64_t seq; /**< 0: empty */
};

/** Of a snapshot. */
struct fresh_range {
    uint64_t indexed; /**< object_key is complete up to here */
    uint64_t newest;  /**< no row has a larger number */
};

struct fresh {
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    bool valid;
    uint64_t floor, ceiling; /**< it has every row past the one and up to the other */
    uint64_t indexed;        /**< as last heard; an older snapshot may have less */
    struct fresh_entry *slots;
    size_t nslots, count;
};

/** It knows nothing to begin with. */
void fresh_init(struct fresh *fresh);
void fresh_release(struct fresh *fresh);

/** The rows that may be of an object with this key: how many. -1: it does not know all in `range` (NULL: any will do,
 *  as a hint). */
int fresh_find(struct fresh *fresh, int64_t key, const struct fresh_range *range,
               uint64_t ret_seqs[FRESH_CANDIDATES]);
/** In the transaction of a writer: a row was added after the row `before`. */
void fresh_add(struct fresh *fresh, int64_t key, uint64_t before, uint64_t seq);
/** What was added may not have been committed. */
void fresh_clear(struct fresh *fresh);

/** Reads the range of a connection's snapshot. HF_CORRUPT. */
int fresh_read_range(struct db *db, struct fresh_range *ret_range, struct hf_error *err);
/** In a transaction of `db`, whose snapshot has this range: takes in the rows that are not in it yet. */
int fresh_extend(struct fresh *fresh, struct db *db, const struct fresh_range *range,
                 struct hf_error *err);
/** In the transaction of a writer: brings object_key up to date. */
int fresh_settle(struct fresh *fresh, struct db *db, struct fresh_range *range,
                 struct hf_error *err);

#endif
