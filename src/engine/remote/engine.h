/* SPDX-License-Identifier: Apache-2.0 */
/** The handle of a remote store, and how its slots ask. Private to src/engine/remote. */
#ifndef ENGINE_REMOTE_ENGINE_H
#define ENGINE_REMOTE_ENGINE_H

#include "engine/remote/asks.h"
#include "engine/remote/link.h"
#include "engine/remote/stash.h"
#include "store/engine.h"
#include "wire/convert.h"

struct remote_store {
    struct store base;
    struct remote_address address;
    struct tls *tls;
    struct teller teller; /* its lock is taken last */
    struct link link;
    struct asks asks;
    struct stash stash;
    pthread_mutex_t
        copying; /* held while a copy goes in parts: the server keeps those of one; the first */
};

/** The engine's own handle of a store. */
struct remote_store *remote_store_of(struct store *store);

/** A request of one kind, on the stack. */
#define REMOTE_REQUEST(name, kind, field, message)                                                 \
    Holdfast__Wire__Request name = HOLDFAST__WIRE__REQUEST__INIT;                                  \
    (name).op_case = HOLDFAST__WIRE__REQUEST__OP_##kind;                                           \
    (name).field = (message)

/** Whether a reply tells of success with such a result: else a status, with its sentence. */
int remote_check(const Holdfast__Wire__Reply *reply, Holdfast__Wire__Reply__ResultCase expected,
                 struct hf_error *err);

/** Asks, and checks the one reply. `ret_frame` (NULL: not wanted) is freed by the caller. */
int remote_ask(struct store *store, Holdfast__Wire__Request *request, uint64_t host,
               Holdfast__Wire__Reply__ResultCase expected, Holdfast__Wire__Frame **ret_frame,
               struct hf_error *err);
/** The same for an answer that is a number. */
int remote_ask_number(struct store *store, Holdfast__Wire__Request *request, uint64_t host,
                      uint64_t *ret_number, struct hf_error *err);

/** A place for what a request for a head or a lease says of this side (stash.h), on the stack or in an ask. */
struct remote_wish {
    struct object_id known;
    Holdfast__Wire__Ahead message;
};
/** What the request is to say; NULL: nothing, as the handle is no mount's. `name` may be NULL. */
Holdfast__Wire__Ahead *remote_wish(struct store *store, uint64_t sid, const char *name,
                                   struct remote_wish *wish);
/** The answer came, and with it what the caller goes on to: keeps what was sent ahead. */
void remote_received(struct store *store, const Holdfast__Wire__Reply *reply,
                     const struct session_head *head, const char *name);

/** Sends objects in frames of about WIRE_BATCH_BYTES, each after what it refers to. */
int remote_upload(struct store *store, uint64_t host, const struct object *objects, size_t n,
                  struct hf_error *err);

/* The slots of struct store_ops, whose contract is that of store.h. */

/** Objects (objects.c). */
int remote_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
               struct hf_error *err);
int remote_get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
               struct hf_error *err);
int remote_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                   bool *ret_missing, struct hf_error *err);

/** Sessions and their commits (sessions.c). */
int remote_session_find(struct store *store, const char *name, struct session_head *ret_head,
                        struct hf_error *err);
int remote_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                        struct hf_error *err);
int remote_session_create(struct store *store, uint64_t host, const char *name,
                          const struct commit *first, struct lease *ret_lease,
                          struct hf_error *err);
int remote_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          const char *name, enum session_rename_mode mode, uint64_t other_token,
                          struct hf_error *err);
int remote_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          struct hf_error *err);
int remote_session_undelete(struct store *store, uint64_t sid, const char *name,
                            struct hf_error *err);
int remote_session_purge(struct store *store, uint64_t sid, struct hf_error *err);
int remote_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                        uint64_t *ret_dropped, struct hf_error *err);
int remote_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue, struct hf_error *err);
int remote_commit(struct store *store, uint64_t host, const struct commit *commit,
                  uint64_t *ret_version, struct hf_error *err);
int remote_rescue(struct store *store, uint64_t host, const struct commit *commit,
                  const char *reason, uint64_t *ret_rescue_id, struct hf_error *err);
int remote_sync(struct store *store, struct hf_error *err);

/** The host session (hosts.c). */
int remote_host_register(struct store *store, const struct host_identity *identity,
                         const struct store_listener *listener, uint64_t *ret_host,
                         struct hf_error *err);
int remote_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err);
int remote_host_end(struct store *store, uint64_t host, struct hf_error *err);
int64_t remote_deadline(struct store *store, uint64_t host);
int64_t remote_away_since(struct store *store);

/** Leases in the queue (asks.c). */
int remote_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                     struct lease *ret_lease, int64_t *ret_again, struct hf_error *err);
int remote_lease_withdraw(struct store *store, uint64_t host, uint64_t sid, struct hf_error *err);

/** Leases and locks (leases.c). */
int remote_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                         struct lease *ret_lease, struct hf_error *err);
int remote_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err);
int remote_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                        const char *pinned_by, struct hf_error *err);
int remote_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                       struct hf_error *err);
int remote_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err);
int remote_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                     struct store_lock *ret_conflict, struct hf_error *err);

/** Lists (lists.c). */
int remote_session_list(struct store *store, const struct session_filter *filter,
                        session_visit_fn visit, void *arg, struct hf_error *err);
int remote_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                   history_visit_fn visit, void *arg, struct hf_error *err);
int remote_host_list(struct store *store, host_visit_fn visit, void *arg, struct hf_error *err);
int remote_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err);
int remote_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                 struct hf_error *err);
int remote_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                         struct hf_error *err);
int remote_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err);
int remote_check_store(struct store *store, check_report_fn report, void *arg,
                       struct hf_error *err);
int remote_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                       struct hf_error *err);
int remote_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                         struct hf_error *err);

/** Copies (copies.c). */
int remote_session_receive(struct store *store, const struct session_copy *copy,
                           struct hf_error *err);
int remote_rescue_receive(struct store *store, const uint8_t origin[UUID_SIZE],
                          const struct rescue_info *rescue, struct hf_error *err);
int remote_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                            struct hf_error *err);

/** Collections (collect.c). */
int remote_collect(struct store *store, const struct collect_options *options,
                   struct collect_totals *ret_totals, struct hf_error *err);

/** Snapshots, settings, repairs and statistics (snapshots.c). */
int remote_snapshot_create(struct store *store, const char *name, const char *const *globs,
                           size_t n, struct hf_error *err);
int remote_snapshot_delete(struct store *store, const char *name, struct hf_error *err);
int remote_setting_get(struct store *store, const char *name, struct buf *ret_text,
                       struct hf_error *err);
int remote_setting_set(struct store *store, const char *name, struct slice text,
                       struct hf_error *err);
int remote_mend(struct store *store, const struct object_id *id, const struct object *good,
                struct hf_error *err);
int remote_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err);

#endif
