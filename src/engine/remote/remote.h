/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The remote engine: a store that a server keeps, over TLS.
 *
 *     holdfast://HOST[:PORT][,HOST2[:PORT]...][?cert=FILE&key=FILE&ca=FILE]      port 7420
 *
 * Without `cert`, the bundle $HOLDFAST_CERT, else $XDG_CONFIG_HOME/holdfast/host.pem, else
 * /etc/holdfast/host.pem.
 *
 *     caller's thread   builds a Request, queues it, waits for its answer
 *     loop's thread     connects, sends, receives, beats (store/contact.h), tells events to a third
 *     teller's thread   calls the listener
 *
 * When the connection breaks, requests that are not answered wait, and are sent again on the next one, marked
 * `retry`: the server tells what became of them. A call of a host session, and one that brings or
 * syncs what it commits, waits at most until its deadline (store_host_deadline()), another at most REMOTE_PATIENCE_MS, or REMOTE_READ_PATIENCE_MS if the handle is a
 * mount's, which has something to show meanwhile; then it returns HF_TIMEOUT. So does one that was sent time and again,
 * and each time the connection broke.
 */
#ifndef ENGINE_REMOTE_REMOTE_H
#define ENGINE_REMOTE_REMOTE_H

#include "base/clock.h"
#include "engine/options.h"
#include "store/engine.h"

#define REMOTE_PORT 7420
#define REMOTE_PATIENCE_MS 30000
#define REMOTE_READ_PATIENCE_MS 5000

/** `rest`: the URL after "holdfast://". Connects once, to learn what the store is: HF_TIMEOUT, HF_ACCESS,
 *  HF_CONFIG. */
int remote_store_open(const char *rest, unsigned flags, const struct clock *clock,
                      struct store **ret_store, struct hf_error *err);

/** What a handle has done so far: for tests and benchmarks. */
struct remote_counters {
    uint64_t requests;    /**< of callers, each time they were sent */
    uint64_t retries;     /**< of those: taken back from a connection that broke */
    uint64_t beats;       /**< heartbeats */
    uint64_t connections; /**< tried */
    uint64_t ups;         /**< that came about */
    uint64_t losses;      /**< and broke */
};
void remote_store_counters(struct store *store, struct remote_counters *ret_counters);

#endif
