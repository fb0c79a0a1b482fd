/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, and the store as a whole. */
#include "server/handlers.h"
#include "server/peer.h"
#include "server/tenants.h"
#include "wire/convert.h"

int handle_snapshot_create(struct request *request, Holdfast__Wire__Reply *reply,
                           struct hf_error *err)
{
    const Holdfast__Wire__SnapshotRequest *create = request->message->snapshot_create;
    const char **globs;
    const char *name;
    int rc = wire_read_text(create->name, "name", &request->arena, &name, err);

    (void)reply;
    if (rc == HF_OK)
        rc = wire_read_texts(create->globs, create->n_globs, "globs", &request->arena, &globs, err);
    return rc == HF_OK ? store_snapshot_create(request->peer->tenant->store, name, globs,
                                               create->n_globs, err)
                       : rc;
}

int handle_snapshot_delete(struct request *request, Holdfast__Wire__Reply *reply,
                           struct hf_error *err)
{
    const char *name;
    int rc = wire_read_text(request->message->snapshot_delete->name, "name", &request->arena, &name,
                            err);

    (void)reply;
    return rc == HF_OK ? store_snapshot_delete(request->peer->tenant->store, name, err) : rc;
}

int handle_stats(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct store_stats stats;
    int rc = store_stats(request->peer->tenant->store, &stats, err);

    if (rc == HF_OK)
        rc = wire_fill_stats(&stats, &request->arena, &reply->stats, err);
    if (rc == HF_OK)
        reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_STATS;
    return rc;
}
