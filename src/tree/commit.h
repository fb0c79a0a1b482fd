/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Building commits from dirty inodes, and handing them to the store, one at a time for each session.
 *
 *      dirty inodes, deepest first --> records in the parents' dirmaps --> ROOT --> sink --> store
 *
 * Who needs a commit leads it; who comes while one is under way waits, and the first of those leads the
 * next, which carries everything that gathered meanwhile.
 */
#ifndef TREE_COMMIT_H
#define TREE_COMMIT_H

#include "tree/session.h"

/** Returns once the changes up to `seq` are committed, and, with `sync`, on the store's medium. The
 *  session is locked; the lock is let go while the store works. */
int session_commit(struct session *session, uint64_t seq, bool sync);
/** Commits everything so far. The session is not locked. */
int session_commit_all(struct session *session, bool sync);
/** Keeps memory in bounds: moves unsaved writes of `inode` (locked) to the store ahead of the commit. */
int session_spill(struct session *session, struct inode *inode);
/** Moves what is in the sink already to the store, as far as that goes. Not locked. */
void session_flush_sink(struct session *session);
/** The lease is gone: keeps uncommitted work as a rescue version and reloads from the head. If the store cannot
 *  take it now, the session stays lost, and the timer tries again. Locked. */
void session_lost(struct session *session, const char *reason);
/** One try to save the work of a lost session: commits it if the lease is ours after all, else makes it a rescue
 *  version. 0: it is saved, or the session is not lost. Locked. */
int session_settle(struct session *session);
/** At the end of the mount: the same for lost and failed sessions, whatever uses them. Not locked. */
int session_keep(struct session *session);
/** Leaves PHASE_FAILED when no file is open any more. 0: the session can be used again. Locked. */
int session_recover(struct session *session);

#endif
