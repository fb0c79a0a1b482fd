/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The trace decorator: a store on top of a store that counts every call, measures how long it takes,
 * and, if asked to, writes a line for each.
 */
#ifndef ENGINE_DECORATOR_TRACE_H
#define ENGINE_DECORATOR_TRACE_H

#include "engine/decorator/op.h"
#include "store/engine.h"

/** Upper bounds of the times that calls are sorted by, in ns; what takes longer goes into one more. */
#define TRACE_NBOUNDS 17
extern const uint64_t trace_bounds[TRACE_NBOUNDS];

/** What was seen of one call of store.h. */
struct trace_counter {
    uint64_t calls;
    uint64_t failures; /**< calls that did not return 0 */
    uint64_t items; /**< objects put, got, asked for or committed; rows visited are not counted */
    uint64_t bytes; /**< of their plain contents */
    uint64_t total_ns;
    uint64_t slowest_ns;
    uint64_t within[TRACE_NBOUNDS +
                    1]; /**< calls by time: not above trace_bounds[i], and above the one before */
};

struct trace_counters {
    struct trace_counter ops[STORE_OP_COUNT];
};

/**
 * Wraps `below`, which the new store owns from now on (not on failure). `fd` gets a line for each call
 * and event and stays the caller's; -1: none.
 */
int trace_store_new(struct store *below, const struct clock *clock, int fd,
                    struct store **ret_store, struct hf_error *err);

/** The counters so far, if `store` is a trace store; false otherwise. Thread safe. */
bool trace_store_counters(struct store *store, struct trace_counters *ret_counters);

/** The store below, still owned by `store`, which must be a trace store (asserted). */
struct store *trace_store_below(struct store *store);

#endif
