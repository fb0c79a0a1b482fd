/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections: the one call that may take hours. It has threads of its own, so that it holds up neither the requests
 * of its own connection nor those of others, and tells how far it is. Nobody waits for it any more, or the server is
 * to end: then it stops where it is.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "server/handlers.h"
#include "server/peer.h"
#include "server/server_state.h"
#include "wire/convert.h"

/* So often it is told how far a collection is, and whenever another phase begins. */
#define TELL_NS 500000000

struct report {
    struct request *request;
    int64_t told; /* CLOCK_BOOTTIME; 0: not yet */
    char phase[32];
};

static bool is_unwanted(const struct request *request)
{
    struct peer *peer = request->peer;

    return peer_is_closed(peer) || peer_has_cancelled(peer, request->id) ||
           !server_is_serving(peer->server);
}

static void send_progress(struct request *request, const char *phase, uint64_t done, uint64_t all)
{
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    Holdfast__Wire__CollectProgress progress = HOLDFAST__WIRE__COLLECT_PROGRESS__INIT;

    progress.phase = wire_fill_text(phase);
    progress.done = done;
    progress.all = all;
    reply.progress = &progress;
    reply.result_case = HOLDFAST__WIRE__REPLY__RESULT_PROGRESS;
    reply.more = true;
    request_answer(request, HF_OK, NULL, &reply);
}

static int tell_progress(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    struct report *report = arg;
    int64_t now = clock_boottime(&clock_system);

    if (is_unwanted(report->request))
        return HF_INTR;
    if (report->told && now - report->told < TELL_NS && strcmp(report->phase, phase) == 0)
        return HF_OK;
    report->told = now;
    snprintf(report->phase, sizeof report->phase, "%s", phase);
    /* To a peer that does not take them the latest ones are told, once it does. */
    if (wire_conn_queued(report->request->peer->conn) < PEER_OUTPUT_HIGH)
        send_progress(report->request, phase, done, all);
    return HF_OK;
}

static int collect(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__CollectRequest *message = request->message->collect;
    struct report report = {.request = request};
    const struct collect_options options = {.dry_run = message->dry_run,
                                            .percent = message->percent,
                                            .progress = tell_progress,
                                            .arg = &report};
    struct collect_totals totals;
    int rc = HF_INTR;

    if (!is_unwanted(request))
        rc = store_collect(request->peer->tenant->store, &options, &totals, err);
    if (rc == HF_INTR)
        return hf_fail(err, HF_INTR, "%s",
                       server_is_serving(request->peer->server)
                           ? "the collection was given up"
                           : "the server ends, and the collection with it: begin another");
    if (rc == HF_OK)
        rc = wire_fill_totals(&totals, &request->arena, &reply->totals, err);
    if (rc == HF_OK)
        reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_TOTALS;
    return rc;
}

static void run_collect(struct task *task)
{
    struct request *request = (struct request *)task;
    struct server *server = request->peer->server;
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    struct hf_error err = {0};
    int rc = collect(request, &reply, &err);

    request_finish(request, rc, &err, &reply);
    atomic_fetch_sub(&server->busy, 1);
}

int handle_collect(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct server *server = request->peer->server;

    (void)reply;
    (void)err;
    atomic_fetch_add(&server->busy, 1); /* a drain waits for its answer */
    request_unqueue(request);
    request->task.run = run_collect;
    workers_submit(server->collectors, &request->task);
    return HF_PENDING;
}
