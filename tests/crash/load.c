/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/htable.h"

uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    return htable_hash_u64(*state);
}

static void *need(void *memory)
{
    if (!memory) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* --- the model ---------------------------------------------------------------------------------- */

#define NODES_MAX 512

/** An inode. */
struct node {
    char type; /* 'd', 'f' or 'l' */
    unsigned mode, links;
    struct buf content;
};

struct name {
    char path[STEP_PATH_MAX];
    struct node *node;
};

struct model {
    struct name names[NODES_MAX];
    size_t count;
    struct node *open[STEP_SLOTS];
    struct node *nodes[4 * NODES_MAX];
    size_t nnodes;
};

static struct node *add_node(struct model *model, char type, unsigned mode)
{
    struct node *node = need(calloc(1, sizeof *node));

    assert(model->nnodes < sizeof model->nodes / sizeof *model->nodes);
    model->nodes[model->nnodes++] = node;
    node->type = type;
    node->mode = mode;
    return node;
}

static void model_free(struct model *model)
{
    for (size_t i = 0; i < model->nnodes; i++) {
        buf_free(&model->nodes[i]->content);
        free(model->nodes[i]);
    }
    free(model);
}

static struct name *find(struct model *model, const char *path)
{
    for (size_t i = 0; i < model->count; i++)
        if (strcmp(model->names[i].path, path) == 0)
            return &model->names[i];
    return NULL;
}

static void add_name(struct model *model, const char *path, struct node *node)
{
    struct name *name = &model->names[model->count++];

    assert(model->count <= NODES_MAX);
    snprintf(name->path, sizeof name->path, "%s", path);
    name->node = node;
    node->links++;
}

static void remove_name(struct model *model, struct name *name)
{
    name->node->links--;
    *name = model->names[--model->count];
}

static void set_size(struct buf *content, size_t size)
{
    if (size > content->len)
        need(buf_append_zeros(content, size - content->len) == 0 ? content : NULL);
    content->len = size;
}

static void write_node(struct node *node, const struct step *step)
{
    if (step->offset + step->len > node->content.len)
        set_size(&node->content, step->offset + step->len);
    step_data(step, node->content.data + step->offset);
}

static void rename_name(struct model *model, const struct step *step)
{
    struct name *to = find(model, step->other), *from;
    struct node *node = find(model, step->path)->node;

    if (to)
        remove_name(model, to);
    from = find(model, step->path);
    snprintf(from->path, sizeof from->path, "%s", step->other);
    assert(from->node == node);
}

static void apply_open(struct model *model, const struct step *step)
{
    struct name *name = find(model, step->path);

    if (!name) {
        add_name(model, step->path, add_node(model, 'f', step->mode));
        name = find(model, step->path);
    } else if (step->truncate) {
        name->node->content.len = 0;
    }
    model->open[step->slot] = name->node;
}

static void apply(struct model *model, const struct step *step)
{
    switch (step->kind) {
    case STEP_MKDIR:
        add_name(model, step->path, add_node(model, 'd', step->mode));
        break;
    case STEP_OPEN:
        apply_open(model, step);
        break;
    case STEP_WRITE:
        write_node(model->open[step->slot], step);
        break;
    case STEP_TRUNCATE:
        set_size(&model->open[step->slot]->content, step->offset);
        break;
    case STEP_FSYNC:
        break;
    case STEP_CLOSE:
        model->open[step->slot] = NULL;
        break;
    case STEP_RENAME:
        rename_name(model, step);
        break;
    case STEP_UNLINK:
        remove_name(model, find(model, step->path));
        break;
    case STEP_LINK:
        add_name(model, step->other, find(model, step->path)->node);
        break;
    case STEP_SYMLINK: {
        struct node *node = add_node(model, 'l', 0777);

        need(buf_append(&node->content, step->other, strlen(step->other)) == 0 ? node : NULL);
        add_name(model, step->path, node);
        break;
    }
    case STEP_CHMOD:
        find(model, step->path)->node->mode = step->mode;
        break;
    }
}

/* --- making steps ------------------------------------------------------------------------------- */

struct maker {
    struct load *load;
    size_t cap;
    struct model *model;
    uint64_t random;
    unsigned names; /* made so far */
    bool written[STEP_SLOTS];
};

static uint64_t below(struct maker *maker, uint64_t n)
{
    return random_below(&maker->random, n);
}

static void push(struct maker *maker, struct step step)
{
    struct load *load = maker->load;

    if (load->count == maker->cap) {
        maker->cap = maker->cap ? maker->cap * 2 : 256;
        load->steps = need(reallocarray(load->steps, maker->cap, sizeof *load->steps));
    }
    /* A close promises something only when the file was written. */
    if (step.kind == STEP_WRITE || step.kind == STEP_TRUNCATE)
        maker->written[step.slot] = true;
    step.durable =
        step.kind == STEP_FSYNC || (step.kind == STEP_CLOSE && maker->written[step.slot]);
    if (step.kind == STEP_CLOSE || step.kind == STEP_OPEN)
        maker->written[step.slot] = step.kind == STEP_OPEN && step.truncate;
    load->steps[load->count++] = step;
    apply(maker->model, &step);
}

static struct step step_on(enum step_kind kind, const char *path)
{
    struct step step = {.kind = kind, .mode = 0644};

    snprintf(step.path, sizeof step.path, "%s", path);
    return step;
}

static void push_write(struct maker *maker, unsigned slot, uint64_t offset, uint32_t len)
{
    push(maker, (struct step){.kind = STEP_WRITE,
                              .slot = slot,
                              .offset = offset,
                              .len = len,
                              .seed = random_next(&maker->random)});
}

static void push_slot(struct maker *maker, enum step_kind kind, unsigned slot)
{
    push(maker, (struct step){.kind = kind, .slot = slot});
}

static void push_open(struct maker *maker, const char *path, unsigned slot, bool truncate)
{
    struct step step = step_on(STEP_OPEN, path);

    step.slot = slot;
    step.truncate = truncate;
    push(maker, step);
}

/** A path of this kind that is there and not open, or NULL. */
static struct name *pick(struct maker *maker, char type)
{
    struct model *model = maker->model;
    size_t start = (size_t)below(maker, model->count);

    for (size_t i = 0; i < model->count; i++) {
        struct name *name = &model->names[(start + i) % model->count];
        bool is_log = strcmp(name->path, "events.jsonl") == 0 || strcmp(name->path, "long") == 0;

        if (name->node->type == type && !is_log && name->path[0])
            return name;
    }
    return NULL;
}

static void new_path(struct maker *maker, const char *prefix, char path[STEP_PATH_MAX])
{
    const struct name *dir = below(maker, 3) == 0 ? pick(maker, 'd') : NULL;

    snprintf(path, STEP_PATH_MAX, "%.20s%s%s%u", dir ? dir->path : "", dir ? "/" : "", prefix,
             maker->names++);
}

/** How the client writes its log. */
static void append_event(struct maker *maker)
{
    struct name *log = find(maker->model, "events.jsonl");
    uint64_t size = log ? log->node->content.len : 0;

    push_open(maker, "events.jsonl", 0, false);
    push_write(maker, 0, size, 200 + (uint32_t)below(maker, 4000));
    push_slot(maker, STEP_CLOSE, 0);
}

static void replace_file(struct maker *maker)
{
    const struct name *old = below(maker, 2) ? pick(maker, 'f') : NULL;
    struct step rename = step_on(STEP_RENAME, "tmp");

    if (old)
        snprintf(rename.other, sizeof rename.other, "%s", old->path);
    else
        new_path(maker, "f", rename.other);
    push_open(maker, "tmp", 0, true);
    push_write(maker, 0, 0, 1 + (uint32_t)below(maker, below(maker, 4) == 0 ? 60000 : 3000));
    if (below(maker, 2))
        push_slot(maker, STEP_FSYNC, 0);
    push_slot(maker, STEP_CLOSE, 0);
    push(maker, rename);
}

static void edit_file(struct maker *maker)
{
    const struct name *name = pick(maker, 'f');
    uint64_t size;

    if (!name)
        return;
    size = name->node->content.len;
    push_open(maker, name->path, 0, false);
    if (below(maker, 4) == 0)
        push(maker, (struct step){.kind = STEP_TRUNCATE, .offset = below(maker, size + 100)});
    push_write(maker, 0, below(maker, size + 1), 1 + (uint32_t)below(maker, 5000));
    if (below(maker, 3) == 0)
        push_slot(maker, STEP_FSYNC, 0);
    push_slot(maker, STEP_CLOSE, 0);
}

/** A file that stays open: what is in it is committed with what others close. */
static void write_long(struct maker *maker)
{
    struct name *name = find(maker->model, "long");

    if (!maker->model->open[1])
        push_open(maker, "long", 1, false);
    name = find(maker->model, "long");
    push_write(maker, 1, name->node->content.len, 1 + (uint32_t)below(maker, 3000));
    if (below(maker, 8) == 0)
        push_slot(maker, STEP_FSYNC, 1);
}

static void change_names(struct maker *maker)
{
    const struct name *name = pick(maker, below(maker, 8) == 0 ? 'l' : 'f');
    struct step step;

    if (maker->model->count > 60 && name) {
        push(maker, step_on(STEP_UNLINK, name->path));
        return;
    }
    switch (below(maker, 6)) {
    case 0:
        step = step_on(STEP_MKDIR, "");
        new_path(maker, "d", step.path);
        step.mode = 0755;
        if (strlen(step.path) < 20)
            push(maker, step);
        return;
    case 1:
        step = step_on(STEP_SYMLINK, "");
        new_path(maker, "l", step.path);
        snprintf(step.other, sizeof step.other, "to/%u", maker->names);
        push(maker, step);
        return;
    default:
        break;
    }
    if (!name || name->node->type != 'f')
        return;
    step = step_on(STEP_UNLINK, name->path);
    switch (below(maker, 4)) {
    case 0:
        step.kind = STEP_LINK;
        new_path(maker, "h", step.other);
        break;
    case 1:
        step.kind = STEP_CHMOD;
        step.mode = below(maker, 2) ? 0600 : 0640;
        break;
    case 2:
        step.kind = STEP_RENAME;
        new_path(maker, "r", step.other);
        break;
    default:
        break;
    }
    push(maker, step);
}

void load_make(struct load *load, uint64_t seed, size_t count)
{
    struct maker maker = {.load = load, .random = seed};
    struct step top = step_on(STEP_MKDIR, "");

    *load = (struct load){0};
    maker.model = need(calloc(1, sizeof *maker.model));
    top.mode = 0700;
    push(&maker, top);
    while (load->count < count && maker.model->nnodes < NODES_MAX * 3) {
        uint64_t kind = below(&maker, 10);

        if (kind < 3)
            append_event(&maker);
        else if (kind < 5)
            replace_file(&maker);
        else if (kind < 7)
            edit_file(&maker);
        else if (kind < 8)
            write_long(&maker);
        else
            change_names(&maker);
    }
    model_free(maker.model);
}

void load_free(struct load *load)
{
    free(load->steps);
    *load = (struct load){0};
}

void step_data(const struct step *step, uint8_t *ret_data)
{
    uint64_t random = step->seed, word = 0;

    for (uint32_t i = 0; i < step->len; i++) {
        if (i % 8 == 0)
            word = random_next(&random);
        ret_data[i] = (uint8_t)(' ' + (word >> (i % 8 * 8)) % 64);
    }
    ret_data[step->len - 1] = '\n';
}

void step_describe(const struct step *step, char *text, size_t size)
{
    static const char *const names[] = {"mkdir",  "open",   "write", "truncate", "fsync", "close",
                                        "rename", "unlink", "link",  "symlink",  "chmod"};

    snprintf(text, size, "%s slot %u '%s' '%s' offset %llu len %u%s", names[step->kind], step->slot,
             step->path, step->other, (unsigned long long)step->offset, step->len,
             step->durable ? " (durable)" : "");
}

/* --- listings ----------------------------------------------------------------------------------- */

static uint64_t hash_of(struct slice content)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < content.len; i++)
        hash = (hash ^ content.data[i]) * 0x100000001b3ULL;
    return hash;
}

