/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, settings, repairs and statistics. */
#include "engine/remote/engine.h"

int remote_snapshot_create(struct store *store, const char *name, const char *const *globs,
                           size_t n, struct hf_error *err)
{
    Holdfast__Wire__SnapshotRequest snapshot = HOLDFAST__WIRE__SNAPSHOT_REQUEST__INIT;
    REMOTE_REQUEST(request, SNAPSHOT_CREATE, snapshot_create, &snapshot);
    struct wire_arena arena = {0};
    int rc = wire_fill_texts(globs, n, &arena, &snapshot.globs, err);

    snapshot.n_globs = n;
    snapshot.name = wire_fill_text(name);
    if (rc == HF_OK)
        rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    wire_arena_free(&arena);
    return rc;
}

int remote_snapshot_delete(struct store *store, const char *name, struct hf_error *err)
{
    Holdfast__Wire__SnapshotRequest snapshot = HOLDFAST__WIRE__SNAPSHOT_REQUEST__INIT;
    REMOTE_REQUEST(request, SNAPSHOT_DELETE, snapshot_delete, &snapshot);

    snapshot.name = wire_fill_text(name);
    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

/* --- settings and repairs ------------------------------------------------------------------------------- */

int remote_setting_get(struct store *store, const char *name, struct buf *ret_text,
                       struct hf_error *err)
{
    Holdfast__Wire__SettingRequest setting = HOLDFAST__WIRE__SETTING_REQUEST__INIT;
    REMOTE_REQUEST(request, SETTING_GET, setting_get, &setting);
    Holdfast__Wire__Frame *frame;
    int rc;

    setting.name = wire_fill_text(name);
    rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT_TEXT, &frame, err);
    if (rc != HF_OK)
        return rc;
    if (buf_append(ret_text, frame->reply->text.data, frame->reply->text.len) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

int remote_setting_set(struct store *store, const char *name, struct slice text,
                       struct hf_error *err)
{
    Holdfast__Wire__SettingRequest setting = HOLDFAST__WIRE__SETTING_REQUEST__INIT;
    REMOTE_REQUEST(request, SETTING_SET, setting_set, &setting);

    setting.name = wire_fill_text(name);
    setting.text = (ProtobufCBinaryData){text.len, (uint8_t *)text.data};
    setting.forget = text.data == NULL;
    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

int remote_mend(struct store *store, const struct object_id *id, const struct object *good,
                struct hf_error *err)
{
    Holdfast__Wire__MendRequest mend = HOLDFAST__WIRE__MEND_REQUEST__INIT;
    REMOTE_REQUEST(request, MEND, mend, &mend);
    Holdfast__Wire__Object **list = NULL;
    struct wire_arena arena = {0};
    int rc = HF_OK;

    mend.id = wire_fill_ids(id, 1);
    if (good)
        rc = wire_fill_objects(good, 1, &arena, &list, err);
    mend.good = list ? list[0] : NULL;
    if (rc == HF_OK)
        rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    wire_arena_free(&arena);
    return rc;
}

int remote_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err)
{
    Holdfast__Wire__Empty empty = HOLDFAST__WIRE__EMPTY__INIT;
    REMOTE_REQUEST(request, STATS, stats, &empty);
    Holdfast__Wire__Frame *frame;
    int rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT_STATS, &frame, err);

    if (rc != HF_OK)
        return rc;
    rc = wire_read_stats(frame->reply->stats, ret_stats, err);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}
