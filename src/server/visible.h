/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which sessions a peer may know of, by their names as they are now. (What it may do with them: authorize.h.)
 * Most hosts may see every session; for those nothing is looked up. Thread safe.
 */
#ifndef SERVER_VISIBLE_H
#define SERVER_VISIBLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/sids.h"
#include "store/types.h"

struct peer;

/** The sessions that a peer was shown: it hears when one is renamed out of its sight. */
struct visible {
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    struct sid_set sids;
};

/** One to whom nothing was shown; ended with visible_release(). */
void visible_init(struct visible *visible);
void visible_release(struct visible *visible);

/** The name that a session, live or in the trash, has now. HF_NOENT. `arg` is the peer: authorize_view.name. */
int visible_name(uint64_t sid, char ret_name[SESSION_NAME_MAX + 1], void *arg,
                 struct hf_error *err);
/** The peer has been shown this session. */
void visible_note(struct peer *peer, uint64_t sid);
/** Whether the peer is told of an event. */
bool visible_event(struct peer *peer, const struct store_event *event);

#endif
