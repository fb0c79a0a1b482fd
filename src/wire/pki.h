/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Makes certificates: a CA, a server's, hosts', and the list of those that were revoked (RFC 5280).
 * Keys are on P-256. Pure but for randomness and the clock that the caller gives; thread safe.
 */
#ifndef WIRE_PKI_H
#define WIRE_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

#include "base/buf.h"
#include "holdfast/error.h"

/** The files of the directory that `holdfast cert` keeps, as the server reads them. */
#define PKI_CA_FILE "ca.pem"
#define PKI_CA_KEY_FILE "ca.key"
#define PKI_SERVER_FILE "server.pem" /**< bundle: key, certificate, CA */
#define PKI_CRL_FILE "crl.pem"

enum pki_kind { PKI_CA, PKI_SERVER, PKI_HOST };

/** A certificate with its key. */
struct pki_pair {
    X509 *certificate;
    EVP_PKEY *key;
};

/** What a certificate is to say. Strings are borrowed. */
struct pki_request {
    enum pki_kind kind;
    const char *name;         /**< the subject's CN, at most 64 bytes of UTF-8 */
    const char *const *hosts; /**< a server's names and addresses */
    size_t nhosts;
    const char *uri;               /**< of a host: principal_uri(); or NULL */
    int64_t not_before, not_after; /**< seconds since the epoch */
};

/** Makes a key and a certificate for it, signed by `issuer` (NULL: by itself). Ended with
 *  pki_pair_release(). HF_INVAL for a name that no certificate can hold. */
int pki_issue(const struct pki_request *request, const struct pki_pair *issuer,
              struct pki_pair *ret_pair, struct hf_error *err);
void pki_pair_release(struct pki_pair *pair);

/** An empty list of revoked certificates of `ca`. The caller frees it with X509_CRL_free(). */
int pki_crl_new(const struct pki_pair *ca, X509_CRL **ret_crl, struct hf_error *err);
/** Adds a serial number, and signs the list anew, valid as long as the CA. HF_EXIST when it is on it. */
int pki_crl_add(const struct pki_pair *ca, X509_CRL *crl, const ASN1_INTEGER *serial, int64_t now,
                struct hf_error *err);

/** Appends in PEM; what holds a key is to be wiped when it is not needed any more. */
int pki_print_certificate(X509 *certificate, struct buf *ret_pem, struct hf_error *err);
int pki_print_key(EVP_PKEY *key, struct buf *ret_pem, struct hf_error *err);
int pki_print_crl(X509_CRL *crl, struct buf *ret_pem, struct hf_error *err);
/** A bundle for one file: the key, the certificate, its CA's certificate. */
int pki_print_bundle(const struct pki_pair *pair, X509 *ca, struct buf *ret_pem,
                     struct hf_error *err);

#endif
