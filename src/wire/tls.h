/* SPDX-License-Identifier: Apache-2.0 */
/**
 * TLS 1.3 with certificates on both sides, and nothing else: what both ends of a connection use.
 * Nothing is resumed, so every connection looks at the certificates and the CRL anew. Thread safe once made.
 */
#ifndef WIRE_TLS_H
#define WIRE_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"

/** ALPN: the protocol and its major version. A peer that offers another is refused. */
#define WIRE_ALPN "holdfast/1"

/** PEM files. A bundle may hold key, certificate, chain and CA in one file: then all name it. */
struct tls_files {
    const char *certificate; /**< with its chain */
    const char *key;         /**< not readable by others (HF_CONFIG) */
    const char *ca;  /**< who may sign the other side's; what is no CA certificate is passed over */
    const char *crl; /**< revoked certificates, or NULL; server only */
};

struct tls {
    SSL_CTX *context;
    bool server;
};

/** Loads the files. HF_CONFIG names the file and what is wrong with it: missing, expired, readable by others, key
 *  and certificate do not belong together, CRL out of date. */
int tls_open(const struct tls_files *files, bool server, struct tls **ret_tls,
             struct hf_error *err);
/** NULL is fine. Sessions made from it stay usable. */
void tls_close(struct tls *tls);
/** When our own certificate expires; seconds since the epoch. */
int64_t tls_expires(const struct tls *tls);
/** A connection's state, set to accept or to connect; a client's verifies that the server's certificate is for
 *  `host` (name or address; a server's ignores it). Owned by the caller. */
SSL *tls_session(struct tls *tls, const char *host, struct hf_error *err);
/** Why the last handshake or read of `ssl` failed, as a sentence for the log: "the certificate has expired",
 *  "it speaks TLS 1.2", "it does not speak TLS", "its certificate was revoked" … HF_ACCESS when one side does not
 *  accept the other's certificate, else HF_IO. What OpenSSL said is kept with `ssl`: its error queue may have
 *  been emptied since. */
int tls_explain(SSL *ssl, struct hf_error *err);
/** Whether a peer's certificate would be accepted now: for connections that were made under an older CRL or CA.
 *  HF_ACCESS. A certificate whose chain the peer sent cannot be followed here and is not accepted. */
int tls_recheck(struct tls *tls, X509 *peer, struct hf_error *err);

#endif
