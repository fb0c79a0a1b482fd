/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What somebody who has one root will read when he goes on to another: the objects that only the new one has.
 * Nodes from the root down, then the chunks at the ends of the files, where logs grow. Where the two differ in more
 * than was asked for, the rest is left out: it can be read as it is needed.
 */
#ifndef STORE_DELTA_H
#define STORE_DELTA_H

#include "store/store.h"

/** Objects at most. */
#define DELTA_MAX 32

/** All zero is empty. The objects' contents lie in `contents`. */
struct delta {
    struct object objects[DELTA_MAX];
    struct buf contents[DELTA_MAX];
    size_t n, bytes;
};

/**
 * Gathers at most `budget` bytes of contents. `known` is NULL, or not in the store: `root` alone. What cannot be read
 * is left out; HF_NOMEM alone is told, and leaves what was gathered before. Ended with delta_free().
 */
int delta_gather(struct store *store, const struct object_id *root, const struct object_id *known,
                 size_t budget, struct delta *ret_delta);
void delta_free(struct delta *delta);

#endif
