/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The kernel's requests. Each operation decodes, calls the tree, replies; all knowledge is in the tree.
 *
 * Not answered on purpose: ioctl, bmap, poll and access (the kernel then does what it does on a plain
 * filesystem), and copy_file_range (it reads and writes instead).
 */
#ifndef FUSE_OPS_H
#define FUSE_OPS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>

#include "fuse/channel.h"
#include "fuse/lockwait.h"
#include "tree/tree.h"

/** What the operations work on: the session's user data. */
struct fuse_ops_state {
    struct channel channel; /**< first */
    struct tree *tree;
    struct lockwaits *lockwaits;
    void (*ready)(void *arg); /**< called once, when the kernel's first request is being answered */
    void *arg;
};

extern const struct fuse_lowlevel_ops fuse_ops;

/** Whether the request that this thread works on was interrupted. */
bool fuse_ops_interrupted(void);

#endif
