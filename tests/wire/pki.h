/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Certificates for tests: a CA, a server and hosts, in a directory of its own, in milliseconds. What fails ends the
 * test by assert(3).
 *
 *     struct test_pki pki;
 *     test_pki_make(&pki);
 *     test_pki_host(&pki, "host-a", "holdfast:agent");
 *     tls_open(&(struct tls_files){...test_pki_path(&pki, "host-a.pem")...}
 *     test_pki_remove(&pki);
 */
#ifndef TESTS_WIRE_PKI_H
#define TESTS_WIRE_PKI_H

#include <limits.h>

#include "wire/pki.h"
#include "wire/tls.h"

struct test_pki {
    char dir[128];
    struct pki_pair ca;
    char *paths[8]; /* the latest answers of test_pki_path() */
    unsigned next_path;
};

/** A CA (ca.pem), an empty CRL (crl.pem) and a server's bundle for localhost, 127.0.0.1 and ::1 (server.pem). */
void test_pki_make(struct test_pki *pki);
/** Removes the directory with everything in it. */
void test_pki_remove(struct test_pki *pki);

/** The path of a file in the directory; valid until eight more were asked for. */
const char *test_pki_path(struct test_pki *pki, const char *file);
/** The bundle NAME.pem for a host; `uri` NULL: without rights. */
void test_pki_host(struct test_pki *pki, const char *name, const char *uri);
/** The bundle `file` of any kind, signed by `issuer` (NULL: by itself). Times of 0: an hour ago, and in a day. */
void test_pki_issue(struct test_pki *pki, struct pki_request request, const struct pki_pair *issuer,
                    const char *file);
/** Puts the certificate of the bundle `file` on the CRL. */
void test_pki_revoke(struct test_pki *pki, const char *file);
/** A CA that nothing here knows. Ended with pki_pair_release(). */
void test_pki_other_ca(struct pki_pair *ret_ca);

/** All that tls_open() takes from a bundle; with the CRL for the server's. */
struct tls_files test_pki_files(struct test_pki *pki, const char *bundle, bool crl);

#endif
