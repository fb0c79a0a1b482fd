/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/thread.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/conn_impl.h"

#define HANDSHAKE_MS 10000
#define FRAME_MS 30000
#define STALL_MS 30000
#define LOW_WATER (256u << 10)
/* So long the alert that ends a failed handshake may take to arrive. */
#define ALERT_MS 500
/* What one connection may read before others have their turn; what OpenSSL reads at once. */
#define TURN_BYTES (256u << 10)
#define READ_AHEAD (32u << 10)

_Thread_local struct wire_conn *conn_corked;

static void work(struct wire_conn *conn);

/* --- references ------------------------------------------------------------------------------- */

struct wire_conn *wire_conn_ref(struct wire_conn *conn)
{
    atomic_fetch_add(&conn->references, 1);
    return conn;
}

void wire_conn_unref(struct wire_conn *conn)
{
    if (!conn || atomic_fetch_sub(&conn->references, 1) != 1)
        return;
    assert(!conn->wake && !conn->timer);
    if (conn->addresses)
        freeaddrinfo(conn->addresses);
    if (conn->found)
        freeaddrinfo(conn->found);
    X509_free(conn->peer);
    SSL_free(conn->ssl);
    buf_free(&conn->sending);
    buf_free(&conn->queue);
    frame_reader_release(&conn->reader);
    pthread_mutex_destroy(&conn->lock);
    pthread_mutex_destroy(&conn->tls_lock);
    free(conn->host);
    free(conn);
}

void conn_wake_up(struct wire_conn *conn)
{
    if (conn->wake)
        event_active(conn->wake, 0, 0);
}

static enum conn_state conn_set_state(struct wire_conn *conn, enum conn_state state)
{
    enum conn_state before;

    pthread_mutex_lock(&conn->lock);
    before = conn->state;
    conn->state = state;
    pthread_mutex_unlock(&conn->lock);
    return before;
}

/* --- the end ------------------------------------------------------------------------------------ */

void conn_forget_socket(struct wire_conn *conn)
{
    if (conn->readable)
        event_free(conn->readable);
    if (conn->writable)
        event_free(conn->writable);
    conn->readable = conn->writable = NULL;
    conn->reading = false;
    if (conn->sock.fd >= 0)
        close(conn->sock.fd);
    conn->sock.fd = -1;
}

/* Puts before a sentence whom it is about. */
static void name_peer(struct wire_conn *conn, struct hf_error *why)
{
    const char *address = conn->address;

    if (conn->host && strcmp(conn->asked_text, address) != 0)
        hf_fail_prefix(why, why->status, "%s (%s)", conn->asked_text, address);
    else
        hf_fail_prefix(why, why->status, "%s", address);
}

void conn_finish(struct wire_conn *conn, const struct hf_error *why)
{
    struct hf_error reason = *why;

    if (conn_set_state(conn, CONN_CLOSED) == CONN_CLOSED)
        return;
    pthread_mutex_lock(&conn->lock);
    if (conn->has_reason)
        reason = conn->reason;
    event_free(conn->wake);
    conn->wake = NULL;
    pthread_mutex_unlock(&conn->lock);
    event_free(conn->timer);
    conn->timer = NULL;
    pthread_mutex_lock(&conn->tls_lock);
    conn_forget_socket(conn);
    pthread_mutex_unlock(&conn->tls_lock);
    frame_reader_release(&conn->reader);
    conn->reader = (struct frame_reader){0};
    name_peer(conn, &reason);
    conn->ops->closed(conn, &reason, conn->arg);
    wire_conn_unref(conn);
}

__attribute__((format(printf, 3, 4))) void conn_finish_with(struct wire_conn *conn, int status,
                                                            const char *format, ...)
{
    struct hf_error why = {.status = status};
    va_list args;

    va_start(args, format);
    vsnprintf(why.message, sizeof why.message, format, args);
    va_end(args);
    conn_finish(conn, &why);
}

/* Waits a while for the peer to have read what was sent: a socket that is closed with input unread throws away
 * output as well. */
