/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "wire/conn_impl.h"
#include "wire/resolve.h"

/* Of the time for connecting, the least that each of several addresses gets. */
#define ATTEMPT_MIN_MS 1000

/* Begins to connect to one address. On failure, sock.error says why. */
static bool try_address(struct wire_conn *conn, const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    conn->sock = (struct sock){.fd = fd};
    if (fd >= 0 && sock_set_up(fd, conn->limits.stall_ms, NULL) == HF_OK &&
        (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS) &&
        conn_make_events(conn) && event_add(conn->writable, NULL) == 0)
        return true;
    conn->sock.error = errno;
    return false;
}

void conn_connect_next(struct wire_conn *conn)
{
    int error = conn->sock.error;
    int64_t left;

    conn_forget_socket(conn);
    while (conn->next_address) {
        const struct addrinfo *address = conn->next_address;

        conn->next_address = address->ai_next;
        left = (conn->limits.handshake_ms) / (conn->next_address ? 2 : 1);
        conn->phase_end = conn_now() + (left > ATTEMPT_MIN_MS ? left : ATTEMPT_MIN_MS) * NS_PER_MS;
        sock_text(address->ai_addr, address->ai_addrlen, conn->peer_text);
        if (try_address(conn, address))
            return;
        error = conn->sock.error;
        conn_forget_socket(conn);
    }
    conn->address = conn->peer_text;
    conn_finish_with(conn, error == ETIMEDOUT ? HF_TIMEOUT : HF_IO, "cannot connect: %s",
                     strerror(error));
}

void conn_connected(struct wire_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(conn->sock.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    conn->sock.error = error;
    if (error != 0)
        conn_connect_next(conn);
    else
        conn_begin_handshake(conn);
}

/* On a thread of its own. */
static void on_resolved(struct addrinfo *addresses, const struct hf_error *why, void *arg)
{
    struct wire_conn *conn = arg;

    pthread_mutex_lock(&conn->lock);
    conn->found = addresses;
    if (!addresses) {
        conn->failed = true;
        conn->failure = *why;
    }
    conn_wake_up(conn);
    pthread_mutex_unlock(&conn->lock);
    wire_conn_unref(conn);
}

void conn_dial(struct wire_conn *conn)
{
    struct hf_error why;

    if (resolve_address(conn->host, conn->port, &conn->addresses) == HF_OK) {
        conn->next_address = conn->addresses;
        conn_connect_next(conn);
        return;
    }
    wire_conn_ref(conn);
    if (resolve_name(conn->host, conn->port, on_resolved, conn, &why) == HF_OK)
        return;
    wire_conn_unref(conn);
    conn_finish(conn, &why);
}
