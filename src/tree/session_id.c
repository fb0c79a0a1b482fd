/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/session_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/jsonscan.h"
#include "base/utf8.h"
#include "store/meta.h"

/** The first event is looked for in so many bytes, and then in these. */
#define EVENT_BYTES ((size_t)64 << 10)
#define EVENT_BYTES_MAX ((size_t)4 << 20)

/* --- finding ------------------------------------------------------------------------------------ */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/** The end of a quoted value that begins at `at`, or 0. */
static size_t quoted_end(struct slice line, size_t at)
{
    uint8_t quote = line.data[at];

    for (size_t i = at + 1; i < line.len; i++) {
        if (quote == '"' && line.data[i] == '\\')
            i++;
        else if (line.data[i] == quote)
            return i + 1;
    }
    return 0;
}

/** The end of a plain value: before a comment and the blanks at the end. */
static size_t plain_end(struct slice line, size_t at)
{
    size_t end = at;

    for (size_t i = at; i < line.len; i++) {
        if (line.data[i] == '#' && is_blank(line.data[i - 1]))
            break;
        if (!is_blank(line.data[i]))
            end = i + 1;
    }
    return end;
}

/** The value of a line that begins with "id:". */
static bool value_span(struct slice line, struct session_id_span *ret_span)
{
    size_t at = 3, end;

    while (at < line.len && is_blank(line.data[at]))
        at++;
    if (at == 3 || at == line.len || line.data[at] == '\0' ||
        strchr("|>&*![{%@`#?,", line.data[at]))
        return false;
    if (line.data[at] == '"' || line.data[at] == '\'')
        end = quoted_end(line, at);
    else
        end = plain_end(line, at);
    *ret_span = (struct session_id_span){.start = at, .end = end};
    return end > at;
}

/* A key of the top mapping begins a line, and nothing else does that could be taken for one: whatever is inside of
 * a value, of any style, is indented. */
bool session_id_in_yaml(struct slice yaml, struct session_id_span *ret_span)
{
    for (size_t at = 0; at < yaml.len;) {
        const uint8_t *newline = memchr(yaml.data + at, '\n', yaml.len - at);
        size_t end = newline ? (size_t)(newline - yaml.data) : yaml.len;
        struct slice line = slice_of(yaml.data + at, end - at);
        struct session_id_span span;

        if (line.len > 3 && memcmp(line.data, "id:", 3) == 0) {
            if (!value_span(line, &span))
                return false;
            *ret_span = (struct session_id_span){.start = at + span.start, .end = at + span.end};
            return true;
        }
        at = end + 1;
    }
    return false;
}

bool session_id_in_event(struct slice text, struct session_id_span *ret_span)
{
    const uint8_t *newline = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
    struct jsonscan_member member = {.path = "data.sessionId"};
    size_t end;

    if (newline)
        text.len = (size_t)(newline - text.data);
    if (jsonscan(text, &member, 1, &end) != JSONSCAN_WHOLE || member.value.len < 2 ||
        member.value.data[0] != '"')
        return false;
    ret_span->start = (size_t)(member.value.data - text.data);
    ret_span->end = ret_span->start + member.value.len;
    return true;
}

/* --- writing ------------------------------------------------------------------------------------ */

/** In double quotes, as JSON and YAML both read it. */
static int quote(const char *id, struct buf *out)
{
    int rc = buf_append(out, "\"", 1);

    for (; rc == HF_OK && *id; id++) {
        char escaped[8];

        if (*id == '"' || *id == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *id);
        else if ((unsigned char)*id < 0x20 || *id == 0x7f)
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned char)*id);
        else
            snprintf(escaped, sizeof escaped, "%c", *id);
        rc = buf_append(out, escaped, strlen(escaped));
    }
    return rc == HF_OK ? buf_append(out, "\"", 1) : rc;
}

static bool is_uuid(const char *id)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (strlen(id) != sizeof shape - 1)
        return false;
    for (size_t i = 0; shape[i]; i++)
        if (shape[i] == '-' ? id[i] != '-' : !strchr("0123456789abcdefABCDEF", id[i]))
            return false;
    return true;
}

