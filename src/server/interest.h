/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Of which sessions a peer is told that their head has moved: those whose head it was told since the last such event
 * (if it has said that this is enough: store_listener.heads_once).
 *
 *     the host asks        interest_renew or _note, then the head is read, then interest_told
 *     another commits      interest_event: yes, once
 *     the host hears it    asks again, or does not use the session any more
 *
 * A head that moves after it was read, and before the peer is told, is news. So the interest must be noted before the
 * head is read: where that was not possible, as its number was not known, it is read a second time. Thread safe.
 */
#ifndef SERVER_INTEREST_H
#define SERVER_INTEREST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/sids.h"
#include "store/types.h"

#define INTEREST_TOLD 256

struct interest {
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    bool once;            /**< the host asks again; else it is told of each move */
    bool all;             /**< there was no memory to note one */
    struct sid_set sids;
    struct {
        uint64_t sid, version;
    } told
        [INTEREST_TOLD]; /**< the newest version that it knows; of those with one place, the last */
};

void interest_init(struct interest *interest);
void interest_release(struct interest *interest);
/** Whether it is told of each move once only. */
void interest_limit(struct interest *interest, bool once);

/** Notes it if the number is in reach of those that there are: whoever asks for any number uses no memory. False: it
 *  is not noted. */
bool interest_renew(struct interest *interest, uint64_t sid);
/** Notes interest in a session that there is. Returns whether it was noted before. */
bool interest_note(struct interest *interest, uint64_t sid);
/** Notes it, and that the host is being told this version. */
void interest_told(struct interest *interest, uint64_t sid, uint64_t version);
/** Whether the peer is told of an event. */
bool interest_event(struct interest *interest, const struct store_event *event);

#endif
