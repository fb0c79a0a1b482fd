/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The descriptor to the kernel, below libfuse: what libfuse 3.14 neither asks the kernel for nor passes on.
 *
 * With FUSE_HANDLE_KILLPRIV_V2 the kernel leaves set-user-id and set-group-id bits to the filesystem, and says with
 * each request whether its caller ends them. In return it remembers that a file has no capabilities, and does not ask
 * for them before each write(2) (ADR 25).
 */
#ifndef FUSE_CHANNEL_H
#define FUSE_CHANNEL_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>

struct channel {
    atomic_bool told; /**< the kernel says who ends set-id bits */
};

/** Puts itself between libfuse and the descriptor of a session that was just mounted. The session's user data begin
 *  with a struct channel. 0 or a negative errno. */
int channel_attach(struct fuse_session *session);

/** Whether the request that this thread has read last, of a caller with this uid, ends a file's set-id bits when it
 *  changes the file. */
bool channel_ends_privileges(struct channel *channel, uid_t uid);

#endif