/** Whether every reader of YAML takes it for a string as it stands. */
static bool is_plain(const char *id)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};

    if (is_uuid(id))
        return true;
    if (!*id || !strchr(first, id[0]) || id[strspn(id, rest)] != '\0')
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(id, words[i]) == 0)
            return false;
    return true;
}

/* --- one file ------------------------------------------------------------------------------------- */

/** Reads up to `size` bytes from the beginning of a file. *ret_place: ABSENT, or ODD until it is known better. */
static int read_start(struct build *build, const char *path, size_t size, struct buf *text,
                      enum session_id_place *ret_place, struct hf_error *err)
{
    int rc = buf_reserve(text, size);

    if (rc != HF_OK)
        return hf_fail(err, rc, "no memory to read %s", path);
    rc = build_read(build, path, 0, size, text->data, &text->len, err);
    *ret_place = rc == HF_OK ? SESSION_ID_ODD : SESSION_ID_ABSENT;
    return rc == HF_NOENT || rc == HF_INVAL ? HF_OK : rc;
}

/** Puts `value` in the place of a part of a file. */
static int put(struct build *build, const char *path, struct slice text,
               const struct session_id_span *span, struct slice value, int64_t time,
               struct hf_error *err)
{
    if (slice_compare(slice_of(text.data + span->start, span->end - span->start), value) == 0)
        return HF_OK;
    return build_splice(build, path, span->start, span->end, value, time, err);
}

static int rewrite_workspace(struct build *build, const char *id, struct slice quoted, int64_t time,
                             enum session_id_place *ret_place, struct hf_error *err)
{
    struct slice value = is_plain(id) ? slice_of(id, strlen(id)) : quoted;
    struct session_id_span span;
    BUF_AUTO text = {0};
    int rc = read_start(build, SESSION_ID_WORKSPACE, META_YAML_MAX, &text, ret_place, err);

    if (rc != HF_OK || *ret_place == SESSION_ID_ABSENT ||
        !session_id_in_yaml(buf_slice(&text), &span))
        return rc;
    *ret_place = SESSION_ID_WRITTEN;
    return put(build, SESSION_ID_WORKSPACE, buf_slice(&text), &span, value, time, err);
}

static int rewrite_events(struct build *build, struct slice quoted, int64_t time,
                          enum session_id_place *ret_place, struct hf_error *err)
{
    for (size_t size = EVENT_BYTES; size <= EVENT_BYTES_MAX; size *= 8) {
        struct session_id_span span;
        BUF_AUTO text = {0};
        int rc = read_start(build, SESSION_ID_EVENTS, size, &text, ret_place, err);

        if (rc != HF_OK || *ret_place == SESSION_ID_ABSENT)
            return rc;
        if (session_id_in_event(buf_slice(&text), &span)) {
            *ret_place = SESSION_ID_WRITTEN;
            return put(build, SESSION_ID_EVENTS, buf_slice(&text), &span, quoted, time, err);
        }
        if (text.len < size)
            break;
    }
    return HF_OK;
}

int session_id_rewrite(struct build *build, const char *id, int64_t time,
                       struct session_id_report *ret_report, struct hf_error *err)
{
    struct session_id_report report = {.workspace = SESSION_ID_ODD, .events = SESSION_ID_ODD};
    BUF_AUTO quoted = {0};
    int rc = HF_OK;

    if (utf8_check(slice_of(id, strlen(id))) == strlen(id)) {
        rc = quote(id, &quoted);
        if (rc != HF_OK)
            return hf_fail(err, rc, "no memory for an id");
        rc = rewrite_workspace(build, id, buf_slice(&quoted), time, &report.workspace, err);
        if (rc == HF_OK)
            rc = rewrite_events(build, buf_slice(&quoted), time, &report.events, err);
    }
    if (rc == HF_OK)
        *ret_report = report;
    return rc;
}
