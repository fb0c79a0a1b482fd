/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Objects in memory: the mount's cache of object contents, and the new objects on their way out.
 *
 *      filemap, dirmap, commit
 *        | get            | add
 *        v                v
 *      blob cache <--- blob_sink      a sink holds a reference to each blob until the store has it,
 *        | miss           | put,      so what is not stored yet is always found in the cache
 *        v                v commit
 *      store_get       store_put / store_commit
 *
 * The cache is shared by all sessions of a mount and thread safe. A sink belongs to one session and is
 * guarded by that session's lock.
 */
#ifndef TREE_BLOB_H
#define TREE_BLOB_H

#include "object/object.h"
#include "store/store.h"

/** One object's content: immutable, reference counted. */
struct blob;
struct blob_cache;

/** A cache over `store` that keeps at most `max_bytes` of contents that nobody references. */
struct blob_cache *blob_cache_new(struct store *store, size_t max_bytes);
/** Every reference must have been given back. */
void blob_cache_free(struct blob_cache *cache);
struct store *blob_cache_store(const struct blob_cache *cache);
/** How often an object was wanted, and in memory or not. */
void blob_cache_counts(struct blob_cache *cache, uint64_t *ret_hits, uint64_t *ret_misses);
/** Bytes of blobs that somebody references: they are in memory beside `max_bytes`. */
size_t blob_cache_pinned(const struct blob_cache *cache);
/** To be called now and then: drops what was read and nobody has used since the last but one call. Gives how many
 *  bytes it freed. */
size_t blob_cache_age(struct blob_cache *cache);

/** The blob with this id, from memory or from the store (which verifies it). The caller owns a reference.
 *  HF_MISSING, HF_CORRUPT, HF_IO … */
int blob_get(struct blob_cache *cache, const struct object_id *id, struct blob **ret_blob,
             struct hf_error *err);
/** Reads those of ids[0..n) that are not in memory in one call to the store. Advisory: errors are told
 *  by the blob_get() that follows. */
void blob_prefetch(struct blob_cache *cache, const struct object_id *ids, size_t n);
struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob_cache *cache, struct blob *blob);
const struct object_id *blob_id(const struct blob *blob);
struct slice blob_content(const struct blob *blob);

/** Whether a chunk is in memory; if so, which one came after it in the file where that was noted last (`*ret_known`:
 *  any). */
bool blob_follower(struct blob_cache *cache, const struct object_id *id, bool *ret_known,
                   struct object_id *ret_follower);
/** Notes that chunk `follower` came after chunk `id` in a file. Forgotten with the content of `id`. */
void blob_note_follower(struct blob_cache *cache, const struct object_id *id,
                        const struct object_id *follower);
/** Whether a chunk is in memory, and ends with the same bytes as `content`. */
bool blob_ends_alike(struct blob_cache *cache, const struct object_id *id, struct slice content);

/** New objects of one session, in order, not in the store yet. All zero but `cache` is empty. */
struct blob_sink {
    struct blob_cache *cache;
    struct sink_entry *entries;
    size_t count, cap;
    size_t bytes; /**< plain content held */
};

/** Computes the id of `content` (copied), makes the blob known to the cache, and queues it for the store.
 *  `base` may be NULL. */
int blob_sink_add(struct blob_sink *sink, enum object_kind kind, struct slice content,
                  const struct object_id *base, struct object_id *ret_id, struct hf_error *err);
/** The same for content whose id is known. */
int blob_sink_add_as(struct blob_sink *sink, enum object_kind kind, const struct object_id *id,
                     struct slice content, const struct object_id *base, struct hf_error *err);
/** The queued objects as store_put() and store_commit() want them: freed by the caller with free(),
 *  valid until the sink changes. NULL when out of memory (and count > 0). */
struct object *blob_sink_objects(const struct blob_sink *sink);
/** Forgets the first `n`, which the store has now. */
void blob_sink_drop(struct blob_sink *sink, size_t n);
/** Puts all queued objects into the store on behalf of `host`; on failure they stay queued. */
int blob_sink_flush(struct blob_sink *sink, uint64_t host, struct hf_error *err);
void blob_sink_clear(struct blob_sink *sink);

#endif
