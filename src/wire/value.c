/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/value.h"

#include <inttypes.h>
#include <string.h>

int value_check_range(uint64_t value, uint64_t low, uint64_t high, const char *field,
                      struct hf_error *err)
{
    if (value < low || value > high)
        return hf_fail(err, HF_INVAL, "%s is %" PRIu64 ", and not from %" PRIu64 " to %" PRIu64,
                       field, value, low, high);
    return HF_OK;
}

/* --- bytes and ids ---------------------------------------------------------------------------- */

ProtobufCBinaryData value_fill_bytes(const void *bytes, size_t len)
{
    /* The messages have no const; nobody writes through it. */
    return (ProtobufCBinaryData){.len = len, .data = len > 0 ? (uint8_t *)(uintptr_t)bytes : NULL};
}

int value_read_bytes(ProtobufCBinaryData bytes, const char *field, void *ret_bytes, size_t len,
                     struct hf_error *err)
{
    if (bytes.len != len)
        return hf_fail(err, HF_INVAL, "%s has %zu bytes, and not %zu", field, bytes.len, len);
    memcpy(ret_bytes, bytes.data, len);
    return HF_OK;
}

static bool is_zero(const struct object_id *id)
{
    static const struct object_id zero;

    return object_id_equal(id, &zero);
}

ProtobufCBinaryData value_fill_root(const struct object_id *root)
{
    return value_fill_id(!is_zero(root), root);
}

int value_read_root(ProtobufCBinaryData bytes, const char *field, struct object_id *ret_root,
                    struct hf_error *err)
{
    struct object_id root = {0};
    bool has;
    int rc = value_read_id(bytes, field, &has, &root, err);

    if (rc == HF_OK)
        *ret_root = root;
    return rc;
}

ProtobufCBinaryData value_fill_id(bool has, const struct object_id *id)
{
    return value_fill_bytes(id->bytes, has ? sizeof id->bytes : 0);
}

int value_read_id(ProtobufCBinaryData bytes, const char *field, bool *ret_has,
                  struct object_id *ret_id, struct hf_error *err)
{
    int rc = HF_OK;

    if (bytes.len > 0)
        rc = value_read_bytes(bytes, field, ret_id->bytes, sizeof ret_id->bytes, err);
    if (rc == HF_OK)
        *ret_has = bytes.len > 0;
    return rc;
}

ProtobufCBinaryData wire_fill_ids(const struct object_id *ids, size_t n)
{
    return value_fill_bytes(ids, n * sizeof *ids);
}

int wire_read_ids(ProtobufCBinaryData bytes, const struct object_id **ret_ids, size_t *ret_n,
                  struct hf_error *err)
{
    static_assert(sizeof(struct object_id) == OBJECT_ID_SIZE, "ids lie one after another");
    static_assert(_Alignof(struct object_id) == 1, "ids may lie anywhere");

    if (bytes.len % OBJECT_ID_SIZE != 0)
        return hf_fail(err, HF_INVAL, "ids has %zu bytes: no multiple of %d", bytes.len,
                       OBJECT_ID_SIZE);
    if (bytes.len / OBJECT_ID_SIZE > WIRE_IDS_MAX)
        return hf_fail(err, HF_TOOBIG, "a request has %zu ids, more than %d",
                       bytes.len / OBJECT_ID_SIZE, WIRE_IDS_MAX);
    *ret_ids = (const struct object_id *)(const void *)bytes.data;
    *ret_n = bytes.len / OBJECT_ID_SIZE;
    return HF_OK;
}

int wire_read_rename_mode(uint32_t value, enum session_rename_mode *ret_mode, struct hf_error *err)
{
    int rc = value_check_range(value, RENAME_SESSION_NEW, RENAME_SESSION_EXCHANGE, "mode", err);

    if (rc == HF_OK)
        *ret_mode = (enum session_rename_mode)value;
    return rc;
}

/* --- strings ---------------------------------------------------------------------------------- */

ProtobufCBinaryData wire_fill_text(const char *text)
{
    return value_fill_bytes(text, text ? strlen(text) : 0);
}

int wire_read_text(ProtobufCBinaryData bytes, const char *field, struct wire_arena *arena,
                   const char **ret_text, struct hf_error *err)
{
    char *text;

    if (bytes.len > WIRE_TEXT_MAX)
        return hf_fail(err, HF_INVAL, "%s has %zu bytes, more than %d", field, bytes.len,
                       WIRE_TEXT_MAX);
    if (bytes.len == 0) {
        *ret_text = "";
        return HF_OK;
    }
    if (memchr(bytes.data, 0, bytes.len))
        return hf_fail(err, HF_INVAL, "%s has a NUL byte in it", field);
    text = wire_arena_alloc(arena, bytes.len + 1);
    if (!text)
        return value_no_memory(err);
    memcpy(text, bytes.data, bytes.len);
    *ret_text = text;
    return HF_OK;
}

int wire_read_text_or_null(ProtobufCBinaryData bytes, const char *field, struct wire_arena *arena,
                           const char **ret_text, struct hf_error *err)
{
    if (bytes.len > 0)
        return wire_read_text(bytes, field, arena, ret_text, err);
    *ret_text = NULL;
    return HF_OK;
}

