/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The host session of a handle, as this side knows it: who it is, under which number, until when
 * (store/contact.h), and which heartbeats are under way. The mutex of the link guards it; host_deadline() alone
 * may be called by any thread at any time.
 */
#ifndef ENGINE_REMOTE_HOST_H
#define ENGINE_REMOTE_HOST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/contact.h"
#include "store/types.h"

struct remote_host {
    atomic_uint_least64_t number; /**< 0: none lives */
    struct contact contact;       /**< of that one */
    struct host_identity
        identity;     /**< with strings of its own; host_name NULL: none was ever given */
    bool heads_once;  /**< as its listener wants it */
    bool registering; /**< a caller is having it registered */
    uint64_t beat;    /**< id of the heartbeat under way, or 0 */
    int64_t beat_sent;
};

/** One that nobody has registered; ended with remote_host_release(). */
void remote_host_init(struct remote_host *host);
void remote_host_release(struct remote_host *host);

/** Whether a host session lives, as far as this side knows. */
static inline bool remote_host_lives(const struct remote_host *host)
{
    return atomic_load(&host->number) != 0;
}

/** Keeps who is to be registered; `ttl_ms`: what it is to live. HF_NOMEM. */
int remote_host_identify(struct remote_host *host, const struct host_identity *identity,
                         uint32_t ttl_ms, struct hf_error *err);
/** Whether `identity` is that of the host session that was registered last. */
bool remote_host_is(const struct remote_host *host, const struct host_identity *identity);
/** The store gave it this number; `sent`: before it was asked. */
void remote_host_adopt(struct remote_host *host, uint64_t number, int64_t now, int64_t sent);
/** It is over: `event` is CONTACT_REFUSED or CONTACT_CLOSED. Returns the number it had. */
uint64_t remote_host_drop(struct remote_host *host, enum contact_event event, int64_t now);
/** Other things that happen to it; nothing when none lives. */
void remote_host_step(struct remote_host *host, enum contact_event event, int64_t now,
                      int64_t sent);
/** When no change may be admitted any more for host session `number`; 0 when it is over or another's. */
int64_t remote_host_deadline(const struct remote_host *host, uint64_t number);

#endif
