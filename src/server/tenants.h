/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The stores by tenant. Each tenant has a store of its own, so nothing is shared: neither objects nor ids nor
 * locks. The default tenant's is the one that the server was given; tenant T of sqlite:/srv/s.db has
 * sqlite:/srv/s.db?tenant=T, made when T's first host comes. All stay open until the end. Thread safe.
 */
#ifndef SERVER_TENANTS_H
#define SERVER_TENANTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "store/store.h"

#define TENANTS_MAX 256

struct host_sessions;
struct maintenance;
struct server_options;

struct tenant {
    struct tenant *next;
    char *name;
    struct store *store;
    struct host_sessions *hosts;     /**< those that connections of this tenant serve */
    struct maintenance *maintenance; /**< or NULL */
    atomic_uint connections;         /**< that have said hello */
    atomic_uint_fast64_t requests;
};

struct tenants;

/** Opens the default tenant's store, made strict when it is not there and unless the options (borrowed) say
 *  relaxed. Each store that is opened is looked after (store/maintenance.h), and the log told. */
int tenants_new(const struct server_options *options, struct tenants **ret_tenants,
                struct hf_error *err);
/** Closes every store. Nothing may use one any more. NULL is fine. */
void tenants_free(struct tenants *tenants);

/** The tenant of this name, which is valid until tenants_free(). Opens its store: not for the loop's thread.
 *  HF_QUOTA when there are too many. */
int tenants_find(struct tenants *tenants, const char *name, struct tenant **ret_tenant,
                 struct hf_error *err);
/** The tenants that are open. They are only ever added to at the front. */
struct tenant *tenants_first(struct tenants *tenants);

/** The URL of a tenant's store. Appends a NUL-terminated string. HF_CONFIG for an engine that cannot be a
 *  server's. */
int tenant_url(const char *url, const char *name, struct buf *ret_url, struct hf_error *err);

#endif