int wire_fill_texts(const char *const *texts, size_t n, struct wire_arena *arena,
                    ProtobufCBinaryData **ret_list, struct hf_error *err)
{
    ProtobufCBinaryData *list = wire_arena_alloc(arena, n * sizeof *list);

    if (!list)
        return value_no_memory(err);
    for (size_t i = 0; i < n; i++)
        list[i] = wire_fill_text(texts[i]);
    *ret_list = list;
    return HF_OK;
}

int wire_read_texts(const ProtobufCBinaryData *list, size_t n, const char *field,
                    struct wire_arena *arena, const char ***ret_texts, struct hf_error *err)
{
    const char **texts = wire_arena_alloc(arena, n * sizeof *texts);
    int rc = texts ? HF_OK : value_no_memory(err);

    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = wire_read_text(list[i], field, arena, &texts[i], err);
    if (rc == HF_OK)
        *ret_texts = texts;
    return rc;
}

uint32_t value_fill_known(const char *const *texts, ProtobufCBinaryData *const *bytes, size_t n)
{
    uint32_t known = 0;

    for (size_t i = 0; i < n; i++) {
        *bytes[i] = wire_fill_text(texts[i]);
        if (texts[i])
            known |= UINT32_C(1) << i;
    }
    return known;
}

int value_read_known(const ProtobufCBinaryData *bytes, const char *const *fields, size_t n,
                     uint32_t known, struct wire_arena *arena, const char **ret_texts,
                     struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        if (known & UINT32_C(1) << i)
            rc = wire_read_text(bytes[i], fields[i], arena, &ret_texts[i], err);
        else if (bytes[i].len > 0)
            rc = hf_fail(err, HF_INVAL, "%s is there, and marked as not", fields[i]);
        else
            ret_texts[i] = NULL;
    }
    return rc;
}

/* --- what became of a request ------------------------------------------------------------------ */

void wire_fill_status(int status, const struct hf_error *err, Holdfast__Wire__Reply *reply)
{
    reply->status = hf_status_wire(status);
    reply->message = wire_fill_text(status != HF_OK && err ? err->message : NULL);
}

static bool is_control(uint8_t byte)
{
    return byte < 0x20 || byte == 0x7f;
}

int wire_read_status(const Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    char message[sizeof err->message];
    size_t len = reply->message.len < sizeof message ? reply->message.len : sizeof message - 1;
    int status = hf_status_from_wire(reply->status);

    if (reply->status == 0)
        return HF_OK;
    /* Who answers HF_OK or HF_PENDING as a failure says nothing that can be acted upon. */
    if (status == HF_OK || status == HF_PENDING)
        status = HF_IO;
    if (len == 0)
        return hf_fail(err, status, "%s", hf_status_text(status));
    for (size_t i = 0; i < len; i++) /* it goes to logs and terminals */
        message[i] = is_control(reply->message.data[i]) ? '?' : (char)reply->message.data[i];
    message[len] = '\0';
    return hf_fail(err, status, "%s", message);
}

/* --- what a store is --------------------------------------------------------------------------- */

void wire_fill_store_info(const struct store_info *info, Holdfast__Wire__Welcome *welcome)
{
    welcome->uuid = value_fill_bytes(info->uuid, sizeof info->uuid);
    welcome->chunk_min = info->chunker.min;
    welcome->chunk_avg = info->chunker.avg;
    welcome->chunk_max = info->chunker.max;
    welcome->hash_key =
        value_fill_bytes(info->hasher.key, info->hasher.keyed ? sizeof info->hasher.key : 0);
    welcome->close_durability = info->close_durability;
    welcome->read_only = info->read_only;
}

static int read_hasher(ProtobufCBinaryData key, struct object_hasher *ret_hasher,
                       struct hf_error *err)
{
    struct object_hasher hasher = {.keyed = key.len > 0};
    int rc = HF_OK;

    if (hasher.keyed)
        rc = value_read_bytes(key, "hash_key", hasher.key, sizeof hasher.key, err);
    if (rc == HF_OK)
        *ret_hasher = hasher;
    return rc;
}

int wire_read_store_info(const Holdfast__Wire__Welcome *welcome, struct store_info *ret_info,
                         struct hf_error *err)
{
    struct store_info info = {
        .chunker = {welcome->chunk_min, welcome->chunk_avg, welcome->chunk_max},
        .close_durability = (enum durability)welcome->close_durability,
        .read_only = welcome->read_only,
    };
    int rc = value_read_bytes(welcome->uuid, "uuid", info.uuid, sizeof info.uuid, err);

    if (rc == HF_OK)
        rc = value_check_range(welcome->close_durability, DURABILITY_RELAXED, DURABILITY_SYNC,
                               "close_durability", err);
    if (rc == HF_OK && chunker_params_check(&info.chunker) != HF_OK)
        rc = hf_fail(err, HF_INVAL, "chunk_min, chunk_avg and chunk_max are not valid");
    if (rc == HF_OK)
        rc = read_hasher(welcome->hash_key, &info.hasher, err);
    if (rc == HF_OK)
        *ret_info = info;
    return rc;
}
