/* SPDX-License-Identifier: Apache-2.0 */
#include "server/list.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/conn.h"

struct list_part {
    struct list_part *next;
    struct wire_arena arena;
    ProtobufCMessage **items;
    size_t n, cap;
    size_t bytes; /* encoded */
};

/* All messages that hold a list look like this. */
struct list_message {
    ProtobufCMessage base;
    size_t n;
    ProtobufCMessage **items;
};

#define SAME_SHAPE(type, member)                                                                   \
    _Static_assert(offsetof(type, n_##member) == offsetof(struct list_message, n) &&               \
                       offsetof(type, member) == offsetof(struct list_message, items),             \
                   "a message that holds a list and nothing else")
SAME_SHAPE(Holdfast__Wire__SessionInfos, sessions);
SAME_SHAPE(Holdfast__Wire__HistoryEntries, entries);
SAME_SHAPE(Holdfast__Wire__HostInfos, hosts);
SAME_SHAPE(Holdfast__Wire__LeaseInfos, leases);
SAME_SHAPE(Holdfast__Wire__AuditEntries, entries);
SAME_SHAPE(Holdfast__Wire__SnapshotInfos, snapshots);
SAME_SHAPE(Holdfast__Wire__RootInfos, roots);
SAME_SHAPE(Holdfast__Wire__Findings, findings);
SAME_SHAPE(Holdfast__Wire__RescueInfos, rescues);
SAME_SHAPE(Holdfast__Wire__PinInfos, pins);

/* --- parts ---------------------------------------------------------------------------------------- */

void list_drop(struct list *list)
{
    struct list_part *part = list->first;

    if (!part)
        return;
    list->first = part->next;
    if (!list->first)
        list->last = NULL;
    list->bytes -= part->bytes;
    wire_arena_free(&part->arena);
    free(part->items);
    free(part);
}

void list_clear(struct list *list)
{
    while (list->first)
        list_drop(list);
}

struct wire_arena *list_arena(struct list *list)
{
    struct list_part *part = list->last;

    if (part && part->bytes < WIRE_BATCH_BYTES)
        return &part->arena;
    part = calloc(1, sizeof *part);
    if (!part)
        return NULL;
    if (list->last)
        list->last->next = part;
    else
        list->first = part;
    list->last = part;
    return &part->arena;
}

bool list_is_full(const struct list *list)
{
    return list->first && list->first->bytes >= WIRE_BATCH_BYTES;
}

bool list_has_more(const struct list *list)
{
    return list->first && list->first->next;
}

/* --- owning what a message borrows ---------------------------------------------------------------- */

static int own_message(ProtobufCMessage *message, struct wire_arena *arena);

static int own_bytes(ProtobufCBinaryData *bytes, struct wire_arena *arena)
{
    uint8_t *copy;

    if (bytes->len == 0)
        return HF_OK;
    copy = wire_arena_alloc(arena, bytes->len);
    if (!copy)
        return HF_NOMEM;
    memcpy(copy, bytes->data, bytes->len);
    bytes->data = copy;
    return HF_OK;
}

static int own_value(const ProtobufCFieldDescriptor *field, void *value, struct wire_arena *arena)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return own_bytes(value, arena);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && *(ProtobufCMessage **)value)
        return own_message(*(ProtobufCMessage **)value, arena);
    return HF_OK;
}

/* Of bytes and messages: the only repeated fields that a listed message has. */
static int own_repeated(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message,
                        struct wire_arena *arena)
{
    size_t n = *(size_t *)((char *)message + field->quantifier_offset);
    char *values = *(char **)((char *)message + field->offset);
    size_t size = field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData)
                                                       : sizeof(ProtobufCMessage *);
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = own_value(field, values + i * size, arena);
    return rc;
}

static int own_message(ProtobufCMessage *message, struct wire_arena *arena)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    int rc = HF_OK;

    for (unsigned i = 0; i < type->n_fields && rc == HF_OK; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        assert(field->type != PROTOBUF_C_TYPE_STRING);
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            rc = own_repeated(field, message, arena);
        else
            rc = own_value(field, (char *)message + field->offset, arena);
    }
    return rc;
}

/* --- adding and sending --------------------------------------------------------------------------- */

static int make_room(struct list_part *part)
{
    size_t cap = part->cap ? 2 * part->cap : 64;
    ProtobufCMessage **items = reallocarray(part->items, cap, sizeof(ProtobufCMessage *));

    if (!items)
        return HF_NOMEM;
    part->items = items;
    part->cap = cap;
    return HF_OK;
}

int list_add(struct list *list, ProtobufCMessage *message, struct hf_error *err)
{
    struct list_part *part = list->last;
    size_t size = protobuf_c_message_get_packed_size(message) + 8;
    int rc = own_message(message, &part->arena);

    if (list->bytes + size > LIST_MAX_BYTES)
        return hf_fail(err, HF_TOOBIG, "the list is longer than %u MiB", LIST_MAX_BYTES >> 20);
    if (rc == HF_OK && part->n == part->cap)
        rc = make_room(part);
    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    part->items[part->n++] = message;
    part->bytes += size;
    list->bytes += size;
    return HF_OK;
}

static const ProtobufCMessageDescriptor *const types[] = {
    [HOLDFAST__WIRE__REPLY__RESULT_SESSIONS] = &holdfast__wire__session_infos__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_HISTORY] = &holdfast__wire__history_entries__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_HOSTS] = &holdfast__wire__host_infos__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_LEASES] = &holdfast__wire__lease_infos__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_AUDIT] = &holdfast__wire__audit_entries__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_SNAPSHOTS] = &holdfast__wire__snapshot_infos__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_ROOTS] = &holdfast__wire__root_infos__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_FINDINGS] = &holdfast__wire__findings__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_RESCUES] = &holdfast__wire__rescue_infos__descriptor,
    [HOLDFAST__WIRE__REPLY__RESULT_PINS] = &holdfast__wire__pin_infos__descriptor,
};

int list_fill(struct list *list, Holdfast__Wire__Reply__ResultCase result, struct wire_arena *arena,
              Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct list_message *message = wire_arena_alloc(arena, sizeof *message);

    if (!message)
        return hf_fail(err, HF_NOMEM, "out of memory");
    protobuf_c_message_init(types[result], message);
    if (list->first) {
        message->n = list->first->n;
        message->items = list->first->items;
    }
    reply->sessions = (Holdfast__Wire__SessionInfos *)message; /* one union for all results */
    reply->result_case = result;
    return HF_OK;
}
