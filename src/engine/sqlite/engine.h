/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The sqlite engine from within: its handle, and the slots of store/engine.h by file.
 *
 *     engine.c      open, close, the table of slots
 *     objects.c     put, get, missing                 incoming.[ch]  objects on their way in
 *     sessions.c    find, head, list, rename, delete, undelete, purge
 *     commits.[ch]  commit, sync, create, rescue
 *     history.c     history, what is dropped of it, roots
 *     rescues.c     rescues: list, drop, receive    settings.c
 *     copies.[ch]   session_receive, and what all copies need
 *     hosts.[ch] register.c   host sessions           bell.[ch]      their liveness and wake-ups
 *     roster.[ch]   who lives, in memory              events.[ch]    what they are told
 *     leases.[ch] asks.c lease_lists.c   leases       waiters.[ch]   the queues for them
 *     locks.c       locks in the shared tree
 *     snapshots.c   snapshots
 *     check.c stats.c
 *     collect.[ch]  collections of garbage            collection.[ch]  how far one is
 *     mark.[ch] marks.[ch] sweep.[ch] pace.[ch]       its parts
 *     loose.[ch]    what has been put and is not referred to yet
 *     fresh.[ch] known.[ch] bases.[ch]   what is remembered of objects
 *     session_row.[ch]  rows shared by those above
 *     writer.[ch] readers.[ch] medium.[ch] db.[ch] schema.[ch]   SQLite
 */
#ifndef ENGINE_SQLITE_ENGINE_H
#define ENGINE_SQLITE_ENGINE_H

#include <stddef.h>

#include "engine/sqlite/bases.h"
#include "engine/sqlite/bell.h"
#include "engine/sqlite/events.h"
#include "engine/sqlite/readers.h"
#include "engine/sqlite/roster.h"
#include "engine/sqlite/writer.h"
#include "store/engine.h"
#include "store/limits.h"

struct sqlite_store {
    struct store base;
    const struct clock *clock;
    char path[1024];
    char vfs_name[64];
    const char *vfs; /**< vfs_name, or NULL for the default one */
    struct writer writer;
    struct medium medium;
    struct readers readers;
    struct fresh fresh;
    struct bases bases;
    struct bell bell;
    struct roster roster;
    struct events events;
    struct limits limits;   /**< within a transaction, as is: */
    uint64_t limits_epoch;  /**< of the writer, when they were read */
    atomic_bool collecting; /**< one thread of this handle collects */
    /** For store_stats(). */
    atomic_uint_fast64_t known_hits, known_misses, base_hits, base_misses;
};

static inline struct sqlite_store *sqlite_store_of(struct store *store)
{
    return (struct sqlite_store *)store; /* base comes first; only our own slots get here */
}

/** The store that a transaction is of. */
static inline struct sqlite_store *sqlite_store_at(struct transaction *transaction)
{
    return (struct sqlite_store *)((char *)transaction->writer -
                                   offsetof(struct sqlite_store, writer));
}

/* objects.c */
int sqlite_put(struct store *, uint64_t, const struct object *, size_t, struct hf_error *);
int sqlite_get(struct store *, const struct object_id *, size_t, struct buf *, struct hf_error *);
int sqlite_missing(struct store *, uint64_t, const struct object_id *, size_t, bool *,
                   struct hf_error *);
/* mend.c */
int sqlite_mend(struct store *, const struct object_id *, const struct object *, struct hf_error *);
/* sessions.c */
int sqlite_session_list(struct store *, const struct session_filter *, session_visit_fn, void *,
                        struct hf_error *);
int sqlite_session_find(struct store *, const char *, struct session_head *, struct hf_error *);
int sqlite_session_head(struct store *, uint64_t, struct session_head *, struct hf_error *);
int sqlite_session_rename(struct store *, uint64_t, uint64_t, uint64_t, const char *,
                          enum session_rename_mode, uint64_t, struct hf_error *);
int sqlite_session_delete(struct store *, uint64_t, uint64_t, uint64_t, struct hf_error *);
int sqlite_session_undelete(struct store *, uint64_t, const char *, struct hf_error *);
int sqlite_session_purge(struct store *, uint64_t, struct hf_error *);
/* commits.c */
int sqlite_session_create(struct store *, uint64_t, const char *, const struct commit *,
                          struct lease *, struct hf_error *);
