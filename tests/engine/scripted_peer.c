/* SPDX-License-Identifier: Apache-2.0 */
#include "scripted_peer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/thread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/remote/remote.h"
#include "wire/convert.h"

#define PATIENCE_S 20

/* --- answers ------------------------------------------------------------------------------------------ */

static void send_frame(struct scripted_peer *peer, Holdfast__Wire__Frame *frame)
{
    if (peer->conn && !peer->deaf)
        (void)wire_conn_send(peer->conn, frame, NULL);
}

void scripted_reply(struct scripted_peer *peer, uint64_t id, Holdfast__Wire__Reply *reply)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Reply done = HOLDFAST__WIRE__REPLY__INIT;

    frame.id = id;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REPLY;
    frame.reply = reply ? reply : &done;
    send_frame(peer, &frame);
}

void scripted_reply_number(struct scripted_peer *peer, uint64_t id, uint64_t number)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;

    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_NUMBER;
    reply.number = number;
    scripted_reply(peer, id, &reply);
}

void scripted_reply_failure(struct scripted_peer *peer, uint64_t id, int status,
                            const char *message)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;

    reply.status = hf_status_wire(status);
    reply.message = wire_fill_text(message);
    scripted_reply(peer, id, &reply);
}

void scripted_hang_up(struct scripted_peer *peer)
{
    if (peer->conn)
        wire_conn_close(peer->conn, 0, NULL);
}

static void send_notice(struct scripted_peer *peer, Holdfast__Wire__Notice *notice)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;

    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_NOTICE;
    frame.notice = notice;
    send_frame(peer, &frame);
}

void scripted_event(struct scripted_peer *peer, uint64_t host, uint32_t kind, uint64_t sid)
{
    Holdfast__Wire__Notice notice = HOLDFAST__WIRE__NOTICE__INIT;
    Holdfast__Wire__Event event = HOLDFAST__WIRE__EVENT__INIT;

    event.kind = kind;
    event.host = host;
    event.sid = sid;
    notice.what_case = HOLDFAST__WIRE__NOTICE__WHAT_EVENT;
    notice.event = &event;
    send_notice(peer, &notice);
}

void scripted_goodbye(struct scripted_peer *peer, const char *reason, bool come_back)
{
    Holdfast__Wire__Notice notice = HOLDFAST__WIRE__NOTICE__INIT;
    Holdfast__Wire__Goodbye goodbye = HOLDFAST__WIRE__GOODBYE__INIT;

    goodbye.reason = (char *)reason;
    goodbye.come_back = come_back;
    notice.what_case = HOLDFAST__WIRE__NOTICE__WHAT_GOODBYE;
    notice.goodbye = &goodbye;
    send_notice(peer, &notice);
}

static void welcome(struct scripted_peer *peer, uint64_t id)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__Welcome message = HOLDFAST__WIRE__WELCOME__INIT;
    uint8_t uuid[16] = {peer->uuid};

    message.protocol = 1;
    message.program = (char *)"scripted";
    message.uuid = (ProtobufCBinaryData){sizeof uuid, uuid};
    message.chunk_min = 2048;
    message.chunk_avg = 8192;
    message.chunk_max = 65536;
    message.close_durability = 1;
    message.ttl_ms = peer->ttl_ms ? peer->ttl_ms : 30000;
    message.max_frame = WIRE_FRAME_MAX;
    message.max_in_flight = peer->max_in_flight ? peer->max_in_flight : 32u << 20;
    message.tenant = (char *)"default";
    message.principal = wire_fill_text("host-a");
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_WELCOME;
    reply.welcome = &message;
    if (peer->hello_status != HF_OK)
        scripted_reply_failure(peer, id, peer->hello_status, "not this one");
    else
        scripted_reply(peer, id, &reply);
}

static void answer(struct scripted_peer *peer, const Holdfast__Wire__Frame *frame)
{
    const Holdfast__Wire__Request *request = frame->request;

    switch ((int)request->op_case) {
    case HOLDFAST__WIRE__REQUEST__OP_HELLO:
        welcome(peer, frame->id);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_HOST_REGISTER:
        if (request->retry && peer->resume_as)
            peer->host = peer->resume_as;
        scripted_reply_number(peer, frame->id, peer->host);
        break;
    case HOLDFAST__WIRE__REQUEST__OP_HOST_HEARTBEAT:
        scripted_reply_failure(peer, frame->id, peer->beat_status, "");
        break;
    case HOLDFAST__WIRE__REQUEST__OP_HOST_END:
        scripted_reply(peer, frame->id, NULL);
        break;
    default:
        if (peer->script)
            peer->script(peer, frame, peer->arg);
    }
}

/* --- the connection ----------------------------------------------------------------------------------- */

static void on_open(struct wire_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

static void on_frame(struct wire_conn *conn, Holdfast__Wire__Frame *frame, size_t size, void *arg)
{
    struct scripted_peer *peer = arg;

    assert(frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REQUEST);
    if (conn == peer->conn) {
        pthread_mutex_lock(&peer->mutex);
        assert(peer->nseen < SCRIPTED_SEEN_MAX);
        peer->seen[peer->nseen++] =
            (struct scripted_request){(int)frame->request->op_case, frame->id,
                                      frame->request->retry, peer->connections, size};
        pthread_cond_broadcast(&peer->changed);
        pthread_mutex_unlock(&peer->mutex);
        answer(peer, frame);
    }
    holdfast__wire__frame__free_unpacked(frame, NULL);
}

static void on_closed(struct wire_conn *conn, const struct hf_error *why, void *arg)
{
    struct scripted_peer *peer = arg;

    (void)why;
    if (peer->conn == conn)
        peer->conn = NULL;
    wire_conn_unref(conn);
}

static void on_connect(evutil_socket_t listener, short what, void *arg)
{
    static const struct wire_conn_ops ops = {
        .open = on_open, .frame = on_frame, .closed = on_closed};
    static const struct wire_limits limits = {0};
    struct scripted_peer *peer = arg;
    struct hf_error err;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)what;
    if (fd < 0)
        return;
    pthread_mutex_lock(&peer->mutex);
    if (peer->away) {
        pthread_mutex_unlock(&peer->mutex);
        close(fd);
        return;
    }
    peer->connections++;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->mutex);
    if (wire_conn_accept(peer->loop, fd, peer->tls, &limits, &ops, peer, &peer->conn, &err) !=
        HF_OK)
        peer->conn = NULL;
}

