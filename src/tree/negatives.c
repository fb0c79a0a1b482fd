/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/negatives.h"

#include <string.h>

#include "base/pool.h"

/** FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo), started from the directory's number. */
static uint64_t hash_of(uint64_t dir, const char *name)
{
    uint64_t hash = htable_hash_u64(dir) ^ 0xcbf29ce484222325ULL;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001b3ULL;
    return hash;
}

static bool is_noted(const struct negatives *negatives, uint64_t hash, uint64_t dir,
                     const char *name)
{
    for (struct hnode *n = htable_find(&negatives->names, hash); n; n = htable_next(n)) {
        const struct negative *negative = HTABLE_ENTRY(n, struct negative, node);

        if (negative->dir == dir && strcmp(negative->name, name) == 0)
            return true;
    }
    return false;
}

bool negatives_note(struct negatives *negatives, uint64_t dir, const char *name)
{
    uint64_t hash = hash_of(dir, name);
    size_t size = strlen(name) + 1;
    struct negative *negative;

    if (is_noted(negatives, hash, dir, name))
        return true;
    if (negatives->names.count >= NEGATIVES_MAX)
        return false;
    negative = pool_alloc(sizeof *negative + size);
    if (!negative)
        return false;
    negative->dir = dir;
    memcpy(negative->name, name, size);
    if (htable_insert(&negatives->names, &negative->node, hash) != 0) {
        pool_free(negative, sizeof *negative + size);
        return false;
    }
    return true;
}

static void take_one(struct hnode *node, void *arg)
{
    struct negative *negative = HTABLE_ENTRY(node, struct negative, node), **list = arg;

    negative->next = *list;
    *list = negative;
}

struct negative *negatives_take(struct negatives *negatives)
{
    struct negative *list = NULL;

    htable_each(&negatives->names, take_one, &list);
    htable_free(&negatives->names);
    negatives->names = (struct htable){0};
    return list;
}

void negatives_free(struct negative *list)
{
    struct negative *next;

    for (; list; list = next) {
        next = list->next;
        pool_free(list, sizeof *list + strlen(list->name) + 1);
    }
}
