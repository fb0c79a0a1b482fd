/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A copy of a session or a snapshot that comes in several requests: the versions or pins that have come so far, until
 * the last request makes one call of the store of them. A connection has one at most; it goes when the connection
 * does. Not thread safe: who works on it has taken it from its peer (peer_take_staging()).
 */
#ifndef SERVER_STAGING_H
#define SERVER_STAGING_H

#include <stddef.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "wire/arena.h"

struct staging {
    int op;                  /**< kind of request that it comes in */
    size_t size;             /**< of an item */
    struct wire_arena arena; /**< what the items borrow */
    char *items;
    size_t n, room;
};

/** One for requests of this kind. NULL: no memory. */
struct staging *staging_new(int op, size_t size);
/** NULL is fine. */
void staging_free(struct staging *staging);

/** Adds items, whose strings must be in the arena. HF_TOOBIG beyond WIRE_COPY_MAX, HF_NOMEM. */
int staging_add(struct staging *staging, const void *items, size_t n, struct hf_error *err);

#endif
