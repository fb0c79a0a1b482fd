/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Requests for leases that others hold. None takes a worker while it waits:
 *
 *     acquire --> store_lease_ask() --HF_OK, HF_BUSY, …--> answered
 *                   ^        |
 *                   |        | HF_PENDING: stands in the store's queue
 *                   |        v
 *                   +---- waits: EVENT_LEASE_ANSWERED or _MISSED, or the time that the store named
 *                            |
 *                            +-- cancelled, connection lost --> HF_INTR, store_lease_withdraw()
 *
 * All requests of one host session for one session wait together, and only one call of the store is made for
 * them at a time: so a withdrawal cannot meet a grant half-way. Thread safe.
 */
#ifndef SERVER_WAITING_H
#define SERVER_WAITING_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "server/workers.h"

struct peer;
struct request;
struct store;
struct waits;

int waits_new(struct event_base *loop, struct workers *workers, struct waits **ret_waits,
              struct hf_error *err);
/** Nobody may wait any more. NULL is fine. */
void waits_free(struct waits *waits);

/** Asks for the lease and answers in the end. Takes over the request. On a worker. */
void waiting_start(struct waits *waits, struct request *request, struct store *store, uint64_t host,
                   uint64_t sid, uint32_t wait_ms);
/** The store has an answer (EVENT_LEASE_ANSWERED). */
void waiting_answered(struct waits *waits, const struct store *store, uint64_t host, uint64_t sid);
/** Answers to the host may have been lost (EVENT_MISSED): asks again for all that it waits for. */
void waiting_missed(struct waits *waits, const struct store *store, uint64_t host);
/** Answers the peer's request `id` with HF_INTR, if it waits and is not just being granted. */
void waiting_cancel(struct waits *waits, const struct peer *peer, uint64_t id);
/** Drops all requests of a peer whose connection is gone. */
void waiting_leave(struct waits *waits, const struct peer *peer);
/** From now on nobody asks, and nobody gives up its place: another server goes on. */
void waits_freeze(struct waits *waits);

#endif
