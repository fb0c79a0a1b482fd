/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jsonscan.h"

#include <stdbool.h>
#include <string.h>

struct scan {
    const uint8_t *data;
    size_t len, at;
    struct jsonscan_member *members;
    size_t nmembers;
    unsigned depth;                            /* of containers that are open */
    unsigned arrays;                           /* of them */
    uint8_t kinds[JSONSCAN_DEPTH_MAX];         /* '{' or '[' */
    size_t starts[JSONSCAN_PATH_MAX + 1];      /* of the value that began last at this depth */
    struct slice names[JSONSCAN_PATH_MAX + 1]; /* of the member being read at this depth */
};

static bool is_one_of(uint8_t c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->len && is_one_of(scan->data[scan->at], " \t\r\n"))
        scan->at++;
}

/** The next byte after white space, or -1. */
static int peek(struct scan *scan)
{
    skip_space(scan);
    return scan->at < scan->len ? scan->data[scan->at] : -1;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* --- scalars ------------------------------------------------------------------------------------ */

/** After a backslash. */
static enum jsonscan_result scan_escape(struct scan *scan)
{
    if (scan->at == scan->len)
        return JSONSCAN_SHORT;
    if (scan->data[scan->at] != 'u') {
        if (!is_one_of(scan->data[scan->at], "\"\\/bfnrt"))
            return JSONSCAN_BAD;
        scan->at++;
        return JSONSCAN_WHOLE;
    }
    scan->at++;
    for (int i = 0; i < 4; i++, scan->at++) {
        if (scan->at == scan->len)
            return JSONSCAN_SHORT;
        if (!is_hex(scan->data[scan->at]))
            return JSONSCAN_BAD;
    }
    return JSONSCAN_WHOLE;
}

/** At its first quote. */
static enum jsonscan_result scan_string(struct scan *scan)
{
    enum jsonscan_result result = JSONSCAN_WHOLE;

    scan->at++;
    while (result == JSONSCAN_WHOLE && scan->at < scan->len) {
        uint8_t c = scan->data[scan->at];

        if (c < 0x20)
            return JSONSCAN_BAD;
        scan->at++;
        if (c == '"')
            return JSONSCAN_WHOLE;
        if (c == '\\')
            result = scan_escape(scan);
    }
    return result == JSONSCAN_WHOLE ? JSONSCAN_SHORT : result;
}

static enum jsonscan_result scan_word(struct scan *scan, const char *word)
{
    for (; *word; word++, scan->at++) {
        if (scan->at == scan->len)
            return JSONSCAN_SHORT;
        if (scan->data[scan->at] != (uint8_t)*word)
            return JSONSCAN_BAD;
    }
    return JSONSCAN_WHOLE;
}

static enum jsonscan_result scan_digits(struct scan *scan)
{
    size_t start = scan->at;

    while (scan->at < scan->len && scan->data[scan->at] >= '0' && scan->data[scan->at] <= '9')
        scan->at++;
    if (scan->at > start)
        return JSONSCAN_WHOLE;
    return scan->at == scan->len ? JSONSCAN_SHORT : JSONSCAN_BAD;
}

static bool take(struct scan *scan, const char *any)
{
    if (scan->at == scan->len || !scan->data[scan->at] || !strchr(any, scan->data[scan->at]))
        return false;
    scan->at++;
    return true;
}

static enum jsonscan_result scan_number(struct scan *scan)
{
    enum jsonscan_result result;

    take(scan, "-");
    result = take(scan, "0") ? JSONSCAN_WHOLE : scan_digits(scan);
    if (result == JSONSCAN_WHOLE && take(scan, "."))
        result = scan_digits(scan);
    if (result == JSONSCAN_WHOLE && take(scan, "eE")) {
        take(scan, "+-");
        result = scan_digits(scan);
    }
    return result;
}

static enum jsonscan_result scan_scalar(struct scan *scan, int c)
{
    switch (c) {
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true");
    case 'f':
        return scan_word(scan, "false");
    case 'n':
        return scan_word(scan, "null");
    default:
        return c == '-' || (c >= '0' && c <= '9') ? scan_number(scan) : JSONSCAN_BAD;
    }
}

/* --- members ------------------------------------------------------------------------------------ */

static bool path_is_here(const struct scan *scan, const char *path)
{
    for (unsigned depth = 1; depth <= scan->depth; depth++) {
        struct slice name = scan->names[depth];

        if (strncmp(path, (const char *)name.data, name.len) != 0 ||
            path[name.len] != (depth == scan->depth ? '\0' : '.'))
            return false;
        path += name.len + 1;
    }
    return true;
}

/** A value has ended. */
static void note_value(struct scan *scan)
{
    size_t start;

    if (scan->depth == 0 || scan->depth > JSONSCAN_PATH_MAX || scan->arrays > 0)
        return;
    start = scan->starts[scan->depth];
    for (size_t i = 0; i < scan->nmembers; i++)
        if (path_is_here(scan, scan->members[i].path))
            scan->members[i].value = slice_of(scan->data + start, scan->at - start);
}

/** The name of a member, and the colon after it. */
static enum jsonscan_result scan_name(struct scan *scan)
{
    enum jsonscan_result result;
    size_t start;
    int c = peek(scan);

    start = scan->at;
    if (c != '"')
        return c < 0 ? JSONSCAN_SHORT : JSONSCAN_BAD;
    result = scan_string(scan);
    if (result != JSONSCAN_WHOLE)
        return result;
    if (scan->depth <= JSONSCAN_PATH_MAX)
        scan->names[scan->depth] = slice_of(scan->data + start + 1, scan->at - start - 2);
    c = peek(scan);
    if (c != ':')
        return c < 0 ? JSONSCAN_SHORT : JSONSCAN_BAD;
    scan->at++;
    return JSONSCAN_WHOLE;
}

/* --- containers --------------------------------------------------------------------------------- */

/** Opens a container; *ret_empty when it is closed at once. */
static enum jsonscan_result open_container(struct scan *scan, int c, bool *ret_empty)
{
    int next;

    if (scan->depth == JSONSCAN_DEPTH_MAX)
        return JSONSCAN_BAD;
    scan->kinds[scan->depth++] = (uint8_t)c;
    scan->arrays += c == '[' ? 1 : 0;
    scan->at++;
    next = peek(scan);
    *ret_empty = next == (c == '{' ? '}' : ']');
    if (*ret_empty || c == '[')
        return next < 0 ? JSONSCAN_SHORT : JSONSCAN_WHOLE;
    return scan_name(scan);
}

static void close_container(struct scan *scan)
{
    scan->at++;
    scan->arrays -= scan->kinds[--scan->depth] == '[' ? 1 : 0;
}

/** After a value: closes what ends here, and goes to the next value, if there is one (*ret_done). */
static enum jsonscan_result after_value(struct scan *scan, bool *ret_done)
{
    for (;;) {
        bool object;
        int c;

        note_value(scan);
        *ret_done = scan->depth == 0;
        if (*ret_done)
            return JSONSCAN_WHOLE;
        object = scan->kinds[scan->depth - 1] == '{';
        c = peek(scan);
        if (c == ',') {
            scan->at++;
            return object ? scan_name(scan) : JSONSCAN_WHOLE;
        }
        if (c != (object ? '}' : ']'))
            return c < 0 ? JSONSCAN_SHORT : JSONSCAN_BAD;
        close_container(scan);
    }
}

/** Reads a scalar, or the beginning of a container up to its first value. */
static enum jsonscan_result scan_value(struct scan *scan, bool *ret_done)
{
    enum jsonscan_result result;
    bool ended = true;
    int c = peek(scan);

    *ret_done = false;
    if (c < 0)
        return JSONSCAN_SHORT;
    if (scan->depth <= JSONSCAN_PATH_MAX)
        scan->starts[scan->depth] = scan->at;
    if (c != '{' && c != '[') {
        result = scan_scalar(scan, c);
    } else {
        result = open_container(scan, c, &ended);
        if (result == JSONSCAN_WHOLE && ended)
            close_container(scan);
    }
    return result == JSONSCAN_WHOLE && ended ? after_value(scan, ret_done) : result;
}

enum jsonscan_result jsonscan(struct slice text, struct jsonscan_member *members, size_t n,
                              size_t *ret_end)
{
    struct scan scan = {.data = text.data, .len = text.len, .members = members, .nmembers = n};
    enum jsonscan_result result = JSONSCAN_WHOLE;
    bool done = false;

    for (size_t i = 0; i < n; i++)
        members[i].value = (struct slice){0};
    while (result == JSONSCAN_WHOLE && !done)
        result = scan_value(&scan, &done);
    *ret_end = scan.at;
    return result;
}

struct slice jsonscan_plain(struct slice value)
{
    if (value.len < 2 || value.data[0] != '"' || memchr(value.data, '\\', value.len))
        return (struct slice){0};
    return slice_of(value.data + 1, value.len - 2);
}