void picture_add(struct buf *listing, const char *path, char type, unsigned mode, unsigned links,
                 struct slice content)
{
    char line[256];
    int len;

    if (type == 'd')
        len = snprintf(line, sizeof line, "/%s d %o\n", path, mode);
    else
        len = snprintf(line, sizeof line, "/%s %c %o %u %zu %016llx\n", path, type, mode, links,
                       content.len, (unsigned long long)hash_of(content));
    assert(len > 0 && (size_t)len < sizeof line);
    need(buf_append(listing, line, (size_t)len) == 0 ? listing : NULL);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void picture_sort(struct buf *listing)
{
    struct buf sorted = {0};
    char **lines, *rest;
    size_t n = 0, count = 0;

    need(buf_append(listing, "", 1) == 0 ? listing : NULL);
    for (const char *p = (char *)listing->data; *p; p++)
        count += *p == '\n';
    lines = need(calloc(count + 1, sizeof *lines));
    rest = (char *)listing->data;
    for (char *line; (line = strsep(&rest, "\n")) && *line;)
        lines[n++] = line;
    qsort(lines, n, sizeof *lines, compare_lines);
    for (size_t i = 0; i < n; i++) {
        need(buf_append(&sorted, lines[i], strlen(lines[i])) == 0 ? lines : NULL);
        need(buf_append(&sorted, "\n", 1) == 0 ? lines : NULL);
    }
    free(lines);
    buf_free(listing);
    *listing = sorted;
}

static void list_model(const struct model *model, struct buf *listing)
{
    listing->len = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct node *node = model->names[i].node;

        picture_add(listing, model->names[i].path, node->type, node->mode, node->links,
                    buf_slice(&node->content));
    }
    picture_sort(listing);
}

