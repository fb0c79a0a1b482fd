/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A file that is written under a new name is often the next version of another. Then most of its chunks are known,
 * and what comes between two of them takes the place of what came there before:
 *
 *      an earlier file   a  b  c  d  e        each chunk that is in memory knows its follower
 *      the new one       a  b' d  e'          b' after a: its base is b, which followed a; e' after d: e
 *
 * The trail says which chunk is expected next. Where an edit has taken a boundary away, or made one, the end of a
 * chunk shows how far the earlier file has come. Only hints: whatever goes wrong here costs space and nothing else.
 * Guarded by the lock of the session whose file it is.
 */
#ifndef TREE_TRAIL_H
#define TREE_TRAIL_H

#include "tree/blob.h"

/** All zero but `cache` is the start of a file. */
struct trail {
    struct blob_cache *cache;
    bool expects;
    struct object_id expected; /**< to follow what was passed last */
    bool begun;
    struct object_id last; /**< that was passed */
};

/** For a chunk that is not known: which one it most likely replaces. */
bool trail_find(struct trail *trail, struct slice content, struct object_id *ret_base);
/** Whether a chunk is known; then what followed it is expected next. */
bool trail_meet(struct trail *trail, const struct object_id *id);
/** Notes the next chunk of the file, once it is in memory. */
void trail_pass(struct trail *trail, const struct object_id *id);

#endif
