/* SPDX-License-Identifier: Apache-2.0 */
/** An SQLite VFS over the default one that counts syncs and lets a test step in before a write, a sync or a read. */
#ifndef TESTS_ENGINE_SHIM_VFS_H
#define TESTS_ENGINE_SHIM_VFS_H

#include <stdatomic.h>
#include <stdbool.h>

#define SHIM_VFS_NAME "shim"

enum shim_call { SHIM_WRITE, SHIM_SYNC, SHIM_READ };

/** Called before each call on a write-ahead log (`log`) or another file, from whatever thread makes it. 0: go
 *  on; else the SQLite code that the call is to fail with. */
typedef int (*shim_hook)(enum shim_call call, bool log, void *arg);

extern atomic_uint shim_log_syncs;

void shim_register(void);
/** Sets the hook; NULL: none. Only while nobody uses the VFS, or from within the hook's own waits. */
void shim_set_hook(shim_hook hook, void *arg);

#endif
