/* SPDX-License-Identifier: Apache-2.0 */
#include "web/store_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

#define NS_PER_SECOND 1000000000LL
#define COUNT_INTERVAL_NS (60 * NS_PER_SECOND)
#define COUNT_SHARE 100 /* it rests so many times as long as it worked */

struct store_watch {
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards what follows; not held while a store is called */
    pthread_cond_t wake;
    bool stop;
    struct store_watched *stores;
};

/* --- counting ---------------------------------------------------------------------------------------------- */

/* The one that is due next; *ret_wait: in how many ns. NULL: there is none. */
static struct store_watched *next_due(const struct store_watch *watch, int64_t *ret_wait)
{
    struct store_watched *first = NULL;

    for (struct store_watched *store = watch->stores; store; store = store->next)
        if (store->contents && (!first || store->due < first->due))
            first = store;
    if (first)
        *ret_wait = first->due - clock_boottime(&clock_system);
    return first;
}

static void count_store(struct store_watch *watch, struct store_watched *watched)
{
    int64_t start = clock_boottime(&clock_system), took;
    struct store_stats stats;
    int rc;

    pthread_mutex_unlock(&watch->lock);
    rc = store_stats(watched->store, &stats, NULL);
    pthread_mutex_lock(&watch->lock);
    took = (clock_boottime(&clock_system) - start) * COUNT_SHARE;
    watched->due = start + (took > COUNT_INTERVAL_NS ? took : COUNT_INTERVAL_NS);
    if (rc == HF_OK) {
        watched->stats = stats;
        watched->counted = true;
    }
}

static void wait_for(struct store_watch *watch, int64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ns / NS_PER_SECOND + 1;
    pthread_cond_timedwait(&watch->wake, &watch->lock, &until);
}

