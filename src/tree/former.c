/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/former.h"

#include <stdlib.h>

/** Of a longer file, only so many are remembered. */
#define FORMERS_MAX 1024

static int push(struct formers *formers, const struct extent_cursor *cursor)
{
    if (formers->count == formers->cap) {
        size_t cap = formers->cap ? formers->cap * 2 : 16;
        struct former *items = reallocarray(formers->items, cap, sizeof *items);

        if (!items)
            return HF_NOMEM;
        formers->items = items;
        formers->cap = cap;
    }
    formers->items[formers->count++] =
        (struct former){.start = cursor->start, .end = cursor->end, .id = cursor->id};
    return HF_OK;
}

void formers_take(struct formers *formers, struct extent_tree *tree, uint64_t from, uint64_t to)
{
    struct extent_cursor cursor;
    int rc;

    if (formers->count > 0 || from >= to || from >= tree->len)
        return;
    rc = extent_tree_seek(tree, from, &cursor, NULL);
    while (rc == HF_OK && cursor.start < to && cursor.end != UINT64_MAX &&
           formers->count < FORMERS_MAX) {
        if (cursor.chunk)
            rc = push(formers, &cursor);
        if (rc == HF_OK)
            rc = extent_tree_next(tree, &cursor, NULL);
    }
}

/** Index of the first that ends after `offset`. */
static size_t find_first(const struct formers *formers, uint64_t offset)
{
    size_t low = 0, high = formers->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (formers->items[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool formers_find(const struct formers *formers, uint64_t start, uint64_t end,
                  struct object_id *ret_id)
{
    uint64_t best = 0, len = end - start;

    start -= formers->shift;
    end = start + len;
    /* Shifted to before the file's first byte: nothing was there. */
    if (end < start)
        return false;
    for (size_t i = find_first(formers, start); i < formers->count && formers->items[i].start < end;
         i++) {
        const struct former *former = &formers->items[i];
        uint64_t low = former->start > start ? former->start : start;
        uint64_t high = former->end < end ? former->end : end;

        if (high - low > best) {
            best = high - low;
            *ret_id = former->id;
        }
    }
    return best > 0;
}

void formers_met(struct formers *formers, const struct object_id *id, uint64_t start)
{
    for (size_t n = 0; n < formers->count; n++) {
        size_t i = (formers->next + n) % formers->count;

        if (object_id_equal(&formers->items[i].id, id)) {
            formers->shift = start - formers->items[i].start;
            formers->next = i + 1;
            return;
        }
    }
}

void formers_clear(struct formers *formers)
{
    free(formers->items);
    *formers = (struct formers){0};
}
