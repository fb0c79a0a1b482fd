/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What each request does: decode, one call of the store, fill the reply. Private to dispatch.c and the files that
 * implement them.
 *
 * A handler is called on a worker, for a request that is authorized. It returns the status of the reply. It may
 * set request->more: this was a part of the answer, and it is to be called again. HF_PENDING: it has handed the
 * request on and the request is no longer its own. What the reply borrows lies in request->arena.
 */
#ifndef SERVER_HANDLERS_H
#define SERVER_HANDLERS_H

#include "server/request.h"
#include "store/store.h"

typedef int (*handler_fn)(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err);

/* handle_hello.c */
int handle_hello(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);

/* handle_objects.c */
int handle_put(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_get(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_missing(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);

/* handle_sessions.c */
int handle_session_find(struct request *request, Holdfast__Wire__Reply *reply,
                        struct hf_error *err);
int handle_session_head(struct request *request, Holdfast__Wire__Reply *reply,
                        struct hf_error *err);
int handle_session_create(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err);
int handle_session_rename(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err);
int handle_session_delete(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err);
int handle_session_undelete(struct request *request, Holdfast__Wire__Reply *reply,
                            struct hf_error *err);
int handle_commit(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_sync(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_rescue(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_rescue_drop(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_session_purge(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err);
int handle_history_drop(struct request *request, Holdfast__Wire__Reply *reply,
                        struct hf_error *err);

/* handle_hosts.c */
int handle_host_register(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err);
int handle_host_heartbeat(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err);
int handle_host_end(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_lease_acquire(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err);
int handle_lease_release(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err);
int handle_lease_refuse(struct request *request, Holdfast__Wire__Reply *reply,
                        struct hf_error *err);
int handle_lease_break(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_lock_set(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_lock_test(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);

/* handle_store.c */
int handle_snapshot_create(struct request *request, Holdfast__Wire__Reply *reply,
                           struct hf_error *err);
int handle_snapshot_delete(struct request *request, Holdfast__Wire__Reply *reply,
                           struct hf_error *err);
int handle_stats(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_setting_get(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_setting_set(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_mend(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);

/* handle_collect.c */
int handle_collect(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);

/* handle_copies.c */
int handle_session_receive(struct request *request, Holdfast__Wire__Reply *reply,
                           struct hf_error *err);
int handle_rescue_receive(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err);
int handle_snapshot_receive(struct request *request, Holdfast__Wire__Reply *reply,
                            struct hf_error *err);

/* handle_lists.c */
int handle_session_list(struct request *request, Holdfast__Wire__Reply *reply,
                        struct hf_error *err);
int handle_history(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_host_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_lease_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_audit(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_snapshot_list(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err);
int handle_roots(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_check(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_rescue_list(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
int handle_snapshot_pins(struct request *request, Holdfast__Wire__Reply *reply,
                         struct hf_error *err);

#endif
