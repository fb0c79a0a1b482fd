/* SPDX-License-Identifier: Apache-2.0 */
#include "store/meta.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "holdfast/error.h"

/* Deeper than anybody nests. The time that libyaml takes for a token grows with the depth. */
#define DEPTH_MAX 32

/* Reads one document event by event, as far as it goes or nests no deeper than that. */
struct reader {
    struct meta_strings *strings;
    char **value;  /* where the next scalar at depth 1 goes; NULL for an unknown key */
    int depth;     /* open mappings and sequences */
    bool at_value; /* at depth 1: a key was read, its value comes next */
    bool done;
};

static char **slot_of(struct meta_strings *strings, const char *key)
{
    const struct {
        const char *key;
        char **slot;
    } slots[] = {
        {"cwd", &strings->cwd},
        {"git_root", &strings->git_root},
        {"repository", &strings->repository},
        {"branch", &strings->branch},
        {"name", &strings->name},
        {"created_at", &strings->created_at},
        {"updated_at", &strings->updated_at},
    };

    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (strcmp(slots[i].key, key) == 0)
            return slots[i].slot;
    return NULL;
}

static bool is_null(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;

    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static int take_value(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    char *copy = NULL;

    if (!reader->value)
        return HF_OK;
    if (!is_null(event) && len <= META_VALUE_MAX && strlen(text) == len) {
        copy = strdup(text);
        if (!copy)
            return HF_NOMEM;
    }
    free(*reader->value);
    *reader->value = copy;
    return HF_OK;
}

/* A key or a value of the top mapping has ended. */
static void turn(struct reader *reader)
{
    reader->at_value = !reader->at_value;
}

static int take_scalar(struct reader *reader, const yaml_event_t *event)
{
    int rc = HF_OK;

    if (reader->depth == 0) {
        reader->done = true;
        return HF_OK;
    }
    if (reader->depth > 1)
        return HF_OK;
    if (reader->at_value)
        rc = take_value(reader, event);
    else
        reader->value = slot_of(reader->strings, (const char *)event->data.scalar.value);
    turn(reader);
    return rc;
}

/* A sequence or mapping, or an alias to something: never a value of interest, nor a key. */
static void open_nested(struct reader *reader, bool mapping)
{
    if (reader->depth == 0 && !mapping)
        reader->done = true;
    if (reader->depth == 1 && reader->at_value && reader->value) {
        free(*reader->value);
        *reader->value = NULL;
    }
    if (reader->depth == 1)
        reader->value = NULL;
    if (++reader->depth > DEPTH_MAX)
        reader->done = true;
}

static void close_nested(struct reader *reader)
{
    reader->depth--;
    if (reader->depth == 1)
        turn(reader);
    else if (reader->depth == 0)
        reader->done = true;
}

static int take_event(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(reader, event);
    case YAML_ALIAS_EVENT:
        open_nested(reader, true);
        close_nested(reader);
        return HF_OK;
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        open_nested(reader, event->type == YAML_MAPPING_START_EVENT);
        return HF_OK;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        close_nested(reader);
        return HF_OK;
    case YAML_DOCUMENT_END_EVENT:
    case YAML_STREAM_END_EVENT:
        reader->done = true;
        return HF_OK;
    default:
        return HF_OK;
    }
}

static int read_events(yaml_parser_t *parser, struct reader *reader)
{
    yaml_event_t event;
    int rc = HF_OK;

    while (rc == HF_OK && !reader->done) {
        if (!yaml_parser_parse(parser, &event))
            return parser->error == YAML_MEMORY_ERROR ? HF_NOMEM : HF_OK;
        rc = take_event(reader, &event);
        yaml_event_delete(&event);
    }
    return rc;
}

int meta_parse(struct slice yaml, struct meta_strings *ret_strings)
{
    struct meta_strings strings = {0};
    struct reader reader = {.strings = &strings};
    yaml_parser_t parser;
    int rc;

    if (!yaml_parser_initialize(&parser))
        return HF_NOMEM;
    yaml_parser_set_input_string(&parser, yaml.len > 0 ? yaml.data : (const uint8_t *)"",
                                 yaml.len < META_YAML_MAX ? yaml.len : META_YAML_MAX);
    rc = read_events(&parser, &reader);
    yaml_parser_delete(&parser);
    if (rc != HF_OK) {
        meta_strings_free(&strings);
        return rc;
    }
    *ret_strings = strings;
    return HF_OK;
}

void meta_strings_lend(const struct meta_strings *strings, struct session_meta *meta)
{
    meta->cwd = strings->cwd;
    meta->git_root = strings->git_root;
    meta->repository = strings->repository;
    meta->branch = strings->branch;
    meta->name = strings->name;
    meta->created_at = strings->created_at;
    meta->updated_at = strings->updated_at;
}

void meta_strings_free(struct meta_strings *strings)
{
    free(strings->cwd);
    free(strings->git_root);
    free(strings->repository);
    free(strings->branch);
    free(strings->name);
    free(strings->created_at);
    free(strings->updated_at);
    *strings = (struct meta_strings){0};
}
