/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"

struct memory_object *memory_object_find(struct memory_world *world, const struct object_id *id)
{
    struct hnode *node = htable_find(&world->objects, object_id_hash(id));

    for (; node; node = htable_next(node)) {
        struct memory_object *object = HTABLE_ENTRY(node, struct memory_object, hnode);

        if (object_id_equal(&object->id, id))
            return object;
    }
    return NULL;
}

static int kind_of(const struct object_id *id, int *ret_kind, void *arg, struct hf_error *err)
{
    struct memory_object *object = memory_object_find(arg, id);

    (void)err;
    *ret_kind = object ? (int)object->kind : 0;
    return HF_OK;
}

static struct memory_object *copy_object(const struct object *object)
{
    struct memory_object *copy = malloc(sizeof *copy + object->content.len);

    if (!copy)
        return NULL;
    copy->id = object->id;
    copy->kind = object->kind;
    copy->reached = false;
    copy->len = object->content.len;
    if (copy->len > 0)
        memcpy(copy->bytes, object->content.data, copy->len);
    return copy;
}

/* Gives copies[0..n) to the world, but those that it has already. Only the first can fail. */
static int insert_all(struct memory_world *world, struct memory_object **copies, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memory_object_find(world, &copies[i]->id))
            continue;
        if (htable_insert(&world->objects, &copies[i]->hnode, object_id_hash(&copies[i]->id)) !=
            HF_OK)
            return HF_NOMEM;
        world->content_bytes += copies[i]->len;
        copies[i] = NULL;
    }
    return HF_OK;
}

static int add_all(struct memory_world *world, const struct object *objects, size_t n)
{
    struct memory_object **copies = calloc(n, sizeof(*copies));
    int rc = copies ? HF_OK : HF_NOMEM;

    for (size_t i = 0; rc == HF_OK && i < n; i++)
        if (!(copies[i] = copy_object(&objects[i])))
            rc = HF_NOMEM;
    if (rc == HF_OK)
        rc = insert_all(world, copies, n);
    for (size_t i = 0; copies && i < n; i++)
        free(copies[i]);
    free(copies);
    return rc;
}

int memory_objects_add(struct memory_world *world, const struct closure *closure,
                       const struct object *objects, size_t n, struct hf_error *err)
{
    int rc = closure_check(closure, kind_of, world, err);

    if (rc == HF_OK && n > 0 && add_all(world, objects, n) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    return rc;
}

static int put_for(struct memory_store *handle, uint64_t host, const struct closure *closure,
                   const struct object *objects, size_t n, struct hf_error *err)
{
    const struct limits_step step = {.used = handle->world->content_bytes};
    int rc = host != 0 ? memory_host_check(handle->world, host, err) : HF_OK;

    if (rc == HF_OK && n > 0)
        rc = limits_admit(&handle->world->limits, &step, err);
    if (rc == HF_OK)
        rc = memory_objects_add(handle->world, closure, objects, n, err);
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = memory_loose_add(handle, host, &objects[i].id, err);
    return rc;
}

int memory_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
               struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct closure closure = {0};
    int rc = closure_build(&store->info.hasher, objects, n, NULL, &closure, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_enter(handle, err);
    if (rc == HF_OK) {
        rc = put_for(handle, host, &closure, objects, n, err);
        memory_leave(handle);
    }
    closure_free(&closure);
    return rc;
}

static int get_one(struct memory_world *world, const struct object_id *id, struct buf *content,
                   struct hf_error *err)
{
    struct memory_object *object = memory_object_find(world, id);
    char hex[OBJECT_ID_HEX_SIZE];
    int rc;

    if (!object) {
        object_id_hex(id, hex);
        return hf_fail(err, HF_MISSING, "the store does not have object %s", hex);
    }
    rc =
        closure_verify(&world->hasher, object->kind, slice_of(object->bytes, object->len), id, err);
    if (rc == HF_OK && buf_append(content, object->bytes, object->len) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    return rc;
}

int memory_get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
               struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; rc == HF_OK && i < n; i++)
        rc = get_one(handle->world, &ids[i], &ret_contents[i], err);
    memory_leave(handle);
    return rc;
}

