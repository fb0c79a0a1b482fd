/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the server has sent ahead, until it is asked for; and which root of a session this side has, as far as is known,
 * so that the server can tell what is new. Of a mount's handle only: others hardly come back to a session.
 *
 *     find, head, acquire --Ahead {known, budget}--> server
 *     caller <--head, lease-- stash_receive() <----- reply with objects
 *     caller  --store_get()-> stash_take(): there, no request
 *
 * Thread safe. Nothing depends on what is here: an object that was dropped is asked for, a root that is not the
 * caller's brings too much or too little.
 */
#ifndef ENGINE_REMOTE_STASH_H
#define ENGINE_REMOTE_STASH_H

#include <pthread.h>

#include "base/htable.h"
#include "store/types.h"
#include "wire/holdfast.pb-c.h"

/** Bytes of contents at most; the oldest go. */
#define STASH_MAX (1u << 20)
/** Asked for ahead of one head. */
#define STASH_BUDGET (64u << 10)
/** Sessions, and names of sessions, that are remembered; one takes the place of another of the same hash. */
#define STASH_SESSIONS 256

struct stashed;

struct stash_session {
    bool there;
    uint64_t sid;
    struct object_id root;
};

struct stash_name {
    uint64_t hash, sid;
};

struct stash {
    pthread_mutex_t lock; /**< everything below; a leaf */
    struct htable table;  /**< by id */
    struct stashed *oldest, *newest;
    size_t bytes;
    struct stash_session sessions[STASH_SESSIONS];
    struct stash_name names[STASH_SESSIONS];
};

/** An empty one; ended with stash_release(). */
void stash_init(struct stash *stash);
void stash_release(struct stash *stash);

/** Fills what a request for a session's head says of this side. `name`: of the session, whose number is not known then;
 *  or NULL. The message borrows from `ret_known`. */
void stash_wish(struct stash *stash, uint64_t sid, const char *name, struct object_id *ret_known,
                Holdfast__Wire__Ahead *message);
/** Notes the head that came, or was committed: the caller goes on to it. `name`: that it was found by, or NULL. */
void stash_note(struct stash *stash, uint64_t sid, const char *name, const struct object_id *root);
/** Keeps what came with a reply; what is not what its id says is dropped. */
void stash_receive(struct stash *stash, const struct object_hasher *hasher,
                   const Holdfast__Wire__Reply *reply);
/** Moves the contents of all ids out, appended as store_get() does. False: not all are here, and nothing was done. */
bool stash_take(struct stash *stash, const struct object_id *ids, size_t n,
                struct buf *ret_contents);

#endif
