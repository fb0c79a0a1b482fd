/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One mount: the connection between the kernel and a tree.
 *
 *     fuse_mount_new        a session, nothing mounted; its kernel callbacks can be given to tree_open()
 *     fuse_mount_serve      mounts, answers requests, returns when unmounted or told to stop; unmounts
 *     (tree_close)          the mount's requests are over, waiting locks may still be answered
 *     fuse_mount_free
 *
 * Requests that wait (for a lease, a commit) each hold one of the threads; waiting locks hold none.
 */
#ifndef FUSE_MOUNT_H
#define FUSE_MOUNT_H

#include <signal.h>

#include "tree/tree.h"

struct fuse_mount;

struct fuse_mount_options {
    const char *source; /**< what mount(8) lists as the device; it may hold a comma */
    const char
        *extra; /**< further options for the kernel, comma-separated ("allow_other,ro"), or NULL */
    unsigned threads; /**< at most so many requests at the same time; 0: 32 */
};

int fuse_mount_new(const struct fuse_mount_options *options, struct fuse_mount **ret_mount,
                   struct hf_error *err);

/** What the tree tells the kernel through; valid as long as the mount. It does nothing while the mount
 *  does not serve. */
struct tree_kernel fuse_mount_kernel(struct fuse_mount *mount);

/** The signals that end fuse_mount_serve(): block them before any thread is started. */
void fuse_mount_signals(sigset_t *ret_signals);

/**
 * Mounts on `mountpoint` (an existing absolute path) and answers requests from `tree`. Calls `ready` once
 * the kernel is being answered. Returns 0 when the mount was ended: by umount(8), or by one of
 * fuse_mount_signals(), and it is unmounted then. The caller still closes the tree.
 */
int fuse_mount_serve(struct fuse_mount *mount, struct tree *tree, const char *mountpoint,
                     void (*ready)(void *arg), void *arg, struct hf_error *err);

/** After tree_close(). NULL is fine. */
void fuse_mount_free(struct fuse_mount *mount);

#endif
