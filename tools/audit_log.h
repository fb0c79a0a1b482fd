/* SPDX-License-Identifier: Apache-2.0 */
/** Writes what becomes of leases into the log of a server, as it happens: the audit trail, followed from now on. */
#ifndef TOOLS_AUDIT_LOG_H
#define TOOLS_AUDIT_LOG_H

#include "store/store.h"

struct audit_log;

int audit_log_new(struct audit_log **ret_log, struct hf_error *err);
/** Follows a store's trail from audit_log_start() on; then it must stay open until audit_log_free(). A failure for want
 *  of memory leaves it unfollowed. Thread safe. */
void audit_log_add(struct audit_log *log, const char *tenant, struct store *store);
int audit_log_start(struct audit_log *log, struct hf_error *err);
/** NULL is fine. */
void audit_log_free(struct audit_log *log);

#endif
