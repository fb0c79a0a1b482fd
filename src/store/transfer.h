/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Objects on their way from one store to another: all that hangs from a root and the target lacks.
 *
 *     a group of nodes --read--> what they refer to --which does the target lack?--> chunks: read, sent
 *            ^                                                                       nodes: the next group
 *            '------------------ sent after all that is below them ------------------------'
 *
 * At any moment the target has with each object all that it refers to. Memory is bounded by a few groups of nodes and
 * one batch of objects. Of an object that takes the place of another in the root before, the target is told so: it may
 * pack one against the other. Used by one thread at a time.
 */
#ifndef STORE_TRANSFER_H
#define STORE_TRANSFER_H

#include "store/idmap.h"
#include "store/store.h"

struct transfer_level; /* nodes at the same height, and how far they are */

struct transfer {
    struct store *source, *target; /**< borrowed */
    uint64_t host;                 /**< in the target, on whose behalf */
    /** Called after each batch that was sent; not 0: stops. Or NULL. */
    int (*sent)(void *arg);
    void *arg;

    uint64_t objects, bytes; /**< that were sent, and their plain content */
    bool unreadable;         /**< the last failure is one of reading the source */

    /* Private. */
    struct idmap seen; /* the target has them, or they are in the batch */
    struct object *batch;
    struct buf *contents; /* of the batch's objects */
    size_t nbatch, batch_bytes;
    struct transfer_level *levels;
    size_t nlevels, cap;
    size_t held; /* bytes of nodes in memory */
};

/** Ended with transfer_free(). HF_NOMEM. */
int transfer_init(struct transfer *transfer, struct store *source, struct store *target,
                  uint64_t host, struct hf_error *err);
void transfer_free(struct transfer *transfer);

/** Asks the target at once which of these roots it has; transfer_root() need not then. */
int transfer_look(struct transfer *transfer, const struct object_id *roots, size_t n,
                  struct hf_error *err);
/**
 * Sends what is missing of a root; the last objects may wait for transfer_flush(). `former` (or NULL): the root that
 * this one follows. HF_MISSING or HF_CORRUPT with `unreadable`: the source does not have all of it; then what was read
 * goes its way, and other roots may follow.
 */
int transfer_root(struct transfer *transfer, const struct object_id *root,
                  const struct object_id *former, struct hf_error *err);
/** Sends what waits. */
int transfer_flush(struct transfer *transfer, struct hf_error *err);

#endif
