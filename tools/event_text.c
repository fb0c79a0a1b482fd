/* SPDX-License-Identifier: Apache-2.0 */
#include "event_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define SAID_MAX 160 /* bytes of what an event says */

/* The members of "data" that say most, the best first. */
static const char *const telling[] = {"content", "message", "toolName", "error",
                                      "reason",  "title",   "path",     "name"};

static const char *what_it_says(const json_t *event)
{
    const json_t *data = json_object_get(event, "data");

    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++) {
        const char *text = json_string_value(json_object_get(data, telling[i]));
        if (text && *text)
            return text;
    }
    return "";
}

/* The beginning of a text, with blanks for what would break the line; never in the middle of a character. */
static size_t shorten(const char *text, char ret_short[SAID_MAX + 1])
{
    size_t len = strlen(text), n = len < SAID_MAX ? len : SAID_MAX;

    while (n < len && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        ret_short[i] = text[i] == '\n' || text[i] == '\r' || text[i] == '\t' ? ' ' : text[i];
    ret_short[n] = '\0';
    return n;
}

static char *describe(const json_t *event)
{
    const char *time = json_string_value(json_object_get(event, "timestamp"));
    const char *type = json_string_value(json_object_get(event, "type"));
    char said[SAID_MAX + 1], *line = NULL, *printable;
    const size_t len = shorten(what_it_says(event), said);

    if (asprintf(&line, "%s%s%s%s%s", time ? time : "", time ? "  " : "", type ? type : "?",
                 len ? "  " : "", said) < 0)
        return NULL;
    printable = text_printable(line, strlen(line));
    free(line);
    return printable;
}

char *event_text(struct slice line)
{
    json_t *event = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    char *text;

    if (json_is_object(event))
        text = describe(event);
    else
        text = text_printable((const char *)line.data, line.len < SAID_MAX ? line.len : SAID_MAX);
    json_decref(event);
    return text;
}
