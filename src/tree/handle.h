/* SPDX-License-Identifier: Apache-2.0 */
/** An open file or directory. It pins its session and its inode. */
#ifndef TREE_HANDLE_H
#define TREE_HANDLE_H

#include "tree/session.h"

struct listing;

struct tree_handle {
    struct session *session; /* set once, like the next four */
    struct inode *inode;
    int flags;
    bool writes; /* open for writing */
    pid_t pid;

    atomic_bool
        closing; /* nothing came through it since a close(2): its release may be on its way */

    atomic_bool lost; /* it had a lock in the shared tree that is gone */

    uint64_t flock_owner, posix_owner; /* filelocks.lock: of the last locks in the shared tree */

    /* session.lock: */
    struct tree_handle *next, *prev; /* in session.open_handles */
    uint64_t epoch;                  /* the session's when it was opened */
    bool wrote;                      /* something is unsaved that this handle changed */
    bool new_tail;                   /* the kernel lacks the page that its last write ended in */
    int64_t split_until;     /* another part of its last write may come until then; 0: none */
    struct listing *listing; /* of a directory: its names when it was last rewound */
    struct buf text;         /* of a pseudo file: what it said when it was opened */
};

/** Opens `inode` (which gets a reference). The session is locked, and pinned for the handle. */
int handle_new(struct session *session, struct inode *inode, int flags, pid_t pid,
               struct tree_handle **ret_handle);
/** Closes it. The session is not locked. */
void handle_free(struct tree_handle *handle);
/** Frees those that a session still has at its end: a mount that is told to end does not see all releases. */
void handle_free_all(struct session *session);

#endif
