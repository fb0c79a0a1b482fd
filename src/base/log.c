/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Parts of a line may come from a peer, which could begin a line of its own, or talk to a terminal. */
static void blank_controls(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"error: ", "warning: ", ""};
    char line[1024];
    va_list args;
    size_t len;

    snprintf(line, sizeof line - 1, "holdfast: %s", names[level]);
    len = strlen(line);
    va_start(args, format);
    vsnprintf(line + len, sizeof line - 1 - len, format, args);
    va_end(args);
    len = strlen(line);
    blank_controls(line, len);
    line[len++] = '\n';
    /* Nothing can be done about a log that cannot be written. */
    if (write(STDERR_FILENO, line, len) < 0)
        return;
}
