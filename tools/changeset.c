/* SPDX-License-Identifier: Apache-2.0 */
#include "changeset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "text.h"

#define LINE_ITEMS 2 /* that changeset_line() names */

struct reading {
    struct changeset *set;
    const char *path;
};

static bool is_below(const char *path, const char *top)
{
    const size_t len = strlen(top);

    return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static int take(const struct change *change, void *arg)
{
    const struct reading *reading = arg;
    struct changeset *set = reading->set;
    struct changed changed = {.kind = change->kind, .what = change->what};

    if (!is_below(change->path, reading->path))
        return HF_OK;
    if (change->kind == CHANGE_MODIFIED &&
        !(change->what & ~(unsigned)(CHANGE_TIMES | CHANGE_INODE)))
        return HF_OK;
    if (set->count == set->cap) {
        const size_t cap = set->cap ? 2 * set->cap : 16;
        struct changed *items = reallocarray(set->items, cap, sizeof *items);

        if (!items)
            return HF_NOMEM;
        set->items = items;
        set->cap = cap;
    }
    if (change->before) {
        changed.old_mode = change->before->mode;
        changed.old_size = change->before->size;
    }
    if (change->after) {
        changed.new_mode = change->after->mode;
        changed.new_size = change->after->size;
    }
    changed.path = strdup(change->path);
    if (!changed.path)
        return HF_NOMEM;
    set->items[set->count++] = changed;
    return HF_OK;
}

int changeset_read(struct blob_cache *cache, const struct object_id *before,
                   const struct object_id *after, const char *path, struct changeset *ret_set,
                   struct hf_error *err)
{
    struct changeset set = {0};
    struct reading reading = {&set, path ? path + strspn(path, "/") : ""};
    int status = changes_walk(cache, before, after, take, &reading, err);

    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    if (status) {
        changeset_clear(&set);
        return status;
    }
    *ret_set = set;
    return HF_OK;
}

void changeset_clear(struct changeset *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->items[i].path);
    free(set->items);
    *set = (struct changeset){0};
}

/* --- in a line ---------------------------------------------------------------------------------- */

static uint64_t difference(const struct changed *changed)
{
    return changed->new_size > changed->old_size ? changed->new_size - changed->old_size
                                                 : changed->old_size - changed->new_size;
}

static bool is_directory(const struct changed *changed)
{
    return S_ISDIR(changed->new_mode ? changed->new_mode : changed->old_mode);
}

/* Files before directories, then what grew or shrank most. */
static bool matters_more(const struct changed *a, const struct changed *b)
{
    if (is_directory(a) != is_directory(b))
        return is_directory(b);
    return difference(a) > difference(b);
}

static int append_changed(struct buf *line, const struct changed *changed)
{
    char size[TEXT_SHORT], text[TEXT_SHORT + 16];

    if (changed->kind == CHANGE_ADDED)
        snprintf(text, sizeof text, " new");
    else if (changed->kind == CHANGE_REMOVED)
        snprintf(text, sizeof text, " removed");
    else if (changed->new_size != changed->old_size)
        snprintf(text, sizeof text, " %c%s", changed->new_size > changed->old_size ? '+' : '-',
                 text_size(difference(changed), size));
    else
        snprintf(text, sizeof text, " %s",
                 changed->what & CHANGE_DATA ? "rewritten" : "attributes");
    if (line->len > 0 && buf_append(line, ", ", 2) != HF_OK)
        return HF_NOMEM;
    if (buf_append(line, *changed->path ? changed->path : "/",
                   strlen(changed->path) + !*changed->path) != HF_OK ||
        (is_directory(changed) && *changed->path && buf_append(line, "/", 1) != HF_OK))
        return HF_NOMEM;
    return buf_append(line, text, strlen(text));
}

char *changeset_line(const struct changeset *set)
{
    const struct changed *best[LINE_ITEMS] = {0};
    BUF_AUTO line = {0};
    char more[32];
    int status = HF_OK;

    for (size_t i = 0; i < set->count; i++) {
        const struct changed *next = &set->items[i];

        for (size_t k = 0; k < LINE_ITEMS && next; k++)
            if (!best[k] || matters_more(next, best[k])) {
                const struct changed *pushed = best[k];
                best[k] = next;
                next = pushed;
            }
    }
    for (size_t k = 0; k < LINE_ITEMS && best[k] && status == HF_OK; k++)
        status = append_changed(&line, best[k]);
    if (status == HF_OK && set->count > LINE_ITEMS) {
        snprintf(more, sizeof more, ", %zu more", set->count - LINE_ITEMS);
        status = buf_append(&line, more, strlen(more));
    }
    if (status != HF_OK || buf_append(&line, "", 1) != HF_OK)
        return NULL;
    return (char *)buf_detach(&line);
}

/* --- JSON ------------------------------------------------------------------------------------------ */

static const char *type_name(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "directory";
    case S_IFREG:
        return "file";
    case S_IFLNK:
        return "symlink";
    default:
        return "special";
    }
}

json_t *changed_json(const struct changed *changed)
{
    static const char *const kinds[] = {
        [CHANGE_ADDED] = "added", [CHANGE_REMOVED] = "removed", [CHANGE_MODIFIED] = "modified"};
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_set_name(object, "path", changed->path);
    json_object_set_new(object, "change", json_string(kinds[changed->kind]));
    json_object_set_new(
        object, "type",
        json_string(type_name(changed->new_mode ? changed->new_mode : changed->old_mode)));
    json_object_set_new(object, "size_before", json_u64(changed->old_size));
    json_object_set_new(object, "size_after", json_u64(changed->new_size));
    return object;
}

json_t *changeset_json(const struct changeset *set)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < set->count; i++) {
        json_t *changed = changed_json(&set->items[i]);

        if (!changed || json_array_append_new(array, changed) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
