/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A loaded session: the working tree over one head, and the state machine of its commits.
 *
 *               change                    a commit begins
 *      CLEAN ------------> DIRTY ------------------------> COMMITTING
 *        ^ ^                ^ ^                             | |  |  |
 *        | |                | +--- ok, more changes came ---+ |  |  |
 *        | +----------------|------------ ok -----------------+  |  |
 *        |                  +---- no space, … : retried ---------+  |
 *        |                                                          |
 *        +---- reloaded from the head <--- LOST <---- fenced -------+   work goes to a rescue version
 *        |                                  |  ^----- no answer ----+   … or, if the lease is still ours,
 *        | <------- committed after all ----+                       |   is committed when contact is back
 *        +---- reloaded from the head <--- FAILED <-- i/o error ----+   changes answer EIO until then
 *
 * Nothing leaves LOST or FAILED before its work is in the store, one way or the other.
 *
 * `pins` keeps it in memory; it grows from zero only under the tree's lock. One mutex guards the whole
 * working tree; it is not held while the store commits or while the kernel is told to forget.
 */
#ifndef TREE_SESSION_H
#define TREE_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "tree/inode.h"
#include "tree/negatives.h"
#include "tree/rest.h"
#include "tree/tree.h"
#include "tree/worker.h"

/** A commit whose answer may not have come. */
struct attempt {
    bool open; /* nobody knows what became of it */
    struct object_id root;
    uint64_t seq;    /* of the last change in it */
    size_t nobjects; /* of the sink that it carried */
    bool meta;       /* with the index row's strings */
};

enum session_phase { PHASE_CLEAN, PHASE_DIRTY, PHASE_COMMITTING, PHASE_LOST, PHASE_FAILED };

struct session {
    struct tree *tree; /* these two are set once */
    uint64_t sid;
    bool view; /* read-only: an old version */

    atomic_uint pins;
    struct hnode node;          /* tree.lock: in tree.sessions */
    int64_t used;               /* tree.lock: when last pinned, for eviction */
    struct duty duty;           /* worker.lock */
    struct session *duty_next;  /* worker.lock */
    uint64_t checked;           /* worker thread: the token before the leases were listed */
    struct session *timer_next; /* timer.lock */
    int64_t timer_at;           /* timer.lock; 0: not in the list */

    /* Lock order: change_lock, lock. */
    pthread_mutex_t change_lock; /* the shared tree: one change and its commit at a time */
    pthread_mutex_t lock;        /* everything below */
    pthread_cond_t cond;         /* commit finished, lease granted, phase changed */

    enum session_phase phase;
    bool loaded;
    bool deleted;     /* removed from the store */
    bool unsure;      /* another host may have moved the head, whether or not it is about still */
    char *name;       /* of the top directory, in the pool; NULL when not known */
    uint64_t origin;  /* of a view: the session that it shows, and its version */
    uint64_t version; /* committed; the base of the next commit */
    struct object_id root;
    uint64_t next_ino;
    uint64_t bytes, files; /* of all files, for the index */
    bool meta_stale;       /* workspace.yaml changed since the index row was written */

    struct htable inodes;
    struct rest *rest; /* while it is not loaded: what the kernel knows of it (rest.h) */
    struct inode *top;
    struct dirmap *links;
    uint64_t lookups; /* sum over the inodes */
    unsigned handles;
    unsigned writers;                 /* handles open for writing */
    struct tree_handle *open_handles; /* list */
    unsigned splits;                  /* of them, those whose last write may go on */
    uint64_t split_waits;             /* how often a commit has waited for one */
    uint64_t epoch;                   /* grows when the session starts over from its head … */
    uint64_t undone;                  /* … the last epoch that began with work taken away */

    struct negatives negatives; /* in its directories */
    bool vouched;    /* the kernel was given answers that hold until it is told otherwise */
    bool news;       /* inodes have some that the kernel has not been told */
    bool telling;    /* it is being told */
    uint64_t giving; /* the inode that it is being given content of; 0: none */
    bool overtaken;  /* somebody has waited for that in vain, and gone on */

