/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's thread: connects, sends, looks at the clock, and connects again. */
#include "engine/remote/loop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/remote/random.h"

#define BACKOFF_MIN_MS 20
#define BACKOFF_MAX_MS 1000
#define REFUSED_MS 3000 /* who was turned away does not come back sooner */
#define SETTLED_MS                                                                                 \
    1000 /* a connection that lasted so long was a good one, whatever it was used for */
#define LINGER_MS 500
#define LOOK_MS 1000

static int64_t now_of(const struct link *link)
{
    return clock_boottime(link->clock);
}

/* --- states ------------------------------------------------------------------------------------------ */

static bool is_drawn(enum link_state from, enum link_state to)
{
    static const unsigned to_of[] = {
        [LINK_DOWN] = 1u << LINK_CONNECTING,
        [LINK_CONNECTING] = 1u << LINK_HELLO | 1u << LINK_CLOSING | 1u << LINK_DOWN,
        [LINK_HELLO] =
            1u << LINK_REGISTERING | 1u << LINK_UP | 1u << LINK_CLOSING | 1u << LINK_DOWN,
        [LINK_REGISTERING] = 1u << LINK_UP | 1u << LINK_CLOSING | 1u << LINK_DOWN,
        [LINK_UP] = 1u << LINK_LEAVING | 1u << LINK_CLOSING | 1u << LINK_DOWN,
        [LINK_LEAVING] = 1u << LINK_CLOSING | 1u << LINK_DOWN,
        [LINK_CLOSING] = 1u << LINK_DOWN,
    };

    return (to_of[from] >> to & 1) != 0;
}

void link_to(struct link *link, enum link_state state, int64_t due)
{
    assert(is_drawn(link->state, state));
    link->state = state;
    link->due = due;
    pthread_cond_broadcast(&link->changed);
}

void link_kick(struct link *link)
{
    link->again |= link->acting;
    if (link->kicked || link->acting || !link->kick)
        return;
    link->kicked = true;
    event_active(link->kick, EV_READ, 0);
}

/* --- the end of a connection ---------------------------------------------------------------------------- */

/* How long to wait after a failure: not at all while another server was not tried yet. */
static int64_t backoff(const struct link *link)
{
    unsigned rounds = link->failures / (unsigned)link->address->nplaces;
    int64_t ms = BACKOFF_MIN_MS;

    if (rounds == 0 || link->failures % link->address->nplaces != 0)
        return 0;
    while (--rounds > 0 && ms < BACKOFF_MAX_MS)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    if (link->why.status == HF_ACCESS || link->why.status == HF_CONFIG)
        ms = REFUSED_MS;
    return (ms / 2 + (int64_t)remote_random() % (ms + 1) / 2) * LINK_MS;
}

void link_fail(struct link *link, struct call *call, const struct hf_error *why)
{
    if (call->state == CALL_QUEUED) {
        call_list_remove(&link->queue, call);
    } else if (call->state == CALL_SENT || call->state == CALL_SENDING) {
        call_list_remove(&link->sent, call); /* its answer may be quicker than who sends it */
        link->in_flight -= call->bytes;
    }
    call->state = CALL_DONE;
    call->failure = *why;
    if (call->left)
        call_free(call);
    else
        pthread_cond_signal(&call->moved);
}

/* What was sent and is not answered is asked again, before what was not sent yet and in the same order. An answer
 * of which its caller has seen a part cannot begin anew. */
static void take_back(struct link *link)
{
    struct call *call, *before;

    for (call = link->sent.last; call; call = before) {
        before = call->prev;
        assert(call->state == CALL_SENT);
        if (call->left || call->begun) {
            static const struct hf_error torn = {HF_STALE, "the connection broke in the middle of "
                                                           "the answer"};

            link_fail(link, call, &torn);
            continue;
        }
        call_list_remove(&link->sent, call);
        call_drop_parts(call);
        call->request->retry = true;
        call->state = CALL_QUEUED;
        call_list_prepend(&link->queue, call);
        link->counters.retries++;
    }
    link->in_flight = 0;
    link->ncancels = 0;
}

/* The connection is gone, or did not come about. */
static void lost(struct link *link, const struct hf_error *why)
{
    int64_t now = now_of(link);
    bool settled = link->up_since && (link->served || now - link->up_since >= SETTLED_MS * LINK_MS);

    link->why = *why;
    if (link->up_since) {
        link->away = now;
        link->counters.losses++;
        remote_host_step(&link->host, CONTACT_CUT, now, 0);
    }
    link->failures = settled ? 0 : link->failures + 1;
    if (!settled)
        link->place = (link->place + 1) % link->address->nplaces;
    link->up_since = 0;
    link->host.beat = 0;
    link->paused = false;
    take_back(link);
    link_to(link, LINK_DOWN, now + (settled ? 0 : backoff(link)));
}

