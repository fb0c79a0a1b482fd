/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts with a certificate that send nonsense: requests of every kind with fields filled at random, by values that
 * are right, nearly right or absurd. Each is answered, the server lives, and the store stays sound.
 *
 *     HOLDFAST_REQUESTS=N    requests of each host (default 4000)
 *     HOLDFAST_SEED=N
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/open.h"
#include "rig.h"
#include "wire/arena.h"

#define AT_ONCE 50

struct dice {
    uint64_t state;
    uint64_t host; /* that is the client's own */
    struct wire_arena arena;
};

static uint64_t roll(struct dice *dice, uint64_t sides)
{
    dice->state = dice->state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (dice->state >> 33) % sides;
}

/* --- values --------------------------------------------------------------------------------------- */

static uint64_t any_number(struct dice *dice)
{
    static const uint64_t odd[] = {UINT64_MAX,       UINT64_MAX - 1, 1ULL << 63, 1ULL << 32,
                                   (1ULL << 32) - 1, SID_MAX,        SID_MAX + 1};

    switch (roll(dice, 8)) {
    case 0:
        return odd[roll(dice, sizeof odd / sizeof odd[0])];
    case 1:
        return dice->host;
    default:
        return roll(dice, 6);
    }
}

static ProtobufCBinaryData any_bytes(struct dice *dice)
{
    static const char *const texts[] = {"",    "one", "two", "three", ".",   "..",
                                        "a/b", "*",   "[",   ".lock", "one", "\n"};
    static const size_t lengths[] = {1, 16, 31, 32, 33, 64, 96, 255, 256, 9000};
    const char *text = texts[roll(dice, sizeof texts / sizeof texts[0])];
    ProtobufCBinaryData bytes = {strlen(text), (uint8_t *)text};

    if (roll(dice, 3) > 0)
        return bytes;
    bytes.len = lengths[roll(dice, sizeof lengths / sizeof lengths[0])];
    bytes.data = wire_arena_alloc(&dice->arena, bytes.len);
    assert_non_null(bytes.data);
    for (size_t i = 0; i < bytes.len; i++)
        bytes.data[i] = (uint8_t)roll(dice, 256);
    return bytes;
}

static ProtobufCMessage *any_message(struct dice *dice, const ProtobufCMessageDescriptor *type);

static void fill_value(struct dice *dice, const ProtobufCFieldDescriptor *field, void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        *(uint64_t *)value = any_number(dice);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        *(uint32_t *)value = (uint32_t)any_number(dice);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)value = roll(dice, 2) == 0;
        break;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)value = any_bytes(dice);
        break;
    case PROTOBUF_C_TYPE_STRING:
        *(const char **)value = roll(dice, 2) ? "" : "text";
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)value =
            roll(dice, 8) > 0
                ? any_message(dice, (const ProtobufCMessageDescriptor *)field->descriptor)
                : NULL;
        break;
    default:
        fail_msg("a field of a type that is not thought of: %s", field->name);
    }
}

static void fill_repeated(struct dice *dice, const ProtobufCFieldDescriptor *field,
                          ProtobufCMessage *message)
{
    size_t n = roll(dice, 4);
    size_t size = field->type == PROTOBUF_C_TYPE_BYTES    ? sizeof(ProtobufCBinaryData)
                  : field->type == PROTOBUF_C_TYPE_UINT64 ? sizeof(uint64_t)
                                                          : sizeof(ProtobufCMessage *);
    char *values = wire_arena_alloc(&dice->arena, n * size + 1);

    assert_non_null(values);
    for (size_t i = 0; i < n; i++) {
        if (field->type == PROTOBUF_C_TYPE_BYTES)
            *(ProtobufCBinaryData *)(values + i * size) = any_bytes(dice);
        else if (field->type == PROTOBUF_C_TYPE_UINT64)
            *(uint64_t *)(values + i * size) = any_number(dice);
        else
            *(ProtobufCMessage **)(values + i * size) =
                any_message(dice, (const ProtobufCMessageDescriptor *)field->descriptor);
    }
    *(size_t *)((char *)message + field->quantifier_offset) = n;
    *(void **)((char *)message + field->offset) = values;
}

