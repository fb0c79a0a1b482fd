/* SPDX-License-Identifier: Apache-2.0 */
#include "server/staging.h"

#include <stdlib.h>
#include <string.h>

#include "wire/convert.h"

struct staging *staging_new(int op, size_t size)
{
    struct staging *staging = calloc(1, sizeof *staging);

    if (staging) {
        staging->op = op;
        staging->size = size;
    }
    return staging;
}

void staging_free(struct staging *staging)
{
    if (!staging)
        return;
    wire_arena_free(&staging->arena);
    free(staging->items);
    free(staging);
}

static int make_room(struct staging *staging, size_t n)
{
    size_t room = staging->room ? staging->room : 256;
    char *items;

    if (n <= staging->room)
        return HF_OK;
    while (room < n)
        room *= 2;
    items = reallocarray(staging->items, room, staging->size);
    if (!items)
        return HF_NOMEM;
    staging->items = items;
    staging->room = room;
    return HF_OK;
}

int staging_add(struct staging *staging, const void *items, size_t n, struct hf_error *err)
{
    if (n > WIRE_COPY_MAX - staging->n)
        return hf_fail(err, HF_TOOBIG, "a copy has more than %u versions or pins", WIRE_COPY_MAX);
    if (make_room(staging, staging->n + n) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (n > 0)
        memcpy(staging->items + staging->n * staging->size, items, n * staging->size);
    staging->n += n;
    return HF_OK;
}
