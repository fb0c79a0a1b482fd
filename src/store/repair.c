/* SPDX-License-Identifier: Apache-2.0 */
#include "store/repair.h"

#include <stdlib.h>
#include <string.h>

#include "object/node.h"

/* Objects that wait for what they refer to, deepest last. */
struct waiting {
    struct object_id *ids;
    size_t n, cap;
};

struct repair {
    struct store *store, *good;
    bool dry_run;
    struct repair_totals totals;
    struct hf_error *err;
};

int repair_note(struct repair_list *list, const struct check_finding *finding)
{
    uint32_t *value;
    int rc;

    /* What is said of a head or version names an object that has a finding of its own. */
    if (!finding->has_object || strcmp(finding->what, "object") != 0)
        return HF_OK;
    rc = idmap_add(&list->listed, &finding->object, 1, &value);
    if (rc <= 0)
        return rc;
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct object_id *ids = reallocarray(list->ids, cap, sizeof *ids);
        bool *missing = ids ? reallocarray(list->missing, cap, sizeof *missing) : NULL;

        if (ids)
            list->ids = ids;
        if (!missing)
            return HF_NOMEM;
        list->missing = missing;
        list->cap = cap;
    }
    list->ids[list->n] = finding->object;
    list->missing[list->n++] = finding->status == HF_MISSING;
    return HF_OK;
}

void repair_list_free(struct repair_list *list)
{
    free(list->ids);
    free(list->missing);
    idmap_free(&list->listed);
    *list = (struct repair_list){0};
}

/* --- contents ------------------------------------------------------------------------------------------------ */

/* The kind under which the content has this id: 0, or HF_CORRUPT when there is none. */
static int find_kind(const struct repair *repair, const struct object_id *id, struct slice content,
                     enum object_kind *ret_kind)
{
    const struct object_hasher *hasher = &store_info(repair->store)->hasher;

    for (int kind = OBJECT_CHUNK; kind <= OBJECT_ROOT; kind++) {
        struct object_id computed;
        int rc =
            object_id_compute(hasher, (enum object_kind)kind, content.data, content.len, &computed);

        if (rc != HF_OK)
            return rc;
        if (object_id_equal(&computed, id)) {
            *ret_kind = (enum object_kind)kind;
            return HF_OK;
        }
    }
    return HF_CORRUPT;
}

/* Reads a good object. 1: it is there; 0: the other store does not have it either. */
static int read_good(struct repair *repair, const struct object_id *id, struct buf *content,
                     struct object *ret_object)
{
    int rc = HF_MISSING;

    if (repair->good)
        rc = store_get(repair->good, id, 1, content, repair->err);
    if (rc == HF_OK)
        rc = find_kind(repair, id, buf_slice(content), &ret_object->kind);
    if (rc == HF_MISSING || rc == HF_CORRUPT)
        return 0;
    if (rc != HF_OK)
        return rc == HF_NOMEM ? hf_fail(repair->err, rc, "out of memory") : rc;
    ret_object->id = *id;
    ret_object->content = buf_slice(content);
    return 1;
}

/* --- the walk ------------------------------------------------------------------------------------------------- */

static int wait_for(struct waiting *waiting, const struct object_id *id)
{
    if (waiting->n == waiting->cap) {
        size_t cap = waiting->cap ? waiting->cap * 2 : 16;
        struct object_id *ids = reallocarray(waiting->ids, cap, sizeof *ids);

        if (!ids)
            return HF_NOMEM;
        waiting->ids = ids;
        waiting->cap = cap;
    }
    waiting->ids[waiting->n++] = *id;
    return HF_OK;
}

struct looking {
    struct repair *repair;
    struct waiting *waiting;
};

static int take_missing(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct looking *looking = arg;
    bool missing = false;
    int rc = store_missing(looking->repair->store, 0, id, 1, &missing, looking->repair->err);

    (void)kind;
    return rc == HF_OK && missing ? wait_for(looking->waiting, id) : rc;
}

/* Puts the deepest object that waits in its place, or first has those wait that it lacks itself. 0: nobody has it. */
static int mend_last(struct repair *repair, struct waiting *waiting)
{
    struct looking looking = {repair, waiting};
    struct object_id id = waiting->ids[waiting->n - 1];
    size_t before = waiting->n;
    struct object object = {0};
    BUF_AUTO content = {0};
    int rc = read_good(repair, &id, &content, &object);

    if (rc <= 0)
        return rc;
    if (!repair->dry_run) /* else they would never come */
        rc = node_refs(object.kind, object.content, take_missing, &looking);
    else
        rc = HF_OK;
    if (rc != HF_OK)
        return rc == HF_NOMEM ? hf_fail(repair->err, rc, "out of memory") : rc;
    if (waiting->n > before)
        return 1;
    rc = repair->dry_run ? HF_OK : store_mend(repair->store, &id, &object, repair->err);
    if (rc != HF_OK && rc != HF_EXIST)
        return rc;
    repair->totals.mended += rc == HF_OK;
    waiting->n--;
    return 1;
}

/* 1: the object is sound; 0: nobody has it, or something below it. */
static int mend(struct repair *repair, const struct object_id *id)
{
    struct waiting waiting = {0};
    int rc = wait_for(&waiting, id) == HF_OK ? 1 : hf_fail(repair->err, HF_NOMEM, "out of memory");

    while (rc == 1 && waiting.n > 0)
        rc = mend_last(repair, &waiting);
    free(waiting.ids);
    return rc;
}

static int repair_one(struct repair *repair, const struct object_id *id, bool missing)
{
    int rc = mend(repair, id);

    if (rc != 0)
        return rc < 0 ? rc : HF_OK;
    if (missing) {
        repair->totals.unmended++;
        return HF_OK;
    }
    rc = repair->dry_run ? HF_OK : store_mend(repair->store, id, NULL, repair->err);
    repair->totals.taken_out += rc == HF_OK;
    return rc == HF_EXIST || rc == HF_MISSING || rc == HF_NOENT ? HF_OK : rc;
}

int repair_run(struct store *store, struct store *good, const struct repair_list *list,
               bool dry_run, struct repair_totals *ret_totals, struct hf_error *err)
{
    struct hf_error error = {0};
    struct repair repair = {.store = store, .good = good, .dry_run = dry_run, .err = &error};
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < list->n; i++)
        rc = repair_one(&repair, &list->ids[i], list->missing[i]);
    if (rc == HF_OK)
        *ret_totals = repair.totals;
    else if (err)
        *err = error;
    return rc;
}
