/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A connection: frames over TLS over TCP, on a libevent loop. Used by both sides.
 *
 *     CONNECTING ---> HANDSHAKE ---> OPEN ---> CLOSING (what is queued goes out) ---> CLOSED
 *          |              |            |                                                ^
 *          +--------------+------------+------- failure, time-out, bad frame ----------+
 *
 * A frame's length is checked against the limit before anything is allocated for it, and what it unpacks to is
 * limited too (frame.h). Callbacks run on the loop's thread, one at a time and never within a call of this
 * header. wire_conn_send(), pause, resume, close and the getters may be called from any thread while the caller
 * holds a reference. The loop must come from wire_loop_new(), and live until closed() was called.
 *
 * A frame is sent by the thread that queues it, unless another is sending just then or the network takes no more:
 * a request wakes no thread of its own side. What is queued during callbacks goes out together after them.
 */
#ifndef WIRE_CONN_H
#define WIRE_CONN_H

#include <event2/event.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "wire/holdfast.pb-c.h"
#include "wire/tls.h"

#define WIRE_FRAME_MAX (4u << 20) /**< bytes of an encoded Frame */
#define WIRE_BATCH_BYTES                                                                           \
    (1u << 20) /**< a list or a batch of objects is cut into frames of about so much */

struct wire_limits {
    uint32_t max_frame;    /**< bytes; 0: WIRE_FRAME_MAX */
    uint32_t handshake_ms; /**< from the first byte to the end of the handshake; 0: 10 s */
    uint32_t frame_ms;     /**< from a frame's first byte to its last; 0: 30 s */
    uint32_t idle_ms;      /**< without any frame; 0: never */
    uint32_t stall_ms;     /**< queued output, and the peer takes nothing; 0: 30 s */
    size_t low_water;      /**< drained() is called when queued output falls below; 0: 256 KiB */
};

struct wire_conn;

struct wire_conn_ops {
    /** The handshake is done and the peer's certificate verified. (The server looks at the client's last: what
     *  it has against that comes to the client as closed() after open().) */
    void (*open)(struct wire_conn *conn, void *arg);
    /** A frame; the callee owns it (holdfast__wire__frame__free_unpacked). `size`: its encoded bytes. */
    void (*frame)(struct wire_conn *conn, Holdfast__Wire__Frame *frame, size_t size, void *arg);
    /** Queued output fell below low_water. May be NULL. */
    void (*drained)(struct wire_conn *conn, void *arg);
    /** The last callback, once; `why` is a sentence that names the peer. HF_OK: closed by us, or by the peer in
     *  good order. HF_IO: it ended otherwise. HF_TIMEOUT: nothing is heard of it, and it may live. HF_ACCESS: one
     *  side does not accept the other's certificate. */
    void (*closed)(struct wire_conn *conn, const struct hf_error *why, void *arg);
};

/** A libevent loop that may be used from several threads. NULL: HF_NOMEM. */
struct event_base *wire_loop_new(struct hf_error *err);

/** Takes over `fd` (closed on failure too). One reference for the caller. */
int wire_conn_accept(struct event_base *loop, int fd, struct tls *tls,
                     const struct wire_limits *limits, const struct wire_conn_ops *ops, void *arg,
                     struct wire_conn **ret_conn, struct hf_error *err);
/** Connects to `host` (name, IPv4 or IPv6 address), all its addresses in turn. HF_INVAL: it can be neither. */
int wire_conn_connect(struct event_base *loop, const char *host, uint16_t port, struct tls *tls,
                      const struct wire_limits *limits, const struct wire_conn_ops *ops, void *arg,
                      struct wire_conn **ret_conn, struct hf_error *err);
struct wire_conn *wire_conn_ref(struct wire_conn *conn);
void wire_conn_unref(struct wire_conn *conn);

/** Sends or queues a frame; also before the connection is open. HF_TOOBIG, HF_NOMEM; HF_IO when it is closed or
 *  closing. Frames of one thread arrive in its order. */
int wire_conn_send(struct wire_conn *conn, const Holdfast__Wire__Frame *frame,
                   struct hf_error *err);
/** Bytes queued and not yet taken by the network. */
size_t wire_conn_queued(struct wire_conn *conn);
/** Stops and starts reading: backpressure on the peer. */
void wire_conn_pause(struct wire_conn *conn);
void wire_conn_resume(struct wire_conn *conn);
/** Sends what is queued, at most for `linger_ms`, then closes; with 0 at once. No frame comes any more. `why` is
 *  for closed(); NULL: in good order. The first call counts. */
void wire_conn_close(struct wire_conn *conn, uint32_t linger_ms, const struct hf_error *why);
/** The peer's certificate (borrowed; NULL before it is open), and its address ("192.0.2.1:4711", "[::1]:4711"; that
 *  of a server as it was asked for, until it is connected). */
X509 *wire_conn_peer(struct wire_conn *conn);
const char *wire_conn_address(const struct wire_conn *conn);

#endif
