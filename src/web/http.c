/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "wire/conn.h"
#include "wire/listen.h"

#define BACKLOG 16
/* A peer that asks nothing, or takes no answer, is closed. */
#define TIMEOUT_S 30
#define HEADERS_MAX 8192
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct http {
    struct http_answers answers;
    struct event_base *loop;
    struct evhttp *service;
    char address[SOCK_TEXT_MAX];
    pthread_t thread;
    bool running;
};

/* --- answers --------------------------------------------------------------------------------------------- */

static void answer(struct evhttp_request *request, int code, const char *reason, const char *type,
                   const void *data, size_t len)
{
    struct evbuffer *body = evbuffer_new();

    if (!body || evbuffer_add(body, data, len) != 0) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    } else {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
        evhttp_send_reply(request, code, reason, body);
    }
    if (body)
        evbuffer_free(body);
}

static void answer_text(struct evhttp_request *request, int code, const char *reason,
                        const char *text)
{
    answer(request, code, reason, "text/plain; charset=utf-8", text, strlen(text));
}

static void on_metrics(struct evhttp_request *request, void *arg)
{
    struct http *http = arg;
    struct metrics metrics = {0};

    http->answers.metrics(&metrics, http->answers.arg);
    if (metrics.status == HF_OK)
        answer(request, HTTP_OK, "OK", CONTENT_TYPE, metrics.text.data, metrics.text.len);
    else
        answer_text(request, HTTP_INTERNAL, "Internal Server Error", "out of memory\n");
    buf_free(&metrics.text);
}

/* That it answers is the answer. */
static void on_healthz(struct evhttp_request *request, void *arg)
{
    (void)arg;
    answer_text(request, HTTP_OK, "OK", "ok\n");
}

static void on_readyz(struct evhttp_request *request, void *arg)
{
    struct http *http = arg;
    char why[256] = "", text[sizeof why + 1];

    if (http->answers.ready(why, sizeof why, http->answers.arg)) {
        answer_text(request, HTTP_OK, "OK", "ready\n");
        return;
    }
    snprintf(text, sizeof text, "%s\n", why);
    answer_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", text);
}

static void on_other(struct evhttp_request *request, void *arg)
{
    (void)arg;
    answer_text(request, HTTP_NOTFOUND, "Not Found", "there are /metrics, /healthz and /readyz\n");
}

/* --- the service ------------------------------------------------------------------------------------------ */

static void *run(void *arg)
{
    struct http *http = arg;

    event_base_dispatch(http->loop);
    return NULL;
}

static int bind_address(struct http *http, const char *listen, struct hf_error *err)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    struct evconnlistener *listener;
    struct addrinfo *address;
    int rc = listen_address(listen, &address, err);

    if (rc != HF_OK)
        return rc;
    listener = evconnlistener_new_bind(http->loop, NULL, NULL, flags, BACKLOG, address->ai_addr,
                                       (int)address->ai_addrlen);
    freeaddrinfo(address);
    if (!listener)
        return hf_fail(err, HF_IO, "cannot listen on %s: %s", listen, strerror(errno));
    if (!evhttp_bind_listener(http->service, listener)) {
        evconnlistener_free(listener);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    return listen_bound(evconnlistener_get_fd(listener), http->address, err);
}

static void set_up(struct http *http)
{
    evhttp_set_allowed_methods(http->service, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_timeout(http->service, TIMEOUT_S);
    evhttp_set_max_headers_size(http->service, HEADERS_MAX);
    evhttp_set_max_body_size(http->service, 0);
    evhttp_set_cb(http->service, "/metrics", on_metrics, http);
    evhttp_set_cb(http->service, "/healthz", on_healthz, http);
    evhttp_set_cb(http->service, "/readyz", on_readyz, http);
    evhttp_set_gencb(http->service, on_other, http);
}

int http_start(const char *listen, const struct http_answers *answers, struct http **ret_http,
               struct hf_error *err)
{
    struct http *http = calloc(1, sizeof *http);
    int rc = HF_OK;

    if (!http)
        return hf_fail(err, HF_NOMEM, "out of memory");
    http->answers = *answers;
    http->loop = wire_loop_new(err);
    http->service = http->loop ? evhttp_new(http->loop) : NULL;
    if (!http->service)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK) {
        set_up(http);
        rc = bind_address(http, listen, err);
    }
    if (rc == HF_OK) {
        rc = thread_start(&http->thread, run, http, err);
        http->running = rc == HF_OK;
    }
    if (rc == HF_OK)
        *ret_http = http;
    else
        http_stop(http);
    return rc;
}

const char *http_address(const struct http *http)
{
    return http->address;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    if (http->running) {
        /* Not loopbreak: a loop that has not begun yet forgets that when it does. */
        event_base_loopexit(http->loop, NULL);
        pthread_join(http->thread, NULL);
    }
    if (http->service)
        evhttp_free(http->service);
    if (http->loop)
        event_base_free(http->loop);
    free(http);
}
