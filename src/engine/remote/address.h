/* SPDX-License-Identifier: Apache-2.0 */
/** The URL of a remote store, taken apart: where its servers are, and which files open the door. */
#ifndef ENGINE_REMOTE_ADDRESS_H
#define ENGINE_REMOTE_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "wire/tls.h"

#define REMOTE_PLACES_MAX 16

/** One server that is to be tried. */
struct remote_place {
    char *host; /**< name, IPv4 or IPv6 address (without brackets) */
    uint16_t port;
};

struct remote_address {
    struct remote_place places[REMOTE_PLACES_MAX];
    size_t nplaces;
    char *certificate, *key, *ca; /**< NULL: not named */
};

/** Parses what follows "holdfast://". HF_INVAL with a sentence. Ended with remote_address_release(). */
int remote_address_parse(const char *rest, struct remote_address *ret_address,
                         struct hf_error *err);
void remote_address_release(struct remote_address *address);

/** Settles the files, which `ret_files` borrows: those that the URL does not name come from the bundle of
 *  this host. HF_CONFIG: there is none; says where it was looked for. */
int remote_address_files(struct remote_address *address, struct tls_files *ret_files,
                         struct hf_error *err);

/** Writes the URL without its query. */
void remote_address_location(const struct remote_address *address, char *ret_url, size_t size);
/** Writes "HOST:PORT". */
void remote_place_text(const struct remote_place *place, char *ret_text, size_t size);

#endif
