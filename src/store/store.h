/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The store: objects, sessions and their heads, history, leases, locks, snapshots, events.
 *
 * This is the one seam of the system. The mount, the server and every tool see only this interface;
 * engines (sqlite, memory, remote, later postgres) and decorators (trace, faulty) implement it; one
 * contract suite (tests/store/contract.c) runs against all of them.
 *
 *        mount, tools, server
 *               |  store_*()              store.c: checks arguments, then calls the engine
 *        [trace] [faulty]                 decorators: a store on top of a store
 *               |
 *        sqlite | memory | remote | ...   engines
 *
 * Contract of every call:
 *   - Returns 0 or a negative enum hf_status; `err` may be NULL. `ret_` arguments are untouched on
 *     failure.
 *   - Thread safe: any thread may call anything but store_close() at any time.
 *   - Names are bytes: NUL-terminated, 1..255 bytes, no '/', not "." or "..", and of a session not
 *     beginning with '.'. A store that is asked for a bad one says HF_INVAL.
 *   - Times are ns since the Unix epoch by the store's clock.
 *   - A store that was opened read-only answers HF_ROFS to every call that would change it.
 *   - A visit_fn must not call the store; what it is given is valid during the call only; a non-zero
 *     return stops the visit and is returned.
 *   - A call that fails has changed nothing, with one exception: after HF_FAILED or HF_IO from a commit
 *     or a sync, the caller cannot know, and must read the head again.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "holdfast/error.h"
#include "object/chunker.h"
#include "object/object.h"
#include "store/types.h"

struct store;

/* --- opening ---------------------------------------------------------------------------------- */

/**
 * Opens the store that a URL names (src/engine/open.h knows the schemes); see there.
 * Closes it: waits for calls of its own threads, dissolves the host sessions that it registered (their
 * leases become free), frees it. Where many mounts are served through an embedded handle, those with a TTL
 * live on, until their time is over or they are registered again through another handle: a server that is
 * restarted ends nobody's host session. NULL is fine. No call may be under
 * way.
 */
void store_close(struct store *store);

/** What never changes while a store is open: its UUID, chunker parameters, hasher, durability. */
const struct store_info *store_info(const struct store *store);

/* --- objects ---------------------------------------------------------------------------------- */

/**
 * Adds a batch on behalf of `host`. An object that is there already is left as it is. Nothing refers to
 * them yet: no collection removes them before a commit does, or the host session ends (with host 0 nothing keeps them). Not durable
 * before a commit is. The engine verifies id, kind and canonical form of each (HF_CORRUPT), and that everything it
 * refers to is in the batch or in the store (HF_MISSING): whatever is in the store is there with all that
 * hangs from it. HF_NOSPC: none was added. HF_FENCED: the host session is over.
 */
int store_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
              struct hf_error *err);

/**
 * Reads a batch; each is verified against its id. Appends the content of ids[i] to ret_contents[i]
 * (empty buffers of the caller, who frees them, after a failure too). HF_MISSING, HF_CORRUPT.
 */
int store_get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
              struct hf_error *err);

/** Sets ret_missing[i] where the store does not have ids[i]. With a `host`, no collection removes those that
 *  it has, nor what hangs from them, before that host session ends (those that a root reaches then: for a day
 *  from the question on); with 0 the answer may be out of date at once. HF_FENCED: the host session is over. */
int store_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                  bool *ret_missing, struct hf_error *err);

/* --- sessions --------------------------------------------------------------------------------- */

/** Visits sessions in byte order of name; a non-zero return stops and is returned. The info is valid
 *  during the call only; the callback must not call the store. */
int store_session_list(struct store *store, const struct session_filter *filter,
                       session_visit_fn visit, void *arg, struct hf_error *err);

/** The head of a live session, by name or by id; of the shared tree (id 0) too. HF_NOENT. The shared
 *  tree of a new store is at version 0 and has no root yet (all zero). */
int store_session_find(struct store *store, const char *name, struct session_head *ret_head,
                       struct hf_error *err);
