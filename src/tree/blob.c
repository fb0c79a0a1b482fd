/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/blob.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/htable.h"
#include "tree/reach.h"

/** What a blob costs beside its content, for the cache's budget. */
#define BLOB_OVERHEAD (sizeof(struct blob) + 32)
/** Most objects that one prefetch asks the store for. */
#define PREFETCH_MAX 256
/** Chunks that end with so many equal bytes were cut at the same place of a text. */
#define ALIKE_BYTES 32
/** A blob that nobody has used goes after so many calls of blob_cache_age(). */
#define AGE_MAX 2

struct blob {
    struct hnode node; /* in cache->table, always */
    struct object_id id;
    uint8_t *data;
    size_t len;
    atomic_bool stored; /* the store has had it */
    atomic_bool made;   /* here, by a write: the next version may be packed against it */
    unsigned round;     /* of its last use; cache->lock */
    atomic_uint refs;   /* 0: in the cache's list of idle blobs; from and to 0 under cache->lock */
    struct blob *prev, *next; /* in that list */
    bool followed;            /* by `follower`; under cache->lock */
    struct object_id follower;
};

struct blob_cache {
    struct store *store;
    size_t max_bytes;
    /* The only lock; a leaf, never held during a call of the store. It guards all below. */
    pthread_mutex_t lock;
    struct htable table;          /* every blob, by id */
    struct blob *oldest, *newest; /* idle blobs, in order of their last use */
    size_t idle_bytes;
    unsigned round;             /* blob_cache_age() was called so often */
    atomic_size_t pinned_bytes; /* of blobs that somebody references; read without the lock */
    atomic_uint_fast64_t hits, misses; /* the same */
};

struct sink_entry {
    struct blob *blob;
    enum object_kind kind;
    bool has_base;
    struct object_id base;
};

