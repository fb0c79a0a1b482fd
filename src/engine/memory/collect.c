/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"
#include "object/node.h"

/* As in the sqlite engine: work that a host session leaves becomes a rescue version by then. */
#define GRACE_NS (24LL * 3600 * 1000000000)

/* --- loose objects ---------------------------------------------------------------------------------- */

static uint64_t loose_hash(uint64_t host, const struct object_id *id)
{
    return object_id_hash(id) ^ htable_hash_u64(host);
}

static struct memory_loose *loose_find(const struct memory_world *world, uint64_t host,
                                       const struct object_id *id)
{
    struct hnode *node = htable_find(&world->loose, loose_hash(host, id));

    for (; node; node = htable_next(node)) {
        struct memory_loose *loose = HTABLE_ENTRY(node, struct memory_loose, hnode);

        if (loose->host == host && object_id_equal(&loose->id, id))
            return loose;
    }
    return NULL;
}

int memory_loose_add(struct memory_store *handle, uint64_t host, const struct object_id *id,
                     struct hf_error *err)
{
    struct memory_world *world = handle->world;
    struct memory_loose *loose;

    if (host == 0)
        return HF_OK;
    loose = loose_find(world, host, id);
    if (!loose) {
        loose = malloc(sizeof *loose);
        if (!loose || htable_insert(&world->loose, &loose->hnode, loose_hash(host, id)) != HF_OK) {
            free(loose);
            return hf_fail(err, HF_NOMEM, "out of memory");
        }
        loose->host = host;
        loose->id = *id;
    }
    loose->time = clock_realtime(handle->clock);
    return HF_OK;
}

static void loose_free(struct hnode *node, void *arg)
{
    (void)arg;
    free(HTABLE_ENTRY(node, struct memory_loose, hnode));
}

void memory_loose_free(struct memory_world *world)
{
    htable_each(&world->loose, loose_free, NULL);
    htable_free(&world->loose);
}

/* --- a collection ----------------------------------------------------------------------------------- */

/* All under the mutex. */
struct collector {
    struct memory_world *world;
    bool dry_run;
    int64_t now;
    struct collect_totals totals;
    struct memory_object **stack; /* reached, and their references not looked at */
    size_t n, cap;
    struct hnode **doomed; /* of objects or loose ones that are to go */
    size_t ndoomed, doomed_cap;
    int status;
    struct hf_error *err;
};

static int reach(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct collector *collector = arg;
    struct memory_object *object = memory_object_find(collector->world, id);
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    if (!object)
        return hf_fail(collector->err, HF_MISSING,
                       "the object %s, which a root leads to, is missing", hex);
    if (object->kind != kind)
        return hf_fail(collector->err, HF_CORRUPT,
                       "the object %s is of another kind than its reference says", hex);
    if (object->reached)
        return HF_OK;
    if (memory_reserve(&collector->stack, &collector->cap, collector->n, sizeof *collector->stack,
                       collector->err) != HF_OK)
        return HF_NOMEM;
    object->reached = true;
    collector->totals.reachable++;
    collector->stack[collector->n++] = object;
    return HF_OK;
}

static int look_at(struct collector *collector, const struct memory_object *object)
{
    struct slice content = slice_of(object->bytes, object->len);
    int rc;

    if (object->kind == OBJECT_CHUNK)
        return HF_OK;
    rc = closure_verify(&collector->world->hasher, object->kind, content, &object->id,
                        collector->err);
    return rc == HF_OK ? node_refs(object->kind, content, reach, collector) : rc;
}

static int walk(struct collector *collector)
{
    int rc = HF_OK;

    while (collector->n > 0 && rc == HF_OK)
        rc = look_at(collector, collector->stack[--collector->n]);
    return rc;
}

static int reach_root(const struct root_info *root, void *arg)
{
    struct collector *collector = arg;

    collector->totals.roots++;
    return reach(&root->root, OBJECT_ROOT, collector);
}

static void unreach(struct hnode *node, void *arg)
{
    (void)arg;
    HTABLE_ENTRY(node, struct memory_object, hnode)->reached = false;
}

/* To be removed when the table is not being walked any more. */
static void doom(struct collector *collector, struct hnode *node)
{
    if (collector->status == HF_OK)
        collector->status =
            memory_reserve(&collector->doomed, &collector->doomed_cap, collector->ndoomed,
                           sizeof(*collector->doomed), collector->err);
    if (collector->status == HF_OK)
        collector->doomed[collector->ndoomed++] = node;
}

static bool loose_is_over(struct collector *collector, const struct memory_loose *loose)
{
    struct memory_host *host = memory_host_of(collector->world, loose->host);

    if (!host || host->alive)
        return false;
    if (host->gone == 0 && !collector->dry_run)
        host->gone = collector->now;
    return host->gone != 0 && host->gone <= collector->now - GRACE_NS;
}

