/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The walk of one system call through a session: the kernel looks up one name after the other, then opens what it
 * has found. Where another host may have changed the session, the first step asks for the head, and the others of
 * the same call need not:
 *
 *     LOOKUP name -> 7      asks:          walk_begin(), then walk_to(7)
 *     LOOKUP in 7 -> 9      walk_covers(7): does not ask; walk_to(9)
 *     OPEN 9                walk_covers(9): does not ask
 *
 * The kernel does not say where a call begins. A step belongs to the walk if the same thread takes it, on the inode
 * that its last step came to, within WALK_NS of the answer. A second call of the thread looks up a name first, which
 * does not lead on from where the first call ended; what does (the first call only looked at a directory, in which
 * the second one opens a file by a descriptor of it) would have to hear of another host's close within that time.
 */
#ifndef TREE_WALK_H
#define TREE_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct session;

#define WALK_NS 1000000

/** All zero: none. Guarded by the session's lock, as all calls are. */
struct walk {
    uint64_t caller; /**< the thread; 0: none */
    uint64_t ino;    /**< where it has come to; 0: nowhere yet */
    int64_t until;   /**< timer_now() */
};

/** The store has just been asked for the session's head. */
void walk_begin(struct session *session);
/** A look-up of the walk has led to this inode. */
void walk_to(struct session *session, uint64_t ino);
/** Whether a request on this inode is the next step of a walk. */
bool walk_covers(const struct session *session, uint64_t ino);

#endif
