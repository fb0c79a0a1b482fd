/* SPDX-License-Identifier: Apache-2.0 */
#include "base/htable.h"

#include "base/pool.h"
#include "holdfast/error.h"

/** Many tables stay small. */
#define FIRST_BUCKETS 8

static void free_buckets(struct htable *table)
{
    pool_free(table->buckets, table->nbuckets * sizeof *table->buckets);
}

static int grow(struct htable *table)
{
    size_t n = table->nbuckets ? table->nbuckets * 2 : FIRST_BUCKETS;
    struct hnode **buckets = pool_alloc(n * sizeof *buckets);

    if (!buckets)
        return HF_NOMEM;
    for (size_t i = 0; i < table->nbuckets; i++) {
        for (struct hnode *node = table->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (n - 1)];
            buckets[node->hash & (n - 1)] = node;
        }
    }
    free_buckets(table);
    table->buckets = buckets;
    table->nbuckets = n;
    return HF_OK;
}

int htable_insert(struct htable *table, struct hnode *node, uint64_t hash)
{
    /* A table that cannot grow still works, only slower; an empty one cannot. */
    if (table->count >= table->nbuckets && grow(table) != HF_OK && table->nbuckets == 0)
        return HF_NOMEM;
    node->hash = hash;
    node->next = table->buckets[hash & (table->nbuckets - 1)];
    table->buckets[hash & (table->nbuckets - 1)] = node;
    table->count++;
    return HF_OK;
}

void htable_remove(struct htable *table, struct hnode *node)
{
    struct hnode **link = &table->buckets[node->hash & (table->nbuckets - 1)];

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    table->count--;
}

static struct hnode *match(struct hnode *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

struct hnode *htable_find(const struct htable *table, uint64_t hash)
{
    return table->nbuckets ? match(table->buckets[hash & (table->nbuckets - 1)], hash) : NULL;
}

struct hnode *htable_next(const struct hnode *node)
{
    return match(node->next, node->hash);
}

void htable_each(struct htable *table, void (*visit)(struct hnode *node, void *arg), void *arg)
{
    for (size_t i = 0; i < table->nbuckets; i++) {
        for (struct hnode *node = table->buckets[i], *next; node; node = next) {
            next = node->next;
            visit(node, arg);
        }
    }
}

void htable_free(struct htable *table)
{
    free_buckets(table);
    *table = (struct htable){0};
}
