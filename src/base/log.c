/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SENTENCE_MAX 1000
#define LINE_BYTES 8192

static atomic_int the_format = LOG_FORMAT_TEXT;

void log_set_format(enum log_format format)
{
    atomic_store(&the_format, format);
}

/* Nothing can be done about a log that cannot be written. */
static void put_line(const char *line, size_t len)
{
    if (write(STDERR_FILENO, line, len) < 0)
        return;
}

/* --- text ---------------------------------------------------------------------------------------------- */

/* Parts of a line may come from a peer, which could begin a line of its own, or talk to a terminal. */
static void blank_controls(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
}

static void write_text(enum log_level level, const char *sentence)
{
    static const char *const names[] = {"error: ", "warning: ", ""};
    char line[SENTENCE_MAX + 32];
    int len = snprintf(line, sizeof line - 1, "holdfast: %s%s", names[level], sentence);

    blank_controls(line, (size_t)len);
    line[len++] = '\n';
    put_line(line, (size_t)len);
}

/* --- JSON ---------------------------------------------------------------------------------------------- */

/* A line as it grows; what does not fit is left out. */
struct json_line {
    char text[LINE_BYTES];
    size_t len;
};

static void add(struct json_line *line, const char *text, size_t len)
{
    if (len < sizeof line->text - 2 - line->len) { /* the last brace and the newline always fit */
        memcpy(line->text + line->len, text, len);
        line->len += len;
    }
}

/* How many bytes the UTF-8 sequence at `s` has; 0: it is none. */
static size_t sequence(const unsigned char *s)
{
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                 : (s[0] & 0xf0) == 0xe0       ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;

    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

static void add_string(struct json_line *line, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    char escape[8];

    add(line, "\"", 1);
    while (*s) {
        size_t len = sequence(s);

        if (len == 0) {
            add(line, "\xef\xbf\xbd", 3);
            len = 1;
        } else if (*s < 0x20 || *s == 0x7f || *s == '"' || *s == '\\') {
            add(line, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *s));
        } else {
            add(line, (const char *)s, len);
        }
        s += len;
    }
    add(line, "\"", 1);
}

static void add_field(struct json_line *line, const char *name, const char *value)
{
    if (!value)
        return;
    add(line, ",", 1);
    add_string(line, name);
    add(line, ":", 1);
    add_string(line, value);
}

static void add_number(struct json_line *line, const char *name, uint64_t value)
{
    char text[64];

    if (value)
        add(line, text, (size_t)snprintf(text, sizeof text, ",\"%s\":%" PRIu64, name, value));
}

static void add_time(struct json_line *line)
{
    char text[64], whole[32] = "";
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm))
        strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &tm);
    add(line, text,
        (size_t)snprintf(text, sizeof text, "{\"time\":\"%s.%06ldZ\"", whole, now.tv_nsec / 1000));
}

static void write_json(enum log_level level, const struct log_fields *fields, const char *sentence)
{
    static const char *const names[] = {"error", "warning", "info"};
    struct json_line line = {.len = 0};

    add_time(&line);
    add_field(&line, "level", names[level]);
    add_field(&line, "message", sentence);
    if (fields) {
        add_field(&line, "tenant", fields->tenant);
        add_field(&line, "session", fields->session);
        add_field(&line, "host", fields->host);
        add_field(&line, "peer", fields->peer);
        add_number(&line, "version", fields->version);
        add_number(&line, "token", fields->token);
    }
    memcpy(line.text + line.len, "}\n", 2);
    put_line(line.text, line.len + 2);
}

/* --- both ---------------------------------------------------------------------------------------------- */

static void write_line(enum log_level level, const struct log_fields *fields, const char *format,
                       va_list args) __attribute__((format(printf, 3, 0)));

static void write_line(enum log_level level, const struct log_fields *fields, const char *format,
                       va_list args)
{
    char sentence[SENTENCE_MAX];

    vsnprintf(sentence, sizeof sentence, format, args);
    if (atomic_load(&the_format) == LOG_FORMAT_JSON)
        write_json(level, fields, sentence);
    else
        write_text(level, sentence);
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(level, NULL, format, args);
    va_end(args);
}

void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(level, fields, format, args);
    va_end(args);
}