/* --- the thread ------------------------------------------------------------------------------------------ */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct scripted_peer *peer = arg;

    (void)fd;
    (void)what;
    atomic_store(&peer->queued, peer->conn ? wire_conn_queued(peer->conn) : 0);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    struct scripted_peer *peer = arg;
    bool cut, stopping;

    (void)fd;
    (void)what;
    pthread_mutex_lock(&peer->mutex);
    cut = peer->cut || peer->stopping;
    stopping = peer->stopping;
    peer->cut = false;
    pthread_mutex_unlock(&peer->mutex);
    if (cut)
        scripted_hang_up(peer);
    if (stopping)
        event_base_loopexit(peer->loop, &(struct timeval){0, 50000});
}

static void *serve(void *arg)
{
    struct scripted_peer *peer = arg;

    event_base_loop(peer->loop, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

static int listen_on_loopback(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert(fd >= 0);
    assert(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    assert(listen(fd, 16) == 0);
    assert(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

void scripted_peer_start(struct scripted_peer *peer, struct test_pki *pki)
{
    struct tls_files files = test_pki_files(pki, "server.pem", true);
    static const struct timeval often = {0, 50000};
    struct hf_error err;

    evthread_use_pthreads();
    peer->pki = pki;
    if (peer->host == 0)
        peer->host = 7;
    assert(tls_open(&files, true, &peer->tls, &err) == HF_OK);
    pthread_mutex_init(&peer->mutex, NULL);
    pthread_cond_init(&peer->changed, NULL);
    peer->fd = listen_on_loopback(&peer->port);
    peer->loop = event_base_new();
    assert(peer->loop);
    peer->listening = event_new(peer->loop, peer->fd, EV_READ | EV_PERSIST, on_connect, peer);
    peer->kick = event_new(peer->loop, -1, EV_PERSIST, on_kick, peer);
    peer->tick = event_new(peer->loop, -1, EV_PERSIST, on_tick, peer);
    assert(peer->listening && peer->kick && peer->tick);
    assert(event_add(peer->listening, NULL) == 0 && event_add(peer->tick, &often) == 0);
    assert(pthread_create(&peer->thread, NULL, serve, peer) == 0);
}

static void tell(struct scripted_peer *peer, bool cut, bool away, bool stopping)
{
    pthread_mutex_lock(&peer->mutex);
    peer->cut |= cut;
    peer->away = away;
    peer->stopping |= stopping;
    pthread_mutex_unlock(&peer->mutex);
    event_active(peer->kick, EV_READ, 0);
}

void scripted_peer_cut(struct scripted_peer *peer)
{
    tell(peer, true, false, false);
}

void scripted_peer_go_away(struct scripted_peer *peer)
{
    tell(peer, true, true, false);
}

void scripted_peer_come_back(struct scripted_peer *peer)
{
    tell(peer, false, false, false);
}

void scripted_peer_stop(struct scripted_peer *peer)
{
    tell(peer, true, true, true);
    pthread_join(peer->thread, NULL);
    event_free(peer->listening);
    event_free(peer->kick);
    event_free(peer->tick);
    if (peer->conn)
        wire_conn_unref(peer->conn);
    event_base_free(peer->loop);
    close(peer->fd);
    tls_close(peer->tls);
    pthread_cond_destroy(&peer->changed);
    pthread_mutex_destroy(&peer->mutex);
}

void scripted_peer_url(struct scripted_peer *peer, const char *bundle, char *ret_url, size_t size)
{
    snprintf(ret_url, size, "127.0.0.1:%u?cert=%s", (unsigned)peer->port,
             test_pki_path(peer->pki, bundle));
}

/* --- looking ---------------------------------------------------------------------------------------------- */

static size_t count(const struct scripted_peer *peer, int op)
{
    size_t n = 0;

    for (size_t i = 0; i < peer->nseen; i++)
        n += peer->seen[i].op == op;
    return n;
}

void scripted_peer_wait(struct scripted_peer *peer, int op, size_t n)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&peer->mutex);
    while (count(peer, op) < n && rc == 0)
        rc = pthread_cond_timedwait(&peer->changed, &peer->mutex, &until);
    pthread_mutex_unlock(&peer->mutex);
    assert(rc == 0 && "the request did not come");
}

size_t scripted_peer_count(struct scripted_peer *peer, int op)
{
    size_t n;

    pthread_mutex_lock(&peer->mutex);
    n = count(peer, op);
    pthread_mutex_unlock(&peer->mutex);
    return n;
}

size_t scripted_peer_queued(struct scripted_peer *peer)
{
    return atomic_load(&peer->queued);
}

struct scripted_request scripted_peer_seen(struct scripted_peer *peer, int op, size_t n)
{
    struct scripted_request found = {0};

    pthread_mutex_lock(&peer->mutex);
    for (size_t i = 0; i < peer->nseen && found.op == 0; i++)
        if (peer->seen[i].op == op && n-- == 0)
            found = peer->seen[i];
    pthread_mutex_unlock(&peer->mutex);
    assert(found.op != 0 && "no such request came");
    return found;
}
