/* SPDX-License-Identifier: Apache-2.0 */
#include "session_json.h"

static void set_meta(json_t *object, const struct session_meta *meta)
{
    json_object_set_new(object, "title", json_bytes(meta->name));
    json_object_set_new(object, "cwd", json_bytes(meta->cwd));
    json_object_set_new(object, "git_root", json_bytes(meta->git_root));
    json_object_set_new(object, "repository", json_bytes(meta->repository));
    json_object_set_new(object, "branch", json_bytes(meta->branch));
    json_object_set_new(object, "created_at", json_bytes(meta->created_at));
    json_object_set_new(object, "updated_at", json_bytes(meta->updated_at));
}

json_t *session_json(const struct session_info *info)
{
    json_t *object = json_object();
    json_t *holder = info->holder ? json_object() : json_null();

    if (!object || !holder)
        return NULL;
    json_set_name(object, "name", info->name);
    json_object_set_new(object, "id", json_u64(info->head.sid));
    json_object_set_new(object, "state",
                        json_string(info->state == SESSION_TRASHED ? "trashed" : "live"));
    json_object_set_new(object, "version", json_u64(info->head.version));
    json_object_set_new(object, "root", json_id(&info->head.root));
    json_object_set_new(object, "created", json_time(info->created));
    json_object_set_new(object, "changed", json_time(info->head.time));
    json_object_set_new(object, "trashed", info->trashed ? json_time(info->trashed) : json_null());
    json_object_set_new(object, "bytes", json_u64(info->head.bytes));
    json_object_set_new(object, "files", json_u64(info->head.files));
    set_meta(object, &info->meta);
    if (info->holder) {
        json_object_set_new(holder, "id", json_u64(info->holder));
        json_object_set_new(holder, "host", json_bytes(info->holder_name));
    }
    json_object_set_new(object, "holder", holder);
    return object;
}
