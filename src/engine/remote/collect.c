/* SPDX-License-Identifier: Apache-2.0 */
/* Collections: the server's, which tells how far it is until it is done or nobody wants it any more. */
#include "engine/remote/engine.h"

/* Tells the caller of one part. Not 0: it is to stop. */
static int take_progress(const struct collect_options *options, const Holdfast__Wire__Reply *reply,
                         struct wire_arena *arena, struct hf_error *err)
{
    const char *phase;
    int rc = remote_check(reply, HOLDFAST__WIRE__REPLY__RESULT_PROGRESS, err);

    if (rc == HF_OK)
        rc = wire_read_text(reply->progress->phase, "phase", arena, &phase, err);
    if (rc == HF_OK && options->progress)
        rc = options->progress(phase, reply->progress->done, reply->progress->all, options->arg);
    return rc;
}

static int take_end(const Holdfast__Wire__Reply *reply, struct collect_totals *ret_totals,
                    struct hf_error *err)
{
    int rc = remote_check(reply, HOLDFAST__WIRE__REPLY__RESULT_TOTALS, err);

    return rc == HF_OK ? wire_read_totals(reply->totals, ret_totals, err) : rc;
}

/* Waits for the end in any case: with a call that has returned, the collection is over too. */
static int follow(struct link *link, struct call *call, const struct collect_options *options,
                  struct collect_totals *ret_totals, struct hf_error *err)
{
    Holdfast__Wire__Frame *frame;
    struct collect_totals totals;
    bool over = false, stopped = false;
    int rc = HF_OK;

    while (!over && rc == HF_OK) {
        struct wire_arena arena = {0};

        rc = link_next(link, call, &frame, err);
        if (rc != HF_OK)
            break;
        over = !frame->reply->more;
        if (over)
            rc = take_end(frame->reply, &totals, err);
        else if (!stopped)
            stopped = take_progress(options, frame->reply, &arena, err) != HF_OK;
        if (stopped && !over)
            link_cancel(link, call);
        wire_arena_free(&arena);
        holdfast__wire__frame__free_unpacked(frame, NULL);
    }
    if (rc == HF_OK && !stopped)
        *ret_totals = totals;
    if (rc == HF_OK && stopped) /* it was done before the server heard of it */
        rc = hf_fail(err, HF_INTR, "the collection was given up");
    return rc == HF_STALE ? hf_fail(err, HF_IO,
                                    "the connection to the store's server broke, and "
                                    "the collection stopped with it")
                          : rc;
}

int remote_collect(struct store *store, const struct collect_options *options,
                   struct collect_totals *ret_totals, struct hf_error *err)
{
    Holdfast__Wire__CollectRequest collect = HOLDFAST__WIRE__COLLECT_REQUEST__INIT;
    REMOTE_REQUEST(request, COLLECT, collect, &collect);
    struct link *link = &remote_store_of(store)->link;
    struct call *call = NULL;
    int rc;

    collect.dry_run = options->dry_run;
    collect.percent = options->percent;
    rc = link_begin(link, &request, 0, &call, err);
    if (rc == HF_OK)
        rc = follow(link, call, options, ret_totals, err);
    link_end(link, call);
    return rc;
}
