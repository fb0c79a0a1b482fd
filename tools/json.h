/* SPDX-License-Identifier: Apache-2.0 */
/** What --json prints, on top of jansson: names that are not UTF-8, times, ids, lists as they come. */
#ifndef TOOLS_JSON_H
#define TOOLS_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "object/object.h"

/** Bytes as a JSON string; what is not UTF-8 becomes U+FFFD. NULL bytes give null. */
json_t *json_bytes(const char *bytes);
json_t *json_id(const struct object_id *id);
/** "2026-01-31T09:00:00.123456789Z". */
json_t *json_time(int64_t time);
/** JSON integers are signed; what does not fit is a bug of the store. */
json_t *json_u64(uint64_t value);
/** Adds `key`, and `key`_hex too when the name is not UTF-8 and could not be told otherwise. */
void json_set_name(json_t *object, const char *key, const char *name);

/** Prints a value and a newline, indented; takes over the reference. 0, or HF_NOMEM for NULL. */
int json_print(json_t *value);

/** A list printed element by element: "[", one line for each, "]". All zero to start with. */
struct json_list {
    bool started;
};
/** Takes over the reference. 0, or HF_NOMEM for NULL. */
int json_list_add(struct json_list *list, json_t *value);
void json_list_end(struct json_list *list);

#endif
