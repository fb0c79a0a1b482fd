/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Between the types of store.h and the messages of holdfast.proto.
 *
 * wire_fill_*() fills a message that borrows from its source: strings and bytes stay where they are, what must
 * be allocated comes from `arena` and lives as long as that. It fails only with HF_NOMEM. wire_read_*() checks
 * everything a peer may get wrong (lengths, ranges, NUL in names, a message that is not there: NULL); what it
 * gives lives as long as the message and the arena. HF_INVAL says which field.
 *
 * Where store.h says "or NULL", an empty string on the wire is NULL; in a filter and in a session's metadata
 * NULL and "" are two things.
 */
#ifndef WIRE_CONVERT_H
#define WIRE_CONVERT_H

#include "store/store.h"
#include "wire/arena.h"
#include "wire/holdfast.pb-c.h"

/** Bytes of a string at most; the ids of one request; the plain contents of one message's objects. */
#define WIRE_TEXT_MAX 8192
#define WIRE_IDS_MAX 32768
#define WIRE_PLAIN_MAX (16u << 20)
/** Versions or pins of a copy, over all the requests that it comes in. */
#define WIRE_COPY_MAX (1u << 20)

/* --- values ------------------------------------------------------------------------------------ */

/** A string (NULL: empty), borrowed; and back, with a NUL behind it, in the arena. `field` names it in the
 *  sentence of HF_INVAL. wire_read_text_or_null() gives NULL for an empty one. */
ProtobufCBinaryData wire_fill_text(const char *text);
int wire_read_text(ProtobufCBinaryData bytes, const char *field, struct wire_arena *arena,
                   const char **ret_text, struct hf_error *err);
int wire_read_text_or_null(ProtobufCBinaryData bytes, const char *field, struct wire_arena *arena,
                           const char **ret_text, struct hf_error *err);

/** An array of strings, both ways; the array is in the arena. */
int wire_fill_texts(const char *const *texts, size_t n, struct wire_arena *arena,
                    ProtobufCBinaryData **ret_list, struct hf_error *err);
int wire_read_texts(const ProtobufCBinaryData *list, size_t n, const char *field,
                    struct wire_arena *arena, const char ***ret_texts, struct hf_error *err);

/** The ids of a GetRequest or MissingRequest, borrowed both ways. At most WIRE_IDS_MAX (HF_TOOBIG). */
ProtobufCBinaryData wire_fill_ids(const struct object_id *ids, size_t n);
int wire_read_ids(ProtobufCBinaryData bytes, const struct object_id **ret_ids, size_t *ret_n,
                  struct hf_error *err);

/** The mode of a rename: the one value that is no message. */
int wire_read_rename_mode(uint32_t value, enum session_rename_mode *ret_mode, struct hf_error *err);

/** What became of a request: fills status and message of `reply` from a status and its sentence (`err` must
 *  outlive the message); and back: returns the status, with its sentence in `err`. */
void wire_fill_status(int status, const struct hf_error *err, Holdfast__Wire__Reply *reply);
int wire_read_status(const Holdfast__Wire__Reply *reply, struct hf_error *err);

/** What store_info() gives, but for the location, into and out of a Welcome, whose other fields stay. */
void wire_fill_store_info(const struct store_info *info, Holdfast__Wire__Welcome *welcome);
int wire_read_store_info(const Holdfast__Wire__Welcome *welcome, struct store_info *ret_info,
                         struct hf_error *err);

/* --- objects and commits ----------------------------------------------------------------------- */

/** A list of messages for `objects`, LZ4-compressed where that is smaller. */
int wire_fill_objects(const struct object *objects, size_t n, struct wire_arena *arena,
                      Holdfast__Wire__Object ***ret_list, struct hf_error *err);
/** The reverse. Decompresses; the contents live in `arena` or in the message. All together are at most
 *  WIRE_PLAIN_MAX (HF_TOOBIG). Ids are not verified: the engine does that. */
int wire_read_objects(Holdfast__Wire__Object *const *list, size_t n, struct wire_arena *arena,
                      struct object **ret_objects, struct hf_error *err);