struct blob_cache *blob_cache_new(struct store *store, size_t max_bytes)
{
    struct blob_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return NULL;
    cache->store = store;
    cache->max_bytes = max_bytes;
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

static void blob_free(struct blob *blob)
{
    free(blob->data);
    free(blob);
}

static void free_node(struct hnode *node, void *arg)
{
    struct blob *blob = HTABLE_ENTRY(node, struct blob, node);

    (void)arg;
    assert(blob->refs == 0);
    blob_free(blob);
}

void blob_cache_free(struct blob_cache *cache)
{
    if (!cache)
        return;
    htable_each(&cache->table, free_node, NULL);
    htable_free(&cache->table);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

struct store *blob_cache_store(const struct blob_cache *cache)
{
    return cache->store;
}

/* --- the list of idle blobs; all with the lock held ------------------------------------------- */

static void idle_remove(struct blob_cache *cache, struct blob *blob)
{
    *(blob->prev ? &blob->prev->next : &cache->oldest) = blob->next;
    *(blob->next ? &blob->next->prev : &cache->newest) = blob->prev;
    blob->prev = blob->next = NULL;
    cache->idle_bytes -= blob->len + BLOB_OVERHEAD;
}

static void idle_append(struct blob_cache *cache, struct blob *blob)
{
    blob->prev = cache->newest;
    blob->next = NULL;
    blob->round = cache->round;
    *(cache->newest ? &cache->newest->next : &cache->oldest) = blob;
    cache->newest = blob;
    cache->idle_bytes += blob->len + BLOB_OVERHEAD;
}

static void drop_idle(struct blob_cache *cache, struct blob *blob)
{
    idle_remove(cache, blob);
    htable_remove(&cache->table, &blob->node);
    blob_free(blob);
}

static void evict(struct blob_cache *cache)
{
    while (cache->oldest && cache->idle_bytes > cache->max_bytes)
        drop_idle(cache, cache->oldest);
}

static struct blob *find(const struct blob_cache *cache, const struct object_id *id)
{
    struct hnode *node = htable_find(&cache->table, object_id_hash(id));

    for (; node; node = htable_next(node)) {
        struct blob *blob = HTABLE_ENTRY(node, struct blob, node);

        if (object_id_equal(&blob->id, id))
            return blob;
    }
    return NULL;
}

static struct blob *take(struct blob_cache *cache, struct blob *blob)
{
    if (atomic_fetch_add(&blob->refs, 1) == 0) {
        idle_remove(cache, blob);
        cache->pinned_bytes += blob->len + BLOB_OVERHEAD;
    }
    return blob;
}

static void give_back(struct blob_cache *cache, struct blob *blob)
{
    assert(blob->refs > 0);
    if (atomic_fetch_sub(&blob->refs, 1) == 1) {
        cache->pinned_bytes -= blob->len + BLOB_OVERHEAD;
        idle_append(cache, blob);
        evict(cache);
    }
}

size_t blob_cache_age(struct blob_cache *cache)
{
    size_t before;

    pthread_mutex_lock(&cache->lock);
    before = cache->idle_bytes;
    cache->round++;
    for (struct blob *blob = cache->oldest, *next; blob; blob = next) {
        next = blob->next;
        if (cache->round - blob->round <= AGE_MAX)
            break;
        if (!atomic_load(&blob->made) && !blob->followed)
            drop_idle(cache, blob);
    }
    before -= cache->idle_bytes;
    pthread_mutex_unlock(&cache->lock);
    return before;
}

size_t blob_cache_pinned(const struct blob_cache *cache)
{
    return atomic_load_explicit(&cache->pinned_bytes, memory_order_relaxed);
}

/* --- blobs ------------------------------------------------------------------------------------ */

static struct blob *get_cached(struct blob_cache *cache, const struct object_id *id)
{
    struct blob *blob;

    pthread_mutex_lock(&cache->lock);
    blob = find(cache, id);
    if (blob)
        take(cache, blob);
    pthread_mutex_unlock(&cache->lock);
    return blob;
}

/**
 * Makes a blob of `data` (taken over, freed on failure too), or finds that somebody else did meanwhile.
 * Gives a reference.
 */
static struct blob *insert(struct blob_cache *cache, const struct object_id *id, uint8_t *data,
                           size_t len)
{
    struct blob *fresh = calloc(1, sizeof *fresh);
    struct blob *blob;

    if (!fresh) {
        free(data);
        return NULL;
    }
    fresh->id = *id;
    fresh->data = data;
    fresh->len = len;
    atomic_init(&fresh->refs, 1);
    pthread_mutex_lock(&cache->lock);
    blob = find(cache, id);
    if (blob)
        take(cache, blob);
    else if (htable_insert(&cache->table, &fresh->node, object_id_hash(id)) == HF_OK)
        blob = fresh;
    if (blob == fresh)
        cache->pinned_bytes += len + BLOB_OVERHEAD;
    pthread_mutex_unlock(&cache->lock);
    if (blob != fresh)
        blob_free(fresh);
    return blob;
}

/** As insert(), of what the store read into `content`, which is emptied. */
static struct blob *insert_read(struct blob_cache *cache, const struct object_id *id,
                                struct buf *content)
{
    size_t len = content->len, cap = content->cap;
    uint8_t *data = buf_detach(content);
    uint8_t *fitted = data && len > 0 && len < cap ? realloc(data, len) : NULL;
    struct blob *blob = insert(cache, id, fitted ? fitted : data, len);

    if (blob)
        atomic_store_explicit(&blob->stored, true, memory_order_relaxed);
    return blob;
}

void blob_cache_counts(struct blob_cache *cache, uint64_t *ret_hits, uint64_t *ret_misses)
{
    *ret_hits = atomic_load(&cache->hits);
    *ret_misses = atomic_load(&cache->misses);
}

int blob_get(struct blob_cache *cache, const struct object_id *id, struct blob **ret_blob,
             struct hf_error *err)
{
    struct blob *blob = get_cached(cache, id);
    BUF_AUTO content = {0};
    int rc;

    atomic_fetch_add_explicit(blob ? &cache->hits : &cache->misses, 1, memory_order_relaxed);
    if (!blob) {
        if (!reach_store(cache->store))
            return hf_fail(err, HF_TIMEOUT, "the store's server is away");
        rc = store_get(cache->store, id, 1, &content, err);
        if (rc != HF_OK)
            return rc;
        blob = insert_read(cache, id, &content);
        if (!blob)
            return hf_fail(err, HF_NOMEM, "no memory for an object");
    }
    *ret_blob = blob;
    return HF_OK;
}

/** Copies those of ids[0..n) that are not in memory to `ret_ids`, at most PREFETCH_MAX. */
static size_t absent(struct blob_cache *cache, const struct object_id *ids, size_t n,
                     struct object_id *ret_ids)
{
    size_t count = 0;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < n && count < PREFETCH_MAX; i++)
        if (!find(cache, &ids[i]))
            ret_ids[count++] = ids[i];
    pthread_mutex_unlock(&cache->lock);
    return count;
}

void blob_prefetch(struct blob_cache *cache, const struct object_id *ids, size_t n)
{
    struct object_id wanted[PREFETCH_MAX];
    size_t count = absent(cache, ids, n, wanted);
    struct buf *contents = count > 0 ? calloc(count, sizeof *contents) : NULL;

    if (!contents)
        return;
    if (store_get(cache->store, wanted, count, contents, NULL) == HF_OK) {
        for (size_t i = 0; i < count; i++) {
            struct blob *blob = insert_read(cache, &wanted[i], &contents[i]);

            if (blob)
                blob_unref(cache, blob);
        }
    }
    for (size_t i = 0; i < count; i++)
        buf_free(&contents[i]);
    free(contents);
}

struct blob *blob_ref(struct blob *blob)
{
    unsigned before = atomic_fetch_add(&blob->refs, 1);

