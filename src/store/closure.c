/* SPDX-License-Identifier: Apache-2.0 */
#include "store/closure.h"

#include <stdlib.h>

#include "store/idmap.h"

struct builder {
    struct idmap seen; /* ids of the batch and of what is needed, with their kinds */
    struct closure closure;
    struct hf_error *err;
};

static const char *kind_name(int kind)
{
    switch (kind) {
    case OBJECT_CHUNK:
        return "chunk";
    case OBJECT_DIR:
        return "directory node";
    case OBJECT_FILE:
        return "file node";
    case OBJECT_ROOT:
        return "root node";
    default:
        return "object of no known kind";
    }
}

static bool kind_known(enum object_kind kind)
{
    return kind >= OBJECT_CHUNK && kind <= OBJECT_ROOT;
}

static int fail(struct hf_error *err, int status, const struct object_id *id, const char *what)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    return hf_fail(err, status, "object %s %s", hex, what);
}

int closure_verify(const struct object_hasher *hasher, enum object_kind kind, struct slice content,
                   const struct object_id *id, struct hf_error *err)
{
    struct object_id actual;

    if (!kind_known(kind))
        return fail(err, HF_CORRUPT, id, "is of no known kind");
    if (content.len > OBJECT_MAX_SIZE)
        return fail(err, HF_CORRUPT, id, "is larger than any object can be");
    if (object_id_compute(hasher, kind, content.data, content.len, &actual) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!object_id_equal(&actual, id))
        return fail(err, HF_CORRUPT, id, "does not have the content that its id says");
    return HF_OK;
}

static int verify(const struct object_hasher *hasher, const struct object *object,
                  struct hf_error *err)
{
    bool hashed =
        object->hashed && kind_known(object->kind) && object->content.len <= OBJECT_MAX_SIZE;

    return hashed ? HF_OK : closure_verify(hasher, object->kind, object->content, &object->id, err);
}

static int add_need(struct builder *builder, const struct object_id *id, enum object_kind kind)
{
    struct closure *closure = &builder->closure;
    struct closure_need *needs;
    size_t cap;

    if (closure->count == closure->cap) {
        cap = closure->cap ? closure->cap * 2 : 64;
        needs = reallocarray(closure->needs, cap, sizeof *needs);
        if (!needs)
            return hf_fail(builder->err, HF_NOMEM, "out of memory");
        closure->needs = needs;
        closure->cap = cap;
    }
    closure->needs[closure->count++] = (struct closure_need){*id, kind};
    return HF_OK;
}

/* Something refers to `id` as an object of `kind`. */
static int refer(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct builder *builder = arg;
    uint32_t *seen;
    int added = idmap_add(&builder->seen, id, (uint32_t)kind, &seen);

    if (added < 0)
        return hf_fail(builder->err, added, "out of memory");
    if (added == 0 && *seen != (uint32_t)kind)
        return fail(builder->err, HF_CORRUPT, id, "is referred to as of two kinds");
    return added == 1 ? add_need(builder, id, kind) : HF_OK;
}

static int verify_batch(struct builder *builder, const struct object_hasher *hasher,
                        const struct object *objects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct object *object = &objects[i];
        uint32_t *seen;
        int rc = verify(hasher, object, builder->err);

        if (rc != HF_OK)
            return rc;
        if (idmap_add(&builder->seen, &object->id, (uint32_t)object->kind, &seen) < 0)
            return hf_fail(builder->err, HF_NOMEM, "out of memory");
    }
    return HF_OK;
}

static int gather(struct builder *builder, const struct object *objects, size_t n,
                  const struct object_id *root)
{
    for (size_t i = 0; i < n; i++) {
        struct hf_error detail = {0};
        struct hf_error *err = builder->err;
        int rc;

        builder->err = &detail;
        rc = node_refs(objects[i].kind, objects[i].content, refer, builder);
        builder->err = err;
        if (rc != HF_OK && detail.status == rc)
            return hf_fail(err, rc, "%s", detail.message);
        if (rc != HF_OK)
            return fail(err, rc, &objects[i].id,
                        rc == HF_NEWER ? "has a later format" : "is not in canonical form");
    }
    return root ? refer(root, OBJECT_ROOT, builder) : HF_OK;
}

int closure_build(const struct object_hasher *hasher, const struct object *objects, size_t n,
                  const struct object_id *root, struct closure *ret_closure, struct hf_error *err)
{
    struct builder builder = {.err = err};
    int rc = verify_batch(&builder, hasher, objects, n);

    if (rc == HF_OK)
        rc = gather(&builder, objects, n, root);
    idmap_free(&builder.seen);
    if (rc == HF_OK)
        *ret_closure = builder.closure;
    else
        closure_free(&builder.closure);
    return rc;
}

int closure_check(const struct closure *closure, closure_kind_fn kind_of, void *arg,
                  struct hf_error *err)
{
    for (size_t i = 0; i < closure->count; i++) {
        const struct closure_need *need = &closure->needs[i];
        char hex[OBJECT_ID_HEX_SIZE];
        int kind = 0, rc = kind_of(&need->id, &kind, arg, err);

        if (rc != HF_OK)
            return rc;
        if (kind == (int)need->kind)
            continue;
        object_id_hex(&need->id, hex);
        if (kind == 0)
            return hf_fail(err, HF_MISSING, "the store does not have the %s %s",
                           kind_name((int)need->kind), hex);
        return hf_fail(err, HF_CORRUPT, "object %s is a %s, but is referred to as a %s", hex,
                       kind_name(kind), kind_name((int)need->kind));
    }
    return HF_OK;
}

void closure_free(struct closure *closure)
{
    free(closure->needs);
    *closure = (struct closure){0};
}