int sqlite_commit(struct store *, uint64_t, const struct commit *, uint64_t *, struct hf_error *);
int sqlite_sync(struct store *, struct hf_error *);
int sqlite_rescue(struct store *, uint64_t, const struct commit *, const char *, uint64_t *,
                  struct hf_error *);
/* history.c */
int sqlite_history(struct store *, uint64_t, uint64_t, uint64_t, history_visit_fn, void *,
                   struct hf_error *);
int sqlite_history_drop(struct store *, uint64_t, const uint64_t *, size_t, uint64_t *,
                        struct hf_error *);
int sqlite_roots(struct store *, root_visit_fn, void *, struct hf_error *);
/* rescues.c */
int sqlite_rescue_list(struct store *, uint64_t, rescue_visit_fn, void *, struct hf_error *);
int sqlite_rescue_drop(struct store *, uint64_t, uint64_t, struct hf_error *);
int sqlite_rescue_receive(struct store *, const uint8_t *, const struct rescue_info *,
                          struct hf_error *);
/* copies.c */
int sqlite_session_receive(struct store *, const struct session_copy *, struct hf_error *);
/* settings.c */
int sqlite_setting_get(struct store *, const char *, struct buf *, struct hf_error *);
int sqlite_setting_set(struct store *, const char *, struct slice, struct hf_error *);
/* hosts.c, register.c */
int sqlite_host_register(struct store *, const struct host_identity *,
                         const struct store_listener *, uint64_t *, struct hf_error *);
int sqlite_host_heartbeat(struct store *, uint64_t, struct hf_error *);
int sqlite_host_detach(struct store *, uint64_t, uint32_t, struct hf_error *);
int sqlite_host_end(struct store *, uint64_t, struct hf_error *);
int64_t sqlite_host_deadline(struct store *, uint64_t);
int sqlite_host_list(struct store *, host_visit_fn, void *, struct hf_error *);
/** When the store is closed: ends this handle's own host sessions, but those with a TTL, which may come back. */
void sqlite_hosts_dissolve(struct sqlite_store *store);
/** Looks at every host that is registered: those whose process is gone begin their grace. */
void sqlite_hosts_meet(struct sqlite_store *store);
/** Writes down which hosts have died. Returns how many, or a failure. */
int sqlite_hosts_bury(struct sqlite_store *store);
/* leases.c, asks.c, lease_lists.c */
int sqlite_lease_acquire(struct store *, uint64_t, uint64_t, uint32_t, struct lease *,
                         struct hf_error *);
int sqlite_lease_ask(struct store *, uint64_t, uint64_t, uint32_t, struct lease *, int64_t *,
                     struct hf_error *);
int sqlite_lease_withdraw(struct store *, uint64_t, uint64_t, struct hf_error *);
int sqlite_lease_release(struct store *, uint64_t, uint64_t, uint64_t, struct hf_error *);
int sqlite_lease_refuse(struct store *, uint64_t, uint64_t, uint64_t, const char *,
                        struct hf_error *);
int sqlite_lease_break(struct store *, uint64_t, uint64_t, const char *, struct hf_error *);
int sqlite_lease_list(struct store *, lease_visit_fn, void *, struct hf_error *);
int sqlite_audit(struct store *, uint64_t, uint64_t, audit_visit_fn, void *, struct hf_error *);
/* locks.c */
int sqlite_lock_set(struct store *, uint64_t, const struct store_lock *, struct store_lock *,
                    struct hf_error *);
int sqlite_lock_test(struct store *, uint64_t, const struct store_lock *, struct store_lock *,
                     struct hf_error *);
/* snapshots.c */
int sqlite_snapshot_create(struct store *, const char *, const char *const *, size_t,
                           struct hf_error *);
int sqlite_snapshot_list(struct store *, snapshot_visit_fn, void *, struct hf_error *);
int sqlite_snapshot_delete(struct store *, const char *, struct hf_error *);
int sqlite_snapshot_receive(struct store *, const struct snapshot_copy *, struct hf_error *);
int sqlite_snapshot_pins(struct store *, const char *, pin_visit_fn, void *, struct hf_error *);
/* collect.c */
int sqlite_collect(struct store *, const struct collect_options *, struct collect_totals *,
                   struct hf_error *);
/* check.c, stats.c */
int sqlite_check(struct store *, check_report_fn, void *, struct hf_error *);
int sqlite_stats(struct store *, struct store_stats *, struct hf_error *);

#endif
