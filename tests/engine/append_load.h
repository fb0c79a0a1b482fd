/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The commits that a growing event log makes: each appends 2 KiB to one file of a session, which gives a
 * chunk that leans on the last one, the last leaf of its extents, the interior node above, and the root.
 * Failures fail the test.
 */
#ifndef TESTS_ENGINE_APPEND_LOAD_H
#define TESTS_ENGINE_APPEND_LOAD_H

#include "object/node.h"
#include "store/store.h"

#define APPEND_LOAD_LEAVES 400

struct append_load {
    struct store *store;
    uint64_t host;
    struct lease lease;
    uint64_t seed;
    struct extent leaf[512]; /**< extents of the last leaf; the last one is the tail */
    size_t extents;
    struct file_child leaves[APPEND_LOAD_LEAVES]; /**< those before the last one */
    size_t nleaves;
    uint64_t size;
    uint8_t tail[16384];
    size_t tail_len;
    struct object_id last_chunk, last_leaf, last_top, last_root;
    bool has_last;
    struct buf bytes[4]; /**< contents of the commit's objects */
    int64_t commit_ns;   /**< that the last store_commit() took */
};

/** Makes the session `name`, with `chunks` chunks in its log already. */
void append_load_start(struct append_load *load, struct store *store, uint64_t host,
                       const char *name, size_t chunks);
/** One append, up to its commit. Returns the commit's status. */
int append_load_step(struct append_load *load, enum durability durability);
void append_load_end(struct append_load *load);

#endif
