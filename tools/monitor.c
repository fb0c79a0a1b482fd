/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "web/store_metrics.h"

/* One store that is watched. */
struct monitored {
    struct store_watched watched;
    struct monitored *next;
    char tenant[];
};

struct monitor {
    struct http_answers answers;
    struct store_watch *watch;
    struct http *http;
    pthread_mutex_t lock;   /* guards what follows; nothing is acquired under it */
    struct monitored *list; /* all that were added */
};

static void write_metrics(struct metrics *metrics, void *arg)
{
    struct monitor *monitor = arg;

    metrics_process(metrics);
    monitor->answers.metrics(metrics, monitor->answers.arg);
    store_watch_metrics(monitor->watch, metrics);
}

static bool is_ready(char *ret_why, size_t size, void *arg)
{
    struct monitor *monitor = arg;

    return monitor->answers.ready(ret_why, size, monitor->answers.arg);
}

int monitor_new(const struct http_answers *answers, struct monitor **ret_monitor,
                struct hf_error *err)
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    int rc;

    if (!monitor)
        return hf_fail(err, HF_NOMEM, "out of memory");
    monitor->answers = *answers;
    pthread_mutex_init(&monitor->lock, NULL);
    rc = store_watch_new(&monitor->watch, err);
    if (rc == HF_OK)
        *ret_monitor = monitor;
    else
        monitor_free(monitor);
    return rc;
}

void monitor_add(struct monitor *monitor, const char *tenant, struct store *store, bool contents)
{
    size_t len = strlen(tenant) + 1;
    struct monitored *monitored = calloc(1, sizeof *monitored + len);

    if (!monitored)
        return;
    memcpy(monitored->tenant, tenant, len);
    monitored->watched =
        (struct store_watched){.tenant = monitored->tenant, .store = store, .contents = contents};
    pthread_mutex_lock(&monitor->lock);
    monitored->next = monitor->list;
    monitor->list = monitored;
    pthread_mutex_unlock(&monitor->lock);
    store_watch_add(monitor->watch, &monitored->watched);
}

int monitor_listen(struct monitor *monitor, const char *listen, struct hf_error *err)
{
    const struct http_answers answers = {write_metrics, is_ready, monitor};
    int rc = http_start(listen, &answers, &monitor->http, err);

    if (rc == HF_OK)
        rc = store_watch_start(monitor->watch, err);
    if (rc == HF_OK)
        log_info("metrics on http://%s/metrics", http_address(monitor->http));
    return rc;
}

void monitor_free(struct monitor *monitor)
{
    struct monitored *monitored;

    if (!monitor)
        return;
    http_stop(monitor->http);
    store_watch_free(monitor->watch);
    while ((monitored = monitor->list)) {
        monitor->list = monitored->next;
        free(monitored);
    }
    pthread_mutex_destroy(&monitor->lock);
    free(monitor);
}