void load_listing(const struct load *load, size_t prefix, struct buf *ret_listing)
{
    struct model *model = need(calloc(1, sizeof *model));

    for (size_t i = 0; i < prefix; i++)
        apply(model, &load->steps[i]);
    list_model(model, ret_listing);
    model_free(model);
}

static bool same(const struct buf *a, const struct buf *b)
{
    return slice_compare(buf_slice(a), buf_slice(b)) == 0;
}

static void print_difference(const struct load *load, size_t acked, size_t begun,
                             const struct buf *listing)
{
    BUF_AUTO want = {0};
    char text[200];

    printf("what is there is no prefix of %zu to %zu steps\n", acked, begun);
    for (size_t i = acked > 8 ? acked - 8 : 0; i < begun; i++) {
        step_describe(&load->steps[i], text, sizeof text);
        printf("  step %zu: %s\n", i, text);
    }
    load_listing(load, acked, &want);
    printf("--- after %zu steps:\n%.*s--- found:\n%.*s", acked, (int)want.len, (char *)want.data,
           (int)listing->len, (char *)listing->data);
    for (size_t i = 0; i < load->count; i++) {
        load_listing(load, i, &want);
        if (same(&want, listing))
            printf("it is the state after %zu steps\n", i);
    }
    fflush(stdout);
}

