/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A mount's host session and the connection that serves it.
 *
 *                register                       register on another connection
 *    (none) ----------------> SERVED by a peer ---------------------------------> SERVED by that one;
 *      ^                        |      ^                                           the older is closed
 *      |   its connection ended |      | register again: resumed
 *      |                        v      |
 *      +---- end, lost ---- DETACHED: the store lets it die after HOST_RECONNECT_MS
 *
 * A request may name only the host session that its own connection serves, so the number of another's is
 * worth nothing. Who vouches for a host session is the certificate (identity.principal), and its TTL is the
 * server's: what the host says of both is not heard.
 *
 * Thread safe. Calls of the store are made here: not for the loop's thread.
 */
#ifndef SERVER_HOST_SESSION_H
#define SERVER_HOST_SESSION_H

#include <stdbool.h>

#include "store/store.h"

struct host_sessions;
struct host_session;
struct peer;

int host_sessions_new(struct host_sessions **ret_hosts, struct hf_error *err);
/** No peer may serve one any more. NULL is fine. */
void host_sessions_free(struct host_sessions *hosts);

/**
 * Registers the host session of this identity for `peer` (store_host_register()), which serves it from now
 * on; events go to peer_notice(). A peer that served it before is told by peer_replaced().
 */
int host_session_register(struct host_sessions *hosts, struct store *store,
                          const struct host_identity *identity, struct peer *peer,
                          struct host_session **ret_session, uint64_t *ret_host,
                          struct hf_error *err);
struct host_session *host_session_ref(struct host_session *session);
/** Lets go of a reference without more. NULL is fine. */
void host_session_unref(struct host_session *session);
/** Whether `peer` serves the host session of number `host`. `session` may be NULL. */
bool host_session_serves(struct host_session *session, const struct peer *peer, uint64_t host);
/** The peer ends it: store_host_end(). */
int host_session_end(struct host_session *session, struct peer *peer, struct hf_error *err);
/** The peer's connection is gone, or another took over: lets go of it. If the peer served it still, it
 *  dies after `grace_ms` unless it is registered again. NULL is fine. */
void host_session_leave(struct host_session *session, struct peer *peer, uint32_t grace_ms);

#endif
