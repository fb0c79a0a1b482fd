/* SPDX-License-Identifier: Apache-2.0 */
/* docs/spec/protocol.md says everything that the .proto and the headers have, and says it as they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/conn.h"
#include "wire/convert.h"
#include "wire/frame.h"

static char *spec;

static int load(void **state)
{
    FILE *file = fopen(HOLDFAST_PROTOCOL_SPEC, "re");
    size_t room = 1 << 20, len;

    (void)state;
    spec = malloc(room);
    if (!file || !spec)
        return -1;
    len = fread(spec, 1, room - 1, file);
    spec[len] = '\0';
    fclose(file);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(spec);
    return 0;
}

__attribute__((format(printf, 1, 2))) static void assert_told(const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!strstr(spec, text))
        fail_msg("protocol.md does not have: %s", text);
}

static void every_request_has_a_row(void **state)
{
    const ProtobufCMessageDescriptor *request = &holdfast__wire__request__descriptor;

    (void)state;
    for (unsigned i = 0; i < request->n_fields; i++)
        if (request->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            assert_told("\n| `%s` | ", request->fields[i].name);
}

static void every_result_and_notice_is_named(void **state)
{
    const ProtobufCMessageDescriptor *reply = &holdfast__wire__reply__descriptor;
    const ProtobufCMessageDescriptor *notice = &holdfast__wire__notice__descriptor;

    (void)state;
    for (unsigned i = 0; i < reply->n_fields; i++)
        assert_told("`%s`", reply->fields[i].name);
    for (unsigned i = 0; i < notice->n_fields; i++)
        assert_told("\n| `%s` | ", notice->fields[i].name);
}

static void every_event_has_its_number(void **state)
{
    (void)state;
    assert_told("| `HEAD_MOVED` | %d |", EVENT_HEAD_MOVED);
    assert_told("| `LEASE_RECALLED` | %d |", EVENT_LEASE_RECALLED);
    assert_told("| `LEASE_LOST` | %d |", EVENT_LEASE_LOST);
    assert_told("| `SESSIONS_CHANGED` | %d |", EVENT_SESSIONS_CHANGED);
    assert_told("| `HOSTS_CHANGED` | %d |", EVENT_HOSTS_CHANGED);
    assert_told("| `LOCKS_CHANGED` | %d |", EVENT_LOCKS_CHANGED);
    assert_told("| `LEASE_ANSWERED` | %d |", EVENT_LEASE_ANSWERED);
    assert_told("| `MISSED` | %d |", EVENT_MISSED);
    assert_told("| `HOST_LOST` | %d |", EVENT_HOST_LOST);
}

static void every_status_has_its_code(void **state)
{
    static const struct {
        int status;
        const char *name;
    } statuses[] = {
        {HF_OK, "success"},
        {HF_FENCED, "FENCED"},
        {HF_CONFLICT, "CONFLICT"},
        {HF_MISSING, "MISSING"},
        {HF_CORRUPT, "CORRUPT"},
        {HF_BUSY, "BUSY"},
        {HF_NEWER, "NEWER"},
        {HF_FAILED, "FAILED"},
        {HF_PENDING, "PENDING"},
        {HF_IO, "IO"},
        {HF_NOMEM, "NOMEM"},
        {HF_NOSPC, "NOSPC"},
        {HF_QUOTA, "QUOTA"},
        {HF_TIMEOUT, "TIMEOUT"},
        {HF_AGAIN, "AGAIN"},
        {HF_INTR, "INTR"},
        {HF_MFILE, "MFILE"},
        {HF_INVAL, "INVAL"},
        {HF_UNSUPPORTED, "UNSUPPORTED"},
        {HF_USAGE, "USAGE"},
        {HF_CONFIG, "CONFIG"},
        {HF_PERM, "PERM"},
        {HF_ACCESS, "ACCESS"},
        {HF_TOOBIG, "TOOBIG"},
        {HF_NOENT, "NOENT"},
        {HF_EXIST, "EXIST"},
        {HF_NOTDIR, "NOTDIR"},
        {HF_ISDIR, "ISDIR"},
        {HF_NOTEMPTY, "NOTEMPTY"},
        {HF_NAMETOOLONG, "NAMETOOLONG"},
        {HF_XDEV, "XDEV"},
        {HF_MLINK, "MLINK"},
        {HF_ROFS, "ROFS"},
        {HF_NODATA, "NODATA"},
        {HF_RANGE, "RANGE"},
        {HF_DEADLK, "DEADLK"},
        {HF_FBIG, "FBIG"},
        {HF_NXIO, "NXIO"},
        {HF_BADF, "BADF"},
        {HF_STALE, "STALE"},
        {HF_LOOP, "LOOP"},
    };
    size_t n = sizeof statuses / sizeof *statuses, codes = 0;

    (void)state;
    for (size_t i = 0; i < n; i++)
        assert_told("| %u | %s ", hf_status_wire(statuses[i].status), statuses[i].name);
    for (unsigned code = 0; code < 1000; code++)
        codes += hf_status_wire(hf_status_from_wire(code)) == code;
    assert_int_equal(codes, n);
}

static void the_limits_are_those_of_the_program(void **state)
{
    (void)state;
    assert_told("(`max_frame`) | %u |", WIRE_FRAME_MAX);
    assert_told("| a frame unpacked | %d × its size + %d |", FRAME_RATIO, FRAME_SLACK);
    assert_told("| plain objects of a message | %u |", WIRE_PLAIN_MAX);
    assert_told("| ids of a request | %d |", WIRE_IDS_MAX);
    assert_told("| versions of a `history_drop` | %d |", HISTORY_DROP_MAX);
    assert_told("all parts together | %u |", WIRE_COPY_MAX);
    assert_told("| bytes of a setting | %d |", SETTING_MAX);
    assert_told("| bytes of a text | %d |", WIRE_TEXT_MAX);
    assert_told("`%s`", WIRE_ALPN);
    assert_told("at most %d", OBJECT_MAX_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_has_a_row),
        cmocka_unit_test(every_result_and_notice_is_named),
        cmocka_unit_test(every_event_has_its_number),
        cmocka_unit_test(every_status_has_its_code),
        cmocka_unit_test(the_limits_are_those_of_the_program),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
