/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The service: a store on the network, for hosts with certificates.
 *
 *     loop (one thread):   accept, TLS, frames          wire/conn.h
 *       |  request                          ^  reply
 *       v                                   |
 *     gate: who may do what                 |           authorize.h, wire/principal.h
 *       |                                   |
 *     workers (threads): one store call each  -------   tenants.h: a store for each tenant
 *
 * No call of a store is made on the loop's thread. A host that waits for a lease takes no worker: it stands in
 * the store's queue (store_lease_ask()), and the answer is sent when the store tells.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "wire/tls.h"

/** Strings are borrowed until server_free(). Zero: the default. */
struct server_options {
    const char *store_url; /**< of the default tenant; those of others lie beside it */
    const char *listen;    /**< ADDR:PORT, [ADDR6]:PORT; port 0: any that is free */
    struct tls_files tls;
    const char *rights; /**< principal_list_load(), or NULL */
    uint32_t ttl_ms;    /**< HOST_TTL_DEFAULT_MS */
    bool relaxed; /**< a close(2) waits for the medium only where the store says so; else always */
    unsigned max_connections;             /**< 4096 */
    unsigned max_connections_per_host;    /**< 16 */
    uint64_t max_in_flight;               /**< bytes of unanswered requests of one host: 32 MiB */
    unsigned workers;                     /**< threads at most: 128 */
    uint32_t drain_ms;                    /**< for requests under way at the end: 10 s */
    uint32_t maintenance_ms;              /**< how often the stores are looked after; 0: never */
    const struct host_identity *identity; /**< the server's own, for maintenance; or NULL */
    /** Told of each tenant's store once it is open, before any host uses it; both are good until server_free().
     *  From any thread, with a lock held: it must not call the server. Or NULL. */
    void (*opened)(const char *tenant, struct store *store, void *arg);
    void *opened_arg;
    bool traced; /**< calls of the stores are counted: trace_store_counters() */
};

struct server;

/** Opens the store, binds and listens. HF_CONFIG, HF_IO, and what opening a store can say. */
int server_new(const struct server_options *options, struct server **ret_server,
               struct hf_error *err);
/** "ADDR:PORT" as bound. */
const char *server_address(const struct server *server);
/** Serves until server_stop(). */
int server_run(struct server *server, struct hf_error *err);
/** From any thread or a signal handler's pipe: drains and ends server_run(). Again: at once. */
void server_stop(struct server *server);
/** Reads certificates, CRL and rights again; connections whose certificate is revoked now are closed. A file that
 *  cannot be read leaves everything as it was. */
int server_reload(struct server *server, struct hf_error *err);
void server_free(struct server *server);

/** What it does just now. Thread safe. */
struct server_stats {
    unsigned connections;
    unsigned requests; /**< under way, those that wait for a lease not counted */
    bool serving;      /**< neither starting nor draining */
};
void server_stats(struct server *server, struct server_stats *ret_stats);

#endif
