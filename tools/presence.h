/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A command's own host session in a store: what it puts is kept for it until it commits, and it can hold leases.
 * While it holds one it refuses recalls, and says for what. Ends with the process at the latest.
 */
#ifndef TOOLS_PRESENCE_H
#define TOOLS_PRESENCE_H

#include "store/store.h"

struct presence;

/** Registers. The store is borrowed, and must stay open until presence_end(). `purpose` is what others are told
 *  who want a lease that it holds: "holdfast session restore, pid 42". NULL: the program and its pid. */
int presence_begin(struct store *store, const char *purpose, struct presence **ret_presence,
                   struct hf_error *err);
/** The same with the opening of the store (at `url`, or the default one), which presence_close() closes: for the
 *  command of this name, "session restore". */
int presence_open(const char *url, const char *command, struct presence **ret_presence,
                  struct hf_error *err);
/** To look only, for a dry run: opens the store read-only and registers nothing, so that who may read may look. The
 *  presence has no host session, and takes no lease. */
int presence_look(const char *url, struct presence **ret_presence, struct hf_error *err);
void presence_close(struct presence *presence);
/** Ends the host session, and frees what it leases still. NULL is fine. */
void presence_end(struct presence *presence);

struct store *presence_store(const struct presence *presence);
/** The number of the host session. */
uint64_t presence_host(const struct presence *presence);

/** Takes the lease of a session, and keeps it until presence_release() or the end. HF_BUSY when it is in use, beyond
 *  `wait_ms` and the time that a recall takes. */
int presence_lease(struct presence *presence, uint64_t sid, uint32_t wait_ms,
                   struct lease *ret_lease, struct hf_error *err);
int presence_release(struct presence *presence, const struct lease *lease, struct hf_error *err);

#endif
