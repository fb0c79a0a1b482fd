/* SPDX-License-Identifier: Apache-2.0 */
/** A certificate as people and programs read it. */
#ifndef TOOLS_CERTIFICATE_H
#define TOOLS_CERTIFICATE_H

#include <jansson.h>
#include <openssl/x509.h>
#include <stdint.h>

#include "wire/principal.h"

#define CERTIFICATE_SERIAL_SIZE 65

/** The serial number in hex, as openssl(1) prints it. */
int certificate_serial(X509 *certificate, char ret_serial[CERTIFICATE_SERIAL_SIZE],
                       struct hf_error *err);
/** Seconds since the epoch; 0 for a time that cannot be read. */
int64_t certificate_time(const ASN1_TIME *time);

/** What it is for: "agent", "reader" or "admin" by what a host's says; "server", "CA"; "-" when it does not say. */
struct certificate_info {
    struct principal principal; /**< name and serial are always there */
    const char *role;
    struct buf names;        /**< of a server, with ", " between them; NUL-terminated */
    int64_t from, until;     /**< seconds since the epoch */
    struct hf_error problem; /**< status HF_OK, or why its rights cannot be understood */
};
int certificate_read(X509 *certificate, struct certificate_info *ret_info, struct hf_error *err);
void certificate_release(struct certificate_info *info);

/** "squadron-dev-*, other-*"; "all". Appends, NUL-terminated. */
int certificate_sessions(const struct certificate_info *info, struct buf *ret_text);
/** An object; `revoked` as in authority.h. NULL when out of memory. */
json_t *certificate_json(const struct certificate_info *info, int64_t revoked);

#endif