void link_cut(struct link *link, uint32_t linger_ms, const struct hf_error *why)
{
    struct wire_conn *conn = link->conn;

    link_to(link, LINK_CLOSING, 0);
    pthread_mutex_unlock(&link->mutex);
    wire_conn_close(conn, linger_ms, why);
    pthread_mutex_lock(&link->mutex);
}

static void cut_for(struct link *link, const char *what, int64_t ns)
{
    struct hf_error why;

    (void)hf_fail(&why, HF_TIMEOUT, "%s within %lld ms", what, (long long)(ns / LINK_MS));
    link_cut(link, 0, &why);
}

/* --- callbacks of the connection -------------------------------------------------------------------------- */

static void act(struct link *link);

static void on_open(struct wire_conn *conn, void *arg)
{
    struct link *link = arg;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__Hello hello = HOLDFAST__WIRE__HELLO__INIT;

    pthread_mutex_lock(&link->mutex);
    if (conn == link->conn && link->state == LINK_CONNECTING) {
        hello.protocol = 1;
        hello.program = (char *)"holdfast " HOLDFAST_VERSION;
        request.op_case = HOLDFAST__WIRE__REQUEST__OP_HELLO;
        request.hello = &hello;
        link_to(link, LINK_HELLO, link->due);
        link->hello = link_send_own(link, &request);
    }
    pthread_mutex_unlock(&link->mutex);
}

static void on_frame(struct wire_conn *conn, Holdfast__Wire__Frame *frame, size_t size, void *arg)
{
    struct link *link = arg;

    if (conn != link->conn) {
        holdfast__wire__frame__free_unpacked(frame, NULL);
        return;
    }
    link_take_frame(link, frame, size);
    act(link);
}

static void on_closed(struct wire_conn *conn, const struct hf_error *why, void *arg)
{
    static const struct hf_error orderly = {HF_IO, "the server closed the connection"};
    struct link *link = arg;

    if (conn != link->conn)
        return;
    pthread_mutex_lock(&link->mutex);
    while (link->sending) /* a caller's thread, which does not wait for the network */
        pthread_cond_wait(&link->changed, &link->mutex);
    link->conn = NULL;
    if (link->state == LINK_LEAVING)
        lost(link, &link->why);
    else
        lost(link, why && why->status != HF_OK ? why : &orderly);
    pthread_mutex_unlock(&link->mutex);
    wire_conn_unref(conn);
    act(link);
}

/* --- what is due -------------------------------------------------------------------------------------------- */

/* Certificates are renewed while mounts run: each connection but the first is made with what the files hold by
 * then. What cannot be loaded is not taken; the server says whether the older one still counts. */
static struct tls *current_tls(struct link *link)
{
    const struct remote_address *address = link->address;
    const struct tls_files files = {
        .certificate = address->certificate,
        .key = address->key ? address->key : address->certificate,
        .ca = address->ca ? address->ca : address->certificate,
    };
    struct tls *renewed;

    if (address->certificate && link->counters.connections > 1 &&
        tls_open(&files, false, &renewed, NULL) == HF_OK) {
        tls_close(link->renewed_tls);
        link->renewed_tls = renewed;
    }
    return link->renewed_tls ? link->renewed_tls : link->tls;
}

static void connect_now(struct link *link)
{
    static const struct wire_conn_ops ops = {
        .open = on_open, .frame = on_frame, .closed = on_closed};
    static const struct wire_limits limits = {.handshake_ms = LINK_TRY_MS};
    const struct remote_place *place = &link->address->places[link->place];
    struct wire_conn *conn = NULL;
    struct hf_error why = {0};
    int rc;

    link_to(link, LINK_CONNECTING, now_of(link) + LINK_TRY_MS * LINK_MS);
    link->next_id = 1;
    link->hello = link->registration = link->ping = 0;
    link->counters.connections++;
    pthread_mutex_unlock(&link->mutex);
    rc = wire_conn_connect(link->loop, place->host, place->port, current_tls(link), &limits, &ops,
                           link, &conn, &why);
    pthread_mutex_lock(&link->mutex);
    if (rc == HF_OK)
        link->conn = conn;
    else
        lost(link, &why);
}

uint64_t link_send_own(struct link *link, Holdfast__Wire__Request *request)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    int rc;

    frame.id = link->next_id++;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REQUEST;
    frame.request = request;
    pthread_mutex_unlock(&link->mutex);
    rc = wire_conn_send(link->conn, &frame, NULL);
    pthread_mutex_lock(&link->mutex);
    return rc == HF_OK ? frame.id : 0;
}

