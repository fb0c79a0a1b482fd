/* SPDX-License-Identifier: Apache-2.0 */
/** A server in the test's own process, over a store of the test's choice. What fails ends the test by assert(3). */
#ifndef TESTS_ENGINE_SERVED_H
#define TESTS_ENGINE_SERVED_H

#include <pthread.h>
#include <stdint.h>

#include "pki.h"
#include "server/server.h"

struct served {
    struct test_pki *pki; /**< with a bundle admin.pem */
    char store_url[600], bundle[256], crl[256];
    char listen[64]; /**< "127.0.0.1:0"; from the first start on, with the port */
    uint16_t port;
    struct server_options options;
    struct server *server;
    pthread_t thread;
};

/** Serves the store on a port of loopback. `pki` is borrowed; the bundle admin.pem is made when it is missing. */
void served_open(struct served *served, struct test_pki *pki, const char *store_url);
/** Ends the server; the store stays. */
void served_stop(struct served *served);
/** Serves it again on the same port. */
void served_start(struct served *served);
/** Writes the URL of the store as it is served; `port` 0: the server's own. */
void served_url(struct served *served, uint16_t port, char *ret_url, size_t size);

#endif
