/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A small HTTP service beside a server or a mount, for those who watch it: /metrics for Prometheus, /healthz (it
 * lives) and /readyz (it can do its work) for supervisors. It has no TLS and no passwords, and tells names of
 * tenants, counts and times, but nothing of what is in sessions: for loopback, or a network of its own.
 */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "holdfast/error.h"
#include "web/metrics.h"

/** Called on the service's own thread. */
struct http_answers {
    void (*metrics)(struct metrics *metrics, void *arg);
    /** Whether it can do its work, with a short reason when it cannot. */
    bool (*ready)(char *ret_why, size_t size, void *arg);
    void *arg;
};

struct http;

/** Binds `listen` (ADDR:PORT, [ADDR6]:PORT; port 0: any that is free) and answers on a thread of its own. HF_CONFIG,
 *  HF_IO. */
int http_start(const char *listen, const struct http_answers *answers, struct http **ret_http,
               struct hf_error *err);
/** "ADDR:PORT" as bound. */
const char *http_address(const struct http *http);
/** No answer is asked for any more when this returns. NULL is fine. */
void http_stop(struct http *http);

#endif
