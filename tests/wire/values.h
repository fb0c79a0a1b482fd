/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Random values of the types of store/types.h, and whether two of them are equal, NULL and "" being two things.
 * What sample_*() makes lives in the arena.
 */
#ifndef TESTS_WIRE_VALUES_H
#define TESTS_WIRE_VALUES_H

#include "rng.h"
#include "wire/convert.h"

/** A number that is small, or large, or anything. */
uint64_t sample_number(struct rng *rng);
/** A string: empty, or of words, or of any bytes but NUL. Or NULL. */
const char *sample_text(struct rng *rng, struct wire_arena *arena);
const char *sample_text_or_null(struct rng *rng, struct wire_arena *arena);

struct session_head sample_head(struct rng *rng);
struct lease sample_lease(struct rng *rng);
struct session_meta sample_meta(struct rng *rng, struct wire_arena *arena);
struct session_info sample_session_info(struct rng *rng, struct wire_arena *arena);
struct session_filter sample_filter(struct rng *rng, struct wire_arena *arena);
struct history_entry sample_history(struct rng *rng, struct wire_arena *arena);
struct host_identity sample_identity(struct rng *rng, struct wire_arena *arena);
struct host_info sample_host_info(struct rng *rng, struct wire_arena *arena);
struct lease_info sample_lease_info(struct rng *rng, struct wire_arena *arena);
struct audit_entry sample_audit(struct rng *rng, struct wire_arena *arena);
struct store_lock sample_lock(struct rng *rng);
struct snapshot_info sample_snapshot(struct rng *rng, struct wire_arena *arena);
struct root_info sample_root(struct rng *rng, struct wire_arena *arena);
struct store_stats sample_stats(struct rng *rng);
struct check_finding sample_finding(struct rng *rng, struct wire_arena *arena);
struct store_event sample_event(struct rng *rng);
struct store_info sample_store_info(struct rng *rng);
struct object sample_object(struct rng *rng, struct wire_arena *arena, size_t max);
struct commit sample_commit(struct rng *rng, struct wire_arena *arena);
struct rescue_info sample_rescue(struct rng *rng, struct wire_arena *arena);
struct pin_info sample_pin(struct rng *rng, struct wire_arena *arena);
struct session_copy sample_session_copy(struct rng *rng, struct wire_arena *arena);
struct snapshot_copy sample_snapshot_copy(struct rng *rng, struct wire_arena *arena);
struct collect_totals sample_totals(struct rng *rng);

bool equal_text(const char *a, const char *b);
bool equal_head(const struct session_head *a, const struct session_head *b);
bool equal_lease(const struct lease *a, const struct lease *b);
bool equal_meta(const struct session_meta *a, const struct session_meta *b);
bool equal_session_info(const struct session_info *a, const struct session_info *b);
bool equal_filter(const struct session_filter *a, const struct session_filter *b);
bool equal_history(const struct history_entry *a, const struct history_entry *b);
bool equal_identity(const struct host_identity *a, const struct host_identity *b);
bool equal_host_info(const struct host_info *a, const struct host_info *b);
bool equal_lease_info(const struct lease_info *a, const struct lease_info *b);
bool equal_audit(const struct audit_entry *a, const struct audit_entry *b);
bool equal_lock(const struct store_lock *a, const struct store_lock *b);
bool equal_snapshot(const struct snapshot_info *a, const struct snapshot_info *b);
bool equal_root(const struct root_info *a, const struct root_info *b);
bool equal_stats(const struct store_stats *a, const struct store_stats *b);
bool equal_finding(const struct check_finding *a, const struct check_finding *b);
bool equal_event(const struct store_event *a, const struct store_event *b);
bool equal_store_info(const struct store_info *a, const struct store_info *b);
bool equal_object(const struct object *a, const struct object *b);
bool equal_commit(const struct commit *a, const struct commit *b);
bool equal_rescue(const struct rescue_info *a, const struct rescue_info *b);
bool equal_pin(const struct pin_info *a, const struct pin_info *b);
bool equal_session_copy(const struct session_copy *a, const struct session_copy *b);
bool equal_snapshot_copy(const struct snapshot_copy *a, const struct snapshot_copy *b);
bool equal_totals(const struct collect_totals *a, const struct collect_totals *b);

#endif
