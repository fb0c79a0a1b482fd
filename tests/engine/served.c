/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUNDLE "admin.pem"

static void *run(void *arg)
{
    struct served *served = arg;
    struct hf_error err = {0};

    if (server_run(served->server, &err) != HF_OK) {
        fprintf(stderr, "the server ended: %s\n", err.message);
        abort();
    }
    return NULL;
}

void served_start(struct served *served)
{
    struct hf_error err = {0};
    const char *colon;

    if (server_new(&served->options, &served->server, &err) != HF_OK) {
        fprintf(stderr, "no server: %s\n", err.message);
        abort();
    }
    colon = strrchr(server_address(served->server), ':');
    assert(colon);
    served->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    snprintf(served->listen, sizeof served->listen, "127.0.0.1:%u", (unsigned)served->port);
    assert(pthread_create(&served->thread, NULL, run, served) == 0);
}

void served_open(struct served *served, struct test_pki *pki, const char *store_url)
{
    memset(served, 0, sizeof *served);
    served->pki = pki;
    snprintf(served->store_url, sizeof served->store_url, "%s", store_url);
    snprintf(served->listen, sizeof served->listen, "127.0.0.1:0");
    snprintf(served->bundle, sizeof served->bundle, "%s", test_pki_path(pki, PKI_SERVER_FILE));
    snprintf(served->crl, sizeof served->crl, "%s", test_pki_path(pki, PKI_CRL_FILE));
    if (access(test_pki_path(pki, BUNDLE), F_OK) != 0)
        test_pki_host(pki, "admin", "holdfast:admin");
    served->options = (struct server_options){
        .store_url = served->store_url,
        .listen = served->listen,
        .tls = {served->bundle, served->bundle, served->bundle, served->crl},
        .drain_ms = 500};
    served_start(served);
}

void served_stop(struct served *served)
{
    server_stop(served->server);
    pthread_join(served->thread, NULL);
    server_free(served->server);
    served->server = NULL;
}

void served_url(struct served *served, uint16_t port, char *ret_url, size_t size)
{
    snprintf(ret_url, size, "holdfast://127.0.0.1:%u?cert=%s",
             (unsigned)(port ? port : served->port), test_pki_path(served->pki, BUNDLE));
}
