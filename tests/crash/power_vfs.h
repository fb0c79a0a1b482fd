/* SPDX-License-Identifier: Apache-2.0 */
/**
 * An SQLite VFS that knows what is on the medium. It passes everything on to the default one, and keeps
 * beside it, for each file, what was last synced and every write since. When the power goes, from one call
 * to the next, the survivor of each file is what was synced and some of the rest: no write, all, some, or
 * parts of some (sectors of 512 bytes), in any order. From then on every call fails.
 *
 * One power at a time. Thread safe.
 */
#ifndef TESTS_CRASH_POWER_VFS_H
#define TESTS_CRASH_POWER_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define POWER_VFS_NAME "power"

/** Registers the VFS, and forgets all files of the last time. */
void power_on(uint64_t seed);
/** Unregisters it. No file may be open. */
void power_off(void);

/** The power goes at the `n`th call from now that changes something; `at_cut` is called then. */
void power_cut_after(uint64_t n, void (*at_cut)(void *arg), void *arg);
/** The power goes now, unless it has gone. */
void power_cut_now(void);
bool power_is_cut(void);
/** Calls that changed something since power_on(). */
uint64_t power_calls(void);

/** From the `n`th sync from now on (0: none), the next `count` fail; what they should have synced stays
 *  not synced, and is not kept for a later one: the way a kernel drops pages that it could not write. */
void power_fail_syncs(uint64_t n, uint64_t count);

/** Writes what survived: the file that was PATH as `to`, PATH-wal as TO-wal, PATH-journal likewise. */
bool power_survivor(const char *path, const char *to);

#endif
