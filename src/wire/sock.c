/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A peer that says nothing is asked by the kernel after so many seconds, and given up after three more asks. */
#define KEEPALIVE_S 30
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_PROBES 3

/* --- the BIO ------------------------------------------------------------------------------------- */

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static int again_or_failed(BIO *bio, int retry_flag)
{
    struct sock *sock = BIO_get_data(bio);

    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    else if (sock->error == 0)
        sock->error = errno;
    return -1;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct sock *sock = BIO_get_data(bio);
    ssize_t n = send(sock->fd, data, (size_t)len, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (n < 0)
        return again_or_failed(bio, BIO_FLAGS_WRITE);
    sock->sent += (uint64_t)n;
    return (int)n;
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct sock *sock = BIO_get_data(bio);
    ssize_t n = recv(sock->fd, data, (size_t)len, 0);

    BIO_clear_retry_flags(bio);
    if (n < 0)
        return again_or_failed(bio, BIO_FLAGS_READ);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    sock->received += (uint64_t)n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_EOF:
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    case BIO_CTRL_FLUSH:
        return 1;
    default:
        return 0;
    }
}

static void make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast socket");

    if (!made)
        return;
    if (BIO_meth_set_write(made, bio_write) && BIO_meth_set_read(made, bio_read) &&
        BIO_meth_set_ctrl(made, bio_ctrl))
        method = made;
    else
        BIO_meth_free(made);
}

BIO *sock_bio(struct sock *sock)
{
    BIO *bio;

    pthread_once(&method_once, make_method);
    bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, sock);
    BIO_set_init(bio, 1);
    return bio;
}

/* --- the socket ---------------------------------------------------------------------------------- */

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

int sock_set_up(int fd, uint32_t stall_ms, struct hf_error *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1))
        return hf_fail(err, HF_IO, "cannot set up a socket: %s", strerror(errno));
    /* Without these a dead peer is found later; that is no reason to do without it. */
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
               (int)(stall_ms < INT32_MAX ? stall_ms : INT32_MAX));
    return HF_OK;
}

void sock_text(const struct sockaddr *address, socklen_t len, char text[SOCK_TEXT_MAX])
{
    char host[64], port[8];

    if (getnameinfo(address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, SOCK_TEXT_MAX, "unknown");
    else if (strchr(host, ':'))
        snprintf(text, SOCK_TEXT_MAX, "[%s]:%s", host, port);
    else
        snprintf(text, SOCK_TEXT_MAX, "%s:%s", host, port);
}

void sock_peer_text(int fd, char text[SOCK_TEXT_MAX])
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;

    if (getpeername(fd, (struct sockaddr *)&address, &len) == 0)
        sock_text((struct sockaddr *)&address, len, text);
    else
        snprintf(text, SOCK_TEXT_MAX, "unknown");
}
