/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The locks of one mount: POSIX and OFD record locks and flock(2), with waiting that takes no thread.
 *
 *   request --granted--> held --unlock, close, owner's end--> wakes waiters in order of arrival
 *      |                  ^
 *      +--in the way--> waiting --interrupt--> HF_INTR
 *      |
 *      +--would close a cycle of waiting owners--> HF_DEADLK (POSIX locks only)
 *
 * Semantics: fcntl_locking(2), flock(2). Ranges of one owner are split and merged. A change of type of a
 * record lock is atomic; flock(2) lets go of the old lock first when another is in the way, as on Linux.
 * A new request that nothing held is in the way of is granted even when others wait (as on Linux).
 *
 * POSIX and OFD locks arrive alike. A cycle of waiting owners is a deadlock when the owners belong to
 * different processes (see locks.c for why); flock(2) has no deadlock detection.
 *
 * Thread safe: one internal mutex, never held while a completion runs.
 */
#ifndef TREE_LOCKS_H
#define TREE_LOCKS_H

#include "store/types.h"

struct lock_table;

struct lock_request {
    uint64_t inode; /**< the mount's inode number */
    enum lock_kind kind;
    enum lock_type type;
    uint64_t start, end; /**< bytes, inclusive; end UINT64_MAX: to infinity */
    uint64_t owner;      /**< the kernel's lock owner */
    uint64_t handle;     /**< the open file it came through */
    uint32_t pid;
};

/** Called once, without any lock of the table held, when a waiting request is granted (0) or ended. */
typedef void (*lock_done_fn)(int status, void *arg);

struct lock_table *lock_table_new(void);
void lock_table_free(struct lock_table *table);

/**
 * Sets or (type LOCK_TYPE_NONE) clears. A flock request has the range 0..UINT64_MAX. Returns 0 when done at once. When another is in the way: without
 * `wait`, HF_AGAIN; with it, HF_PENDING, and `done` is called later; `ret_ticket` names the waiting
 * request for lock_cancel(). HF_DEADLK. With HF_PENDING, `done` may run before this call returns.
 */
int lock_set(struct lock_table *table, const struct lock_request *request, bool wait,
             lock_done_fn done, void *arg, uint64_t *ret_ticket);
/** Ends a waiting request with HF_INTR (or another status); false when it is not waiting any more. */
bool lock_cancel(struct lock_table *table, uint64_t ticket, int status);
/** The first lock in the way of the request: true and `ret_lock`, or false. */
bool lock_test(struct lock_table *table, const struct lock_request *request,
               struct lock_request *ret_lock);
/** Drops the POSIX locks of `owner` on `inode` (a close(2)). */
void lock_release_owner(struct lock_table *table, uint64_t inode, uint64_t owner);
/** Drops everything that came through `handle` on `inode` (the last close of an open file). */
void lock_release_handle(struct lock_table *table, uint64_t inode, uint64_t handle);
/** Ends all waiting requests of a range of inode numbers with `status` and drops their locks. */
void lock_revoke(struct lock_table *table, uint64_t first_inode, uint64_t last_inode, int status);
/** Whether a lock on `inode` came through `handle`. */
bool lock_held_through(struct lock_table *table, uint64_t inode, uint64_t handle);
/** Number of locks held on inodes first..last. */
size_t lock_count(struct lock_table *table, uint64_t first_inode, uint64_t last_inode);

#endif
