/* SPDX-License-Identifier: Apache-2.0 */
/** The workload `server`: hosts that commit to one store, each to a session of its own, all at the same time. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "bench/bare.h"
#include "bench/bench.h"
#include "bench/hostlog.h"
#include "context.h"
#include "identity.h"

#define HOSTS 64
#define COMMITS_ALONE 1000
#define COMMITS_EACH 100 /* of many hosts */

struct crowd;

/* A simulated host. A server is told one host's commits over each connection. */
struct host {
    struct crowd *crowd;
    struct store *store; /* its own, or that of all */
    uint64_t number;
    struct lease lease;
    struct content content;
    struct hostlog *log;
    struct samples samples;
    pthread_t thread;
    struct hf_error err;
    int rc;
};

struct crowd {
    struct bench *bench;
    struct store *store;
    bool distant; /* each host opens it for itself */
    size_t count;
    uint64_t commits; /* of each */
    struct host *hosts;
    pthread_mutex_t gate; /* held until all stand ready; guards the next one */
    bool off;
};

static int commit(struct host *host, bool first, struct hf_error *err)
{
    struct commit commit = {.sid = host->lease.sid,
                            .token = host->lease.token,
                            .base_version = host->lease.head.version,
                            .durability = DURABILITY_SYNC};
    uint8_t text[HOSTLOG_PART];
    char name[128];
    int64_t begin;
    int rc;

    content_event(&host->content, text, sizeof text);
    rc = hostlog_step(host->log, text, err);
    if (rc != HF_OK)
        return rc;
    hostlog_commit(host->log, &commit);
    if (first) {
        snprintf(name, sizeof name, "%s-%" PRIu64, host->crowd->bench->prefix, host->number);
        rc = store_session_create(host->store, host->number, name, &commit, &host->lease, err);
        host->lease.head.version = 1;
        return rc;
    }
    begin = samples_now();
    rc = store_commit(host->store, host->number, &commit, &host->lease.head.version, err);
    return rc == HF_OK ? bench_took(&host->samples, begin, err) : rc;
}

static void *work(void *arg)
{
    struct host *host = arg;
    struct crowd *crowd = host->crowd;
    bool off;

    pthread_mutex_lock(&crowd->gate);
    off = crowd->off;
    pthread_mutex_unlock(&crowd->gate);
    for (uint64_t i = 0; i < crowd->commits && host->rc == HF_OK && !off; i++)
        host->rc = commit(host, false, &host->err);
    return NULL;
}

/* --- the life of a host -------------------------------------------------------------------------------------- */

static int host_begin(struct host *host, struct crowd *crowd, size_t index, struct hf_error *err)
{
    struct identity identity;
    char place[128];
    int rc = HF_OK;

    host->crowd = crowd;
    host->store = crowd->store;
    content_init(&host->content, content_random(&crowd->bench->content, UINT64_MAX));
    if (!(host->log = hostlog_new(&store_info(crowd->store)->hasher)))
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK && crowd->distant)
        rc = context_open_store(crowd->bench->store, 0, &host->store, err);
    snprintf(place, sizeof place, "%s, host %zu of %zu", crowd->bench->prefix, index, crowd->count);
    if (rc == HF_OK)
        rc = identity_read(place, &identity, err);
    if (rc != HF_OK)
        return rc;
    identity.host.mount_point = NULL;
    rc = store_host_register(host->store, &identity.host, NULL, &host->number, err);
    return rc == HF_OK ? commit(host, true, err) : rc;
}

/* A server keeps the session in its trash; that a host may purge it is not for certain. */
static void host_end(struct host *host)
{
    if (host->lease.token && store_session_delete(host->store, host->number, host->lease.sid,
                                                  host->lease.token, NULL) == HF_OK)
        (void)store_session_purge(host->store, host->lease.sid, NULL);
    if (host->number)
        (void)store_host_end(host->store, host->number, NULL);
    if (host->store != host->crowd->store)
        store_close(host->store);
    hostlog_free(host->log);
    samples_free(&host->samples);
}

/* --- a crowd --------------------------------------------------------------------------------------------------- */

/* Starts all threads, lets them go at once, and waits for them. What it took, in seconds. */
static int crowd_work(struct crowd *crowd, double *ret_seconds, struct hf_error *err)
{
    size_t started = 0;
    int64_t begin;
    int rc = HF_OK;

    pthread_mutex_init(&crowd->gate, NULL);
    pthread_mutex_lock(&crowd->gate);
    while (started < crowd->count && rc == HF_OK) {
        struct host *host = &crowd->hosts[started];

        rc = thread_start(&host->thread, work, host, err);
        started += rc == HF_OK;
    }
    crowd->off = rc != HF_OK;
    begin = samples_now();
    pthread_mutex_unlock(&crowd->gate);
    for (size_t i = 0; i < started; i++)
        pthread_join(crowd->hosts[i].thread, NULL);
    *ret_seconds = (double)(samples_now() - begin) / 1e9;
    pthread_mutex_destroy(&crowd->gate);
    return rc;
}