static void send_beat(struct link *link, int64_t now)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__HostRequest host = HOLDFAST__WIRE__HOST_REQUEST__INIT;

    host.host = atomic_load(&link->host.number);
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_HOST_HEARTBEAT;
    request.host_heartbeat = &host;
    link->host.beat_sent = now;
    link->counters.beats++;
    link->host.beat = link_send_own(link, &request);
}

/* Something cheap that is always answered. */
static void send_ping(struct link *link)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionRequest shared = HOLDFAST__WIRE__SESSION_REQUEST__INIT;

    request.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_HEAD;
    request.session_head = &shared;
    link->ping = link_send_own(link, &request);
    if (link->ping == 0)
        link->ping = UINT64_MAX; /* the connection is closing */
}

static void send_cancel(struct link *link)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__CancelRequest cancel = HOLDFAST__WIRE__CANCEL_REQUEST__INIT;

    cancel.id = link->cancels[--link->ncancels];
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_CANCEL;
    request.cancel = &cancel;
    if (call_list_find(&link->sent, cancel.id))
        link_send_own(link, &request);
}

/* On the loop's thread, or on that of the call's owner. */
static void send_call(struct link *link, struct call *call)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    struct wire_conn *conn = wire_conn_ref(link->conn);
    struct hf_error why;
    int rc;

    call_list_remove(&link->queue, call);
    call_list_append(&link->sent, call);
    call->state = CALL_SENDING;
    call->id = frame.id = link->next_id++;
    call->sent = now_of(link);
    call->sends++;
    link->in_flight += call->bytes;
    link->counters.requests++;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REQUEST;
    frame.request = call->request;
    pthread_mutex_unlock(&link->mutex);
    rc = wire_conn_send(conn, &frame, &why);
    wire_conn_unref(conn);
    pthread_mutex_lock(&link->mutex);
    if (call->state != CALL_SENDING)
        return;
    call->state = CALL_SENT;
    if (rc == HF_TOOBIG || rc == HF_NOMEM)
        link_fail(link, call, &why);
    else
        pthread_cond_signal(&call->moved); /* when it failed: closed() follows */
}

/* Whether a heartbeat waits too long for its answer: longer when others are answered. */
static bool is_overdue(const struct link *link, int64_t now, int64_t patience)
{
    const struct remote_host *host = &link->host;
    int64_t heard = link->heard > host->beat_sent ? link->heard : host->beat_sent;

    return now - heard >= patience || now - host->beat_sent >= host->contact.ttl / 2;
}

/* The host session: a heartbeat when one is due, and none that stays without any answer. */
static bool look_after_host(struct link *link, int64_t now)
{
    struct remote_host *host = &link->host;
    bool due = now >= host->contact.next;
    int64_t patience = host->contact.ttl / 3;

    if (!remote_host_lives(host))
        return false;
    remote_host_step(host, CONTACT_TICK, now, 0);
    if (patience > LINK_SILENCE_MS * LINK_MS)
        patience = LINK_SILENCE_MS * LINK_MS;
    if (link->state != LINK_UP && link->state != LINK_LEAVING)
        return false;
    if (host->beat && is_overdue(link, now, patience)) {
        cut_for(link, "a heartbeat was not answered", patience);
        return true;
    }
    if (due && !host->beat) {
        send_beat(link, now);
        return true;
    }
    return false;
}

/* An answer is due and nothing is heard: is anybody there? */
static bool look_after_silence(struct link *link, int64_t now)
{
    int64_t silence;

    if (!link->sent.first || link->paused)
        return false;
    /* Before the oldest of them was sent there was nothing to be said. */
    silence = now - (link->heard > link->sent.first->sent ? link->heard : link->sent.first->sent);
    if (silence < LINK_PING_MS * LINK_MS)
        return false;
    if (silence >= LINK_DEAF_MS * LINK_MS) {
        cut_for(link, "nothing was heard", silence);
        return true;
    }
    if (link->ping != 0)
        return false;
    send_ping(link);
    return true;
}

static bool has_room_for(const struct link *link, const struct call *call)
{
    return link->in_flight == 0 || link->in_flight + call->bytes <= link->welcome.max_in_flight;
}

/* The caller of a long answer does not follow. With a host session nothing stops the connection: its heartbeats
 * need the answers. */
