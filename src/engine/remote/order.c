/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/order.h"

#include <limits.h>
#include <stdlib.h>

#include "object/node.h"
#include "store/idmap.h"

/* Values of the map: nodes that are not placed yet, and those that are. */
enum { WAITS = 1, PLACED = 2 };

/* Not 0: something that the node refers to is not placed. */
static int look_for_waiting(const struct object_id *id, enum object_kind kind, void *arg)
{
    const uint32_t *value = kind == OBJECT_CHUNK ? NULL : idmap_find(arg, id);

    return value && *value == WAITS;
}

static size_t place_chunks(const struct object *objects, size_t n, struct object *out)
{
    size_t placed = 0;

    for (size_t i = 0; i < n; i++)
        if (objects[i].kind == OBJECT_CHUNK)
            out[placed++] = objects[i];
    return placed;
}

static int note_nodes(const struct object *objects, size_t n, struct idmap *map)
{
    uint32_t *value;
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc >= 0; i++)
        if (objects[i].kind != OBJECT_CHUNK)
            rc = idmap_add(map, &objects[i].id, WAITS, &value);
    return rc < 0 ? rc : HF_OK;
}

/* Places the nodes below which nothing waits; one pass is enough when they come from the bottom up, as a tree
 * makes them. `all`: places whatever is left. */
static size_t place_nodes(const struct object *objects, size_t n, struct idmap *map, bool all,
                          struct object *out)
{
    size_t placed = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t *value = objects[i].kind == OBJECT_CHUNK ? NULL : idmap_find(map, &objects[i].id);

        if (!value || *value == PLACED)
            continue;
        /* It does not wait for itself; what is no node at all, the server refuses. */
        *value = PLACED;
        if (!all && node_refs(objects[i].kind, objects[i].content, look_for_waiting, map) > 0)
            *value = WAITS;
        else
            out[placed++] = objects[i];
    }
    return placed;
}

int remote_order(const struct object *objects, size_t n, struct object *ret_ordered,
                 size_t *ret_nchunks, struct hf_error *err)
{
    struct idmap map = {0};
    size_t nchunks = place_chunks(objects, n, ret_ordered);
    size_t done = nchunks, more = 1;
    int rc = note_nodes(objects, n, &map);

    while (rc == HF_OK && done < nchunks + map.count) {
        more = place_nodes(objects, n, &map, more == 0, ret_ordered + done);
        done += more;
    }
    idmap_free(&map);
    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    /* An object that was given twice is sent once; the room that is left repeats the last. */
    for (; done < n; done++)
        ret_ordered[done] = ret_ordered[done - 1];
    *ret_nchunks = nchunks;
    return HF_OK;
}
