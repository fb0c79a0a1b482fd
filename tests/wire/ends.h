/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Two ends of connections on loopback for tests: each side with a loop and a thread of its own, and for each
 * connection what happened to it. What cannot be set up ends the test by assert(3).
 */
#ifndef TESTS_WIRE_ENDS_H
#define TESTS_WIRE_ENDS_H

#include <pthread.h>

#include "pki.h"
#include "wire/conn.h"

/** A loop that runs on a thread. */
struct side {
    struct event_base *loop;
    struct event *keep; /* so that it goes on without connections */
    pthread_t thread;
    struct tls *tls;
};

/** One end of a connection, and what was told of it. The lock guards what follows it. */
struct end {
    struct wire_conn *conn;
    /** Called on the loop's thread for each frame, which stays the caller's; may be NULL. */
    void (*on_frame)(struct end *end, const Holdfast__Wire__Frame *frame, size_t size);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned opened, closed, drained, told_after_close;
    size_t frames, bytes;
    struct hf_error why;
};

void side_start(struct side *side, struct test_pki *pki, const char *bundle, bool server, bool crl);
void side_stop(struct side *side);

/** A socket that listens on 127.0.0.1 (or ::1), at any port. -1 when the machine has no such address. */
int listen_on(const char *address, uint16_t *ret_port);
/** A blocking TCP connection to 127.0.0.1. */
int connect_plainly(uint16_t port);

void end_init(struct end *end);
/** Takes the next connection of `listener`. */
void end_accept(struct end *end, struct side *side, int listener, const struct wire_limits *limits);
void end_connect(struct end *end, struct side *side, const char *host, uint16_t port,
                 const struct wire_limits *limits);
/** Drops it; it must be closed. */
void end_release(struct end *end);

/** Wait for at most 20 s until it is open, closed, told that it has drained, or has had so many frames; false: it took too long. */
bool end_wait_open(struct end *end);
bool end_wait_closed(struct end *end);
bool end_wait_drained(struct end *end);
bool end_wait_frames(struct end *end, size_t frames);
size_t end_frames(struct end *end);

/** Sends a frame with `id` and `size` bytes of content. */
int end_send(struct end *end, uint64_t id, size_t size, struct hf_error *err);

#endif