/* Before the loose ones are walked: lets go of those that nobody needs, or that the roots reach. */
static void review_loose(struct hnode *node, void *arg)
{
    struct collector *collector = arg;
    struct memory_loose *loose = HTABLE_ENTRY(node, struct memory_loose, hnode);
    struct memory_object *object = memory_object_find(collector->world, &loose->id);
    bool rooted = object && object->reached && loose->time <= collector->now - GRACE_NS;

    if (!object || rooted || loose_is_over(collector, loose))
        doom(collector, node);
}

static void reach_loose(struct hnode *node, void *arg)
{
    struct collector *collector = arg;
    struct memory_loose *loose = HTABLE_ENTRY(node, struct memory_loose, hnode);
    struct memory_object *object = memory_object_find(collector->world, &loose->id);

    if (collector->status == HF_OK && object && !loose_is_over(collector, loose))
        collector->status = reach(&loose->id, object->kind, collector);
}

static int mark_loose(struct collector *collector)
{
    struct memory_world *world = collector->world;

    htable_each(&world->loose, review_loose, collector);
    for (size_t i = 0; i < collector->ndoomed && !collector->dry_run; i++) {
        htable_remove(&world->loose, collector->doomed[i]);
        loose_free(collector->doomed[i], NULL);
    }
    collector->ndoomed = 0;
    htable_each(&world->loose, reach_loose, collector);
    return collector->status == HF_OK ? walk(collector) : collector->status;
}

static void judge(struct hnode *node, void *arg)
{
    struct collector *collector = arg;
    struct memory_object *object = HTABLE_ENTRY(node, struct memory_object, hnode);

    if (object->reached)
        return;
    collector->totals.removed++;
    collector->totals.removed_bytes += object->len;
    if (!collector->dry_run)
        doom(collector, node);
}

static int sweep(struct collector *collector)
{
    struct memory_world *world = collector->world;

    htable_each(&world->objects, judge, collector);
    if (collector->status != HF_OK)
        return collector->status;
    for (size_t i = 0; i < collector->ndoomed; i++) {
        struct memory_object *object =
            HTABLE_ENTRY(collector->doomed[i], struct memory_object, hnode);

        htable_remove(&world->objects, collector->doomed[i]);
        world->content_bytes -= object->len;
        free(object);
    }
    return HF_OK;
}

static int collect(struct collector *collector)
{
    int rc;

    htable_each(&collector->world->objects, unreach, NULL);
    rc = memory_roots_visit(collector->world, reach_root, collector);
    if (rc == HF_OK)
        rc = walk(collector);
    if (rc == HF_OK)
        rc = mark_loose(collector);
    if (rc == HF_OK)
        rc = sweep(collector);
    free(collector->stack);
    free(collector->doomed);
    return rc;
}

/* --- the call --------------------------------------------------------------------------------------- */

static int tell(const struct collect_options *options, const char *phase, uint64_t done,
                uint64_t all, struct hf_error *err)
{
    if (options->progress && options->progress(phase, done, all, options->arg) != 0)
        return hf_fail(err, HF_INTR, "the collection was interrupted");
    return HF_OK;
}

/* Takes the right to collect, or gives it back. */
static int set_collecting(struct memory_store *handle, bool on, struct hf_error *err)
{
    struct memory_world *world = handle->world;
    int rc = HF_OK;

    pthread_mutex_lock(&world->mutex);
    if (on && world->collecting)
        rc = hf_fail(err, HF_BUSY, "another collection of this store is under way");
    else
        world->collecting = on;
    pthread_mutex_unlock(&world->mutex);
    return rc;
}

/* Progress is told without the mutex: who hears of it may call the store. */
static int collect_telling(struct memory_store *handle, const struct collect_options *options,
                           struct collect_totals *ret_totals, struct hf_error *err)
{
    struct collector collector = {.world = handle->world, .dry_run = options->dry_run, .err = err};
    int rc = tell(options, "marking", 0, 0, err);

    if (rc == HF_OK)
        rc = memory_enter(handle, err);
    if (rc != HF_OK)
        return rc;
    collector.now = clock_realtime(handle->clock);
    rc = collect(&collector);
    memory_leave(handle);
    if (rc == HF_OK)
        rc = tell(options, "sweeping", collector.totals.removed, collector.totals.removed, err);
    if (rc == HF_OK)
        *ret_totals = collector.totals;
    return rc;
}

int memory_collect(struct store *store, const struct collect_options *options,
                   struct collect_totals *ret_totals, struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = set_collecting(handle, true, err);

    if (rc != HF_OK)
        return rc;
    rc = collect_telling(handle, options, ret_totals, err);
    set_collecting(handle, false, NULL);
    return rc;
}
