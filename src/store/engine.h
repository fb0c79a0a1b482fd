/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What an engine or a decorator implements: one slot for each call of store.h, with its contract.
 * Only store.c calls a slot, through the wrapper of the same name, which has checked the arguments.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "store/store.h"
#include "store/tally.h"

struct store_ops {
    const char *name; /**< "sqlite", "memory", "trace", "faulty" */
    void (*close)(struct store *);
    int (*put)(struct store *, uint64_t, const struct object *, size_t, struct hf_error *);
    int (*get)(struct store *, const struct object_id *, size_t, struct buf *, struct hf_error *);
    int (*missing)(struct store *, uint64_t, const struct object_id *, size_t, bool *,
                   struct hf_error *);
    int (*session_list)(struct store *, const struct session_filter *, session_visit_fn, void *,
                        struct hf_error *);
    int (*session_find)(struct store *, const char *, struct session_head *, struct hf_error *);
    int (*session_head)(struct store *, uint64_t, struct session_head *, struct hf_error *);
    int (*session_create)(struct store *, uint64_t, const char *, const struct commit *,
                          struct lease *, struct hf_error *);
    int (*session_rename)(struct store *, uint64_t, uint64_t, uint64_t, const char *,
                          enum session_rename_mode, uint64_t, struct hf_error *);
    int (*session_delete)(struct store *, uint64_t, uint64_t, uint64_t, struct hf_error *);
    int (*session_undelete)(struct store *, uint64_t, const char *, struct hf_error *);
    int (*session_purge)(struct store *, uint64_t, struct hf_error *);
    int (*commit)(struct store *, uint64_t, const struct commit *, uint64_t *, struct hf_error *);
    int (*sync)(struct store *, struct hf_error *);
    int (*history)(struct store *, uint64_t, uint64_t, uint64_t, history_visit_fn, void *,
                   struct hf_error *);
    int (*history_drop)(struct store *, uint64_t, const uint64_t *, size_t, uint64_t *,
                        struct hf_error *);
    int (*rescue)(struct store *, uint64_t, const struct commit *, const char *, uint64_t *,
                  struct hf_error *);
    int (*rescue_list)(struct store *, uint64_t, rescue_visit_fn, void *, struct hf_error *);
    int (*rescue_drop)(struct store *, uint64_t, uint64_t, struct hf_error *);
    int (*host_register)(struct store *, const struct host_identity *,
                         const struct store_listener *, uint64_t *, struct hf_error *);
    int (*host_heartbeat)(struct store *, uint64_t, struct hf_error *);
    /** NULL: HF_UNSUPPORTED. */
    int (*host_detach)(struct store *, uint64_t, uint32_t, struct hf_error *);
    int (*host_end)(struct store *, uint64_t, struct hf_error *);
    int64_t (*host_deadline)(struct store *, uint64_t);
    int64_t (*away_since)(struct store *); /**< NULL: it is never away */
    int (*host_list)(struct store *, host_visit_fn, void *, struct hf_error *);
    int (*lease_acquire)(struct store *, uint64_t, uint64_t, uint32_t, struct lease *,
                         struct hf_error *);
    int (*lease_ask)(struct store *, uint64_t, uint64_t, uint32_t, struct lease *, int64_t *,
                     struct hf_error *);
    int (*lease_withdraw)(struct store *, uint64_t, uint64_t, struct hf_error *);
    int (*lease_release)(struct store *, uint64_t, uint64_t, uint64_t, struct hf_error *);
    int (*lease_refuse)(struct store *, uint64_t, uint64_t, uint64_t, const char *,
                        struct hf_error *);
    int (*lease_break)(struct store *, uint64_t, uint64_t, const char *, struct hf_error *);
    int (*lease_list)(struct store *, lease_visit_fn, void *, struct hf_error *);
    int (*audit)(struct store *, uint64_t, uint64_t, audit_visit_fn, void *, struct hf_error *);
    int (*lock_set)(struct store *, uint64_t, const struct store_lock *, struct store_lock *,
                    struct hf_error *);
    int (*lock_test)(struct store *, uint64_t, const struct store_lock *, struct store_lock *,
                     struct hf_error *);
    int (*snapshot_create)(struct store *, const char *, const char *const *, size_t,
                           struct hf_error *);
    int (*snapshot_list)(struct store *, snapshot_visit_fn, void *, struct hf_error *);
    int (*snapshot_delete)(struct store *, const char *, struct hf_error *);
    int (*snapshot_pins)(struct store *, const char *, pin_visit_fn, void *, struct hf_error *);
    int (*roots)(struct store *, root_visit_fn, void *, struct hf_error *);
    int (*session_receive)(struct store *, const struct session_copy *, struct hf_error *);
    int (*rescue_receive)(struct store *, const uint8_t *, const struct rescue_info *,
                          struct hf_error *);
    int (*snapshot_receive)(struct store *, const struct snapshot_copy *, struct hf_error *);
    int (*setting_get)(struct store *, const char *, struct buf *, struct hf_error *);
    int (*setting_set)(struct store *, const char *, struct slice, struct hf_error *);
    int (*collect)(struct store *, const struct collect_options *, struct collect_totals *,
                   struct hf_error *);
    int (*mend)(struct store *, const struct object_id *, const struct object *, struct hf_error *);
    int (*stats)(struct store *, struct store_stats *, struct hf_error *);
    int (*check)(struct store *, check_report_fn, void *, struct hf_error *);
};

/** Embedded as the first member of every engine's own struct. */
struct store {
    const struct store_ops *ops;
    struct store_info info;   /**< filled by the engine before it hands itself out */
    struct store_tally tally; /**< counted by store.c */
};

#endif