static void drain(struct wire_conn *conn)
{
    char thrown_away[4096];
    ssize_t n = recv(conn->sock.fd, thrown_away, sizeof thrown_away, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        conn_finish_with(conn, HF_OK, "closed");
}

static void shut_down(struct wire_conn *conn, int64_t end)
{
    conn->shut = true;
    conn->phase_end = end;
    shutdown(conn->sock.fd, SHUT_WR);
    event_add(conn->readable, NULL);
}

/* Everything that was queued is out: says so, and waits for the peer to close too. */
static void say_goodbye(struct wire_conn *conn)
{
    int rc;

    if (conn->shut || conn->queued > 0)
        return;
    pthread_mutex_lock(&conn->tls_lock);
    ERR_clear_error();
    rc = SSL_shutdown(conn->ssl);
    rc = rc < 0 ? SSL_get_error(conn->ssl, rc) : SSL_ERROR_NONE;
    pthread_mutex_unlock(&conn->tls_lock);
    if (rc == SSL_ERROR_WANT_WRITE)
        event_add(conn->writable, NULL);
    else
        shut_down(conn, conn->phase_end);
}

static void go_on_closing(struct wire_conn *conn)
{
    bool blocked;

    conn_flush(conn);
    pthread_mutex_lock(&conn->lock);
    blocked = conn->blocked;
    pthread_mutex_unlock(&conn->lock);
    if (blocked)
        event_add(conn->writable, NULL);
    else
        say_goodbye(conn);
}

static void begin_closing(struct wire_conn *conn, uint32_t linger_ms)
{
    bool open = conn_set_state(conn, CONN_CLOSING) == CONN_OPEN;

    if (!open || linger_ms == 0) {
        conn_finish_with(conn, HF_OK, "closed");
        return;
    }
    event_del(conn->readable);
    conn->reading = false;
    conn->phase_end = conn_after(conn_now(), linger_ms);
    go_on_closing(conn);
}

/* --- time ------------------------------------------------------------------------------------------ */

enum limit { LIMIT_PHASE, LIMIT_FRAME, LIMIT_IDLE, LIMIT_STALL, LIMITS };

/* When which limit is passed, unless something happens before. */
static void list_limits(struct wire_conn *conn, int64_t ends[LIMITS])
{
    bool open, blocked, paused;

    pthread_mutex_lock(&conn->lock);
    open = conn->state == CONN_OPEN;
    blocked = conn->blocked;
    paused = conn->paused;
    pthread_mutex_unlock(&conn->lock);
    for (int i = 0; i < LIMITS; i++)
        ends[i] = NEVER;
    if (!open)
        ends[LIMIT_PHASE] = conn->phase_end;
    if (open && blocked)
        ends[LIMIT_STALL] = conn_after(conn->progress, conn->limits.stall_ms);
    if (!open || paused)
        return;
    if (conn->frame_from != NEVER)
        ends[LIMIT_FRAME] = conn_after(conn->frame_from, conn->limits.frame_ms);
    if (conn->limits.idle_ms > 0)
        ends[LIMIT_IDLE] = conn_after(conn->heard, conn->limits.idle_ms);
}

/* Sets the timer, if it is not set for sooner anyway: then it looks again. */
static void set_timer(struct wire_conn *conn)
{
    int64_t ends[LIMITS], first = NEVER, wait;
    struct timeval timeout;

    list_limits(conn, ends);
    for (int i = 0; i < LIMITS; i++)
        first = ends[i] < first ? ends[i] : first;
    if (first >= conn->timer_at)
        return;
    wait = first - conn_now();
    wait = wait > 0 ? wait / 1000 + 1 : 0;
    timeout = (struct timeval){wait / 1000000, wait % 1000000};
    if (event_add(conn->timer, &timeout) == 0)
        conn->timer_at = first;
}

/* The time for connecting, for the handshake, or for lingering is over. */
static void end_phase(struct wire_conn *conn)
{
    if (conn->state == CONN_CONNECTING && conn->sock.fd >= 0) {
        conn->sock.error = ETIMEDOUT;
        conn_connect_next(conn);
    } else if (conn->state == CONN_CONNECTING) {
        conn_finish_with(conn, HF_TIMEOUT, "its address was not found within %u ms",
                         conn->limits.handshake_ms);
    } else if (conn->state == CONN_HANDSHAKE) {
        conn_finish_with(conn, HF_TIMEOUT, "no TLS handshake within %u ms",
                         conn->limits.handshake_ms);
    } else if (conn->queued > 0) {
        conn_finish_with(conn, HF_TIMEOUT, "it was closed with %zu bytes still to be sent",
                         (size_t)conn->queued);
    } else {
        conn_finish_with(conn, HF_OK, "closed");
    }
}

static void pass_limit(struct wire_conn *conn, enum limit limit)
{
    switch (limit) {
    case LIMIT_PHASE:
        end_phase(conn);
        break;
    case LIMIT_FRAME:
        conn_finish_with(conn, HF_TIMEOUT, "a frame was not complete within %u ms",
                         conn->limits.frame_ms);
        break;
    case LIMIT_IDLE:
        conn_finish_with(conn, HF_TIMEOUT, "nothing was heard of it for %u ms",
                         conn->limits.idle_ms);
        break;
    case LIMIT_STALL:
    default:
        conn_finish_with(conn, HF_TIMEOUT, "it took nothing for %u ms while %zu bytes were queued",
                         conn->limits.stall_ms, (size_t)conn->queued);
        break;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct wire_conn *conn = wire_conn_ref(arg);
    int64_t ends[LIMITS], now = conn_now();
    int passed = 0;

    (void)fd, (void)what;
    conn->timer_at = NEVER;
    list_limits(conn, ends);
    while (passed < LIMITS && ends[passed] > now)
        passed++;
    if (passed < LIMITS)
        pass_limit(conn, (enum limit)passed);
    if (conn->state != CONN_CLOSED)
        set_timer(conn);
    wire_conn_unref(conn);
}

/* --- receiving ------------------------------------------------------------------------------------ */

enum got { GOT_BYTES, GOT_NOTHING, GOT_END };

/* Reads from the network. `ret_more`: OpenSSL has more of it, a whole record or a part. */
static enum got receive(struct wire_conn *conn, uint8_t *at, size_t room, size_t *ret_n,
                        bool *ret_more, struct hf_error *why)
{
    int ok, error = SSL_ERROR_NONE;

    pthread_mutex_lock(&conn->tls_lock);
    ERR_clear_error();
    ok = SSL_read_ex(conn->ssl, at, room, ret_n);
    if (ok != 1)
        error = SSL_get_error(conn->ssl, ok);
    if (error == SSL_ERROR_ZERO_RETURN)
        (void)hf_fail(why, HF_OK, "it closed the connection");
    else if (ok != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        conn_explain(conn, error, why);
    *ret_more = SSL_has_pending(conn->ssl) == 1;
    pthread_mutex_unlock(&conn->tls_lock);
    if (ok == 1)
        return GOT_BYTES;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? GOT_NOTHING : GOT_END;
}

static bool may_read(struct wire_conn *conn)
{
    bool may;

    pthread_mutex_lock(&conn->lock);
    may = conn->state == CONN_OPEN && !conn->paused && !conn->close_wanted;
    pthread_mutex_unlock(&conn->lock);
    return may;
}

static void end_of_stream(struct wire_conn *conn, const struct hf_error *why)
{
    if (why->status == HF_OK && !frame_reader_between(&conn->reader))
        conn_finish_with(conn, HF_IO, "it closed the connection in the middle of a frame");
    else
        conn_finish(conn, why);
}

/* One read, and the frame that it completes. False: enough for now, or it is closed. */
static bool read_some(struct wire_conn *conn, size_t *taken)
{
    Holdfast__Wire__Frame *frame;
    struct hf_error why = {0};
    uint8_t *at;
    size_t room, n, size;
    bool more = false;
    enum got got;
    int rc = frame_reader_room(&conn->reader, &at, &room, &why);

    if (rc == HF_OK) {
        got = receive(conn, at, room, &n, &more, &why);
        if (got == GOT_END) {
            end_of_stream(conn, &why);
            return false;
        }
        conn->more = more && got == GOT_BYTES;
        if (conn->frame_from == NEVER && (more || got == GOT_BYTES))
            conn->frame_from = conn_now();
        if (got == GOT_NOTHING)
            return false;
        *taken += n;
        rc = frame_reader_filled(&conn->reader, n, &frame, &size, &why);
    }
    if (rc == HF_OK) {
        conn->heard = conn_now();
        conn->frame_from = more ? conn->heard : NEVER;
        conn->ops->frame(conn, frame, size, conn->arg);
        return more; /* else there is nothing, or the loop comes again */
    }
    if (rc != HF_AGAIN)
        conn_finish(conn, &why);
    return rc == HF_AGAIN;
}

/* Reads frames, for as long as it is this connection's turn. */
static void read_frames(struct wire_conn *conn)
{
    size_t taken = 0;

    conn_corked = conn;
    while (taken < TURN_BYTES && may_read(conn) && read_some(conn, &taken))
        continue;
    conn_corked = NULL;
    if (conn->state == CONN_CLOSED)
        return;
    conn_flush(conn);
    /* No event comes for what OpenSSL has. Others have their turn before. */
    if (conn->more && may_read(conn))
        event_add(conn->wake, &(struct timeval){0});
}

static void start_reading(struct wire_conn *conn)
{
    conn->heard = conn_now();
    if (conn->frame_from != NEVER)
        conn->frame_from = conn->heard;
    conn->reading = true;
    event_add(conn->readable, NULL);
    read_frames(conn);
}

/* --- connecting ------------------------------------------------------------------------------------ */

static void opened(struct wire_conn *conn)
{
    conn->peer = SSL_get1_peer_certificate(conn->ssl);
    conn_set_state(conn, CONN_OPEN);
    conn_corked = conn;
    conn->ops->open(conn, conn->arg);
    conn_corked = NULL;
    conn_flush(conn);
    work(conn);
}

/* Our alert, which says why, is on its way. */
static void handshake_failed(struct wire_conn *conn, const struct hf_error *why)
{
    if (conn->sock.error != 0) {
        conn_finish(conn, why);
        return;
    }
    pthread_mutex_lock(&conn->lock);
    conn->state = CONN_CLOSING;
    if (!conn->has_reason)
        conn->reason = *why;
    conn->has_reason = true;
    pthread_mutex_unlock(&conn->lock);
    shut_down(conn, conn_after(conn_now(), ALERT_MS));
}

static void handshake(struct wire_conn *conn)
{
    struct hf_error why;
    int rc, error;

    pthread_mutex_lock(&conn->tls_lock);
    ERR_clear_error();
    rc = SSL_do_handshake(conn->ssl);
    error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, rc);
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        conn_explain(conn, error, &why);
    pthread_mutex_unlock(&conn->tls_lock);
    if (error == SSL_ERROR_NONE)
        opened(conn);
    else if (error == SSL_ERROR_WANT_READ)
        event_add(conn->readable, NULL);
    else if (error == SSL_ERROR_WANT_WRITE)
        event_add(conn->writable, NULL);
    else
        handshake_failed(conn, &why);
}

void conn_begin_handshake(struct wire_conn *conn)
{
    sock_peer_text(conn->sock.fd, conn->peer_text);
    conn->address = conn->peer_text;
    conn->sock.error = 0;
    conn->phase_end = conn_after(conn_now(), conn->limits.handshake_ms);
    conn_set_state(conn, CONN_HANDSHAKE);
    handshake(conn);
}

static void on_io(evutil_socket_t fd, short what, void *arg);

bool conn_make_events(struct wire_conn *conn)
{
    conn->readable = event_new(conn->loop, conn->sock.fd, EV_READ | EV_PERSIST, on_io, conn);
    conn->writable = event_new(conn->loop, conn->sock.fd, EV_WRITE, on_io, conn);
    return conn->readable && conn->writable;
}

static void start(struct wire_conn *conn)
{
    conn->started = true;
    conn->phase_end = conn_after(conn_now(), conn->limits.handshake_ms);
    if (!conn->host && !conn_make_events(conn)) {
        conn_finish_with(conn, HF_NOMEM, "no memory for a connection");
    } else if (!conn->host) {
        conn_begin_handshake(conn);
    } else {
        conn_dial(conn);
    }
}

/* --- the loop ---------------------------------------------------------------------------------------- */

/* What other threads left to be done. */
struct todo {
    bool failed, close, drained, blocked, paused;
    struct addrinfo *found;
    uint32_t linger_ms;
    struct hf_error failure;
};

static struct todo take_todo(struct wire_conn *conn)
{
    struct todo todo;

    pthread_mutex_lock(&conn->lock);
    todo.failed = conn->failed;
    if (todo.failed)
        todo.failure = conn->failure;
    todo.close = conn->close_wanted && conn->state != CONN_CLOSING;
    todo.linger_ms = conn->linger_ms;
    todo.drained = conn->drained;
    conn->drained = false;
    todo.blocked = conn->blocked;
    todo.paused = conn->paused;
    todo.found = conn->found;
    conn->found = NULL;
    pthread_mutex_unlock(&conn->lock);
    return todo;
}

/* Sending failed. What the peer had to say before may be a better reason. */
static void failed(struct wire_conn *conn, const struct hf_error *why)
{
    if (conn->state == CONN_OPEN)
        read_frames(conn);
    conn_finish(conn, why);
}

static void work_open(struct wire_conn *conn, const struct todo *todo)
{
    if (todo->drained && conn->ops->drained)
        conn->ops->drained(conn, conn->arg);
    if (todo->blocked)
        event_add(conn->writable, NULL);
    else
        conn_flush(conn);
    if (todo->paused && conn->reading) {
        event_del(conn->readable);
        conn->reading = false;
    } else if (!todo->paused && !conn->reading) {
        start_reading(conn);
    } else if (!todo->paused && conn->more) {
        read_frames(conn);
    }
}

/* Looks at everything, on the loop's thread. */
static void work(struct wire_conn *conn)
{
    struct todo todo = take_todo(conn);

    if (todo.found) {
        conn->addresses = conn->next_address = todo.found;
        if (!todo.close)
            conn_connect_next(conn);
    }
    if (conn->state == CONN_CLOSED)
        return;
    if (todo.close)
        begin_closing(conn, todo.linger_ms);
    else if (todo.failed)
        failed(conn, &todo.failure);
    else if (!conn->started)
        start(conn);
    else if (conn->state == CONN_OPEN)
        work_open(conn, &todo);
    else if (conn->state == CONN_CLOSING)
        go_on_closing(conn);
    if (conn->state != CONN_CLOSED)
        set_timer(conn);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct wire_conn *conn = wire_conn_ref(arg);

    (void)fd, (void)what;
    work(conn);
    wire_conn_unref(conn);
}

/* The network takes more. */
static void write_on(struct wire_conn *conn)
{
    pthread_mutex_lock(&conn->lock);
    conn->blocked = false;
    pthread_mutex_unlock(&conn->lock);
    conn_flush(conn);
    if (conn->state == CONN_CLOSING)
        say_goodbye(conn);
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    struct wire_conn *conn = wire_conn_ref(arg);

    (void)fd;
    if (conn->state == CONN_CONNECTING)
        conn_connected(conn);
    else if (conn->state == CONN_HANDSHAKE)
        handshake(conn);
    else if (what & EV_WRITE)
        write_on(conn);
    else if (conn->state == CONN_OPEN)
        read_frames(conn);
    else if (conn->state == CONN_CLOSING && conn->shut)
        drain(conn);
    if (conn->state != CONN_CLOSED)
        set_timer(conn);
    wire_conn_unref(conn);
}

/* --- making one -------------------------------------------------------------------------------------- */

struct event_base *wire_loop_new(struct hf_error *err)
{
    struct event_base *loop = NULL;

    if (evthread_use_pthreads() == 0)
        loop = event_base_new();
    if (!loop)
        (void)hf_fail(err, HF_NOMEM, "no memory for an event loop");
    return loop;
}

static struct wire_limits fill_in(const struct wire_limits *limits)
{
    struct wire_limits filled = limits ? *limits : (struct wire_limits){0};

    if (filled.max_frame == 0)
        filled.max_frame = WIRE_FRAME_MAX;
    if (filled.handshake_ms == 0)
        filled.handshake_ms = HANDSHAKE_MS;
    if (filled.frame_ms == 0)
        filled.frame_ms = FRAME_MS;
    if (filled.stall_ms == 0)
        filled.stall_ms = STALL_MS;
    if (filled.low_water == 0)
        filled.low_water = LOW_WATER;
    return filled;
}

static bool set_up_tls(struct wire_conn *conn)
{
    BIO *bio = sock_bio(&conn->sock);

    if (!bio)
        return false;
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_mode(conn->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_read_ahead(conn->ssl, 1);
    SSL_set_default_read_buffer_len(conn->ssl, READ_AHEAD);
    return true;
}

static void set_up_locks(struct wire_conn *conn)
{
    pthread_mutex_init(&conn->tls_lock, NULL);
    pthread_mutex_init(&conn->lock, NULL);
}

/* The connection without a socket; `host` NULL: to be accepted. */
static struct wire_conn *make(struct event_base *loop, const char *host, struct tls *tls,
                              const struct wire_limits *limits, struct hf_error *err)
{
    struct wire_conn *conn = calloc(1, sizeof *conn);

    if (!conn) {
        (void)hf_fail(err, HF_NOMEM, "no memory for a connection");
        return NULL;
    }
    conn->references = 1;
    conn->loop = loop;
    conn->limits = fill_in(limits);
    conn->reader.max = conn->limits.max_frame;
    conn->sock.fd = -1;
    conn->timer_at = conn->frame_from = NEVER;
    conn->address = conn->peer_text;
    set_up_locks(conn);
    conn->ssl = tls_session(tls, host, err);
    if (conn->ssl && set_up_tls(conn) && (!host || (conn->host = strdup(host))))
        return conn;
    if (conn->ssl)
        (void)hf_fail(err, HF_NOMEM, "no memory for a connection");
    wire_conn_unref(conn);
    return NULL;
}

/* Hands it to the loop, whose reference is a second one. */
static int hand_over(struct wire_conn *conn, const struct wire_conn_ops *ops, void *arg,
                     struct wire_conn **ret_conn, struct hf_error *err)
{
    struct event *wake = event_new(conn->loop, -1, 0, on_wake, conn);
    struct event *timer = evtimer_new(conn->loop, on_timer, conn);

    if (!wake || !timer) {
        if (wake)
            event_free(wake);
        if (timer)
            event_free(timer);
        return hf_fail(err, HF_NOMEM, "no memory for a connection");
    }
    conn->ops = ops;
    conn->arg = arg;
    wire_conn_ref(conn);
    *ret_conn = conn;
    pthread_mutex_lock(&conn->lock);
    conn->timer = timer;
    conn->wake = wake;
    conn_wake_up(conn);
    pthread_mutex_unlock(&conn->lock);
    return HF_OK;
}

int wire_conn_accept(struct event_base *loop, int fd, struct tls *tls,
                     const struct wire_limits *limits, const struct wire_conn_ops *ops, void *arg,
                     struct wire_conn **ret_conn, struct hf_error *err)
{
    struct wire_conn *conn = make(loop, NULL, tls, limits, err);
    int rc = conn ? HF_OK : HF_NOMEM;

    if (rc == HF_OK)
        rc = sock_set_up(fd, conn->limits.stall_ms, err);
    if (rc == HF_OK) {
        conn->state = CONN_HANDSHAKE;
        conn->sock.fd = fd;
        sock_peer_text(fd, conn->peer_text);
        rc = hand_over(conn, ops, arg, ret_conn, err);
    }
    if (rc != HF_OK) {
        close(fd);
        wire_conn_unref(conn);
    }
    return rc;
}

int wire_conn_connect(struct event_base *loop, const char *host, uint16_t port, struct tls *tls,
                      const struct wire_limits *limits, const struct wire_conn_ops *ops, void *arg,
                      struct wire_conn **ret_conn, struct hf_error *err)
{
    struct hf_error why = {.status = HF_NOMEM};
    struct wire_conn *conn = make(loop, host, tls, limits, &why);
    int rc;

    if (!conn)
        return hf_fail(err, why.status, "%s", why.message);
    conn->port = port;
    snprintf(conn->asked_text, sizeof conn->asked_text, strchr(host, ':') ? "[%s]:%u" : "%s:%u",
             host, port);
    conn->address = conn->asked_text;
    rc = hand_over(conn, ops, arg, ret_conn, err);
    if (rc != HF_OK)
        wire_conn_unref(conn);
    return rc;
}

/* --- from any thread --------------------------------------------------------------------------------- */

static void set_paused(struct wire_conn *conn, bool paused)
{
    pthread_mutex_lock(&conn->lock);
    if (conn->paused != paused) {
        conn->paused = paused;
        conn_wake_up(conn);
    }
    pthread_mutex_unlock(&conn->lock);
}

void wire_conn_pause(struct wire_conn *conn)
{
    set_paused(conn, true);
}

void wire_conn_resume(struct wire_conn *conn)
{
    set_paused(conn, false);
}

void wire_conn_close(struct wire_conn *conn, uint32_t linger_ms, const struct hf_error *why)
{
    pthread_mutex_lock(&conn->lock);
    if (!conn->close_wanted) {
        conn->close_wanted = true;
        conn->linger_ms = linger_ms;
        conn->has_reason = why != NULL;
        if (why)
            conn->reason = *why;
        conn_wake_up(conn);
    }
    pthread_mutex_unlock(&conn->lock);
}

X509 *wire_conn_peer(struct wire_conn *conn)
{
    return conn->peer;
}

const char *wire_conn_address(const struct wire_conn *conn)
{
    return conn->address;
}
