/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#define NS_PER_SECOND 1000000000LL

const char *text_size(uint64_t bytes, char text[TEXT_SHORT])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(text, TEXT_SHORT, "%" PRIu64 " B", bytes);
        return text;
    }
    /* 1023.96 would be printed as 1024. */
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, TEXT_SHORT, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

const char *text_age(int64_t time, int64_t now, char text[TEXT_SHORT])
{
    static const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{31536000, "y"}, {86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int64_t age = (now - time) / NS_PER_SECOND;

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        /* Two of a unit say more than one of the next. */
        if (age >= 2 * units[i].seconds || (age >= 1 && units[i].seconds == 1)) {
            snprintf(text, TEXT_SHORT, "%" PRId64 " %s ago", age / units[i].seconds, units[i].unit);
            return text;
        }
    }
    if (age < -1)
        snprintf(text, TEXT_SHORT, "in the future");
    else
        snprintf(text, TEXT_SHORT, "now");
    return text;
}

static int64_t split_time(int64_t time, time_t *ret_seconds)
{
    int64_t ns = time % NS_PER_SECOND;

    *ret_seconds = (time_t)(time / NS_PER_SECOND);
    if (ns < 0) {
        ns += NS_PER_SECOND;
        (*ret_seconds)--;
    }
    return ns;
}

const char *text_time(int64_t time, char text[TEXT_SHORT])
{
    struct tm tm;
    time_t seconds;

    split_time(time, &seconds);
    if (!localtime_r(&seconds, &tm) || strftime(text, TEXT_SHORT, "%Y-%m-%d %H:%M:%S %z", &tm) == 0)
        snprintf(text, TEXT_SHORT, "?");
    return text;
}

const char *text_time_utc(int64_t time, char text[TEXT_SHORT])
{
    struct tm tm;
    time_t seconds;
    int64_t ns = split_time(time, &seconds);
    size_t len;

    if (!gmtime_r(&seconds, &tm) ||
        (len = strftime(text, TEXT_SHORT, "%Y-%m-%dT%H:%M:%S", &tm)) == 0)
        snprintf(text, TEXT_SHORT, "?");
    else
        snprintf(text + len, TEXT_SHORT - len, ".%09" PRId64 "Z", ns);
    return text;
}

const char *text_id(const struct object_id *id, char text[TEXT_SHORT])
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    snprintf(text, TEXT_SHORT, "%.12s", hex);
    return text;
}

const char *text_mode(uint32_t mode, char text[TEXT_SHORT])
{
    static const char types[] = "?pc?d?b?-?l?s???";
    static const char bits[] = "rwxrwxrwx";

    text[0] = types[(mode & S_IFMT) >> 12];
    for (int i = 0; i < 9; i++)
        text[1 + i] = mode & (0400U >> i) ? bits[i] : '-';
    if (mode & S_ISUID)
        text[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        text[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        text[9] = mode & S_IXOTH ? 't' : 'T';
    text[10] = '\0';
    return text;
}

char *text_printable(const char *bytes, size_t len)
{
    char *text = malloc(4 * len + 1), *out = text;
    mbstate_t state;

    if (!text)
        return NULL;
    memset(&state, 0, sizeof state);
    while (len > 0) {
        wchar_t wide = 0;
        size_t n = mbrtowc(&wide, bytes, len, &state);
        if (n > 0 && n <= len && iswprint((wint_t)wide)) {
            memcpy(out, bytes, n);
            out += n;
        } else {
            memset(&state, 0, sizeof state);
            n = 1;
            out += snprintf(out, 5, "\\%03o", (unsigned)(unsigned char)*bytes);
        }
        bytes += n;
        len -= n;
    }
    *out = '\0';
    return text;
}

size_t text_columns(const char *printable)
{
    size_t len = strlen(printable), columns = 0;
    mbstate_t state;

    memset(&state, 0, sizeof state);
    while (len > 0) {
        wchar_t wide = 0;
        size_t n = mbrtowc(&wide, printable, len, &state);
        int width = n > 0 && n <= len ? wcwidth(wide) : 1;
        if (n == 0 || n > len) {
            memset(&state, 0, sizeof state);
            n = 1;
        }
        columns += width > 0 ? (size_t)width : 0;
        printable += n;
        len -= n;
    }
    return columns;
}

void text_vline(FILE *file, const char *format, va_list args)
{
    char *line = NULL, *printable;
    int len = vasprintf(&line, format, args);

    if (len < 0)
        return;
    printable = text_printable(line, (size_t)len);
    if (printable)
        fprintf(file, "%s\n", printable);
    free(printable);
    free(line);
}

void text_line(FILE *file, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vline(file, format, args);
    va_end(args);
}

void text_print_line(const char *label, const char *text)
{
    char *printable = text_printable(text, strlen(text));

    printf("%-12s %s\n", label, printable ? printable : "?");
    free(printable);
}

void text_print_known(const char *label, const char *text)
{
    if (text && *text)
        text_print_line(label, text);
}
