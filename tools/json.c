/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text.h"

json_t *json_bytes(const char *bytes)
{
    BUF_AUTO text = {0};
    struct slice rest;
    json_t *string;

    if (!bytes)
        return json_null();
    if ((string = json_string(bytes)) != NULL)
        return string;
    rest = slice_of(bytes, strlen(bytes));
    while (rest.len > 0) {
        size_t n = utf8_length(rest);

        if (buf_append(&text, n ? rest.data : (const uint8_t *)"\xef\xbf\xbd", n ? n : 3) != 0)
            return NULL;
        rest = slice_of(rest.data + (n ? n : 1), rest.len - (n ? n : 1));
    }
    return json_stringn((const char *)text.data, text.len);
}

json_t *json_id(const struct object_id *id)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    return json_string(hex);
}

json_t *json_time(int64_t time)
{
    char text[TEXT_SHORT];

    return json_string(text_time_utc(time, text));
}

json_t *json_u64(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

void json_set_name(json_t *object, const char *key, const char *name)
{
    char hex_key[64], *hex;
    json_t *plain;
    size_t len;

    json_object_set_new(object, key, json_bytes(name));
    if (!name || (plain = json_string(name)) != NULL) {
        if (name)
            json_decref(plain);
        return;
    }
    len = strlen(name);
    hex = malloc(2 * len + 1);
    if (!hex)
        return;
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)name[i]);
    snprintf(hex_key, sizeof hex_key, "%s_hex", key);
    json_object_set_new(object, hex_key, json_string(hex));
    free(hex);
}

int json_print(json_t *value)
{
    if (!value)
        return HF_NOMEM;
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(value);
    return 0;
}

int json_list_add(struct json_list *list, json_t *value)
{
    if (!value)
        return HF_NOMEM;
    fputs(list->started ? ",\n " : "[", stdout);
    list->started = true;
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    return 0;
}

void json_list_end(struct json_list *list)
{
    puts(list->started ? "]" : "[]");
}
