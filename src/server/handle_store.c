/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, and the store as a whole. */
#include <string.h>

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
    struct tenant *tenant = request->peer->tenant;
    struct store_stats stats;
    int rc = store_stats(tenant->store, &stats, err);

    if (rc != HF_OK)
        return rc;
    stats.connections = atomic_load(&tenant->connections);
    stats.activity.requests = atomic_load(&tenant->requests);
    rc = wire_fill_stats(&stats, &request->arena, &reply->stats, err);
    if (rc == HF_OK)
        reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_STATS;
    return rc;
}

/* --- settings ------------------------------------------------------------------------------------- */

int handle_setting_get(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    BUF_AUTO text = {0};
    uint8_t *copy;
    const char *name;
    int rc =
        wire_read_text(request->message->setting_get->name, "name", &request->arena, &name, err);

    if (rc == HF_OK)
        rc = store_setting_get(request->peer->tenant->store, name, &text, err);
    if (rc != HF_OK)
        return rc;
    copy = wire_arena_alloc(&request->arena, text.len);
    if (!copy)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    reply->text = (ProtobufCBinaryData){text.len, copy};
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_TEXT;
    return HF_OK;
}

int handle_setting_set(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__SettingRequest *set = request->message->setting_set;
    struct slice text =
        slice_of(set->text.len ? set->text.data : (const uint8_t *)"", set->text.len);
    const char *name;
    int rc = wire_read_text(set->name, "name", &request->arena, &name, err);

    (void)reply;
    if (rc == HF_OK && set->forget && set->text.len > 0)
        rc = hf_fail(err, HF_INVAL, "a setting that is to be forgotten has a text");
    if (set->forget)
        text = (struct slice){0};
    return rc == HF_OK ? store_setting_set(request->peer->tenant->store, name, text, err) : rc;
}

/* --- repairs -------------------------------------------------------------------------------------- */

int handle_mend(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    const Holdfast__Wire__MendRequest *mend = request->message->mend;
    const struct object_id *id;
    struct object *good = NULL;
    size_t n = 0;
    int rc = wire_read_ids(mend->id, &id, &n, err);

    (void)reply;
    if (rc == HF_OK && n != 1)
        rc = hf_fail(err, HF_INVAL, "one object at a time is mended, and %zu are named", n);
    if (rc == HF_OK && mend->good)
        rc = wire_read_objects(&mend->good, 1, &request->arena, &good, err);
    return rc == HF_OK ? store_mend(request->peer->tenant->store, id, good, err) : rc;
}
