/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The directory in which `holdfast cert` keeps a certificate authority.
 *
 *     ca.pem              its certificate: everybody's
 *     ca.key              its key: who has it can be anybody. Mode 0600
 *     server.pem          bundle for the server: key, certificate, CA. Mode 0600
 *     crl.pem             what was revoked; the server reads it again on SIGHUP
 *     issued/SERIAL.pem   every certificate that was issued, without its key
 *
 * A certificate is recorded before anybody gets it. Each file is written whole, synced and renamed to its name;
 * who changes the list of revoked ones locks the directory.
 */
#ifndef TOOLS_AUTHORITY_H
#define TOOLS_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/pki.h"

struct authority;

/** Appends the directory that counts: `given` if not NULL, else /etc/holdfast/pki for root, and
 *  $XDG_CONFIG_HOME/holdfast/pki for others. NUL-terminated. */
int authority_dir(const char *given, struct buf *ret_dir, struct hf_error *err);

/** Makes a CA and, by `server`, a server's certificate. The directory is made if it is not there. HF_EXIST when a
 *  file of the names above is in it. On failure what was made is removed. */
int authority_init(const char *dir, const struct pki_request *ca, const struct pki_request *server,
                   struct hf_error *err);

/** Opens one. Its key is only read, and only needed, when `sign`. HF_NOENT, HF_CONFIG. */
int authority_open(const char *dir, bool sign, struct authority **ret_authority,
                   struct hf_error *err);
void authority_close(struct authority *authority);

/** The CA's certificate, borrowed. */
X509 *authority_certificate(const struct authority *authority);

/** Issues a certificate and records it. Appends the bundle, and gives the certificate, which the caller frees. */
int authority_issue(struct authority *authority, const struct pki_request *request,
                    struct buf *ret_bundle, X509 **ret_certificate, struct hf_error *err);

/** What is recorded of a certificate. */
struct authority_record {
    X509 *certificate;
    const char *serial; /**< hex */
    int64_t revoked;    /**< seconds since the epoch; 0: it is not */
};
/** Visits every certificate that was issued, in order of serial numbers. What a visit returns other than 0 stops
 *  it and is returned. */
int authority_each(struct authority *authority,
                   int (*visit)(const struct authority_record *record, void *arg), void *arg,
                   struct hf_error *err);

/** Puts certificates on the list, all in one step. HF_EXIST when one is on it. */
int authority_revoke(struct authority *authority, X509 *const *certificates, size_t n,
                     struct hf_error *err);

/** Writes a file so that it is there whole or not at all: HF_EXIST unless `replace`. */
int authority_write(const char *path, const struct buf *content, bool replace,
                    struct hf_error *err);

#endif