    assert(before > 0);
    (void)before;
    return blob;
}

void blob_unref(struct blob_cache *cache, struct blob *blob)
{
    if (!blob)
        return;
    pthread_mutex_lock(&cache->lock);
    give_back(cache, blob);
    pthread_mutex_unlock(&cache->lock);
}

const struct object_id *blob_id(const struct blob *blob)
{
    return &blob->id;
}

struct slice blob_content(const struct blob *blob)
{
    return slice_of(blob->data, blob->len);
}

/* --- what follows what ------------------------------------------------------------------------- */

bool blob_follower(struct blob_cache *cache, const struct object_id *id, bool *ret_known,
                   struct object_id *ret_follower)
{
    const struct blob *blob;

    pthread_mutex_lock(&cache->lock);
    blob = find(cache, id);
    *ret_known = blob && blob->followed;
    if (*ret_known)
        *ret_follower = blob->follower;
    pthread_mutex_unlock(&cache->lock);
    return blob != NULL;
}

void blob_note_follower(struct blob_cache *cache, const struct object_id *id,
                        const struct object_id *follower)
{
    struct blob *blob;

    pthread_mutex_lock(&cache->lock);
    blob = find(cache, id);
    if (blob) {
        blob->followed = true;
        blob->follower = *follower;
    }
    pthread_mutex_unlock(&cache->lock);
}

bool blob_ends_alike(struct blob_cache *cache, const struct object_id *id, struct slice content)
{
    struct blob *blob = get_cached(cache, id);
    bool alike = blob && blob->len >= ALIKE_BYTES && content.len >= ALIKE_BYTES &&
                 memcmp(blob->data + blob->len - ALIKE_BYTES,
                        content.data + content.len - ALIKE_BYTES, ALIKE_BYTES) == 0;

    blob_unref(cache, blob);
    return alike;
}

/* --- the sink --------------------------------------------------------------------------------- */

static int sink_reserve(struct blob_sink *sink)
{
    size_t cap = sink->cap ? sink->cap + sink->cap / 2 : 16;
    struct sink_entry *entries;

    if (sink->count < sink->cap)
        return HF_OK;
    entries = reallocarray(sink->entries, cap, sizeof *entries);
    if (!entries)
        return HF_NOMEM;
    sink->entries = entries;
    sink->cap = cap;
    return HF_OK;
}

/** The blob of `content`, which is copied when the cache has it not. NULL when out of memory. */
static struct blob *make_blob(struct blob_cache *cache, const struct object_id *id,
                              struct slice content)
{
    struct blob *blob = get_cached(cache, id);
    uint8_t *copy;

