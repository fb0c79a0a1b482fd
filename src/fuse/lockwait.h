/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Lock requests that wait without a thread: a request is answered by whoever ends its wait.
 *
 *      lockwait_set --granted, refused--> answered at once
 *           |
 *        waiting --granted by another's unlock--> answered from that thread
 *           |
 *           +--interrupted--> tree_lock_cancel --> answered with EINTR
 *
 * An interrupt can arrive before the tree has given the request its ticket, and the grant before
 * lockwait_set() returns; an answered request's memory is gone. So waiting requests are registered by
 * address until they are answered, and an interrupt only ever looks there. Thread safe.
 */
#ifndef FUSE_LOCKWAIT_H
#define FUSE_LOCKWAIT_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse_lowlevel.h>

#include "tree/tree.h"

struct lockwaits;

struct lockwaits *lockwaits_new(void);
/** No request may be waiting. */
void lockwaits_free(struct lockwaits *waits);

/** Sets a lock, waits for it if it must, and answers `req` in any case. */
void lockwait_set(struct lockwaits *waits, struct tree *tree, fuse_req_t req,
                  struct tree_handle *handle, const struct lock_request *request);

#endif
