/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/bases.h"

#include <stdlib.h>

struct base *base_new(const struct object_id *id, uint64_t seq, uint64_t sweeps,
                      struct slice content, size_t packed)
{
    struct base *base = malloc(sizeof *base + content.len);

    if (!base)
        return NULL;
    atomic_init(&base->references, 1);
    atomic_init(&base->leaning, 0);
    atomic_init(&base->leaned, 0);
    base->seq = seq;
    base->sweeps = sweeps;
    base->packed = packed;
    base->id = *id;
    base->len = content.len;
    if (content.len > 0)
        memcpy(base->content, content.data, content.len);
    return base;
}

void base_unref(struct base *base)
{
    if (base && atomic_fetch_sub(&base->references, 1) == 1)
        free(base);
}

/* One base and n deltas cost (base + deltas) / (n + 1) each. A delta that is larger than that makes the mean grow, and
 * so will those after it; but a base that has hardly been used is worth another try. */
size_t base_most(const struct base *base)
{
    size_t leaned = atomic_load_explicit(&base->leaned, memory_order_relaxed);
    unsigned leaning = atomic_load_explicit(&base->leaning, memory_order_relaxed);

    return leaned < base->packed ? OBJECT_MAX_SIZE : (base->packed + leaned) / (leaning + 1);
}

void base_lean(struct base *base, size_t len)
{
    atomic_fetch_add_explicit(&base->leaned, len, memory_order_relaxed);
    atomic_fetch_add_explicit(&base->leaning, 1, memory_order_relaxed);
}

void bases_init(struct bases *bases)
{
    pthread_mutex_init(&bases->lock, NULL);
}

static void drop(struct bases *bases, struct bases_entry *entry)
{
    if (!entry->base)
        return;
    bases->bytes -= entry->base->len;
    base_unref(entry->base);
    entry->base = NULL;
}

void bases_release(struct bases *bases)
{
    for (size_t i = 0; i < BASES_MAX; i++)
        drop(bases, &bases->entries[i]);
    pthread_mutex_destroy(&bases->lock);
}

/* With the lock held. */
static struct bases_entry *entry_of(struct bases *bases, const struct object_id *id)
{
    for (size_t i = 0; i < BASES_MAX; i++)
        if (bases->entries[i].base && object_id_equal(&bases->entries[i].id, id))
            return &bases->entries[i];
    return NULL;
}

struct base *bases_find(struct bases *bases, const struct object_id *id)
{
    struct bases_entry *entry;
    struct base *base;

    pthread_mutex_lock(&bases->lock);
    entry = entry_of(bases, id);
    base = entry ? entry->base : NULL;
    if (base)
        atomic_fetch_add(&base->references, 1);
    pthread_mutex_unlock(&bases->lock);
    return base;
}

/* With the lock held: an empty entry, once the oldest ones have made room for `len` bytes. */
static struct bases_entry *make_room(struct bases *bases, size_t len)
{
    struct bases_entry *entry;

    do {
        entry = &bases->entries[bases->next];
        bases->next = (bases->next + 1) % BASES_MAX;
        drop(bases, entry);
    } while (bases->bytes > 0 && bases->bytes + len > BASES_MAX_BYTES);
    return entry;
}

void bases_add(struct bases *bases, const struct object_id *id, const struct object_id *replaced,
               struct base *base)
{
    struct bases_entry *entry;

    atomic_fetch_add(&base->references, 1);
    pthread_mutex_lock(&bases->lock);
    entry = replaced ? entry_of(bases, replaced) : NULL;
    if (entry)
        drop(bases, entry);
    if (!entry || bases->bytes + base->len > BASES_MAX_BYTES)
        entry = make_room(bases, base->len);
    entry->id = *id;
    entry->base = base;
    bases->bytes += base->len;
    pthread_mutex_unlock(&bases->lock);
}
