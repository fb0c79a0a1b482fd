/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the files of a connection share. Private to them.
 *
 *     conn.c        its life, its time limits, receiving
 *     conn_dial.c   finding and trying addresses
 *     conn_send.c   the queue of output, and who writes it
 */
#ifndef WIRE_CONN_IMPL_H
#define WIRE_CONN_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "wire/conn.h"
#include "wire/frame.h"
#include "wire/sock.h"

#define NS_PER_MS 1000000
#define NEVER INT64_MAX

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN, CONN_CLOSING, CONN_CLOSED };

struct wire_conn {
    atomic_uint references; /* one is the loop's, until closed() was called */
    struct event_base *loop;
    struct wire_limits limits;
    const struct wire_conn_ops *ops;
    void *arg;
    char *host; /* NULL: accepted */
    uint16_t port;

    /* Locks, in the order in which they are taken. No callback runs under one. */
    pthread_mutex_t tls_lock; /* whoever holds it reads or writes the network */
    pthread_mutex_t lock;

    /* Under tls_lock. */
    SSL *ssl;
    struct sock sock;
    struct buf sending; /* encoded frames on their way */
    size_t sent;        /* bytes of it that are written */

    /* Under `lock`. */
    enum conn_state state; /* changed by the loop's thread alone */
    struct buf queue;      /* encoded frames behind `sending` */
    struct event *wake;    /* makes the loop look at all this; NULL when it is closed */
    bool blocked;          /* the network takes no more: the loop waits until it does */
    bool paused;
    bool above;   /* more than low_water is queued */
    bool drained; /* to be told */
    bool close_wanted;
    uint32_t linger_ms;
    bool has_reason, failed;
    struct hf_error reason;  /* of who closes it */
    struct hf_error failure; /* of a thread that sent */
    struct addrinfo *found;

    atomic_size_t queued;          /* bytes of queue and sending */
    atomic_int_least64_t progress; /* when the network took something, or it was blocked */
    _Atomic(X509 *) peer;
    _Atomic(const char *) address;
    char asked_text[300], peer_text[SOCK_TEXT_MAX];

    /* Of the loop's thread alone. */
    struct event *readable, *writable, *timer;
    int64_t timer_at;
    struct frame_reader reader;
    struct addrinfo *addresses, *next_address;
    int64_t phase_end;  /* of connecting, the handshake, or lingering */
    int64_t frame_from; /* when the frame began that is not complete yet; NEVER: none */
    int64_t heard;      /* the last frame */
    bool started, reading, more, shut;
};

static inline int64_t conn_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t conn_after(int64_t from, uint32_t ms)
{
    return from + (int64_t)ms * NS_PER_MS;
}

/** The connection whose callbacks run on this thread: what it sends goes out after them. */
extern _Thread_local struct wire_conn *conn_corked;

/** Makes the loop look at the connection. Under `lock`. */
void conn_wake_up(struct wire_conn *conn);

/* Of the loop's thread. */

/** Ends it, whatever it is doing. `why` is about the peer; who closed it gave a reason that counts more. */
void conn_finish(struct wire_conn *conn, const struct hf_error *why);
void conn_finish_with(struct wire_conn *conn, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The two events of the socket, once there is one. */
bool conn_make_events(struct wire_conn *conn);
/** Closes the socket, and frees its events. */
void conn_forget_socket(struct wire_conn *conn);
/** The socket is connected. */
void conn_begin_handshake(struct wire_conn *conn);

/** Looks up the host, and goes on from there. */
void conn_dial(struct wire_conn *conn);
/** Goes on to the next address, after what sock.error says of the one before. */
void conn_connect_next(struct wire_conn *conn);
/** Connecting to an address has ended in some way. */
void conn_connected(struct wire_conn *conn);

/* Of any thread. */

/** What an SSL call that failed has to say. Under tls_lock, right after the call. */
void conn_explain(struct wire_conn *conn, int error, struct hf_error *why);
/** Sends what is queued, unless another thread is using the network: that one comes here after it, so that
 *  nothing stays behind. (Its look at the queue is later than its unlock; so either it sees what was queued
 *  before this thread's trylock, or that trylock succeeds.) */
void conn_flush(struct wire_conn *conn);

#endif
