/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A session at rest: nobody uses it, but the kernel knows inodes of it still. What the kernel knows is all that is kept,
 * some twenty bytes for each inode instead of several hundred; the rest can be read again.
 *
 *      loaded  --- rest_begin() (evict.c) --->  not loaded, at rest
 *              <-- rest_end() (session_load) --
 */
#ifndef TREE_REST_H
#define TREE_REST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rest;
struct session;

/** An inode that the kernel knows, or one above it. */
struct rest_known {
    uint64_t ino, parent; /**< in the session; the top's parent is 0 */
    bool is_dir;
    const char *name; /**< in parent; of the top "" */
    uint64_t lookups;
};

/** Puts a loaded session to rest. False: it has inodes that are more than what the store says of them, or too many.
 *  Locked, and pinned by nobody but the caller. */
bool rest_begin(struct session *session);
/** The inodes live again, of the version that has just been loaded. `same`: it is the one that went to rest; else the
 *  kernel is told to forget what it has. Without a session at rest it does nothing. Locked. */
int rest_end(struct session *session, bool same);

/** Takes look-ups off an inode. Locked. */
void rest_forget(struct session *session, uint64_t ino, uint64_t lookups);
/** Calls visit for all of them. Locked. */
void rest_each(const struct rest *rest, void (*visit)(const struct rest_known *known, void *arg),
               void *arg);
size_t rest_count(const struct rest *rest);
size_t rest_memory(const struct rest *rest);
void rest_free(struct rest *rest);

#endif
