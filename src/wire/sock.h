/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A non-blocking TCP socket as OpenSSL's transport. Unlike OpenSSL's own it never raises SIGPIPE, counts what goes
 * through, and remembers the error. Guarded by its caller.
 */
#ifndef WIRE_SOCK_H
#define WIRE_SOCK_H

#include <openssl/bio.h>
#include <stdint.h>
#include <sys/socket.h>

#include "holdfast/error.h"

#define SOCK_TEXT_MAX 80

struct sock {
    int fd;
    int error; /**< errno of the first failed read or write; 0: none */
    uint64_t sent, received;
};

/** A BIO over `sock` (borrowed), which does not close the socket. NULL: no memory. */
BIO *sock_bio(struct sock *sock);

/** Sets up a connected or connecting socket: non-blocking, without Nagle's delay; a peer that acknowledges nothing
 *  for `stall_ms` while something is under way, or is gone from the network, ends the connection (ETIMEDOUT). */
int sock_set_up(int fd, uint32_t stall_ms, struct hf_error *err);

/** "192.0.2.1:4711", "[2001:db8::1]:4711". */
void sock_text(const struct sockaddr *address, socklen_t len, char text[SOCK_TEXT_MAX]);
/** The same of a socket's peer; "unknown" when it has none any more. */
void sock_peer_text(int fd, char text[SOCK_TEXT_MAX]);

#endif
