/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The mount's state: its loaded sessions, and its two threads.
 *
 *      requests of the kernel ---> table_get(sid) ... table_put()        pins a session
 *      ticker thread: commits sessions whose changes no close followed (timer.c)
 *      worker thread: events of the store, the kernel's invalidation, eviction (worker.c)
 *
 * Lock order: top_lock, create_lock, session.change_lock, session.lock (of a session, then of a view of it),
 * filelocks.lock, leasewaits.lock, tree.lock, then timer.lock or worker.lock.
 * No lock is held while the kernel is told to forget something.
 */
#ifndef TREE_TABLE_H
#define TREE_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "tree/claims.h"
#include "tree/filelock.h"
#include "tree/leasewait.h"
#include "tree/names.h"
#include "tree/negatives.h"
#include "tree/session.h"
#include "tree/spiller.h"
#include "tree/timer.h"
#include "tree/tree.h"
#include "tree/worker.h"

struct tree {
    struct store *store; /* these are set once */
    struct tree_options options;
    char *host_name;
    const struct clock *clock;
    struct blob_cache *cache;
    struct lock_table *locks;
    struct claims *claims;
    struct session *shared;    /* the shared tree: always pinned */
    struct relay *relay;       /* hears the store's events */
    atomic_uint_fast64_t host; /* the host session */
    bool distant; /* a host session that is kept alive by heartbeats: a server's store */

    atomic_bool closing;     /* the kernel is not told anything any more */
    atomic_uint other_hosts; /* alive, as the store last said */
    atomic_uint_fast64_t
        forgotten; /* how often the kernel was told to forget names or attributes */
    atomic_uint_fast64_t commits;
    atomic_uint woken;         /* sessions that were at rest */
    int64_t aged_at;           /* worker thread: when old contents were dropped last */
    atomic_size_t relieve_at;  /* when so many bytes are pinned, directories are closed; evict.c */
    atomic_size_t dirty_bytes; /* unsaved writes in the filemaps of all sessions */

    atomic_uint abandoned; /* sessions whose work could not be kept */

    struct names names; /* of sessions */

    pthread_mutex_t top_lock;    /* one change of the top directory at a time */
    pthread_mutex_t create_lock; /* a session that the store has made is put into the table */

    pthread_mutex_t lock;       /* these */
    struct htable sessions;     /* by sid */
    uint64_t next_view;         /* sid of the next view session */
    struct negatives negatives; /* at the top */

    struct filelocks filelocks;
    struct leasewaits leasewaits;

    unsigned known_hosts; /* worker thread: other_hosts at the last event */

    struct timer timer;
    struct worker worker;
    struct spiller spiller;
};

/** The mount's host session. */
static inline uint64_t tree_host(const struct tree *tree)
{
    return atomic_load(&tree->host);
}
/** Whether the host must not admit any change now: another may have its leases. */
bool tree_is_fenced(struct tree *tree);
/** Registers with the store: for the first time, or anew under another number. */
int tree_register(struct tree *tree, struct hf_error *err);

/** The session with this number, pinned; not loaded yet when it is new here. */
int table_get(struct tree *tree, uint64_t sid, struct session **ret_session);
/** The same for an inode number of the mount. */
int table_get_inode(struct tree *tree, uint64_t inode, struct session **ret_session);
/** The session if it is in memory, pinned; or NULL. */
struct session *table_peek(struct tree *tree, uint64_t sid);
void table_pin(struct session *session);
void table_put(struct session *session);
/** Adds a session that was made elsewhere; it is pinned once. HF_NOMEM. */
int table_add(struct tree *tree, struct session *session);
/** Calls visit for each loaded session, pinned, without a lock. A non-zero return stops. */
int table_each(struct tree *tree, int (*visit)(struct session *session, void *arg), void *arg);

/** Whether the lease is held and not being given up: nobody else can change the session, nor its name. Session
 *  locked. */
bool table_leased(const struct session *session);
/** Whether answers about this session hold until we say otherwise. Session locked. */
bool table_exclusive(const struct session *session);
/** For how long the kernel may believe an answer, in seconds. Session locked. */
double table_timeout(const struct session *session);

#define INODE_SID(inode) ((inode) >> 40)
#define INODE_INO(inode) ((inode)&NODE_INO_MAX)

/** Tells the mount's owner a sentence (tree_options.report). */
void tree_report(struct tree *tree, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