int store_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                       struct hf_error *err);

/** Makes a session at version 1 with the given root, leased to `host` (which may be 0: no lease), in
 *  one transaction. `first` has sid, token and base_version 0. HF_EXIST when a live session has the
 *  name; HF_MISSING as in store_commit(). Without a lease, `ret_lease` has token 0. */
int store_session_create(struct store *store, uint64_t host, const char *name,
                         const struct commit *first, struct lease *ret_lease, struct hf_error *err);

/**
 * Gives a live session another name. Needs the lease's token. If `name` is another live session:
 * HF_EXIST, or with RENAME_SESSION_REPLACE that one goes to the trash (its token is needed too), or
 * with RENAME_SESSION_EXCHANGE the two swap names. `other_token` is 0 where no other is expected.
 */
int store_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         const char *name, enum session_rename_mode mode, uint64_t other_token,
                         struct hf_error *err);

/** Moves a live session to the trash and ends its lease. Needs the token. */
int store_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err);
/** Takes a session out of the trash, under `name` (NULL: its own). HF_EXIST, HF_NOENT. */
int store_session_undelete(struct store *store, uint64_t sid, const char *name,
                           struct hf_error *err);
/** Forgets a session that is in the trash, with its history and its rescue versions. Its number and its
 *  tokens are not given to another; snapshots keep what they pin. HF_NOENT when it is not in the trash. */
int store_session_purge(struct store *store, uint64_t sid, struct hf_error *err);

/* --- commits ---------------------------------------------------------------------------------- */

/**
 * One atomic step of a session's head, in one transaction: check the token (HF_FENCED) and the base
 * version (HF_CONFLICT), insert the objects, refuse a root or a reference that is missing (HF_MISSING),
 * move the head, write the history and index rows. The shared tree has no token: pass 0, and retry on
 * HF_CONFLICT. Commits of several callers that wait at the same time share a transaction and a sync.
 * DURABILITY_SYNC returns after the store's medium has it, and everything committed before it.
 */
int store_commit(struct store *store, uint64_t host, const struct commit *commit,
                 uint64_t *ret_version, struct hf_error *err);

/** Makes everything that was committed before durable on the medium. A failure is final: every later
 *  commit and sync of this handle answers HF_FAILED until the store is opened anew. */
int store_sync(struct store *store, struct hf_error *err);

/** Visits versions of a session (live or trashed) from `from` down, at most `limit` (0: all). */
int store_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                  history_visit_fn visit, void *arg, struct hf_error *err);

/** Forgets versions of a session (live or trashed), at most HISTORY_DROP_MAX (HF_TOOBIG). The head's stays, and what
 *  is not there is passed over. `ret_dropped` (may be NULL): how many went. */
int store_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                       uint64_t *ret_dropped, struct hf_error *err);

/** Keeps work that lost its lease as a rescue version of the session, beside its history. The same root, host
 *  and token again: the same one. */
int store_rescue(struct store *store, uint64_t host, const struct commit *commit,
                 const char *reason, uint64_t *ret_rescue_id, struct hf_error *err);
/** Visits rescue versions in order of id; of one session or (UINT64_MAX) of all. */
int store_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                      struct hf_error *err);
/** Forgets a rescue version of this session. HF_NOENT. */
int store_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue, struct hf_error *err);

/* --- host sessions and leases ------------------------------------------------------------------ */

/**
 * Registers a mount; its events go to `listener` (borrowed until the host session ends; NULL: nobody
 * listens) from a thread of the engine. A handle may have many host sessions (a server's has one for each
 * mount), each with its own events.
 *   - The same identity again, while its host session (with a TTL) lives: that one is resumed, under the
 *     same number, with its leases and tokens; EVENT_MISSED follows. Events go to the new listener.
 *   - Another incarnation or boot of the same mount (host_id, mount_id, principal): the older host session
 *     ends at once, and its leases are free. (Only of host sessions with a TTL: host_kinship(). Of others
 *     the kernel knows whether they live.)
 */
