/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A store that is far away: an SQLite store in a folder of its own, some of whose calls can be cut off as if the
 * server could not be reached, and whose host sessions have a deadline that the test sets.
 *
 *      near --far_cut()--> away: calls answer HF_TIMEOUT, having done nothing
 *       ^   \-far_deafen()-> deaf: they are carried out, and answer HF_TIMEOUT
 *       +------far_near()------ (and the tree is told EVENT_MISSED)
 */
#ifndef TESTS_TREE_FAR_H
#define TESTS_TREE_FAR_H

#include "mount.h"

struct far;

/** Opens a mount on a new store. */
struct far *far_open(struct mount *ret_mount);
/** Opens an ordinary mount of the same store. */
void far_other(struct far *far, struct mount *ret_mount);
/** Closes the mount, removes the store. Returns what tree_close() said. */
int far_close(struct far *far, struct mount *mount);

void far_cut(struct far *far);
void far_deafen(struct far *far);
/** `missed`: the tree is told. */
void far_near(struct far *far, bool missed);
/** Calls that were answered with HF_TIMEOUT. */
unsigned far_refused(const struct far *far);
/** From now on no change may be admitted; or (false) it may again. */
void far_expire(struct far *far, bool expired);
/** Tells the tree an event. */
void far_tell(struct far *far, enum event_kind kind, uint64_t sid, uint64_t token);
/** The host session is ended behind the mount's back, as if its TTL had passed, and it is told HOST_LOST. */
void far_kill_host(struct far *far);

#endif