bool load_verify_part(const struct load *load, size_t begun, const struct buf *listing)
{
    const struct step *step = &load->steps[begun > 0 ? begun - 1 : 0];
    struct model *model = need(calloc(1, sizeof *model));
    BUF_AUTO want = {0};
    uint8_t *data;
    size_t part;
    bool found = false;

    for (size_t i = 0; i + 1 < begun; i++)
        apply(model, &load->steps[i]);
    if (begun > 0 && step->kind == STEP_WRITE) {
        struct buf *content = &model->open[step->slot]->content;

        data = need(malloc(step->len));
        step_data(step, data);
        part = 4096 - step->offset % 4096;
        part = part < step->len ? part : step->len;
        if (step->offset + part > content->len)
            set_size(content, step->offset + part);
        memcpy(content->data + step->offset, data, part);
        free(data);
        list_model(model, &want);
        found = same(&want, listing);
    }
    model_free(model);
    return found;
}

bool load_verify(const struct load *load, size_t acked, size_t begun, const struct buf *listing,
                 size_t *ret_prefix)
{
    struct model *model = need(calloc(1, sizeof *model));
    BUF_AUTO want = {0};
    bool found = false;

    for (size_t i = 0; !found && i <= begun; i++) {
        if (i > 0)
            apply(model, &load->steps[i - 1]);
        if (i < acked)
            continue;
        list_model(model, &want);
        found = same(&want, listing);
        if (found)
            *ret_prefix = i;
    }
    model_free(model);
    if (!found)
        print_difference(load, acked, begun, listing);
    return found;
}