int memory_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                   bool *ret_missing, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    if (host != 0)
        rc = memory_host_check(handle->world, host, err);
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        if (memory_object_find(handle->world, &ids[i]))
            rc = memory_loose_add(handle, host, &ids[i], err);
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        ret_missing[i] = !memory_object_find(handle->world, &ids[i]);
    memory_leave(handle);
    return rc;
}

static void remove_object(struct memory_world *world, struct memory_object *object)
{
    htable_remove(&world->objects, &object->hnode);
    world->content_bytes -= object->len;
    free(object);
}

/* Puts `good` in the place of a damaged one, or takes that out. */
static int replace(struct memory_world *world, struct memory_object *damaged,
                   const struct object *good, struct hf_error *err)
{
    struct memory_object *copy = good ? copy_object(good) : NULL;

    if (good && !copy)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (copy)
        copy->reached = damaged->reached;
    remove_object(world, damaged);
    if (copy) { /* where one has just gone, there is room */
        htable_insert(&world->objects, &copy->hnode, object_id_hash(&copy->id));
        world->content_bytes += copy->len;
    }
    return HF_OK;
}

static int mend(struct memory_world *world, const struct object_id *id, const struct object *good,
                const struct closure *closure, struct hf_error *err)
{
    struct memory_object *object = memory_object_find(world, id);
    int rc;

    if (!object && !good)
        return hf_fail(err, HF_NOENT, "the object is not in the store");
    if (!object)
        return memory_objects_add(world, closure, good, 1, err);
    rc =
        closure_verify(&world->hasher, object->kind, slice_of(object->bytes, object->len), id, err);
    if (rc == HF_OK)
        return hf_fail(err, HF_EXIST, "the object in the store is sound");
    return rc == HF_CORRUPT ? replace(world, object, good, err) : rc;
}

int memory_mend(struct store *store, const struct object_id *id, const struct object *good,
                struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    struct closure closure = {0};
    int rc = HF_OK;

    if (good)
        rc = closure_build(&store->info.hasher, good, 1, NULL, &closure, err);
    if (rc != HF_OK)
        return rc;
    rc = memory_enter(handle, err);
    if (rc == HF_OK) {
        rc = mend(handle->world, id, good, &closure, err);
        memory_leave(handle);
    }
    closure_free(&closure);
    return rc;
}

struct check {
    struct memory_world *world;
    check_report_fn report;
    void *arg;
    int status;
};

static void check_object(struct hnode *node, void *arg)
{
    struct memory_object *object = HTABLE_ENTRY(node, struct memory_object, hnode);
    struct check *check = arg;
    struct hf_error err;
    struct check_finding finding = {.what = "object", .has_object = true, .object = object->id};

    if (check->status != HF_OK)
        return;
    finding.status = closure_verify(&check->world->hasher, object->kind,
                                    slice_of(object->bytes, object->len), &object->id, &err);
    finding.message = err.message;
    if (finding.status != HF_OK)
        check->status = check->report(&finding, check->arg);
}

int memory_objects_check(struct memory_world *world, check_report_fn report, void *arg)
{
    struct check check = {world, report, arg, HF_OK};

    htable_each(&world->objects, check_object, &check);
    return check.status;
}

int memory_store_lose_object(struct store *store, const struct object_id *id)
{
    struct memory_world *world = memory_store_of(store)->world;
    struct memory_object *object;

    pthread_mutex_lock(&world->mutex);
    object = memory_object_find(world, id);
    if (object)
        remove_object(world, object);
    pthread_mutex_unlock(&world->mutex);
    return object ? HF_OK : HF_NOENT;
}

int memory_store_damage_object(struct store *store, const struct object_id *id)
{
    struct memory_world *world = memory_store_of(store)->world;
    struct memory_object *object;

    pthread_mutex_lock(&world->mutex);
    object = memory_object_find(world, id);
    if (object && object->len > 0)
        object->bytes[object->len / 2] ^= 0x10;
    pthread_mutex_unlock(&world->mutex);
    return object && object->len > 0 ? HF_OK : HF_NOENT;
}
