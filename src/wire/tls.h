/* SPDX-License-Identifier: Apache-2.0 */
/**
 * TLS 1.3 with certificates on both sides, and nothing else: what both ends of a connection use.
 * Thread safe once made.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include <openssl/ssl.h>

#include "holdfast/error.h"

/** ALPN: the protocol and its major version. A peer that offers another is refused. */
#define WIRE_ALPN "holdfast/1"

/** PEM files. A bundle may hold key, certificate, chain and CA in one file: then all name it. */
struct tls_files {
    const char *certificate; /**< with its chain */
    const char *key;         /**< not readable by others (HF_CONFIG) */
    const char *ca;          /**< who may sign the other side's */
    const char *crl;         /**< revoked certificates, or NULL; server only */
};

struct tls {
    SSL_CTX *context;
    bool server;
};

/** Loads the files. HF_CONFIG names the file and what is wrong with it: missing, expired, readable by others, key
 *  and certificate do not belong together, CRL out of date. */
int tls_open(const struct tls_files *files, bool server, struct tls **ret_tls,
             struct hf_error *err);
void tls_close(struct tls *tls);
/** A connection's state; a client's verifies that the server's certificate is for `host` (name or address).
 *  Owned by the caller. */
SSL *tls_session(struct tls *tls, const char *host, struct hf_error *err);
/** Why the last handshake or read of `ssl` failed, as a sentence for the log: "the certificate has expired",
 *  "it speaks TLS 1.2", "it does not speak TLS", "its certificate was revoked" … */
int tls_explain(SSL *ssl, struct hf_error *err);

#endif
