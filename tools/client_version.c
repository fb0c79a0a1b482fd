/* SPDX-License-Identifier: Apache-2.0 */
#include "client_version.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_FILE "events.jsonl"
/* A longer first line is not read. */
#define LINE_MAX_BYTES ((size_t)256 << 10)

static char *version_in(const uint8_t *line, size_t len)
{
    json_t *event = json_loadb((const char *)line, len, 0, NULL);
    const char *version =
        json_string_value(json_object_get(json_object_get(event, "data"), "copilotVersion"));
    char *copy = version ? strdup(version) : NULL;

    json_decref(event);
    return copy;
}

char *client_version_of(struct view *view)
{
    uint8_t *data = malloc(LINE_MAX_BYTES), *end = NULL;
    struct view_node node = {0};
    char *version = NULL;
    size_t len = 0;

    if (data && view_lookup(view, EVENTS_FILE, &node, NULL) == HF_OK &&
        view_read(view, &node, 0, LINE_MAX_BYTES, data, &len, NULL) == HF_OK)
        end = memchr(data, '\n', len);
    if (end)
        version = version_in(data, (size_t)(end - data));
    view_node_clear(&node);
    free(data);
    return version;
}

struct newest {
    struct session_head head;
};

static int take_newer(const struct session_info *info, void *arg)
{
    struct newest *newest = arg;

    if (newest->head.sid == 0 || info->head.time > newest->head.time)
        newest->head = info->head;
    return HF_OK;
}

char *client_version_newest(struct store *store, struct blob_cache *cache)
{
    struct newest newest = {0};
    struct view *view = NULL;
    char *version = NULL;

    if (store_session_list(store, NULL, take_newer, &newest, NULL) != HF_OK || newest.head.sid == 0)
        return NULL;
    if (view_open(cache, &newest.head.root, &view, NULL) == HF_OK)
        version = client_version_of(view);
    view_free(view);
    return version;
}