int store_host_register(struct store *store, const struct host_identity *identity,
                        const struct store_listener *listener, uint64_t *ret_host,
                        struct hf_error *err);
/** Renews the host session and all its leases. HF_FENCED: it was taken for dead. */
int store_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err);
/** The host's listener is called no more (nor is it being called when this returns), and the host dies
 *  unless it is registered again within `grace_ms` (at most its TTL). For hosts with a TTL. */
int store_host_detach(struct store *store, uint64_t host, uint32_t grace_ms, struct hf_error *err);
/** Ends a host session: its leases go to those who wait, or are free; its locks are dropped. Calls that
 *  wait on its behalf return HF_FENCED. The listener is called no more (nor is it being called when this
 *  returns), even where it is HF_FENCED, being dead already. */
int store_host_end(struct store *store, uint64_t host, struct hf_error *err);
/** The moment by CLOCK_BOOTTIME (ns) from which on the host may admit no change any more: a margin before
 *  its leases can be another's. INT64_MAX where the kernel ends a host session and no clock. Costs nothing. */
int64_t store_host_deadline(struct store *store, uint64_t host);
/** Since when the store's server cannot be reached (CLOCK_BOOTTIME, ns), so that calls wait for it; 0: it can be, as
 *  far as is known. Costs nothing. */
int64_t store_away_since(struct store *store);
int store_host_list(struct store *store, host_visit_fn visit, void *arg, struct hf_error *err);

/**
 * Acquires the lease of a session, or gives the one that `host` has. Held by another: that host is
 * recalled and given `wait_ms` beyond the time that a recall takes; HF_BUSY, with a sentence that says
 * who holds it, where, since when and pinned by what. The head in the grant is read in the same
 * transaction.
 */
int store_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                        struct lease *ret_lease, struct hf_error *err);
/**
 * The same without waiting. HF_PENDING: the holder was recalled, and `host` stands in the queue of the lease
 * with `wait_ms` as its patience, from its first ask on; a lease that is given back is granted to the first of
 * the queue in the same transaction. Ask again on EVENT_LEASE_ANSWERED, and at `*ret_again` (CLOCK_BOOTTIME,
 * ns) at the latest: then too HF_BUSY is told. Asking again keeps the place.
 */
int store_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                    struct lease *ret_lease, int64_t *ret_again, struct hf_error *err);
/** Leaves the queue. A lease that was granted meanwhile is given back. */
int store_lease_withdraw(struct store *store, uint64_t host, uint64_t sid, struct hf_error *err);
/** Gives it back. HF_FENCED when it was not current any more. */
int store_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                        struct hf_error *err);
/** Answers a recall: no, and what pins it. (Yes is store_lease_release().) */
int store_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                       const char *pinned_by, struct hf_error *err);
/** Takes the lease from its holder. `token` is the expected one (HF_CONFLICT), `reason` is recorded. */
int store_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                      struct hf_error *err);
/** Visits the leases that are held. */
int store_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err);
/** The audit trail, oldest first, from row id `from`; of one session or (UINT64_MAX) of all. */
int store_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                struct hf_error *err);

/* --- locks in the shared tree ------------------------------------------------------------------ */

/** Sets or clears a lock without waiting. HF_AGAIN, and the lock in the way in `ret_conflict` (may be
 *  NULL). EVENT_LOCKS_CHANGED tells waiters to try again. Locks end with their host session. */
int store_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                   struct store_lock *ret_conflict, struct hf_error *err);
/** The first lock that would be in the way; HF_NOENT when none is. */
int store_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err);

/* --- snapshots --------------------------------------------------------------------------------- */

/** Pins the current heads of the live sessions that match any glob, at one moment; without globs those of
 *  all, and of the shared tree. HF_EXIST; HF_NOENT when there are globs and none matches. */
int store_snapshot_create(struct store *store, const char *name, const char *const *globs, size_t n,
                          struct hf_error *err);
