/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Between the types of store.h and the messages of holdfast.proto.
 *
 * wire_fill_*() fills a message that borrows from its source: strings and bytes stay where they are, what must
 * be allocated comes from `arena` and lives as long as that. wire_read_*() checks everything a peer may get
 * wrong (lengths, ranges, NUL in names) and borrows from the message; HF_INVAL says which field.
 */
#ifndef WIRE_CONVERT_H
#define WIRE_CONVERT_H

#include "store/store.h"
#include "wire/arena.h"
#include "wire/holdfast.pb-c.h"

/** A list of messages for `objects`, LZ4-compressed where that is smaller. */
int wire_fill_objects(const struct object *objects, size_t n, struct wire_arena *arena,
                      Holdfast__Wire__Object ***ret_list, struct hf_error *err);
/** The reverse. Decompresses; the contents live in `arena`. Ids are not verified: the engine does that. */
int wire_read_objects(Holdfast__Wire__Object **list, size_t n, struct wire_arena *arena,
                      struct object **ret_objects, struct hf_error *err);

/** A commit with its objects, both ways. */
int wire_fill_commit(const struct commit *commit, struct wire_arena *arena,
                     Holdfast__Wire__Commit *ret_message, struct hf_error *err);
int wire_read_commit(const Holdfast__Wire__Commit *message, struct wire_arena *arena,
                     struct commit *ret_commit, struct hf_error *err);

int wire_fill_head(const struct session_head *head, struct wire_arena *arena,
                   Holdfast__Wire__Head **ret_message, struct hf_error *err);
int wire_read_head(const Holdfast__Wire__Head *message, struct session_head *ret_head,
                   struct hf_error *err);
/* In the same way: lease, session_info, filter, history, host identity and info, lease_info, audit, lock,
 * snapshot, root, stats, finding, event. */

#endif
