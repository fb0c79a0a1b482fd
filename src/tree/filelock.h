/* SPDX-License-Identifier: Apache-2.0 */
/**
 * File locks of open files. Within a session its lease makes the mount's lock table the authority. In the
 * shared tree the local table decides between the mount's own processes, and the store's table between
 * hosts. The store is always asked, whether another host is about or not: so there is no moment at which
 * one appears and does not see a lock.
 *
 *      request --> local table? --free--> store's table? --free--> set in both: granted
 *                      | in the way            | in the way
 *                      v                       v
 *                  waits there             waits for EVENT_LOCKS_CHANGED, then starts again
 *
 * Who gets a lock sees what was written under it before, as with one kernel: the shared tree is brought up to date, and
 * the kernel told to drop what it has of it, before the grant is answered.
 *
 * The locks in the store's table end with the host session. When it was taken for dead (the mount was cut off for
 * longer than its TTL), another host may have had them since: the open files that had one answer EIO from then
 * on, to reads, writes and locks, until they are closed.
 */
#ifndef TREE_FILELOCK_H
#define TREE_FILELOCK_H

#include <pthread.h>

#include "tree/tree.h"

struct filelock_wait;
struct owed_unlock;

/** The waiting requests of the shared tree. */
struct filelocks {
    /** Everything here; recursive, since granting one request may end the waiting of another. */
    pthread_mutex_t lock;
    struct filelock_wait *waits;
    struct filelock_wait *granted; /* to be answered by the worker */
    struct owed_unlock *owed;      /* in order: the store could not be told of them */
    uint64_t next_ticket;
};

void filelocks_init(struct filelocks *filelocks);
/** Ends all waiting with HF_INTR. */
void filelocks_clear(struct tree *tree);

/** Tries the waiting requests again that the store refused. On the worker thread. */
void filelock_retry(struct tree *tree);

/** The locks of this host are gone from the store's table: files that had one fail from now on. On the worker
 *  thread, nothing locked. */
void filelock_lost(struct tree *tree);

/** Drops what a close(2) by `owner` drops. */
void filelock_close(struct tree_handle *handle, uint64_t owner);
/** Drops what the last close drops. */
void filelock_release(struct tree_handle *handle);

#endif
