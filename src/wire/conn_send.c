/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "wire/conn_impl.h"

/* A buffer for output that grew larger is not kept. */
#define KEEP_BYTES (64u << 10)
/* What one thread writes for all others before it goes back to its own work. */
#define TURN_BYTES (1u << 20)

/* Whether the other side said that it ended, or only nothing is heard of it any more: what the network then tells
 * (no route, host down) is a time-out with its cause. */
static int lost_status(int error)
{
    return error == ECONNRESET || error == EPIPE || error == ECONNABORTED ? HF_IO : HF_TIMEOUT;
}

void conn_explain(struct wire_conn *conn, int error, struct hf_error *why)
{
    int status = lost_status(conn->sock.error);

    if (SSL_is_server(conn->ssl) && BIO_number_read(SSL_get_rbio(conn->ssl)) == 0)
        (void)hf_fail(why, HF_OK, "it only looked whether somebody listens");
    else if (error == SSL_ERROR_SYSCALL && conn->sock.error != 0)
        (void)hf_fail(why, status, "the connection was lost: %s", strerror(conn->sock.error));
    else
        (void)tls_explain(conn->ssl, why);
}

/* Takes what is queued, once `sending` is out. False: nothing is. Under tls_lock. */
static bool take_queue(struct wire_conn *conn)
{
    struct buf taken;

    if (conn->sent < conn->sending.len)
        return true;
    conn->sending.len = conn->sent = 0;
    if (conn->sending.cap > KEEP_BYTES)
        buf_free(&conn->sending);
    pthread_mutex_lock(&conn->lock);
    taken = conn->queue;
    conn->queue = conn->sending;
    pthread_mutex_unlock(&conn->lock);
    conn->sending = taken;
    return taken.len > 0;
}

static void count_sent(struct wire_conn *conn, size_t n)
{
    size_t left = atomic_fetch_sub(&conn->queued, n) - n;
    bool drained;

    conn->sent += n;
    if (left >= conn->limits.low_water)
        return;
    pthread_mutex_lock(&conn->lock);
    left = conn->queued; /* more may have come meanwhile: of that is told when it has gone */
    drained = conn->above && left < conn->limits.low_water;
    if (drained) {
        conn->drained = true;
        conn->above = false;
    }
    if (drained || (left == 0 && conn->state == CONN_CLOSING))
        conn_wake_up(conn);
    pthread_mutex_unlock(&conn->lock);
}

/* SSL_write() did not succeed: the network is full, or the connection is broken. Under tls_lock. */
static void not_sent(struct wire_conn *conn, int error)
{
    struct hf_error why;
    bool full = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ;

    if (!full)
        conn_explain(conn, error, &why);
    pthread_mutex_lock(&conn->lock);
    if (full) {
        conn->blocked = true;
    } else if (!conn->failed) {
        conn->failed = true;
        conn->failure = why;
    }
    conn_wake_up(conn);
    pthread_mutex_unlock(&conn->lock);
}

/* Writes until nothing is queued, the network is full, or the turn is over: then true. Under tls_lock. */
static bool write_out(struct wire_conn *conn)
{
    uint64_t before = conn->sock.sent;
    size_t n, written = 0;

    while (conn->sock.fd >= 0 && written < TURN_BYTES && take_queue(conn)) {
        ERR_clear_error();
        if (SSL_write_ex(conn->ssl, conn->sending.data + conn->sent, conn->sending.len - conn->sent,
                         &n) != 1) {
            if (conn->sock.sent != before)
                conn->progress = conn_now();
            not_sent(conn, SSL_get_error(conn->ssl, 0));
            return false;
        }
        count_sent(conn, n);
        written += n;
    }
    return written >= TURN_BYTES;
}

/* Leaves the rest to the loop, after what else it has to do. */
static void pass_on(struct wire_conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    if (conn->wake)
        event_add(conn->wake, &(struct timeval){0});
    pthread_mutex_unlock(&conn->lock);
}

static bool can_write(struct wire_conn *conn)
{
    bool can;

    pthread_mutex_lock(&conn->lock);
    can = (conn->state == CONN_OPEN || conn->state == CONN_CLOSING) && !conn->blocked &&
          !conn->failed && conn->queued > 0;
    pthread_mutex_unlock(&conn->lock);
    return can;
}

void conn_flush(struct wire_conn *conn)
{
    bool over = false;

    while (!over && conn_corked != conn && can_write(conn)) {
        if (pthread_mutex_trylock(&conn->tls_lock) != 0)
            return;
        over = write_out(conn);
        pthread_mutex_unlock(&conn->tls_lock);
    }
    if (over)
        pass_on(conn);
}

static int append(struct wire_conn *conn, const Holdfast__Wire__Frame *frame, struct hf_error *err)
{
    size_t before = conn->queue.len, added, queued;
    int rc;

    if (conn->state >= CONN_CLOSING || conn->close_wanted || conn->failed)
        return hf_fail(err, HF_IO, "%s: the connection is closed", (const char *)conn->address);
    rc = frame_encode(frame, conn->limits.max_frame, &conn->queue, err);
    if (rc != HF_OK)
        return rc;
    added = conn->queue.len - before;
    queued = atomic_fetch_add(&conn->queued, added);
    if (queued == 0)
        conn->progress = conn_now();
    /* By the sum and not by what is queued now: who saw it above the mark must hear that it fell. */
    conn->above = conn->above || queued + added >= conn->limits.low_water;
    return HF_OK;
}

int wire_conn_send(struct wire_conn *conn, const Holdfast__Wire__Frame *frame, struct hf_error *err)
{
    int rc;

    pthread_mutex_lock(&conn->lock);
    rc = append(conn, frame, err);
    pthread_mutex_unlock(&conn->lock);
    if (rc == HF_OK)
        conn_flush(conn);
    return rc;
}

size_t wire_conn_queued(struct wire_conn *conn)
{
    return conn->queued;
}