static ProtobufCMessage *any_message(struct dice *dice, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = wire_arena_alloc(&dice->arena, type->sizeof_message);

    assert_non_null(message);
    protobuf_c_message_init(type, message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            fill_repeated(dice, field, message);
        else
            fill_value(dice, field, (char *)message + field->offset);
    }
    return message;
}

/* A request of any kind but Hello and, so that it has one, the end of the host session. */
static Holdfast__Wire__Request any_request(struct dice *dice)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    const ProtobufCMessageDescriptor *type = &holdfast__wire__request__descriptor;
    const ProtobufCFieldDescriptor *field;

    do {
        field = &type->fields[roll(dice, type->n_fields)];
    } while (field->type != PROTOBUF_C_TYPE_MESSAGE ||
             field->id == HOLDFAST__WIRE__REQUEST__OP_HELLO ||
             field->id == HOLDFAST__WIRE__REQUEST__OP_HOST_END ||
             field->id == HOLDFAST__WIRE__REQUEST__OP_HOST_REGISTER);
    request.retry = roll(dice, 4) == 0;
    request.op_case = (Holdfast__Wire__Request__OpCase)field->id;
    request.hello = (Holdfast__Wire__Hello *)any_message(
        dice, (const ProtobufCMessageDescriptor *)field->descriptor);
    if (request.op_case == HOLDFAST__WIRE__REQUEST__OP_LEASE_ACQUIRE)
        request.lease_acquire->wait_ms %= 50;
    return request;
}

/* --- the test ------------------------------------------------------------------------------------- */

/* Reads until all are answered that were sent up to now. */
static void read_answers(struct client *client, size_t left)
{
    while (left > 0) {
        Holdfast__Wire__Frame *frame = client_read(client, RIG_PATIENCE_MS);

        assert_non_null(frame);
        if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REPLY && !frame->reply->more)
            left--;
        frame_free(frame);
    }
}

static void send_nonsense(struct client *client, struct dice *dice, size_t requests)
{
    dice->host = client->host;
    for (size_t sent = 0; sent < requests; sent += AT_ONCE) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            Holdfast__Wire__Request request = any_request(dice);

            client_send(client, &request);
        }
        read_answers(client, AT_ONCE);
        wire_arena_free(&dice->arena);
    }
}

static int complain(const struct check_finding *finding, void *arg)
{
    print_error("%s: %s\n", finding->what, finding->message);
    ++*(unsigned *)arg;
    return HF_OK;
}

static void assert_sound(const char *url)
{
    struct store *store;
    struct hf_error err;
    unsigned findings = 0;

    assert_int_equal(store_open(url, STORE_READ_ONLY, NULL, NULL, &store, &err), HF_OK);
    assert_int_equal(store_check(store, complain, &findings, &err), HF_OK);
    assert_int_equal(findings, 0);
    store_close(store);
}

static void nonsense_is_answered_and_harms_nothing(void **state)
{
    static const char *const rights[] = {"holdfast:admin", "holdfast:agent",
                                         "holdfast:agent?session=t*", "holdfast:reader"};
    const char *seed = getenv("HOLDFAST_SEED"), *count = getenv("HOLDFAST_REQUESTS");
    struct dice dice = {.state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL)};
    size_t requests = count ? strtoul(count, NULL, 10) : 4000;
    uint64_t sid, token, version;
    struct client *client;
    struct rig rig;
    char name[16];

    (void)state;
    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)dice.state);
    rig_open(&rig);
    rig.options.relaxed = true;
    rig_start(&rig);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "hostile-%u", i);
        client = client_open(&rig, name, rights[i]);
        assert_int_equal(call_register(client, i, 1), HF_OK);
        if (i < 3) {
            snprintf(name, sizeof name, "t-%u", i);
            assert_int_equal(call_create(client, client->host, name, "x", false, &sid, &token),
                             HF_OK);
        }
        send_nonsense(client, &dice, requests);
        client_close(client);
    }
    client = client_host(&rig, "honest", 9);
    assert_int_equal(call_create(client, client->host, "honest", "x", false, &sid, &token), HF_OK);
    assert_int_equal(call_commit(client, client->host, sid, token, 1, "y", false, &version), HF_OK);
    client_close(client);
    rig_stop(&rig);
    assert_sound(rig.url);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nonsense_is_answered_and_harms_nothing)};

    return cmocka_run_group_tests_name("hostile hosts", tests, NULL, NULL);
}
