/* SPDX-License-Identifier: Apache-2.0 */
#include "server/notices.h"

#include <stdlib.h>
#include <string.h>

#include "server/peer.h"
#include "wire/convert.h"

void notices_init(struct notices *notices)
{
    *notices = (struct notices){.held = true};
    pthread_mutex_init(&notices->lock, NULL);
}

void notices_release(struct notices *notices)
{
    free(notices->pending);
    pthread_mutex_destroy(&notices->lock);
}

/* What a mount finds out by looking when it is told EVENT_MISSED. The others are about its own leases and its
 * host session: no more than it has leases. */
static bool is_news(enum event_kind kind)
{
    return kind == EVENT_HEAD_MOVED || kind == EVENT_SESSIONS_CHANGED ||
           kind == EVENT_HOSTS_CHANGED || kind == EVENT_LOCKS_CHANGED || kind == EVENT_MISSED;
}

static void send_event(struct wire_conn *conn, uint64_t host, const struct store_event *event)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    Holdfast__Wire__Notice notice = HOLDFAST__WIRE__NOTICE__INIT;
    struct wire_arena arena = {0};

    if (wire_fill_event(event, host, &arena, &notice.event, NULL) == HF_OK) {
        notice.what_case = HOLDFAST__WIRE__NOTICE__WHAT_EVENT;
        frame.notice = &notice;
        frame.body_case = HOLDFAST__WIRE__FRAME__BODY_NOTICE;
        (void)wire_conn_send(conn, &frame, NULL);
    }
    wire_arena_free(&arena);
}

/* --- what is kept --------------------------------------------------------------------------------- */

static struct store_event *find(struct notices *notices, const struct store_event *event)
{
    for (size_t i = 0; i < notices->npending; i++)
        if (notices->pending[i].kind == event->kind && notices->pending[i].sid == event->sid)
            return &notices->pending[i];
    return NULL;
}

static bool make_room(struct notices *notices)
{
    size_t cap = notices->cap ? 2 * notices->cap : 16;
    struct store_event *pending = reallocarray(notices->pending, cap, sizeof *pending);

    if (!pending)
        return false;
    notices->pending = pending;
    notices->cap = cap;
    return true;
}

/* Puts one EVENT_MISSED in the place of all news. */
static void collapse(struct notices *notices)
{
    size_t n = 0;

    for (size_t i = 0; i < notices->npending; i++)
        if (!is_news(notices->pending[i].kind))
            notices->pending[n++] = notices->pending[i];
    notices->npending = n;
    if (n < notices->cap || make_room(notices))
        notices->pending[notices->npending++] = (struct store_event){.kind = EVENT_MISSED};
}

static void keep(struct notices *notices, const struct store_event *event)
{
    static const struct store_event missed = {.kind = EVENT_MISSED};
    struct store_event *known;

    if (is_news(event->kind) && find(notices, &missed))
        return;
    known = find(notices, event);
    if (known) {
        *known = *event;
        return;
    }
    if (is_news(event->kind) && notices->npending >= NOTICES_MAX) {
        collapse(notices);
        return;
    }
    if (notices->npending == notices->cap && !make_room(notices)) {
        collapse(notices); /* no memory: the host looks for itself */
        return;
    }
    notices->pending[notices->npending++] = *event;
}

static void flush(struct notices *notices, struct wire_conn *conn)
{
    if (notices->held)
        return;
    for (size_t i = 0; i < notices->npending; i++)
        send_event(conn, notices->host, &notices->pending[i]);
    notices->npending = 0;
}

/* --- calls ---------------------------------------------------------------------------------------- */

void notices_hold(struct notices *notices)
{
    pthread_mutex_lock(&notices->lock);
    notices->held = true;
    pthread_mutex_unlock(&notices->lock);
}

void notices_open(struct notices *notices, struct wire_conn *conn, uint64_t host)
{
    pthread_mutex_lock(&notices->lock);
    notices->held = false;
    notices->host = host;
    flush(notices, conn);
    pthread_mutex_unlock(&notices->lock);
}

void notices_add(struct notices *notices, struct wire_conn *conn, const struct store_event *event)
{
    pthread_mutex_lock(&notices->lock);
    /* Above the mark the connection will call when it has fallen below it, and finds what is kept here. */
    if (notices->held || notices->npending > 0 || wire_conn_queued(conn) >= PEER_OUTPUT_HIGH)
        keep(notices, event);
    else
        send_event(conn, notices->host, event);
    pthread_mutex_unlock(&notices->lock);
}

void notices_drained(struct notices *notices, struct wire_conn *conn)
{
    pthread_mutex_lock(&notices->lock);
    flush(notices, conn);
    pthread_mutex_unlock(&notices->lock);
}

size_t notices_pending(struct notices *notices)
{
    size_t n;

    pthread_mutex_lock(&notices->lock);
    n = notices->npending;
    pthread_mutex_unlock(&notices->lock);
    return n;
}
