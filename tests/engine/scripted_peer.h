/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A server that does what a test tells it: it speaks the protocol over TLS on 127.0.0.1 and keeps no store.
 *
 * Hello, host_register, host_heartbeat and host_end are answered as a server would; everything else is put before
 * the test's script, which runs on the peer's thread. What fails ends the test by assert(3).
 */
#ifndef TESTS_ENGINE_SCRIPTED_PEER_H
#define TESTS_ENGINE_SCRIPTED_PEER_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pki.h"
#include "wire/conn.h"

#define SCRIPTED_SEEN_MAX 512

struct scripted_peer;

/** A request as it came in. */
struct scripted_request {
    int op; /**< HOLDFAST__WIRE__REQUEST__OP_… */
    uint64_t id;
    bool retry;
    unsigned connection; /**< 1: the first */
    size_t size;
};

/** Answers a request, or does not. */
typedef void (*scripted_fn)(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame,
                            void *arg);

struct scripted_peer {
    struct test_pki *pki;
    struct tls *tls;
    uint16_t port;
    pthread_t thread;
    struct event_base *loop;
    struct event *listening, *kick, *tick;
    atomic_size_t queued; /**< of the connection, a moment ago */
    int fd;
    struct wire_conn *conn; /**< the latest; changed by the peer's thread only */

    /* How it behaves: set before, or by the script. */
    scripted_fn script;
    void *arg;
    uint32_t ttl_ms, max_in_flight;
    atomic_uchar uuid;       /**< the first byte of the store's */
    atomic_uint host;        /**< that register gives */
    atomic_uint resume_as;   /**< that register gives to a retry; 0: the same */
    atomic_int hello_status; /**< what Hello is answered with */
    atomic_int beat_status;  /**< what a heartbeat is answered with */
    atomic_bool deaf;        /**< nothing is answered at all */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct scripted_request seen[SCRIPTED_SEEN_MAX];
    size_t nseen;
    unsigned connections;
    bool cut, away, stopping; /* what the peer's thread is to do */
    bool back;
};

/** Starts it. `peer` is zeroed but for its behaviour. */
void scripted_peer_start(struct scripted_peer *peer, struct test_pki *pki);
void scripted_peer_stop(struct scripted_peer *peer);
/** Writes the URL for a host with this bundle. */
void scripted_peer_url(struct scripted_peer *peer, const char *bundle, char *ret_url, size_t size);

/** From any thread: breaks the connection; breaks it and takes no other; takes connections again. */
void scripted_peer_cut(struct scripted_peer *peer);
void scripted_peer_go_away(struct scripted_peer *peer);
void scripted_peer_come_back(struct scripted_peer *peer);
/** Waits until `n` requests of this kind have come; fails the test after 20 s. */
void scripted_peer_wait(struct scripted_peer *peer, int op, size_t n);
/** How many have come. */
size_t scripted_peer_count(struct scripted_peer *peer, int op);
/** Bytes that it has said and the client has not taken. */
size_t scripted_peer_queued(struct scripted_peer *peer);
/** The nth (from 0) request of this kind. */
struct scripted_request scripted_peer_seen(struct scripted_peer *peer, int op, size_t n);

/* On the peer's thread: */

/** Answers a request; `reply` may be NULL: done. */
void scripted_reply(struct scripted_peer *peer, uint64_t id, Holdfast__Wire__Reply *reply);
void scripted_reply_number(struct scripted_peer *peer, uint64_t id, uint64_t number);
void scripted_reply_failure(struct scripted_peer *peer, uint64_t id, int status,
                            const char *message);
/** Breaks the connection without an answer to anything. */
void scripted_hang_up(struct scripted_peer *peer);
/** Says something unasked. */
void scripted_event(struct scripted_peer *peer, uint64_t host, uint32_t kind, uint64_t sid);
void scripted_goodbye(struct scripted_peer *peer, const char *reason, bool come_back);

#endif