    if (blob)
        return blob;
    copy = malloc(content.len ? content.len : 1);
    if (!copy)
        return NULL;
    if (content.len > 0)
        memcpy(copy, content.data, content.len);
    return insert(cache, id, copy, content.len);
}

int blob_sink_add_as(struct blob_sink *sink, enum object_kind kind, const struct object_id *id,
                     struct slice content, const struct object_id *base, struct hf_error *err)
{
    struct sink_entry entry = {.kind = kind};

    if (sink_reserve(sink) != HF_OK)
        return hf_fail(err, HF_NOMEM, "no memory for a new object");
    entry.blob = make_blob(sink->cache, id, content);
    if (!entry.blob)
        return hf_fail(err, HF_NOMEM, "no memory for a new object");
    atomic_store(&entry.blob->made, true);
    if (base && !object_id_equal(base, id)) {
        entry.has_base = true;
        entry.base = *base;
    }
    sink->entries[sink->count++] = entry;
    sink->bytes += content.len;
    return HF_OK;
}

int blob_sink_add(struct blob_sink *sink, enum object_kind kind, struct slice content,
                  const struct object_id *base, struct object_id *ret_id, struct hf_error *err)
{
    const struct object_hasher *hasher = &store_info(sink->cache->store)->hasher;
    struct object_id id;
    int rc = object_id_compute(hasher, kind, content.data, content.len, &id);

    if (rc != HF_OK)
        return hf_fail(err, rc, "no memory for a new object");
    rc = blob_sink_add_as(sink, kind, &id, content, base, err);
    if (rc == HF_OK)
        *ret_id = id;
    return rc;
}

struct object *blob_sink_objects(const struct blob_sink *sink)
{
    struct object *objects = calloc(sink->count ? sink->count : 1, sizeof *objects);

    for (size_t i = 0; objects && i < sink->count; i++) {
        const struct sink_entry *entry = &sink->entries[i];

        objects[i] = (struct object){
            .id = entry->blob->id,
            .kind = entry->kind,
            .hashed = true,
            .has_base = entry->has_base,
            .base = entry->base,
            .stored = atomic_load_explicit(&entry->blob->stored, memory_order_relaxed),
            .content = blob_content(entry->blob),
        };
    }
    return objects;
}

static void drop(struct blob_sink *sink, size_t n)
{
    assert(n <= sink->count);
    if (n == 0)
        return;
    pthread_mutex_lock(&sink->cache->lock);
    for (size_t i = 0; i < n; i++) {
        sink->bytes -= sink->entries[i].blob->len;
        give_back(sink->cache, sink->entries[i].blob);
    }
    pthread_mutex_unlock(&sink->cache->lock);
    sink->count -= n;
    memmove(sink->entries, sink->entries + n, sink->count * sizeof *sink->entries);
}

void blob_sink_drop(struct blob_sink *sink, size_t n)
{
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&sink->entries[i].blob->stored, true, memory_order_relaxed);
    drop(sink, n);
}

int blob_sink_flush(struct blob_sink *sink, uint64_t host, struct hf_error *err)
{
    struct object *objects;
    int rc;

    if (sink->count == 0)
        return HF_OK;
    objects = blob_sink_objects(sink);
    if (!objects)
        return hf_fail(err, HF_NOMEM, "no memory to store %zu objects", sink->count);
    rc = store_put(sink->cache->store, host, objects, sink->count, err);
    free(objects);
    if (rc == HF_OK)
        blob_sink_drop(sink, sink->count);
    return rc;
}

void blob_sink_clear(struct blob_sink *sink)
{
    drop(sink, sink->count);
    free(sink->entries);
    *sink = (struct blob_sink){.cache = sink->cache};
}
