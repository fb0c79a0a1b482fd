/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What one host (a certificate's tenant and name) uses of the server: connections, and bytes of requests that
 * are not answered yet. Above its limit its connections are not read from, so that what it sends stays with it.
 * Thread safe.
 */
#ifndef SERVER_QUOTA_H
#define SERVER_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "wire/conn.h"

struct quotas;
struct quota;

/** One connection's part in its host's quota; embedded in the peer. All zero: not entered. */
struct quota_share {
    struct quota *quota;
    struct wire_conn *conn;
    struct quota_share *next; /* of the same host */
    bool paused;
};

int quotas_new(unsigned max_connections, uint64_t max_in_flight, struct quotas **ret_quotas,
               struct hf_error *err);
/** No share may be entered any more. NULL is fine. */
void quotas_free(struct quotas *quotas);

/** Counts a connection to the host named `name`. HF_AGAIN when it has too many. */
int quota_enter(struct quotas *quotas, const char *name, struct wire_conn *conn,
                struct quota_share *share, struct hf_error *err);
/** The connection has ended. What it has in flight is given back separately. Idempotent. */
void quota_leave(struct quotas *quotas, struct quota_share *share);

/** A request of `size` bytes has come: stops reading from the host when that is too much. Returns the quota,
 *  which lives until the bytes are given back. */
struct quota *quota_take(struct quotas *quotas, struct quota_share *share, uint64_t size);
/** It was answered: reads on. */
void quota_give(struct quotas *quotas, struct quota *quota, uint64_t size);

#endif
