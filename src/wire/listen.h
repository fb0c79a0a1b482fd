/* SPDX-License-Identifier: Apache-2.0 */
/** Addresses to listen on. Thread safe. */
#ifndef WIRE_LISTEN_H
#define WIRE_LISTEN_H

#include <netdb.h>

#include "holdfast/error.h"
#include "wire/sock.h"

/** The address that ADDR:PORT or [ADDR6]:PORT says, freed with freeaddrinfo(). HF_CONFIG. */
int listen_address(const char *text, struct addrinfo **ret_address, struct hf_error *err);
/** Where a socket is bound, as sock_text() writes it. */
int listen_bound(int fd, char ret_text[SOCK_TEXT_MAX], struct hf_error *err);

#endif