static void *run(void *arg)
{
    struct store_watch *watch = arg;
    struct store_watched *store;
    int64_t wait = 0;

    pthread_mutex_lock(&watch->lock);
    while (!watch->stop) {
        store = next_due(watch, &wait);
        if (!store)
            pthread_cond_wait(&watch->wake, &watch->lock);
        else if (wait > 0)
            wait_for(watch, wait);
        else
            count_store(watch, store);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

int store_watch_new(struct store_watch **ret_watch, struct hf_error *err)
{
    struct store_watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t steady;

    if (!watch)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->wake, &steady);
    pthread_condattr_destroy(&steady);
    *ret_watch = watch;
    return HF_OK;
}

int store_watch_start(struct store_watch *watch, struct hf_error *err)
{
    int rc = thread_start(&watch->thread, run, watch, err);

    watch->running = rc == HF_OK;
    return rc;
}

void store_watch_add(struct store_watch *watch, struct store_watched *store)
{
    pthread_mutex_lock(&watch->lock);
    store->next = watch->stores;
    watch->stores = store;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
}

void store_watch_free(struct store_watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stop = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->lock);
    if (watch->running)
        pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

/* --- writing ------------------------------------------------------------------------------------------------ */

/* What is written of one store. */
struct sample {
    const char *tenant;
    struct trace_counters counters;
    struct store_stats stats;
    bool contents, counted;
    uint64_t held, recalled, pinned, waiting, hosts;
};

struct samples {
    struct sample *list;
    size_t count;
};

static int count_lease(const struct lease_info *info, void *arg)
{
    struct sample *sample = arg;

    sample->held += info->state == LEASE_HELD;
    sample->recalled += info->state == LEASE_RECALLED;
    sample->pinned += info->pinned_by != NULL;
    sample->waiting += info->nwaiting;
    return HF_OK;
}

static int count_host(const struct host_info *info, void *arg)
{
    ((struct sample *)arg)->hosts += info->alive;
    return HF_OK;
}

/* Every store that is watched; the list is only ever added to at the front. */
static struct samples take_samples(struct store_watch *watch)
{
    struct samples samples = {0};
    struct store_watched *stores;

    pthread_mutex_lock(&watch->lock);
    stores = watch->stores;
    for (struct store_watched *store = stores; store; store = store->next)
        samples.count++;
    samples.list = calloc(samples.count + 1, sizeof *samples.list);
    if (!samples.list)
        samples.count = 0;
    for (size_t i = 0; i < samples.count; i++, stores = stores->next)
        samples.list[i] = (struct sample){.tenant = stores->tenant,
                                          .contents = stores->contents,
                                          .stats = stores->stats,
                                          .counted = stores->counted};
    stores = watch->stores;
    pthread_mutex_unlock(&watch->lock);
    for (size_t i = 0; i < samples.count; i++, stores = stores->next) {
        (void)trace_store_counters(stores->store, &samples.list[i].counters);
        if (!stores->contents)
            continue;
        (void)store_lease_list(stores->store, count_lease, &samples.list[i], NULL);
        (void)store_host_list(stores->store, count_host, &samples.list[i], NULL);
    }
    return samples;
}

static void write_times(struct metrics *metrics, const struct sample *sample, enum store_op op)
{
    const struct trace_counter *counter = &sample->counters.ops[op];
    const char *name = store_op_name(op);
    uint64_t below = 0;
    char bound[32];

    for (size_t i = 0; i <= TRACE_NBOUNDS; i++) {
        below += counter->within[i];
        if (i < TRACE_NBOUNDS)
            snprintf(bound, sizeof bound, "%g", (double)trace_bounds[i] / 1e9);
        else
            snprintf(bound, sizeof bound, "+Inf");
        metrics_sample(
            metrics, "_bucket",
            metrics_labels(metrics, "tenant", sample->tenant, "call", name, "le", bound, NULL),
            (double)below);
    }
    (void)metrics_labels(metrics, "tenant", sample->tenant, "call", name, NULL);
    metrics_sample(metrics, "_sum", metrics->labels, (double)counter->total_ns / 1e9);
    metrics_sample(metrics, "_count", metrics->labels, (double)counter->calls);
}

static void write_all_times(struct metrics *metrics, const struct samples *samples)
{
    metrics_family(metrics, "holdfast_store_call_duration_seconds", METRIC_HISTOGRAM,
                   "Time that calls of the store took, waiting included.");
    for (size_t i = 0; i < samples->count; i++)
        for (unsigned op = 0; op < STORE_OP_COUNT; op++)
            if (samples->list[i].counters.ops[op].calls > 0)
                write_times(metrics, &samples->list[i], (enum store_op)op);
}

/* A counter of every call that was made. */
static void write_calls(struct metrics *metrics, const struct samples *samples, const char *name,
                        const char *help, size_t member)
{
    metrics_family(metrics, name, METRIC_COUNTER, help);
    for (size_t i = 0; i < samples->count; i++) {
        for (unsigned op = 0; op < STORE_OP_COUNT; op++) {
            const struct trace_counter *counter = &samples->list[i].counters.ops[op];
            uint64_t value;

            if (counter->calls == 0)
                continue;
            memcpy(&value, (const char *)counter + member, sizeof value);
            metrics_sample(metrics, "",
                           metrics_labels(metrics, "tenant", samples->list[i].tenant, "call",
                                          store_op_name((enum store_op)op), NULL),
                           (double)value);
        }
    }
}

/* A gauge; `member` is a uint64_t of struct sample. With `counted`, of stores that have been counted. */
struct gauge {
    const char *name, *help;
    const char *label, *value; /* or NULL */
    size_t member;
    bool counted;
};

#define MEMBER(member) offsetof(struct sample, member)

static const struct gauge gauges[] = {
    {"holdfast_hosts", "Host sessions that are alive.", NULL, NULL, MEMBER(hosts), false},
    {"holdfast_leases", "Sessions that a host holds, by the state of the lease.", "state", "held",
     MEMBER(held), false},
    {"holdfast_leases", NULL, "state", "recalled", MEMBER(recalled), false},
    {"holdfast_leases_pinned", "Leases whose holder has refused to give them up.", NULL, NULL,
     MEMBER(pinned), false},
    {"holdfast_lease_waiters", "Hosts that wait for a lease.", NULL, NULL, MEMBER(waiting), false},
    {"holdfast_store_sessions", "Sessions, by where they are.", "state", "live",
     MEMBER(stats.sessions), true},
    {"holdfast_store_sessions", NULL, "state", "trashed", MEMBER(stats.trashed), true},
    {"holdfast_store_versions", "Versions that are kept.", NULL, NULL, MEMBER(stats.versions),
     true},
    {"holdfast_store_objects", "Objects.", NULL, NULL, MEMBER(stats.objects), true},
    {"holdfast_store_bytes",
     "Bytes: logical in the files of all sessions, unique with each object once, packed as they "
     "are stored, disk in the store's files.",
     "kind", "logical", MEMBER(stats.logical_bytes), true},
    {"holdfast_store_bytes", NULL, "kind", "unique", MEMBER(stats.unique_bytes), true},
    {"holdfast_store_bytes", NULL, "kind", "packed", MEMBER(stats.stored_bytes), true},
    {"holdfast_store_bytes", NULL, "kind", "disk", MEMBER(stats.file_bytes), true},
};

static void write_gauge(struct metrics *metrics, const struct samples *samples,
                        const struct gauge *gauge)
{
    if (gauge->help)
        metrics_family(metrics, gauge->name, METRIC_GAUGE, gauge->help);
    for (size_t i = 0; i < samples->count; i++) {
        const struct sample *sample = &samples->list[i];
        uint64_t value;

        if (!sample->contents || (gauge->counted && !sample->counted))
            continue;
        memcpy(&value, (const char *)sample + gauge->member, sizeof value);
        metrics_sample(
            metrics, "",
            metrics_labels(metrics, "tenant", sample->tenant, gauge->label, gauge->value, NULL),
            (double)value);
    }
}

void store_watch_metrics(struct store_watch *watch, struct metrics *metrics)
{
    struct samples samples = take_samples(watch);

    write_all_times(metrics, &samples);
    write_calls(metrics, &samples, "holdfast_store_call_failures_total",
                "Calls of the store that failed.", offsetof(struct trace_counter, failures));
    write_calls(metrics, &samples, "holdfast_store_call_objects_total",
                "Objects that calls of the store put, got, asked for or committed.",
                offsetof(struct trace_counter, items));
    write_calls(metrics, &samples, "holdfast_store_call_bytes_total",
                "Plain bytes of those objects.", offsetof(struct trace_counter, bytes));
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++)
        write_gauge(metrics, &samples, &gauges[i]);
    free(samples.list);
}
