/* SPDX-License-Identifier: Apache-2.0 */
/** An intrusive chained hash table. It owns no elements; the caller guards it with its own lock. */
#ifndef BASE_HTABLE_H
#define BASE_HTABLE_H

#include <stddef.h>
#include <stdint.h>

/** Embedded in each element. */
struct hnode {
    struct hnode *next;
    uint64_t hash;
};

/** All zero is a valid empty table. */
struct htable {
    struct hnode **buckets;
    size_t nbuckets; /* a power of two, or 0 */
    size_t count;
};

/** The element that contains `node`. */
#define HTABLE_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/** Adds `node` under `hash`; does not look for duplicates. Returns 0 or HF_NOMEM. */
int htable_insert(struct htable *table, struct hnode *node, uint64_t hash);
/** Removes a node that is in the table. */
void htable_remove(struct htable *table, struct hnode *node);
/** First node with this hash, or NULL; htable_next() gives further ones with the same hash. */
struct hnode *htable_find(const struct htable *table, uint64_t hash);
struct hnode *htable_next(const struct hnode *node);
/** Calls visit for every node; visit may free the node, and must not touch the table. */
void htable_each(struct htable *table, void (*visit)(struct hnode *node, void *arg), void *arg);
/** Frees the bucket array, not the elements. */
void htable_free(struct htable *table);

/** A 64-bit mix for integer keys (finalizer of MurmurHash3, A. Appleby). */
static inline uint64_t htable_hash_u64(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

#endif