int store_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                        struct hf_error *err);
int store_snapshot_delete(struct store *store, const char *name, struct hf_error *err);
/** Visits what a snapshot pins, in order of session number; the shared tree too. HF_NOENT. */
int store_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                        struct hf_error *err);

/** Visits every root that the store keeps (heads of live and trashed sessions and of the shared tree,
 *  history, snapshots, rescues), in no particular order, at one moment: what a collector, a check and a
 *  backup start from. A shared tree that has no root is left out. */
int store_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err);

/* --- copies between stores (store/copy.h) ------------------------------------------------------- */

/**
 * Takes over a session of another store: its number, name, state, the versions that this store does not have
 * yet, and its token when that is higher. The last version becomes the head, unless this store's is a later one.
 * All that the roots refer to must be here (HF_MISSING). In one transaction. What was copied before and is gone
 * there stays here; what was forgotten here comes back.
 * Another live session that has the name here was renamed or deleted there: it goes to the trash, and comes out of
 * it when it is received itself; so sessions may be received in any order, whoever swapped names.
 * A store takes copies from one origin alone, and from the first copy on it knows which (SETTING_ORIGIN):
 * HF_CONFLICT when it is another's, when it has sessions of its own then, or when a version of the same number has
 * another root here. HF_BUSY when the session, or the one that loses its name, is leased here. HF_INVAL when the
 * versions do not grow from 1 on, or a number is over INT64_MAX.
 */
int store_session_receive(struct store *store, const struct session_copy *copy,
                          struct hf_error *err);
/** Takes over a rescue version of a session that was received, under its id there. One of this id is left as it is
 *  when it has the same root, else HF_CONFLICT. HF_MISSING as above; HF_NOENT: the session is not here. */
int store_rescue_receive(struct store *store, const uint8_t origin[UUID_SIZE],
                         const struct rescue_info *rescue, struct hf_error *err);
/** Takes over a snapshot. One of this name is left as it is when it pins the same, else HF_CONFLICT. */
int store_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                           struct hf_error *err);

/* --- the whole store --------------------------------------------------------------------------- */

/** A named text that the store keeps, such as its retention policy ("retention"). Appends it to `ret_text`.
 *  HF_NOENT when it is not set. */
int store_setting_get(struct store *store, const char *name, struct buf *ret_text,
                      struct hf_error *err);
/** Sets it, at most SETTING_MAX bytes (HF_TOOBIG); without bytes (data NULL) forgets it. HF_CONFIG for a retention
 *  policy that is none. */
int store_setting_set(struct store *store, const char *name, struct slice text,
                      struct hf_error *err);

/**
 * Removes the objects that nothing can reach: not from a root that the store keeps, nor from what living
 * host sessions have put or found present. Beside writers: no transaction holds up a commit for more than a
 * few tens of milliseconds. One at a time in a store (HF_BUSY). Interrupted at any point it has harmed
 * nothing. On HF_CORRUPT or HF_MISSING (an object on the way is damaged) nothing was removed.
 */
int store_collect(struct store *store, const struct collect_options *options,
                  struct collect_totals *ret_totals, struct hf_error *err);

/** Puts the good content `good` in the place of a damaged or missing object; with NULL only takes a damaged one
 *  out. What is taken out is kept aside, for people to look at. HF_EXIST when the store's object is sound. HF_MISSING
 *  when the object is, and something that it refers to: mend that first. HF_NOENT: there is none to take out. */
int store_mend(struct store *store, const struct object_id *id, const struct object *good,
               struct hf_error *err);

/** What the store holds, counted now, and what its process has done. */
int store_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err);

/**
 * Verifies everything the engine keeps: every object against its id, every row against its checksum,
 * the lease table's invariants, the engine's own structures. Each finding goes to `report`. Returns 0
 * when the check ran to its end, whatever it found. (References are walked by store/fsck.h.)
 */
int store_check(struct store *store, check_report_fn report, void *arg, struct hf_error *err);

#endif