/** Contents as the answer to a GetRequest. wire_read_content() appends to `ret_content`. */
int wire_fill_contents(const struct buf *contents, size_t n, struct wire_arena *arena,
                       Holdfast__Wire__Content ***ret_list, struct hf_error *err);
int wire_read_content(const Holdfast__Wire__Content *message, struct buf *ret_content,
                      struct hf_error *err);

/** A commit with its objects, both ways. */
int wire_fill_commit(const struct commit *commit, struct wire_arena *arena,
                     Holdfast__Wire__Commit *ret_message, struct hf_error *err);
int wire_read_commit(const Holdfast__Wire__Commit *message, struct wire_arena *arena,
                     struct commit *ret_commit, struct hf_error *err);

/** A session with versions of it, both ways; a version that names another session is refused. There may be none:
 *  it may be a part. */
int wire_fill_session_copy(const struct session_copy *copy, struct wire_arena *arena,
                           Holdfast__Wire__SessionCopy **ret_message, struct hf_error *err);
int wire_read_session_copy(const Holdfast__Wire__SessionCopy *message, struct wire_arena *arena,
                           struct session_copy *ret_copy, struct hf_error *err);
/** Which store a copy is of, borrowed; and back. */
ProtobufCBinaryData wire_fill_origin(const uint8_t origin[UUID_SIZE]);
int wire_read_origin(ProtobufCBinaryData bytes, uint8_t ret_origin[UUID_SIZE],
                     struct hf_error *err);
/** A snapshot with pins of it, likewise. */
int wire_fill_snapshot_copy(const struct snapshot_copy *copy, struct wire_arena *arena,
                            Holdfast__Wire__SnapshotCopy **ret_message, struct hf_error *err);
int wire_read_snapshot_copy(const Holdfast__Wire__SnapshotCopy *message, struct wire_arena *arena,
                            struct snapshot_copy *ret_copy, struct hf_error *err);

/* --- what store.h tells ------------------------------------------------------------------------ */

/** A head. One without a root has an id of zeros. */
int wire_fill_head(const struct session_head *head, struct wire_arena *arena,
                   Holdfast__Wire__Head **ret_message, struct hf_error *err);
int wire_read_head(const Holdfast__Wire__Head *message, struct session_head *ret_head,
                   struct hf_error *err);

/** A lease as it is granted, with the head. */
int wire_fill_lease(const struct lease *lease, struct wire_arena *arena,
                    Holdfast__Wire__Lease **ret_message, struct hf_error *err);
int wire_read_lease(const Holdfast__Wire__Lease *message, struct lease *ret_lease,
                    struct hf_error *err);

/** A row of `session list`. */
int wire_fill_session_info(const struct session_info *info, struct wire_arena *arena,
                           Holdfast__Wire__SessionInfo **ret_message, struct hf_error *err);
int wire_read_session_info(const Holdfast__Wire__SessionInfo *message, struct wire_arena *arena,
                           struct session_info *ret_info, struct hf_error *err);

/** What sessions to list. */
int wire_fill_filter(const struct session_filter *filter, struct wire_arena *arena,
                     Holdfast__Wire__SessionListRequest **ret_message, struct hf_error *err);
int wire_read_filter(const Holdfast__Wire__SessionListRequest *message, struct wire_arena *arena,
                     struct session_filter *ret_filter, struct hf_error *err);

/** A version of a session. */
int wire_fill_history(const struct history_entry *entry, struct wire_arena *arena,
                      Holdfast__Wire__HistoryEntry **ret_message, struct hf_error *err);
int wire_read_history(const Holdfast__Wire__HistoryEntry *message, struct wire_arena *arena,
                      struct history_entry *ret_entry, struct hf_error *err);

/** Who a host is. A server takes `principal` from the certificate, whatever the message says. */
int wire_fill_identity(const struct host_identity *identity, struct wire_arena *arena,
                       Holdfast__Wire__HostIdentity **ret_message, struct hf_error *err);
int wire_read_identity(const Holdfast__Wire__HostIdentity *message, struct wire_arena *arena,
                       struct host_identity *ret_identity, struct hf_error *err);

/** A host session. */
int wire_fill_host_info(const struct host_info *info, struct wire_arena *arena,
                        Holdfast__Wire__HostInfo **ret_message, struct hf_error *err);