/* The samples of all hosts. */
static int gather(struct crowd *crowd, struct samples *all, struct hf_error *err)
{
    for (size_t i = 0; i < crowd->count; i++) {
        const struct host *host = &crowd->hosts[i];

        if (host->rc != HF_OK) {
            *err = host->err;
            return host->rc;
        }
        for (size_t k = 0; k < host->samples.count; k++)
            if (samples_add(all, host->samples.ns[k]) != HF_OK)
                return hf_fail(err, HF_NOMEM, "out of memory");
    }
    return HF_OK;
}

/* Transactions of the store, as far as it says. */
static uint64_t transactions(struct store *store)
{
    struct store_stats stats;

    return store_stats(store, &stats, NULL) == HF_OK ? stats.activity.transactions : 0;
}

/* What `count` hosts took together. */
struct result {
    struct samples samples;
    double rate;
    uint64_t commits, transactions;
};

static int crowd_measure(struct crowd *crowd, struct result *result, struct hf_error *err)
{
    double seconds = 0;
    uint64_t before;
    int rc = HF_OK;

    crowd->hosts = calloc(crowd->count, sizeof *crowd->hosts);
    if (!crowd->hosts)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < crowd->count; i++)
        crowd->hosts[i].crowd = crowd;
    for (size_t i = 0; i < crowd->count && rc == HF_OK; i++)
        rc = host_begin(&crowd->hosts[i], crowd, i, err);
    before = transactions(crowd->store);
    if (rc == HF_OK)
        rc = crowd_work(crowd, &seconds, err);
    result->transactions = transactions(crowd->store) - before;
    if (rc == HF_OK)
        rc = gather(crowd, &result->samples, err);
    result->commits = crowd->commits * crowd->count;
    result->rate = rc == HF_OK ? (double)result->commits / seconds : 0;
    for (size_t i = 0; i < crowd->count; i++)
        host_end(&crowd->hosts[i]);
    free(crowd->hosts);
    return rc;
}

/* --- figures --------------------------------------------------------------------------------------------------- */

static int report(struct figures *figures, const char *latency, const char *rate,
                  struct result *result, struct hf_error *err)
{
    int rc = figures_add(figures, rate, FIGURE_PER_SECOND, result->rate, err);

    return rc == HF_OK ? figures_add_samples(figures, latency, &result->samples, err) : rc;
}

static int report_ratios(struct bench *bench, const struct result *alone, struct result *all,
                         struct hf_error *err)
{
    double p50, p99;
    int rc;

    samples_sort(&all->samples);
    p50 = samples_micros(&all->samples, 0.5);
    p99 = samples_micros(&all->samples, 0.99);
    rc = report(&bench->figures, "commit_64_hosts", "commits_64_hosts", all, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, "p99_p50_ratio", FIGURE_RATIO, p99 / p50, err);
    if (rc == HF_OK)
        rc =
            figures_add(&bench->figures, "hosts_ratio", FIGURE_RATIO, all->rate / alone->rate, err);
    return rc;
}

static int leave_out_bare(struct bench *bench, struct hf_error *err)
{
    static const char *const names[] = {"commits_per_transaction", "bare_sqlite", "bare_ratio"};
    int rc = HF_OK;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == HF_OK; i++)
        rc = figures_leave_out(&bench->figures, names[i],
                               "the store tells its transactions to an admin only", err);
    return rc;
}

/* The same rows in a database of our own, in as many transactions. */
static int compare_bare(struct bench *bench, const struct result *all, struct hf_error *err)
{
    uint64_t transactions = all->transactions;
    double rate = 0;
    int rc;

    if (transactions == 0)
        return leave_out_bare(bench, err);
    if (transactions > all->commits) /* some were for other things */
        transactions = all->commits;
    rc = bare_measure(bench, all->commits, transactions, &rate, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, "commits_per_transaction", FIGURE_COUNT,
                         (double)all->commits / (double)transactions, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, "bare_sqlite", FIGURE_PER_SECOND, rate, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, "bare_ratio", FIGURE_RATIO, all->rate / rate, err);
    return rc;
}

static int measure(struct bench *bench, struct store *store, struct hf_error *err)
{
    struct crowd one = {.bench = bench, .store = store, .count = 1}, all;
    struct result alone = {0}, together = {0};
    int rc;

    one.distant = strstr(bench->store, "holdfast://") != NULL;
    all = one;
    all.count = HOSTS;
    one.commits = bench_scaled(bench, COMMITS_ALONE, 10);
    all.commits = bench_scaled(bench, COMMITS_EACH, 2);
    rc = crowd_measure(&one, &alone, err);
    if (rc == HF_OK)
        rc = crowd_measure(&all, &together, err);
    if (rc == HF_OK)
        rc = report(&bench->figures, "commit_1_host", "commits_1_host", &alone, err);
    if (rc == HF_OK)
        rc = report_ratios(bench, &alone, &together, err);
    if (rc == HF_OK)
        rc = compare_bare(bench, &together, err);
    samples_free(&alone.samples);
    samples_free(&together.samples);
    return rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    struct store *store = NULL;
    int rc = context_open_store(bench->store, 0, &store, err);

    if (rc == HF_OK)
        rc = measure(bench, store, err);
    store_close(store);
    return rc;
}

const struct workload workload_server = {
    .name = "server",
    .summary = "64 hosts commit to --store at once; and one alone",
    .needs = WORKLOAD_STORE,
    .run = run,
};
