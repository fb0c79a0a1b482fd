/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The thread that does what must not be done under a lock or on the engine's thread: it obeys the
 * store's events, tells the kernel what to forget, and evicts idle sessions.
 *
 * What is to be done is noted in the sessions themselves and in a few bits, so that noting it cannot fail, and
 * ten events of one kind are one piece of work:
 *
 *      event, request --> duty of a session --> list, first come first --> events_session()
 *                     \-> bits of the mount --------------------------> events_mount()
 */
#ifndef TREE_WORKER_H
#define TREE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "store/store.h"

struct session;
struct tree;

/** Bits of what is to be done about a session … */
enum duty_kind {
    DUTY_LOST = 1 << 0,     /**< its lease `lost` was taken away */
    DUTY_RECALL = 1 << 1,   /**< its lease `recalled` is asked for */
    DUTY_YIELD = 1 << 6,    /**< what pinned its lease may be gone, and it was asked for */
    DUTY_ANSWERED = 1 << 2, /**< the lease that is waited for may be had now */
    DUTY_MOVED = 1 << 3,    /**< its head is at `version` or later */
    DUTY_NAMES = 1 << 4,    /**< it was made, renamed, deleted … by another host */
    DUTY_FORGET = 1 << 5,   /**< the kernel is to forget attributes, names, listings */
    DUTY_SWEEP = 1 << 8,    /**< the same, of a session that was given up a moment ago */
    DUTY_DROP = 1 << 7,     /**< the same, and all contents */
    DUTY_TELL = 1 << 8,     /**< the kernel is to be told what news there is, as after every duty */
};

struct duty {
    unsigned kinds;
    uint64_t lost, recalled, version;
    int64_t at; /**< not before this (timer_now()); 0: now */
};

/** … and about the mount. */
enum chore {
    CHORE_HOST_LOST = 1 << 0,
    CHORE_MISSED = 1 << 1,
    CHORE_HOSTS = 1 << 2,
    CHORE_LOCKS = 1 << 3,
    CHORE_TOP = 1 << 4,
    CHORE_ORPHANS = 1 << 5,
    CHORE_EVICT = 1 << 6,
};

/** Recalls of sessions that are not in memory. */
#define ORPHANS_MAX 32

struct orphan {
    uint64_t sid, token;
};

struct worker {
    pthread_mutex_t lock; /* everything here, and `duty` and `duty_next` of sessions */
    pthread_cond_t cond;
    struct session *first, **last; /* those with something to do, each pinned by the list */
    unsigned chores;
    int64_t host_lost_at;             /* not before this */
    unsigned other_hosts, most_hosts; /* CHORE_HOSTS: the last number told, the largest since */
    struct orphan orphans[ORPHANS_MAX];
    unsigned norphans;
    bool stop, started;
    pthread_t thread;
};

int worker_start(struct tree *tree);
/** Ends the thread; what is left to do is dropped. */
void worker_stop(struct tree *tree);
/** Notes an event of the store. The listener of the tree. */
void worker_event(const struct store_event *event, void *arg);
/** Notes something to do about a session (pinned by the caller). */
void worker_note(struct session *session, const struct duty *duty);
/** Puts what is noted about a session with a time forward to now. */
void worker_hurry(struct session *session);
/** Notes a chore, to be done `delay` ns from now (only CHORE_HOST_LOST can wait). */
void worker_chore(struct tree *tree, enum chore chore, int64_t delay);
/** Queues the kernel's invalidation of attributes, names and listings of a session. */
void worker_invalidate(struct session *session);
/** The same, and of all contents. */
void worker_drop(struct session *session);
/** Queues the news that were noted in its inodes. */
void worker_tell(struct session *session);
/** Queues a look for sessions to evict, before its time. */
void worker_evict(struct tree *tree);

#endif
