/* SPDX-License-Identifier: Apache-2.0 */
#include "changeset.h"

#include <assert.h>
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

/* Encoded so that equal content has equal bytes: the form of content is canonical. */
static int copy_content(const struct inode_record *record, struct buf *ret_bytes)
{
    const struct content *content = &record->content;
    const uint8_t kind = (uint8_t)content->kind;

    if (!S_ISREG(record->mode) && !S_ISLNK(record->mode))
        return HF_OK;
    if (content->kind == CONTENT_NONE)
        return HF_OK;
    if (buf_append(ret_bytes, &kind, 1) != HF_OK)
        return HF_NOMEM;
    return content->kind == CONTENT_FILE
               ? buf_append(ret_bytes, content->ref.id.bytes, sizeof content->ref.id.bytes)
               : buf_append(ret_bytes, content->bytes.data, content->bytes.len);
}

static int take(const struct change *change, void *arg)
{
    const struct reading *reading = arg;
    struct changeset *set = reading->set;
    struct changed changed = {.kind = change->kind, .what = change->what};
    const struct inode_record *one = change->after ? change->after : change->before;

    assert(one);
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
    changed.ino = one->ino;
    if (change->kind != CHANGE_MODIFIED && copy_content(one, &changed.content) != HF_OK)
        goto no_memory;
    changed.path = strdup(change->path);
    if (!changed.path)
        goto no_memory;
    set->items[set->count++] = changed;
    return HF_OK;
no_memory:
    buf_free(&changed.content);
    return HF_NOMEM;
}

static void changed_clear(struct changed *changed)
{
    free(changed->path);
    free(changed->old_path);
    buf_free(&changed->content);
}

/* --- renamed files -------------------------------------------------------------------------------- */

/* By inode number, then in the order of the walk. */
static int by_inode(const void *a, const void *b)
{
    const struct changed *x = *(struct changed *const *)a, *y = *(struct changed *const *)b;

    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    return x < y ? -1 : x > y;
}

static bool was_renamed(const struct changed *from, const struct changed *to)
{
    return from->kind == CHANGE_REMOVED && to->kind == CHANGE_ADDED && from->ino == to->ino &&
           (from->old_mode & S_IFMT) == (to->new_mode & S_IFMT) && from->content.len > 0 &&
           from->content.len == to->content.len &&
           memcmp(from->content.data, to->content.data, to->content.len) == 0;
}

static void join(struct changed *from, struct changed *to)
{
    to->kind = CHANGE_MODIFIED;
    to->what = from->old_mode == to->new_mode ? 0 : CHANGE_MODE;
    to->old_path = from->path;
    to->old_mode = from->old_mode;
    to->old_size = from->old_size;
    from->path = NULL; /* to be taken out */
}

/* Each removed file with the first added one that it may have become. A hard link has one number, too, but stays
 * where it was. */
static void join_renamed(struct changed **sorted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count && sorted[k]->ino == sorted[i]->ino; k++) {
            struct changed *a = sorted[i], *b = sorted[k];

            if (a->path && b->path && was_renamed(a, b))
                join(a, b);
            else if (a->path && b->path && was_renamed(b, a))
                join(b, a);
        }
}

static void take_out_joined(struct changeset *set)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].path)
            set->items[kept++] = set->items[i];
        else
            changed_clear(&set->items[i]);
    set->count = kept;
}

static int find_renamed(struct changeset *set)
{
    struct changed **sorted = calloc(set->count + 1, sizeof *sorted);

    if (!sorted)
        return HF_NOMEM;
    for (size_t i = 0; i < set->count; i++)
        sorted[i] = &set->items[i];
    qsort(sorted, set->count, sizeof *sorted, by_inode);
    join_renamed(sorted, set->count);
    free(sorted);
    take_out_joined(set);
    return HF_OK;
}

/* --- reading -------------------------------------------------------------------------------------- */

int changeset_read(struct blob_cache *cache, const struct object_id *before,
                   const struct object_id *after, const char *path, struct changeset *ret_set,
                   struct hf_error *err)
{
    struct changeset set = {0};
    struct reading reading = {&set, path ? path + strspn(path, "/") : ""};
    int status = changes_walk(cache, before, after, take, &reading, err);

    if (status == HF_OK)
        status = find_renamed(&set);
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
        changed_clear(&set->items[i]);
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
    else if (changed->old_path)
        snprintf(text, sizeof text, " renamed");
    else if (changed->new_size != changed->old_size)
        snprintf(text, sizeof text, " %c%s", changed->new_size > changed->old_size ? '+' : '-',
                 text_size(difference(changed), size));
    else
        snprintf(text, sizeof text, " %s",
                 changed->what & CHANGE_DATA ? "rewritten" : "attributes");
    if (line->len > 0 && buf_append(line, ", ", 2) != HF_OK)
        return HF_NOMEM;
    if (changed->old_path &&
        (buf_append(line, changed->old_path, strlen(changed->old_path)) != HF_OK ||
         buf_append(line, " => ", 4) != HF_OK))
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
    if (changed->old_path)
        json_set_name(object, "path_before", changed->old_path);
    json_object_set_new(object, "change",
                        json_string(changed->old_path ? "renamed" : kinds[changed->kind]));
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
