/* SPDX-License-Identifier: Apache-2.0 */
/** Leases and their audit trail as people and programs read them. */
#ifndef TOOLS_LEASE_TEXT_H
#define TOOLS_LEASE_TEXT_H

#include "json.h"
#include "store/store.h"

/** A lease as a JSON object; NULL when out of memory. */
json_t *lease_json(const struct lease_info *lease);
/** Prints it as lines of "Label  text", beginning with the state. */
void lease_print(const struct lease_info *lease, int64_t now);

/** "free", "held", "recalled"; "held by the dead" is "expired". */
const char *lease_state_text(const struct lease_info *lease);
/** "host:/mount/point (pid 42)". Cut to `size`. */
void lease_holder_text(const struct lease_info *lease, char *ret_text, size_t size);
/** The names of those who wait, with commas between them. Cut to `size`. */
void lease_waiting_text(const struct lease_info *lease, char *ret_text, size_t size);

/** "grant", "fenced" … */
const char *audit_event_text(enum audit_event event);

/** What the numbers in an audit trail are called. */
struct audit_names;

/** Reads the names of all sessions (trashed ones too) and host sessions. */
int audit_names_load(struct store *store, struct audit_names **ret_names, struct hf_error *err);
void audit_names_free(struct audit_names *names);
/** NULL for a number that is not known (yet): load anew. */
const char *audit_session_name(const struct audit_names *names, uint64_t sid);
const char *audit_host_name(const struct audit_names *names, uint64_t host);

/** An entry as a JSON object; NULL when out of memory. */
json_t *audit_json(const struct audit_entry *entry, const struct audit_names *names);

#endif
