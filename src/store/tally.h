/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What went through a handle of a store since it was opened: counted by store.c at the front of every engine, told by
 * those engines that hold the store themselves (store_stats()). All zero: nothing yet. Thread safe.
 */
#ifndef STORE_TALLY_H
#define STORE_TALLY_H

#include <stdatomic.h>

#include "base/buf.h"
#include "store/types.h"

struct store_tally {
    atomic_uint_fast64_t gets, got_bytes, puts, put_bytes;
};

/** Counts objects that came, and contents that were read. */
static inline void tally_put(struct store_tally *tally, const struct object *objects, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += objects[i].content.len;
    atomic_fetch_add_explicit(&tally->puts, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->put_bytes, bytes, memory_order_relaxed);
}

static inline void tally_got(struct store_tally *tally, const struct buf *contents, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += contents[i].len;
    atomic_fetch_add_explicit(&tally->gets, n, memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->got_bytes, bytes, memory_order_relaxed);
}

/** Puts these four into what is told; the rest of it stays. */
static inline void tally_tell(const struct store_tally *tally, struct store_activity *activity)
{
    activity->gets = atomic_load_explicit(&tally->gets, memory_order_relaxed);
    activity->got_bytes = atomic_load_explicit(&tally->got_bytes, memory_order_relaxed);
    activity->puts = atomic_load_explicit(&tally->puts, memory_order_relaxed);
    activity->put_bytes = atomic_load_explicit(&tally->put_bytes, memory_order_relaxed);
}

#endif
