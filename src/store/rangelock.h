/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The algebra of byte-range locks, for engines: which lock is in the way of another, and what becomes of
 * an owner's locks when it sets or clears a range (fcntl(2), flock(2)).
 *
 *     held by the owner     rrrrrrrr        wwwww
 *     sets w                     wwwwwwwwww
 *     then holds            rrrrrwwwwwwwwwwwwwwww        split, replaced, merged
 *
 * An owner is a (host session, owner) pair. Locks of different files or kinds have nothing to do with
 * each other. Pure functions; thread safe.
 */
#ifndef STORE_RANGELOCK_H
#define STORE_RANGELOCK_H

#include <stddef.h>

#include "store/types.h"

/** Whether both are of one file and kind, and of one owner. */
bool rangelock_same_owner(const struct store_lock *a, const struct store_lock *b);

/** Whether `held` keeps `request` from being set. */
bool rangelock_in_the_way(const struct store_lock *held, const struct store_lock *request);

/** The one of locks[0..n) with the lowest start (then host, then owner) that is in the way of `request`, or
 *  NULL. */
const struct store_lock *rangelock_conflict(const struct store_lock *locks, size_t n,
                                            const struct store_lock *request);

/**
 * The locks that request->owner holds after it has set (or with LOCK_TYPE_NONE cleared) the range: disjoint,
 * merged, in order. They replace all of locks[0..n) that are rangelock_same_owner() with the request; the
 * others are passed over. *ret_locks is freed by the caller with free(); NULL when none are left.
 * Returns 0 or HF_NOMEM.
 */
int rangelock_apply(const struct store_lock *locks, size_t n, const struct store_lock *request,
                    struct store_lock **ret_locks, size_t *ret_n);

#endif
