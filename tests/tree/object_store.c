/* SPDX-License-Identifier: Apache-2.0 */
#include "object_store.h"

#include <stdlib.h>

#include "store/closure.h"

struct kept {
    struct hnode node;
    struct object_id id;
    enum object_kind kind;
    struct buf content;
};

static struct object_store *from(struct store *store)
{
    return (struct object_store *)store;
}

static struct kept *find(const struct object_store *objects, const struct object_id *id)
{
    struct hnode *node = htable_find(&objects->objects, object_id_hash(id));

    for (; node; node = htable_next(node)) {
        struct kept *kept = HTABLE_ENTRY(node, struct kept, node);

        if (object_id_equal(&kept->id, id))
            return kept;
    }
    return NULL;
}

static int kind_of(const struct object_id *id, int *ret_kind, void *arg, struct hf_error *err)
{
    const struct kept *kept = find(arg, id);

    (void)err;
    *ret_kind = kept ? (int)kept->kind : 0;
    return HF_OK;
}

static bool fails(struct object_store *objects, unsigned every)
{
    objects->random = htable_hash_u64(objects->random + 0x9e3779b97f4a7c15ULL);
    return every > 0 && objects->random % every == 0;
}

static int add(struct object_store *objects, const struct object *object)
{
    struct kept *kept;

    if (find(objects, &object->id))
        return HF_OK;
    kept = calloc(1, sizeof *kept);
    if (!kept)
        return HF_NOMEM;
    kept->id = object->id;
    kept->kind = object->kind;
    if (buf_append(&kept->content, object->content.data, object->content.len) != HF_OK ||
        htable_insert(&objects->objects, &kept->node, object_id_hash(&kept->id)) != HF_OK) {
        buf_free(&kept->content);
        free(kept);
        return HF_NOMEM;
    }
    objects->put_count++;
    objects->put_bytes += object->content.len;
    return HF_OK;
}

static int put(struct store *store, uint64_t host, const struct object *batch, size_t n,
               struct hf_error *err)
{
    struct object_store *objects = from(store);
    struct closure closure;
    int rc = closure_build(&store->info.hasher, batch, n, NULL, &closure, err);

    if (rc != HF_OK)
        return rc;
    (void)host;
    pthread_mutex_lock(&objects->lock);
    objects->puts++;
    rc = closure_check(&closure, kind_of, objects, err);
    if (rc == HF_OK && fails(objects, objects->fail_puts_every))
        rc = hf_fail(err, HF_NOSPC, "a put fails as it was asked to");
    for (size_t i = 0; rc == HF_OK && i < n; i++)
        rc = add(objects, &batch[i]);
    pthread_mutex_unlock(&objects->lock);
    closure_free(&closure);
    return rc;
}

static int get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
               struct hf_error *err)
{
    struct object_store *objects = from(store);
    int rc = HF_OK;

    pthread_mutex_lock(&objects->lock);
    objects->gets++;
    if (fails(objects, objects->fail_gets_every))
        rc = hf_fail(err, HF_IO, "a get fails as it was asked to");
    for (size_t i = 0; rc == HF_OK && i < n; i++) {
        const struct kept *kept = find(objects, &ids[i]);

        if (kept)
            rc = buf_append(&ret_contents[i], kept->content.data, kept->content.len);
        else
            rc = hf_fail(err, HF_MISSING, "an object is not there");
        objects->get_count++;
    }
    pthread_mutex_unlock(&objects->lock);
    return rc;
}

static const struct store_ops ops = {.name = "objects", .put = put, .get = get};

struct object_store *object_store_new(const struct chunker_params *params)
{
    struct object_store *objects = calloc(1, sizeof *objects);

    if (!objects)
        return NULL;
    objects->store.ops = &ops;
    objects->store.info.chunker = params ? *params : CHUNKER_DEFAULT;
    pthread_mutex_init(&objects->lock, NULL);
    return objects;
}

static void free_kept(struct hnode *node, void *arg)
{
    struct kept *kept = HTABLE_ENTRY(node, struct kept, node);

    (void)arg;
    buf_free(&kept->content);
    free(kept);
}

void object_store_free(struct object_store *objects)
{
    htable_each(&objects->objects, free_kept, NULL);
    htable_free(&objects->objects);
    pthread_mutex_destroy(&objects->lock);
    free(objects);
}
