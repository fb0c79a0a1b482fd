/* SPDX-License-Identifier: Apache-2.0 */
#include "ends.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20

/* --- sides ------------------------------------------------------------------------------------ */

static void *run(void *arg)
{
    event_base_dispatch(arg);
    return NULL;
}

static void nothing(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

void side_start(struct side *side, struct test_pki *pki, const char *bundle, bool server, bool crl)
{
    struct tls_files files = test_pki_files(pki, bundle, crl);

    *side = (struct side){.loop = wire_loop_new(NULL)};
    assert(side->loop && tls_open(&files, server, &side->tls, NULL) == HF_OK);
    side->keep = event_new(side->loop, -1, EV_PERSIST, nothing, NULL);
    assert(side->keep && event_add(side->keep, &(struct timeval){.tv_sec = 3600}) == 0);
    assert(pthread_create(&side->thread, NULL, run, side->loop) == 0);
}

void side_stop(struct side *side)
{
    event_base_loopbreak(side->loop);
    pthread_join(side->thread, NULL);
    event_free(side->keep);
    event_base_free(side->loop);
    tls_close(side->tls);
}

int listen_on(const char *address, uint16_t *ret_port)
{
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    struct sockaddr_in any4 = {.sin_family = AF_INET};
    bool six = inet_pton(AF_INET6, address, &any6.sin6_addr) == 1;
    struct sockaddr *at = six ? (struct sockaddr *)&any6 : (struct sockaddr *)&any4;
    socklen_t len = six ? sizeof any6 : sizeof any4;
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert(six || inet_pton(AF_INET, address, &any4.sin_addr) == 1);
    if (fd < 0 || bind(fd, at, len) != 0 || listen(fd, 64) != 0) {
        close(fd);
        return -1;
    }
    assert(getsockname(fd, at, &len) == 0);
    *ret_port = ntohs(six ? any6.sin6_port : any4.sin_port);
    return fd;
}

int connect_plainly(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* --- what happens ------------------------------------------------------------------------------- */

static void on_open(struct wire_conn *conn, void *arg)
{
    struct end *end = arg;

    (void)conn;
    pthread_mutex_lock(&end->lock);
    end->opened++;
    end->told_after_close += end->closed;
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static void on_frame(struct wire_conn *conn, Holdfast__Wire__Frame *frame, size_t size, void *arg)
{
    struct end *end = arg;

    (void)conn;
    if (end->on_frame)
        end->on_frame(end, frame, size);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    pthread_mutex_lock(&end->lock);
    end->frames++;
    end->bytes += size;
    end->told_after_close += end->closed;
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static void on_drained(struct wire_conn *conn, void *arg)
{
    struct end *end = arg;

    (void)conn;
    pthread_mutex_lock(&end->lock);
    end->drained++;
    end->told_after_close += end->closed;
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static void on_closed(struct wire_conn *conn, const struct hf_error *why, void *arg)
{
    struct end *end = arg;

    (void)conn;
    pthread_mutex_lock(&end->lock);
    end->told_after_close += end->closed;
    end->closed++;
    end->why = *why;
    pthread_cond_broadcast(&end->changed);
    pthread_mutex_unlock(&end->lock);
}

static const struct wire_conn_ops ops = {on_open, on_frame, on_drained, on_closed};

void end_init(struct end *end)
{
    *end = (struct end){0};
    pthread_mutex_init(&end->lock, NULL);
    pthread_cond_init(&end->changed, NULL);
}

void end_accept(struct end *end, struct side *side, int listener, const struct wire_limits *limits)
{
    int fd = accept(listener, NULL, NULL);

    assert(fd >= 0);
    assert(wire_conn_accept(side->loop, fd, side->tls, limits, &ops, end, &end->conn, NULL) ==
           HF_OK);
}

void end_connect(struct end *end, struct side *side, const char *host, uint16_t port,
                 const struct wire_limits *limits)
{
    assert(wire_conn_connect(side->loop, host, port, side->tls, limits, &ops, end, &end->conn,
                             NULL) == HF_OK);
}

void end_release(struct end *end)
{
    assert(end->closed == 1 && end->told_after_close == 0);
    wire_conn_unref(end->conn);
    pthread_cond_destroy(&end->changed);
    pthread_mutex_destroy(&end->lock);
}

/* --- waiting -------------------------------------------------------------------------------------- */

/* Until one of the numbers is as large as wanted. */
static bool wait_for(struct end *end, unsigned opened, unsigned closed, unsigned drained,
                     size_t frames)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&end->lock);
    while (error == 0 && (end->opened < opened || end->closed < closed || end->drained < drained ||
                          end->frames < frames))
        error = pthread_cond_timedwait(&end->changed, &end->lock, &until);
    pthread_mutex_unlock(&end->lock);
    return error == 0;
}

bool end_wait_open(struct end *end)
{
    return wait_for(end, 1, 0, 0, 0);
}

bool end_wait_closed(struct end *end)
{
    return wait_for(end, 0, 1, 0, 0);
}

bool end_wait_drained(struct end *end)
{
    return wait_for(end, 0, 0, 1, 0);
}

bool end_wait_frames(struct end *end, size_t frames)
{
    return wait_for(end, 0, 0, 0, frames);
}

size_t end_frames(struct end *end)
{
    size_t frames;

    pthread_mutex_lock(&end->lock);
    frames = end->frames;
    pthread_mutex_unlock(&end->lock);
    return frames;
}

int end_send(struct end *end, uint64_t id, size_t size, struct hf_error *err)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__GetRequest get = HOLDFAST__WIRE__GET_REQUEST__INIT;
    int rc;

    frame.id = id;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REQUEST;
    frame.request = &request;
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_GET;
    request.get = &get;
    get.ids.len = size;
    get.ids.data = malloc(size + 1);
    assert(get.ids.data);
    memset(get.ids.data, (int)id & 0xff, size);
    rc = wire_conn_send(end->conn, &frame, err);
    free(get.ids.data);
    return rc;
}
