/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Events on their way to a peer. While the peer takes what it is sent, each goes out at once. While it does not,
 * only the latest of each kind and session is kept; beyond NOTICES_MAX, all that told of changes become one
 * EVENT_MISSED, after which a mount looks for itself. So a slow host costs no memory. Thread safe.
 */
#ifndef SERVER_NOTICES_H
#define SERVER_NOTICES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "store/types.h"
#include "wire/conn.h"

#define NOTICES_MAX 1024

struct notices {
    pthread_mutex_t lock; /**< guards what follows; the connection's lock is taken under it */
    struct store_event *pending; /**< in the order of their first */
    size_t npending, cap;
    bool held;     /**< until the host knows its number */
    uint64_t host; /**< the host session that they are for */
};

/** An empty one, which keeps everything back; ended with notices_release(). */
void notices_init(struct notices *notices);
void notices_release(struct notices *notices);

/** Keeps everything back until notices_open(). */
void notices_hold(struct notices *notices);
/** The host has been told its number: sends what was kept. */
void notices_open(struct notices *notices, struct wire_conn *conn, uint64_t host);
/** Sends or keeps an event. */
void notices_add(struct notices *notices, struct wire_conn *conn, const struct store_event *event);
/** The peer has taken its output: sends what was kept. */
void notices_drained(struct notices *notices, struct wire_conn *conn);

/** How many are kept. */
size_t notices_pending(struct notices *notices);

#endif
