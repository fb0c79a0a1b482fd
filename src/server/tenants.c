/* SPDX-License-Identifier: Apache-2.0 */
#include "server/tenants.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/decorator/trace.h"
#include "engine/open.h"
#include "server/host_session.h"
#include "server/server.h"
#include "store/maintenance.h"
#include "wire/principal.h"

struct tenants {
    const struct server_options *options;
    pthread_mutex_t lock; /**< guards what follows; held while a store is opened */
    struct tenant *first;
    unsigned count;
};

/* --- where a tenant's store lies ------------------------------------------------------------------ */

/* The engine's own part of a URL: what stands after the decorators. */
static const char *engine_part(const char *url)
{
    const char *plus;

    while ((strncmp(url, "trace+", 6) == 0 || strncmp(url, "faulty(", 7) == 0) &&
           (plus = strchr(url, '+')))
        url = plus + 1;
    return url;
}

static int append(struct buf *buf, const char *text, size_t len, struct hf_error *err)
{
    int rc = buf_append(buf, text, len);

    return rc == HF_OK ? rc : hf_fail(err, rc, "out of memory");
}

int tenant_url(const char *url, const char *name, struct buf *ret_url, struct hf_error *err)
{
    const char *engine = engine_part(url);
    bool file = strncmp(engine, "sqlite:", 7) == 0;
    int rc = append(ret_url, url, strlen(url), err);

    if (!file && strncmp(engine, "memory:", 7) != 0)
        return hf_fail(err, HF_CONFIG,
                       "a server keeps its store in a file, as sqlite:/path; not %s", url);
    if (strcmp(name, PRINCIPAL_DEFAULT_TENANT) != 0) {
        if (rc == HF_OK && file)
            rc = append(ret_url, strchr(engine, '?') ? "&tenant=" : "?tenant=", 8, err);
        else if (rc == HF_OK && engine[7] != '\0') /* one without a name is new each time */
            rc = append(ret_url, ".tenants/", 9, err);
        if (rc == HF_OK && (file || engine[7] != '\0'))
            rc = append(ret_url, name, strlen(name), err);
    }
    return rc == HF_OK ? append(ret_url, "", 1, err) : rc;
}

/* --- opening -------------------------------------------------------------------------------------- */

static void tenant_free(struct tenant *tenant)
{
    if (!tenant)
        return;
    host_sessions_free(tenant->hosts);
    maintenance_stop(tenant->maintenance);
    store_close(tenant->store);
    free(tenant->name);
    free(tenant);
}

static int open_store(const struct tenants *tenants, struct tenant *tenant, struct hf_error *err)
{
    const struct server_options *options = tenants->options;
    const struct store_create_options create = {.strict = !options->relaxed};
    BUF_AUTO url = {0};
    int rc = tenant_url(options->store_url, tenant->name, &url, err);

    if (rc == HF_OK)
        rc = store_open((const char *)url.data, STORE_CREATE, &create, NULL, &tenant->store, err);
    if (rc == HF_OK && options->traced)
        rc = trace_store_new(tenant->store, &clock_system, -1, &tenant->store, err);
    return rc;
}

static void report(bool failed, const char *line, void *arg)
{
    const struct tenant *tenant = arg;
    enum log_level level = failed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;

    if (strcmp(tenant->name, PRINCIPAL_DEFAULT_TENANT) == 0)
        log_write(level, "%s", line);
    else
        log_write(level, "tenant %s: %s", tenant->name, line);
}

static int look_after(const struct tenants *tenants, struct tenant *tenant, struct hf_error *err)
{
    const struct maintenance_options options = {.interval_ms = tenants->options->maintenance_ms,
                                                .identity = tenants->options->identity,
                                                .report = report,
                                                .arg = tenant};

    if (options.interval_ms == 0)
        return HF_OK;
    return maintenance_start(tenant->store, &options, &tenant->maintenance, err);
}

/* The lock is held. */
static int add(struct tenants *tenants, const char *name, struct tenant **ret_tenant,
               struct hf_error *err)
{
    struct tenant *tenant;
    int rc;

    if (tenants->count >= TENANTS_MAX)
        return hf_fail(err, HF_QUOTA, "there are %u tenants already, which is the limit",
                       tenants->count);
    tenant = calloc(1, sizeof *tenant);
    if (tenant)
        tenant->name = strdup(name);
    rc = tenant && tenant->name ? host_sessions_new(&tenant->hosts, err)
                                : hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = open_store(tenants, tenant, err);
    if (rc == HF_OK)
        rc = look_after(tenants, tenant, err);
    if (rc != HF_OK) {
        tenant_free(tenant);
        return rc;
    }
    /* Last: who is told of a store goes on looking at it until the server ends. */
    if (tenants->options->opened)
        tenants->options->opened(tenant->name, tenant->store, tenants->options->opened_arg);
    tenant->next = tenants->first;
    tenants->first = tenant;
    tenants->count++;
    *ret_tenant = tenant;
    return HF_OK;
}

int tenants_find(struct tenants *tenants, const char *name, struct tenant **ret_tenant,
                 struct hf_error *err)
{
    struct tenant *tenant;
    int rc = HF_OK;

    pthread_mutex_lock(&tenants->lock);
    for (tenant = tenants->first; tenant && strcmp(tenant->name, name) != 0; tenant = tenant->next)
        ;
    if (!tenant)
        rc = add(tenants, name, &tenant, err);
    pthread_mutex_unlock(&tenants->lock);
    if (rc == HF_OK)
        *ret_tenant = tenant;
    return rc;
}

struct tenant *tenants_first(struct tenants *tenants)
{
    struct tenant *first;

    pthread_mutex_lock(&tenants->lock);
    first = tenants->first;
    pthread_mutex_unlock(&tenants->lock);
    return first;
}

int tenants_new(const struct server_options *options, struct tenants **ret_tenants,
                struct hf_error *err)
{
    struct tenants *tenants = calloc(1, sizeof *tenants);
    struct tenant *tenant;
    int rc;

    if (!tenants)
        return hf_fail(err, HF_NOMEM, "out of memory");
    tenants->options = options;
    pthread_mutex_init(&tenants->lock, NULL);
    rc = tenants_find(tenants, PRINCIPAL_DEFAULT_TENANT, &tenant, err);
    if (rc != HF_OK) {
        tenants_free(tenants);
        return rc;
    }
    *ret_tenants = tenants;
    return HF_OK;
}

void tenants_free(struct tenants *tenants)
{
    struct tenant *tenant;

    if (!tenants)
        return;
    while ((tenant = tenants->first)) {
        tenants->first = tenant->next;
        tenant_free(tenant);
    }
    pthread_mutex_destroy(&tenants->lock);
    free(tenants);
}
