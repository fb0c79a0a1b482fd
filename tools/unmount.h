/* SPDX-License-Identifier: Apache-2.0 */
/** Takes a mount of ours away: as root by umount(2), as anyone else through fusermount3. */
#ifndef TOOLS_UNMOUNT_H
#define TOOLS_UNMOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "holdfast/error.h"

/** HF_BUSY when files of it are in use (not when `lazy`: then it goes when they are closed). */
int unmount_place(const char *path, bool lazy, struct hf_error *err);

/** Whether a mount point answers that its daemon is gone. */
bool unmount_is_stale(const char *path);

/** Appends "bash (1234), sqlite3 (99)": who uses the filesystem mounted on `path`, as far as this user can
 *  see; at most ten. Nothing when nobody is seen. NUL-terminated in any case. */
void unmount_users(const char *path, struct buf *ret_text);

#endif
