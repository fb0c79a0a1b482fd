/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of sessions and snapshots, rescue versions, and what a collection has done. */
#include "wire/value.h"

/* --- rescue versions and pins ------------------------------------------------------------------ */

int wire_fill_rescue(const struct rescue_info *info, struct wire_arena *arena,
                     Holdfast__Wire__RescueInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__RescueInfo *message =
        VALUE_NEW(arena, message, holdfast__wire__rescue_info__init);

    if (!message)
        return value_no_memory(err);
    message->id = info->id;
    message->sid = info->sid;
    message->session_name = wire_fill_text(info->session_name);
    message->trashed = info->trashed;
    message->version = info->version;
    message->root = value_fill_root(&info->root);
    message->time = info->time;
    message->host = info->host;
    message->host_name = wire_fill_text(info->host_name);
    message->token = info->token;
    message->bytes = info->bytes;
    message->files = info->files;
    message->reason = wire_fill_text(info->reason);
    *ret_message = message;
    return HF_OK;
}

static int read_rescue_texts(const Holdfast__Wire__RescueInfo *message, struct wire_arena *arena,
                             struct rescue_info *info, struct hf_error *err)
{
    int rc = wire_read_text(message->session_name, "session_name", arena, &info->session_name, err);

    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->host_name, "host_name", arena, &info->host_name, err);
    if (rc == HF_OK)
        rc = wire_read_text(message->reason, "reason", arena, &info->reason, err);
    return rc;
}

int wire_read_rescue(const Holdfast__Wire__RescueInfo *message, struct wire_arena *arena,
                     struct rescue_info *ret_info, struct hf_error *err)
{
    struct rescue_info info = {0};
    int rc = message ? read_rescue_texts(message, arena, &info, err)
                     : value_absent("rescue version", err);

    if (rc == HF_OK)
        rc = value_read_root(message->root, "root", &info.root, err);
    if (rc != HF_OK)
        return rc;
    info.id = message->id;
    info.sid = message->sid;
    info.trashed = message->trashed;
    info.version = message->version;
    info.time = message->time;
    info.host = message->host;
    info.token = message->token;
    info.bytes = message->bytes;
    info.files = message->files;
    *ret_info = info;
    return HF_OK;
}

int wire_fill_pin(const struct pin_info *pin, struct wire_arena *arena,
                  Holdfast__Wire__PinInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__PinInfo *message = VALUE_NEW(arena, message, holdfast__wire__pin_info__init);

    if (!message)
        return value_no_memory(err);
    message->sid = pin->sid;
    message->session_name = wire_fill_text(pin->session_name);
    message->version = pin->version;
    message->root = value_fill_root(&pin->root);
    message->time = pin->time;
    message->bytes = pin->bytes;
    message->files = pin->files;
    *ret_message = message;
    return HF_OK;
}

int wire_read_pin(const Holdfast__Wire__PinInfo *message, struct wire_arena *arena,
                  struct pin_info *ret_pin, struct hf_error *err)
{
    struct object_id root;
    const char *name;
    int rc = message ? HF_OK : value_absent("pin", err);

    if (rc == HF_OK)
        rc = wire_read_text(message->session_name, "session_name", arena, &name, err);
    if (rc == HF_OK)
        rc = value_read_root(message->root, "root", &root, err);
    if (rc == HF_OK)
        *ret_pin = (struct pin_info){.sid = message->sid,
                                     .session_name = name,
                                     .version = message->version,
                                     .root = root,
                                     .time = message->time,
                                     .bytes = message->bytes,
                                     .files = message->files};
    return rc;
}

/* --- copies ------------------------------------------------------------------------------------ */

ProtobufCBinaryData wire_fill_origin(const uint8_t origin[UUID_SIZE])
{
    return value_fill_bytes(origin, UUID_SIZE);
}

int wire_read_origin(ProtobufCBinaryData bytes, uint8_t ret_origin[UUID_SIZE], struct hf_error *err)
{
    return value_read_bytes(bytes, "origin", ret_origin, UUID_SIZE, err);
}

static int fill_versions(const struct session_copy *copy, struct wire_arena *arena,
                         Holdfast__Wire__SessionCopy *message, struct hf_error *err)
{
    int rc;

    message->versions = wire_arena_alloc(arena, copy->nversions * sizeof(void *));
    rc = message->versions ? HF_OK : value_no_memory(err);
    message->n_versions = copy->nversions;
    for (size_t i = 0; i < copy->nversions && rc == HF_OK; i++)
        rc = wire_fill_history(&copy->versions[i], arena, &message->versions[i], err);
    return rc;
}

int wire_fill_session_copy(const struct session_copy *copy, struct wire_arena *arena,
                           Holdfast__Wire__SessionCopy **ret_message, struct hf_error *err)
{
    Holdfast__Wire__SessionCopy *message =
        VALUE_NEW(arena, message, holdfast__wire__session_copy__init);
    int rc = message ? HF_OK : value_no_memory(err);

    if (rc == HF_OK)
        rc = value_fill_meta(&copy->meta, arena, &message->meta, err);
    if (rc == HF_OK)
        rc = fill_versions(copy, arena, message, err);
    if (rc != HF_OK)
        return rc;
    message->origin = wire_fill_origin(copy->origin);
    message->sid = copy->sid;
    message->name = wire_fill_text(copy->name);
    message->state = copy->state;
    message->created = copy->created;
    message->trashed = copy->trashed;
    message->token = copy->token;
    *ret_message = message;
    return HF_OK;
}

static int read_version(const Holdfast__Wire__HistoryEntry *message, uint64_t sid,
                        struct wire_arena *arena, struct history_entry *ret_entry,
                        struct hf_error *err)
{
    int rc = wire_read_history(message, arena, ret_entry, err);

