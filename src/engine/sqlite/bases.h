/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Contents that new objects are packed against, kept in memory: what replaces an object is often
 * replaced itself soon after (the tail of a log, the node above it). Thread safe.
 */
#ifndef ENGINE_SQLITE_BASES_H
#define ENGINE_SQLITE_BASES_H

#include <pthread.h>
#include <stdatomic.h>

#include "object/object.h"

#define BASES_MAX 256
#define BASES_MAX_BYTES (4 << 20)

/** An object that leans on no other, and its content. Counted references; never changed, but for what leans on it. */
struct base {
    atomic_uint references;
    atomic_uint leaning;  /**< deltas against it that were packed since it was read ... */
    atomic_size_t leaned; /**< ... and their bytes */
    size_t packed;        /**< bytes that its content takes */
    uint64_t seq;
    uint64_t sweeps; /**< of the store when it was seen there */
    struct object_id id;
    size_t len;
    uint8_t content[];
};

/** Makes one with one reference. NULL without memory. */
struct base *base_new(const struct object_id *id, uint64_t seq, uint64_t sweeps,
                      struct slice content, size_t packed);
/** NULL is fine. */
void base_unref(struct base *base);
/** A delta of more than this costs more than a new base would (what is packed against it grows with each change). */
size_t base_most(const struct base *base);
/** That a delta of so many bytes was packed against it. */
void base_lean(struct base *base, size_t len);

struct bases_entry {
    struct object_id id;
    struct base *base;
};

struct bases {
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    struct bases_entry entries[BASES_MAX];
    unsigned next; /**< the oldest one */
    size_t bytes;  /**< contents, one that several share counted for each */
};

/** All of `bases` zero before. */
void bases_init(struct bases *bases);
void bases_release(struct bases *bases);

/** What to pack the successor of object `id` against: itself or its own base; with a reference. Or NULL. */
struct base *bases_find(struct bases *bases, const struct object_id *id);
/** Remembers it, in the place of what `replaced` (or NULL) had. Takes a reference of its own. */
void bases_add(struct bases *bases, const struct object_id *id, const struct object_id *replaced,
               struct base *base);

#endif
