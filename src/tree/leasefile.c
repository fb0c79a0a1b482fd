/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/leasefile.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tree/lease.h"
#include "tree/reach.h"
#include "tree/table.h"

#define NS_PER_MS 1000000

/** The object that is written; the first failure sticks. */
struct writer {
    struct session *session;
    struct buf *out;
    int status;
    bool found;
};

static void put(struct writer *writer, const char *text, size_t len)
{
    if (writer->status == HF_OK)
        writer->status = buf_append(writer->out, text, len);
}

__attribute__((format(printf, 2, 3))) static void put_format(struct writer *writer,
                                                             const char *format, ...)
{
    char text[128];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(writer, text, len > 0 ? (size_t)len : 0);
}

/** Names are bytes: what is not ASCII goes out as it is. */
static void put_string(struct writer *writer, const char *text)
{
    if (!text) {
        put(writer, "null", 4);
        return;
    }
    put(writer, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            put_format(writer, "\\%c", *text);
        else if ((unsigned char)*text < ' ' || *text == 0x7f)
            put_format(writer, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            put(writer, text, 1);
    }
    put(writer, "\"", 1);
}

static void put_member(struct writer *writer, const char *name, const char *value)
{
    put_format(writer, ", \"%s\": ", name);
    put_string(writer, value);
}

static void put_time(struct writer *writer, const char *name, int64_t ns)
{
    if (ns <= 0)
        put_format(writer, ", \"%s\": null", name);
    else
        put_format(writer, ", \"%s\": %" PRId64 ".%03" PRId64, name, ns / (1000 * NS_PER_MS),
                   ns / NS_PER_MS % 1000);
}

static void put_waiting(struct writer *writer, const struct lease_info *info)
{
    put_format(writer, ", \"waiting\": [");
    for (size_t i = 0; i < info->nwaiting; i++) {
        if (i > 0)
            put(writer, ", ", 2);
        put_string(writer, info->waiting[i]);
    }
    put(writer, "]", 1);
}

static void put_object(struct writer *writer, const struct lease_info *info)
{
    static const char *const states[] = {"free", "held", "recalled"};
    const struct session *session = writer->session;
    char pin[512];
    bool pinned = session->token != 0 && lease_pinned_by(writer->session, pin, sizeof pin);

    put_format(writer, "{\"session\": ");
    put_string(writer, info->session_name ? info->session_name : session->name);
    put_format(writer, ", \"sid\": %" PRIu64, session->sid);
    put_member(writer, "state", states[info->state]);
    put_format(writer, ", \"token\": %" PRIu64, info->token);
    put_format(writer, ", \"here\": %s", session->token != 0 ? "true" : "false");
    put_member(writer, "host", info->host_name);
    if (info->pid != 0)
        put_format(writer, ", \"pid\": %u", (unsigned)info->pid);
    else
        put_format(writer, ", \"pid\": null");
    put_member(writer, "mount", info->mount_point);
    put_time(writer, "since", info->since);
    put_time(writer, "expires", info->expires);
    put_member(writer, "pinned_by", pinned ? pin : info->pinned_by);
    put_waiting(writer, info);
    put(writer, "}\n", 2);
}

static int write_if_it_is(const struct lease_info *info, void *arg)
{
    struct writer *writer = arg;

    if (info->sid != writer->session->sid || writer->found)
        return HF_OK;
    writer->found = true;
    put_object(writer, info);
    return HF_OK;
}

int leasefile_write(struct session *session, struct buf *out)
{
    struct tree *tree = session->tree;
    struct writer writer = {.session = session, .out = out};
    struct lease_info known = {.sid = session->sid};
    int rc = HF_OK;

    if (reach_store(tree->store))
        rc = store_lease_list(tree->store, write_if_it_is, &writer, NULL);
    else if (session->token == 0) /* nothing is known of another's */
        rc = HF_TIMEOUT;
    if (rc == HF_OK && writer.status == HF_OK && !writer.found) {
        if (session->token != 0) /* the list was read before the grant */
            known = (struct lease_info){.sid = session->sid,
                                        .state = LEASE_HELD,
                                        .token = session->token,
                                        .host_name = tree->host_name};
        put_object(&writer, &known);
    }
    return rc != HF_OK ? rc : writer.status;
}
