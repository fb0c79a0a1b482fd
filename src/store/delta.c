/* SPDX-License-Identifier: Apache-2.0 */
#include "store/delta.h"

#include <stdlib.h>
#include <string.h>

#include "object/node.h"
#include "store/idmap.h"

/** Nodes of one level that are looked at on either side. */
#define FRONT_MAX 16
/** Of the chunks that only the new root has, so many of the last are looked at. */
#define TAIL_MAX 8

/** Who refers to an object: values of the map. */
enum { OLD = 1, NEW = 2 };

struct ref {
    struct object_id id;
    enum object_kind kind;
};

/** A growing list. */
struct refs {
    struct ref *list;
    size_t n, cap;
};

/** The nodes of one level. */
struct front {
    struct ref refs[FRONT_MAX];
    struct buf contents[FRONT_MAX];
    size_t n;
};

struct gathering {
    struct store *store;
    size_t budget;
    struct idmap seen;
    struct front old, new;
    struct refs below_old, below_new; /* of the level under way, without those met before */
    struct refs chunks;               /* below the new root */
    struct delta *delta;
};

/* --- references ----------------------------------------------------------------------------------- */

static int refs_add(struct refs *refs, const struct object_id *id, enum object_kind kind)
{
    if (refs->n == refs->cap) {
        size_t cap = refs->cap ? 2 * refs->cap : 64;
        struct ref *list = reallocarray(refs->list, cap, sizeof *list);

        if (!list)
            return HF_NOMEM;
        refs->list = list;
        refs->cap = cap;
    }
    refs->list[refs->n++] = (struct ref){*id, kind};
    return HF_OK;
}

/** Notes that a side refers to an object. 1: it had not. */
static int note(struct gathering *gathering, const struct object_id *id, uint32_t side)
{
    uint32_t *marks;
    int rc = idmap_add(&gathering->seen, id, side, &marks);

    if (rc != 0)
        return rc;
    if (*marks & side)
        return 0;
    *marks |= side;
    return 1;
}

static int visit_old(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct gathering *gathering = arg;
    int rc = note(gathering, id, OLD);

    if (rc < 0 || kind == OBJECT_CHUNK)
        return rc < 0 ? rc : HF_OK;
    return rc == 1 ? refs_add(&gathering->below_old, id, kind) : HF_OK;
}

static int visit_new(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct gathering *gathering = arg;
    int rc = note(gathering, id, NEW);

    if (rc != 1)
        return rc;
    return refs_add(kind == OBJECT_CHUNK ? &gathering->chunks : &gathering->below_new, id, kind);
}

/* --- levels --------------------------------------------------------------------------------------- */

static void front_clear(struct front *front)
{
    for (size_t i = 0; i < front->n; i++)
        buf_free(&front->contents[i]);
    front->n = 0;
}

/** Reads its nodes and visits what they refer to. One that cannot be read ends the walk of its side. */
static int front_read(struct gathering *gathering, struct front *front, node_ref_fn visit)
{
    struct object_id ids[FRONT_MAX];
    int rc = HF_OK;

    for (size_t i = 0; i < front->n; i++)
        ids[i] = front->refs[i].id;
    if (front->n > 0)
        rc = store_get(gathering->store, ids, front->n, front->contents, NULL);
    if (rc != HF_OK)
        front_clear(front);
    for (size_t i = 0; i < front->n && rc == HF_OK; i++)
        rc = node_refs(front->refs[i].kind, buf_slice(&front->contents[i]), visit, gathering);
    return rc == HF_NOMEM ? rc : HF_OK;
}

/** Takes those of `below` that the other side does not refer to as the next level. */
static void front_descend(const struct gathering *gathering, struct refs *below, uint32_t other,
                          struct front *front)
{
    front_clear(front);
    for (size_t i = 0; i < below->n && front->n < FRONT_MAX; i++)
        if (!(*idmap_find(&gathering->seen, &below->list[i].id) & other)) {
            front->contents[front->n] = (struct buf){0};
            front->refs[front->n++] = below->list[i];
        }
    below->n = 0;
}

/** Takes over the content if there is room for it. */
static void deliver(struct gathering *gathering, const struct ref *ref, struct buf *content)
{
    struct delta *delta = gathering->delta;

    if (delta->n == DELTA_MAX || content->len > gathering->budget - delta->bytes)
        return;
    delta->contents[delta->n] = *content;
    delta->objects[delta->n] =
        (struct object){.id = ref->id, .kind = ref->kind, .content = buf_slice(content)};
    delta->n++;
    delta->bytes += content->len;
    *content = (struct buf){0};
}

static int gather_nodes(struct gathering *gathering)
{
    int rc = HF_OK;

    for (int level = 0; gathering->new.n > 0 && level <= 2 * NODE_HEIGHT_MAX &&rc == HF_OK;
         level++) {
        rc = front_read(gathering, &gathering->old, visit_old);
        if (rc == HF_OK)
            rc = front_read(gathering, &gathering->new, visit_new);
        for (size_t i = 0; i < gathering->new.n; i++)
            deliver(gathering, &gathering->new.refs[i], &gathering->new.contents[i]);
        if (rc != HF_OK || (level == 0 && gathering->old.n == 0)) {
            gathering->chunks.n = 0; /* all of the session would be new */
            break;
        }
        front_descend(gathering, &gathering->below_old, NEW, &gathering->old);
        front_descend(gathering, &gathering->below_new, OLD, &gathering->new);
    }
    return rc;
}

/* --- chunks --------------------------------------------------------------------------------------- */

/** The last ones first: of these the first may not fit any more. */
static void gather_tails(struct gathering *gathering)
{
    struct buf contents[TAIL_MAX] = {0};
    struct object_id ids[TAIL_MAX];
    struct ref *refs[TAIL_MAX];
    size_t n = 0;

    for (size_t i = gathering->chunks.n; i-- > 0 && n < TAIL_MAX;) {
        struct ref *ref = &gathering->chunks.list[i];

        if (*idmap_find(&gathering->seen, &ref->id) & OLD)
            continue;
        ids[n] = ref->id;
        refs[n++] = ref;
    }
    if (n > 0 && store_get(gathering->store, ids, n, contents, NULL) == HF_OK)
        for (size_t i = 0; i < n; i++)
            deliver(gathering, refs[i], &contents[i]);
    for (size_t i = 0; i < n; i++)
        buf_free(&contents[i]);
}

/* --- calls ---------------------------------------------------------------------------------------- */

int delta_gather(struct store *store, const struct object_id *root, const struct object_id *known,
                 size_t budget, struct delta *ret_delta)
{
    struct gathering *gathering = calloc(1, sizeof *gathering);
    int rc;

    *ret_delta = (struct delta){0};
    if (!gathering)
        return HF_NOMEM;
    gathering->store = store;
    gathering->budget = budget;
    gathering->delta = ret_delta;
    gathering->new.refs[gathering->new.n++] = (struct ref){*root, OBJECT_ROOT};
    if (known)
        gathering->old.refs[gathering->old.n++] = (struct ref){*known, OBJECT_ROOT};
    rc = gather_nodes(gathering);
    if (rc == HF_OK)
        gather_tails(gathering);
    front_clear(&gathering->old);
    front_clear(&gathering->new);
    free(gathering->below_old.list);
    free(gathering->below_new.list);
    free(gathering->chunks.list);
    idmap_free(&gathering->seen);
    free(gathering);
    return rc;
}

void delta_free(struct delta *delta)
{
    for (size_t i = 0; i < delta->n; i++)
        buf_free(&delta->contents[i]);
    *delta = (struct delta){0};
}