    if (rc == HF_OK && message->sid != 0 && message->sid != sid)
        rc = hf_fail(err, HF_INVAL, "a version of session %llu is in the copy of session %llu",
                     (unsigned long long)message->sid, (unsigned long long)sid);
    if (rc == HF_OK)
        ret_entry->sid = sid;
    return rc;
}

static int read_versions(const Holdfast__Wire__SessionCopy *message, struct wire_arena *arena,
                         struct session_copy *copy, struct hf_error *err)
{
    struct history_entry *versions =
        wire_arena_alloc(arena, message->n_versions * sizeof *versions);
    int rc = versions ? HF_OK : value_no_memory(err);

    for (size_t i = 0; i < message->n_versions && rc == HF_OK; i++)
        rc = read_version(message->versions[i], message->sid, arena, &versions[i], err);
    copy->versions = versions;
    copy->nversions = message->n_versions;
    return rc;
}

int wire_read_session_copy(const Holdfast__Wire__SessionCopy *message, struct wire_arena *arena,
                           struct session_copy *ret_copy, struct hf_error *err)
{
    struct session_copy copy = {0};
    int rc;

    if (!message)
        return value_absent("copy", err);
    rc = wire_read_origin(message->origin, copy.origin, err);
    if (rc == HF_OK)
        rc = wire_read_text(message->name, "name", arena, &copy.name, err);
    if (rc == HF_OK)
        rc = value_check_range(message->state, SESSION_LIVE, SESSION_TRASHED, "state", err);
    if (rc == HF_OK)
        rc = value_read_meta(message->meta, arena, &copy.meta, err);
    if (rc == HF_OK)
        rc = read_versions(message, arena, &copy, err);
    if (rc != HF_OK)
        return rc;
    copy.sid = message->sid;
    copy.state = (enum session_state)message->state;
    copy.created = message->created;
    copy.trashed = message->trashed;
    copy.token = message->token;
    *ret_copy = copy;
    return HF_OK;
}

int wire_fill_snapshot_copy(const struct snapshot_copy *copy, struct wire_arena *arena,
                            Holdfast__Wire__SnapshotCopy **ret_message, struct hf_error *err)
{
    Holdfast__Wire__SnapshotCopy *message =
        VALUE_NEW(arena, message, holdfast__wire__snapshot_copy__init);
    int rc = HF_OK;

    if (message)
        message->pins = wire_arena_alloc(arena, copy->npins * sizeof(void *));
    if (!message || !message->pins)
        return value_no_memory(err);
    for (size_t i = 0; i < copy->npins && rc == HF_OK; i++)
        rc = wire_fill_pin(&copy->pins[i], arena, &message->pins[i], err);
    if (rc != HF_OK)
        return rc;
    message->n_pins = copy->npins;
    message->origin = wire_fill_origin(copy->origin);
    message->name = wire_fill_text(copy->name);
    message->time = copy->time;
    *ret_message = message;
    return HF_OK;
}

static int read_pins(const Holdfast__Wire__SnapshotCopy *message, struct wire_arena *arena,
                     struct snapshot_copy *copy, struct hf_error *err)
{
    struct pin_info *pins = wire_arena_alloc(arena, message->n_pins * sizeof *pins);
    int rc = pins ? HF_OK : value_no_memory(err);

    for (size_t i = 0; i < message->n_pins && rc == HF_OK; i++)
        rc = wire_read_pin(message->pins[i], arena, &pins[i], err);
    copy->pins = pins;
    copy->npins = message->n_pins;
    return rc;
}

int wire_read_snapshot_copy(const Holdfast__Wire__SnapshotCopy *message, struct wire_arena *arena,
                            struct snapshot_copy *ret_copy, struct hf_error *err)
{
    struct snapshot_copy copy = {0};
    int rc;

    if (!message)
        return value_absent("copy", err);
    rc = wire_read_origin(message->origin, copy.origin, err);
    if (rc == HF_OK)
        rc = wire_read_text(message->name, "name", arena, &copy.name, err);
    if (rc == HF_OK)
        rc = read_pins(message, arena, &copy, err);
    if (rc != HF_OK)
        return rc;
    copy.time = message->time;
    *ret_copy = copy;
    return HF_OK;
}

/* --- collections ------------------------------------------------------------------------------- */

int wire_fill_totals(const struct collect_totals *totals, struct wire_arena *arena,
                     Holdfast__Wire__CollectTotals **ret_message, struct hf_error *err)
{
    Holdfast__Wire__CollectTotals *message =
        VALUE_NEW(arena, message, holdfast__wire__collect_totals__init);

    if (!message)
        return value_no_memory(err);
    message->roots = totals->roots;
    message->reachable = totals->reachable;
    message->removed = totals->removed;
    message->removed_bytes = totals->removed_bytes;
    message->hidden = totals->hidden;
    message->freed_bytes = totals->freed_bytes;
    message->longest_ns = totals->longest_ns;
    *ret_message = message;
    return HF_OK;
}

int wire_read_totals(const Holdfast__Wire__CollectTotals *message,
                     struct collect_totals *ret_totals, struct hf_error *err)
{
    if (!message)
        return value_absent("totals", err);
    *ret_totals = (struct collect_totals){.roots = message->roots,
                                          .reachable = message->reachable,
                                          .removed = message->removed,
                                          .removed_bytes = message->removed_bytes,
                                          .hidden = message->hidden,
                                          .freed_bytes = message->freed_bytes,
                                          .longest_ns = message->longest_ns};
    return HF_OK;
}
