/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A VFS for the writer's connection, over any other: it gathers the frames of a transaction on their way
 * into the write-ahead log into one write. SQLite writes each frame in two, its header and its page,
 * and a commit has some eight of them; the system calls cost more than the bytes.
 *
 *     header, page, header, page, ..., header (of the commit), page   ->   one write
 *
 * What is held back is written when the page of the commit's frame comes, when it grows large, and before
 * anything else is done with the log. SQLite tells nobody of a frame before all of its transaction have
 * been accepted here. The connection must not spill its cache (PRAGMA cache_spill=0): frames that are
 * rewritten in the middle of a transaction have another order.
 */
#ifndef ENGINE_SQLITE_LOG_VFS_H
#define ENGINE_SQLITE_LOG_VFS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "holdfast/error.h"

/** One for each writer. */
struct log_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    char name[32];
    bool registered;
};

/** Registers `vfs` over the one named `below` (NULL: the default) under a name of its own, vfs->name. */
int log_vfs_register(struct log_vfs *vfs, const char *below, struct hf_error *err);
/** No connection may be open. Accepts one that was not registered. */
void log_vfs_unregister(struct log_vfs *vfs);

#endif