static bool look_after_parts(struct link *link)
{
    bool full = false;

    for (struct call *call = link->sent.first; call && !full; call = call->next)
        full = call->parts_bytes > (link->paused ? LINK_PARTS_MAX / 2 : LINK_PARTS_MAX);
    full = full && !remote_host_lives(&link->host);
    if (full == link->paused)
        return false;
    link->paused = full;
    pthread_mutex_unlock(&link->mutex);
    if (full)
        wire_conn_pause(link->conn);
    else
        wire_conn_resume(link->conn);
    pthread_mutex_lock(&link->mutex);
    link->heard = now_of(link);
    return true;
}

/* Nobody else acts, and nothing is to be done before it. */
static bool may_send_now(const struct link *link, const struct call *call)
{
    return link->state == LINK_UP && !link->acting && !link->stopping && link->ncancels == 0 &&
           link->queue.first == call && has_room_for(link, call);
}

bool link_send_now(struct link *link, struct call *call)
{
    if (!may_send_now(link, call))
        return false;
    link->acting = link->sending = true;
    link->again = false;
    send_call(link, call);
    link->acting = link->sending = false;
    pthread_cond_broadcast(&link->changed);
    if (link->again)
        link_kick(link);
    return true;
}

static bool do_up(struct link *link, int64_t now)
{
    struct call *call = link->queue.first;

    if (link->stopping) {
        link_cut(link, LINGER_MS, NULL);
        return true;
    }
    if (look_after_host(link, now) || look_after_silence(link, now) || look_after_parts(link))
        return true;
    if (link->ncancels > 0)
        send_cancel(link);
    else if (call && has_room_for(link, call))
        send_call(link, call);
    else
        return false;
    return true;
}

/* The server said good-bye: what it said is why the connection ends. */
static void leave(struct link *link)
{
    struct hf_error why = link->why;

    link_cut(link, LINGER_MS, &why);
}

/* Does one thing that is to be done. False: nothing is. */
static bool do_next(struct link *link)
{
    int64_t now = now_of(link);

    if (link->state == LINK_UP)
        return do_up(link, now);
    if (look_after_host(link, now))
        return true;
    if (link->stopping && link->state == LINK_DOWN) {
        event_base_loopbreak(link->loop);
        return false;
    }
    if (link->state == LINK_LEAVING && !link->sent.first)
        link->due = now; /* everything is answered */
    if (link->state == LINK_CLOSING || (now < link->due && !link->stopping))
        return false;
    if (link->state == LINK_DOWN)
        connect_now(link);
    else if (link->state == LINK_LEAVING)
        leave(link);
    else
        cut_for(link, "the server did not answer", LINK_TRY_MS * LINK_MS);
    return true;
}

/* When there may be something to do again. */
static void set_timer(struct link *link)
{
    int64_t now = now_of(link), next = now + LOOK_MS * LINK_MS;
    struct timeval wait;

    if (link->state != LINK_UP && link->state != LINK_CLOSING && link->due < next)
        next = link->due;
    if (remote_host_lives(&link->host) && link->host.contact.next < next && !link->host.beat)
        next = link->host.contact.next;
    next = next > now ? (next - now) / 1000 + 1 : 0;
    wait = (struct timeval){next / 1000000, next % 1000000};
    event_add(link->timer, &wait);
}

static void act(struct link *link)
{
    pthread_mutex_lock(&link->mutex);
    if (link->acting) {
        link->again = true;
    } else {
        link->acting = true;
        while (do_next(link))
            ;
        link->acting = link->again = false;
        set_timer(link);
    }
    pthread_mutex_unlock(&link->mutex);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    pthread_mutex_lock(&link->mutex);
    link->kicked = false;
    pthread_mutex_unlock(&link->mutex);
    act(link);
}

/* --- the thread ------------------------------------------------------------------------------------------------ */

int link_make_loop(struct link *link, struct hf_error *err)
{
    link->loop = wire_loop_new(err);
    if (link->loop)
        link->kick = event_new(link->loop, -1, EV_PERSIST, on_event, link);
    if (link->loop)
        link->timer = event_new(link->loop, -1, 0, on_event, link);
    if (link->loop && (!link->kick || !link->timer))
        return hf_fail(err, HF_NOMEM, "cannot start the loop of a remote store");
    if (!link->loop)
        return HF_NOMEM;
    event_active(link->kick, EV_READ, 0);
    return HF_OK;
}

void link_free_loop(struct link *link)
{
    if (link->conn)
        wire_conn_unref(link->conn);
    if (link->kick)
        event_free(link->kick);
    if (link->timer)
        event_free(link->timer);
    if (link->loop)
        event_base_free(link->loop);
    link->conn = NULL;
    link->kick = link->timer = NULL;
    link->loop = NULL;
}

void *link_main(void *arg)
{
    struct link *link = arg;

    event_base_loop(link->loop, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}