    int64_t asked_at; /* when the head was last asked for (timer_now()); 0: never */

    struct inode *dirty; /* list of dirty inodes */
    struct blob_sink sink;
    struct object_id built; /* root of what is in the sink */
    uint64_t change_seq;    /* of the last change */
    uint64_t built_seq;     /* changes up to here are in the sink … */
    uint64_t committed_seq; /* … in the store … */
    uint64_t synced_seq;    /* … on its medium */
    bool unsynced;          /* the head that was loaded may not be on it */
    bool sink_busy;         /* a put or a commit of the sink's objects is under way */
    uint64_t attempts;      /* commits that ended */
    int attempt_status;     /* of the last one */
    int64_t due;            /* deadline of the timed commit (timer_now()); 0: none */

    struct attempt attempt; /* the commit that was tried last */

    uint64_t token;   /* the lease; 0: not held. Of a lost session: the one that it had */
    uint64_t host;    /* the host session that it was granted to */
    bool fenced;      /* of a lost session: the lease is gone for certain */
    bool acquiring;   /* a grant is being asked for, or given back */
    bool releasing;   /* a recall is being obeyed; a change clears it */
    bool asked;       /* a place in the queue is held for requests without a thread (leasewait.h) */
    uint64_t answers; /* how often the store said that the lease may be had */
    uint64_t lost;    /* the latest token that was taken away */
    uint64_t early;   /* a token that was recalled before its grant arrived */
    int64_t
        yield_by; /* of a recall: for so long what a close(2) leaves behind is waited for (timer_now()) */
    atomic_uint_fast64_t
        wanted; /* the token whose recall was refused: it is given up once nothing pins it */
};

/** An empty session that nothing was loaded into yet. */
int session_new(struct tree *tree, uint64_t sid, struct session **ret_session);
void session_free(struct session *session);

/** Moves on to a phase that may follow the present one (asserted). Locked. */
void session_set_phase(struct session *session, enum session_phase phase);

/** Locks, and loads the working tree if it is not. On failure it is not locked. */
int session_lock(struct session *session);
void session_unlock(struct session *session);

/** (Re)loads from a head; uncommitted state is dropped. Live inodes stay where the new version still has
 *  them; the others become stale. The caller queues the kernel's invalidation. Locked. */
int session_load(struct session *session, const struct session_head *head, struct hf_error *err);
/** Reads the head and loads it. Locked. */
int session_reload(struct session *session, struct hf_error *err);
/** Without a lease, and with other hosts about: reloads when the head has moved. Locked. */
int session_refresh(struct session *session);

/** The live inode of this number, with a reference. HF_STALE. */
int session_inode(struct session *session, uint64_t ino, struct inode **ret_inode);
/** As session_inode(), of a directory with a name still. HF_NOTDIR, HF_NOENT. */
int session_directory(struct session *session, uint64_t ino, struct inode **ret_inode);

/**
 * Admits a change: the lease is acquired, a failed or lost session refused. Then runs `apply` and,
 * for the shared tree, commits, and runs it again over a newer version when another was faster.
 * `apply` fails before it has changed anything. Returns with the session locked when it returns 0.
 */
int session_change(struct session *session, int (*apply)(struct session *session, void *arg),
                   void *arg);
/** As session_change() with nothing to change, and without waiting for a lease that is pinned elsewhere: the session
 *  is locked, and may be changed. */
int session_admit_now(struct session *session);
/** The time for what changes now. */
int64_t session_now(const struct session *session);
/** Notes a change that was just made; it is committed in time. `data`: of an open file's data, which a
 *  close will follow. Locked. */
void session_changed(struct session *session, bool data);

/** Whether nothing needs it in memory. Locked, or unpinned under the tree's lock. */
bool session_is_idle(const struct session *session);

/** The mount's number of an inode. */
static inline uint64_t session_number(const struct session *session, uint64_t ino)
{
    return session->sid << 40 | ino;
}

#endif