int wire_read_host_info(const Holdfast__Wire__HostInfo *message, struct wire_arena *arena,
                        struct host_info *ret_info, struct hf_error *err);

/** A lease as it is listed, with those who wait. */
int wire_fill_lease_info(const struct lease_info *info, struct wire_arena *arena,
                         Holdfast__Wire__LeaseInfo **ret_message, struct hf_error *err);
int wire_read_lease_info(const Holdfast__Wire__LeaseInfo *message, struct wire_arena *arena,
                         struct lease_info *ret_info, struct hf_error *err);

/** A row of the audit trail. */
int wire_fill_audit(const struct audit_entry *entry, struct wire_arena *arena,
                    Holdfast__Wire__AuditEntry **ret_message, struct hf_error *err);
int wire_read_audit(const Holdfast__Wire__AuditEntry *message, struct wire_arena *arena,
                    struct audit_entry *ret_entry, struct hf_error *err);

/** A lock in the shared tree. */
int wire_fill_lock(const struct store_lock *lock, struct wire_arena *arena,
                   Holdfast__Wire__Lock **ret_message, struct hf_error *err);
int wire_read_lock(const Holdfast__Wire__Lock *message, struct store_lock *ret_lock,
                   struct hf_error *err);

/** A snapshot. */
int wire_fill_snapshot(const struct snapshot_info *info, struct wire_arena *arena,
                       Holdfast__Wire__SnapshotInfo **ret_message, struct hf_error *err);
int wire_read_snapshot(const Holdfast__Wire__SnapshotInfo *message, struct wire_arena *arena,
                       struct snapshot_info *ret_info, struct hf_error *err);

/** A root that the store keeps. */
int wire_fill_root(const struct root_info *info, struct wire_arena *arena,
                   Holdfast__Wire__RootInfo **ret_message, struct hf_error *err);
int wire_read_root(const Holdfast__Wire__RootInfo *message, struct wire_arena *arena,
                   struct root_info *ret_info, struct hf_error *err);

/** What a store holds. */
int wire_fill_stats(const struct store_stats *stats, struct wire_arena *arena,
                    Holdfast__Wire__Stats **ret_message, struct hf_error *err);
int wire_read_stats(const Holdfast__Wire__Stats *message, struct store_stats *ret_stats,
                    struct hf_error *err);

/** A finding of a check. */
int wire_fill_finding(const struct check_finding *finding, struct wire_arena *arena,
                      Holdfast__Wire__Finding **ret_message, struct hf_error *err);
int wire_read_finding(const Holdfast__Wire__Finding *message, struct wire_arena *arena,
                      struct check_finding *ret_finding, struct hf_error *err);

/** A rescue version. */
int wire_fill_rescue(const struct rescue_info *info, struct wire_arena *arena,
                     Holdfast__Wire__RescueInfo **ret_message, struct hf_error *err);
int wire_read_rescue(const Holdfast__Wire__RescueInfo *message, struct wire_arena *arena,
                     struct rescue_info *ret_info, struct hf_error *err);

/** What a snapshot pins of a session. */
int wire_fill_pin(const struct pin_info *pin, struct wire_arena *arena,
                  Holdfast__Wire__PinInfo **ret_message, struct hf_error *err);
int wire_read_pin(const Holdfast__Wire__PinInfo *message, struct wire_arena *arena,
                  struct pin_info *ret_pin, struct hf_error *err);

/** What a collection has done. */
int wire_fill_totals(const struct collect_totals *totals, struct wire_arena *arena,
                     Holdfast__Wire__CollectTotals **ret_message, struct hf_error *err);
int wire_read_totals(const Holdfast__Wire__CollectTotals *message,
                     struct collect_totals *ret_totals, struct hf_error *err);

/** An event for the host session `host`. HF_UNSUPPORTED: of a kind that this version does not know, and may
 *  pass over. */
int wire_fill_event(const struct store_event *event, uint64_t host, struct wire_arena *arena,
                    Holdfast__Wire__Event **ret_message, struct hf_error *err);
int wire_read_event(const Holdfast__Wire__Event *message, struct store_event *ret_event,
                    uint64_t *ret_host, struct hf_error *err);

#endif
