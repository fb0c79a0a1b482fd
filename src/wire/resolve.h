/* SPDX-License-Identifier: Apache-2.0 */
/** Looks up the addresses of a name, in a thread of its own where that may take time. */
#ifndef WIRE_RESOLVE_H
#define WIRE_RESOLVE_H

#include <netdb.h>
#include <stdint.h>

#include "holdfast/error.h"

/** Called once from that thread. `addresses` are the callee's (freeaddrinfo()); NULL: none, and why. */
typedef void (*resolve_fn)(struct addrinfo *addresses, const struct hf_error *why, void *arg);

/** The address that `host` is; HF_NOENT when it is a name. */
int resolve_address(const char *host, uint16_t port, struct addrinfo **ret_addresses);
/** Starts a look-up. Nothing is called when it fails: HF_NOMEM, HF_AGAIN. */
int resolve_name(const char *host, uint16_t port, resolve_fn done, void *arg, struct hf_error *err);

#endif
