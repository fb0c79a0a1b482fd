/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "changeset.h"
#include "event_text.h"
#include "grid.h"
#include "linediff.h"
#include "text.h"
#include "tree/difference.h"
#include "tree/view.h"

#define EVENTS "events.jsonl"
#define CONTEXT 3                            /* lines around a change */
#define LINES_MAX_BYTES (UINT64_C(64) << 20) /* a longer file is not compared by lines */
#define WINDOW 65536
#define GRAPH_WIDTH 30    /* plus and minus signs of a line */
#define GRAPH_WIDTH_MIN 4 /* on the narrowest terminal */
#define GRAPH_BEFORE 12   /* columns of a line beside the path and the signs */

/** How a change can be shown. */
enum manner {
    MANNER_NONE,   /* no content to show: directories, special files, attributes */
    MANNER_LINES,  /* a text */
    MANNER_EVENTS, /* its lines are events */
    MANNER_BINARY,
};

/** One change, looked into. */
struct detail {
    const struct changed *changed;
    enum manner manner;
    struct linediff diff;
};

/** The two roots; a view is NULL for an empty tree. */
struct comparison {
    struct blob_cache *cache;
    struct view *before, *after;
    struct changeset set;
    struct detail *details; /* of set.items */
};

/* --- contents ------------------------------------------------------------------------------------------ */

static int no_memory(struct hf_error *err)
{
    return hf_fail(err, HF_NOMEM, "out of memory for a comparison");
}

/* Appends a file from `offset` on. */
static int read_from(struct view *view, const struct view_node *file, uint64_t offset,
                     struct buf *out, struct hf_error *err)
{
    size_t len;
    int status;

    do {
        if (buf_reserve(out, WINDOW) != HF_OK)
            return no_memory(err);
        status = view_read(view, file, offset, WINDOW, out->data + out->len, &len, err);
        if (status != HF_OK)
            return status;
        out->len += len;
        offset += len;
    } while (len > 0);
    return HF_OK;
}

/* Where the line begins that holds byte `offset`. */
static int line_start(struct view *view, const struct view_node *file, uint64_t offset,
                      uint64_t *ret_start, struct hf_error *err)
{
    uint8_t window[WINDOW];
    size_t len;
    int status;

    while (offset > 0) {
        const uint64_t from = offset > WINDOW ? offset - WINDOW : 0;
        const uint8_t *newline;

        status = view_read(view, file, from, (size_t)(offset - from), window, &len, err);
        if (status != HF_OK)
            return status;
        newline = len > 0 ? memrchr(window, '\n', len) : NULL;
        if (newline) {
            *ret_start = from + (uint64_t)(newline - window) + 1;
            return HF_OK;
        }
        offset = from;
    }
    *ret_start = 0;
    return HF_OK;
}

/** The two states of one file; a record without a type where there is none. */
struct contents {
    struct view_node before, after;
    struct buf old_bytes, new_bytes;
};

static void contents_clear(struct contents *contents)
{
    view_node_clear(&contents->before);
    view_node_clear(&contents->after);
    buf_free(&contents->old_bytes);
    buf_free(&contents->new_bytes);
}

/* Of events only what comes after what both states begin with: the log is long, and only ever grows. */
static int contents_read(struct comparison *comparison, const struct changed *changed, bool events,
                         struct contents *contents, struct hf_error *err)
{
    uint64_t from = 0;
    int status = HF_OK;

    if (changed->old_mode)
        status = view_lookup(comparison->before, changed->path, &contents->before, err);
    if (status == HF_OK && changed->new_mode)
        status = view_lookup(comparison->after, changed->path, &contents->after, err);
    if (status == HF_OK && events && changed->kind == CHANGE_MODIFIED) {
        from = difference_start(comparison->cache, &contents->before.record.content,
                                &contents->after.record.content);
        if (from > changed->old_size)
            from = changed->old_size;
        status = line_start(comparison->before, &contents->before, from, &from, err);
    }
    if (status == HF_OK && changed->old_mode)
        status = read_from(comparison->before, &contents->before, from, &contents->old_bytes, err);
    if (status == HF_OK && changed->new_mode)
        status = read_from(comparison->after, &contents->after, from, &contents->new_bytes, err);
    return status;
}

static bool has_lines(const struct changed *changed)
{
    const uint32_t mode = changed->new_mode ? changed->new_mode : changed->old_mode;

    if (changed->kind == CHANGE_MODIFIED && !(changed->what & CHANGE_DATA))
        return false;
    return S_ISREG(mode) || S_ISLNK(mode);
}

/* Looks into one change. */
static int look(struct comparison *comparison, const struct compare_options *options,
                struct detail *detail, struct hf_error *err)
{
    const struct changed *changed = detail->changed;
    const bool events = !options->raw && strcmp(changed->path, EVENTS) == 0;
    struct contents contents = {0};
    int status;

    if (!has_lines(changed))
        return HF_OK;
    detail->manner = MANNER_BINARY;
    if (!events && (changed->old_size > LINES_MAX_BYTES || changed->new_size > LINES_MAX_BYTES))
        return HF_OK;
    status = contents_read(comparison, changed, events, &contents, err);
    if (status == HF_OK && (events || (linediff_is_text(buf_slice(&contents.old_bytes)) &&
                                       linediff_is_text(buf_slice(&contents.new_bytes))))) {
        detail->manner = events ? MANNER_EVENTS : MANNER_LINES;
        status = linediff_run(buf_slice(&contents.old_bytes), buf_slice(&contents.new_bytes),
                              events ? 0 : CONTEXT, &detail->diff, err);
    }
    contents_clear(&contents);
    return status == HF_OK ? status : hf_fail_prefix(err, status, "%s", changed->path);
}

/* --- the whole comparison -------------------------------------------------------------------------------- */

static void comparison_end(struct comparison *comparison)
{
    for (size_t i = 0; comparison->details && i < comparison->set.count; i++)
        linediff_clear(&comparison->details[i].diff);
    free(comparison->details);
    changeset_clear(&comparison->set);
    view_free(comparison->before);
    view_free(comparison->after);
}

static int comparison_begin(struct comparison *comparison, const struct object_id *before,
                            const struct object_id *after, const char *path, struct hf_error *err)
{
    int status = changeset_read(comparison->cache, before, after, path, &comparison->set, err);

    if (status == HF_OK && before)
        status = view_open(comparison->cache, before, &comparison->before, err);
    if (status == HF_OK && after)
        status = view_open(comparison->cache, after, &comparison->after, err);
    if (status == HF_OK && comparison->set.count > 0) {
        comparison->details = calloc(comparison->set.count, sizeof *comparison->details);
        if (!comparison->details)
            return no_memory(err);
        for (size_t i = 0; i < comparison->set.count; i++)
            comparison->details[i].changed = &comparison->set.items[i];
    }
    return status;
}

/* --- patches ------------------------------------------------------------------------------------------------ */

static void print_path(const char *label, const char *prefix, const char *path)
{
    char *printable = text_printable(path, strlen(path));

    printf("%s %s%s\n", label, prefix, printable ? printable : "?");
    free(printable);
}

static void print_header(const struct changed *changed)
{
    print_path("diff", "", *changed->path ? changed->path : ".");
    if (changed->kind == CHANGE_ADDED)
        printf("new file mode %06o\n", changed->new_mode);
    else if (changed->kind == CHANGE_REMOVED)
        printf("deleted file mode %06o\n", changed->old_mode);
    if (changed->old_path) {
        print_path("rename", "from ", changed->old_path);
        print_path("rename", "to ", changed->path);
    }
    if (changed->kind == CHANGE_MODIFIED && changed->old_mode != changed->new_mode)
        printf("old mode %06o\nnew mode %06o\n", changed->old_mode, changed->new_mode);
}

static void print_sides(const struct changed *changed)
{
    if (changed->kind == CHANGE_ADDED)
        puts("--- /dev/null");
    else
        print_path("---", "a/", changed->path);
    if (changed->kind == CHANGE_REMOVED)
        puts("+++ /dev/null");
    else
        print_path("+++", "b/", changed->path);
}

/* Takes the next line off the hunks, without its end: false when there is none. */
static bool next_line(struct slice *hunks, struct slice *ret_line)
{
    const uint8_t *end;

    if (hunks->len == 0)
        return false;
    end = memchr(hunks->data, '\n', hunks->len);
    *ret_line = slice_of(hunks->data, end ? (size_t)(end - hunks->data) : hunks->len);
    *hunks = end ? slice_of(end + 1, hunks->len - ret_line->len - 1) : slice_of(NULL, 0);
    return true;
}

static bool is_event(struct slice line)
{
    return line.len > 1 && (line.data[0] == '+' || line.data[0] == '-');
}

static int print_events(const struct linediff *diff, struct hf_error *err)
{
    struct slice hunks = buf_slice(&diff->hunks), line;

    while (next_line(&hunks, &line)) {
        char *text;

        if (!is_event(line))
            continue;
        text = event_text(slice_of(line.data + 1, line.len - 1));
        if (!text)
            return no_memory(err);
        printf("%c %s\n", line.data[0], text);
        free(text);
    }
    return HF_OK;
}

static int print_patch(const struct detail *detail, struct hf_error *err)
{
    const struct changed *changed = detail->changed;
    char before[TEXT_SHORT], after[TEXT_SHORT];

    print_header(changed);
    switch (detail->manner) {
    case MANNER_LINES:
        if (detail->diff.hunks.len == 0)
            return HF_OK;
        print_sides(changed);
        fwrite(detail->diff.hunks.data, 1, detail->diff.hunks.len, stdout);
        return HF_OK;
    case MANNER_EVENTS:
        return print_events(&detail->diff, err);
    case MANNER_BINARY:
        printf("Binary files differ: %s, %s\n", text_size(changed->old_size, before),
               text_size(changed->new_size, after));
        return HF_OK;
    default:
        if (changed->kind == CHANGE_MODIFIED && !changed->old_path &&
            changed->old_mode == changed->new_mode)
            puts("attributes differ");
        return HF_OK;
    }
}

/* --- how much -------------------------------------------------------------------------------------------------- */

struct totals {
    uint64_t added, removed, most; /* lines */
    uint64_t events_added, events_removed;
    size_t width; /* of the widest path */
    size_t graph; /* the most signs of a line */
};

static const char *suffix_of(const struct changed *changed)
{
    return changed->kind == CHANGE_ADDED     ? " (new)"
           : changed->kind == CHANGE_REMOVED ? " (gone)"
                                             : "";
}

/* The path as it is printed; freed by the caller. */
static char *path_text_of(const struct changed *changed)
{
    const uint32_t mode = changed->new_mode ? changed->new_mode : changed->old_mode;
    const char *from = changed->old_path ? changed->old_path : "";
    char *printable = text_printable(changed->path, strlen(changed->path));
    char *before = text_printable(from, strlen(from)), *text = NULL;

    if (printable && before &&
        asprintf(&text, "%s%s%s%s%s", before, *from ? " => " : "", printable,
                 S_ISDIR(mode) ? "/" : "", suffix_of(changed)) < 0)
        text = NULL;
    free(before);
    free(printable);
    return text;
}

static int add_up(const struct comparison *comparison, struct totals *totals, struct hf_error *err)
{
    for (size_t i = 0; i < comparison->set.count; i++) {
        const struct detail *detail = &comparison->details[i];
        const uint64_t lines = detail->diff.added + detail->diff.removed;
        char *text = path_text_of(detail->changed);
        size_t width;

        if (!text)
            return no_memory(err);
        width = text_columns(text);
        free(text);
        totals->width = width > totals->width ? width : totals->width;
        if (detail->manner == MANNER_LINES) {
            totals->added += detail->diff.added;
            totals->removed += detail->diff.removed;
            totals->most = lines > totals->most ? lines : totals->most;
        } else if (detail->manner == MANNER_EVENTS) {
            totals->events_added += detail->diff.added;
            totals->events_removed += detail->diff.removed;
        }
    }
    return HF_OK;
}

/* So many signs as leave room for the path. */
static size_t graph_width(size_t path_width)
{
    const size_t terminal = grid_terminal_width(stdout), before = path_width + GRAPH_BEFORE;

    if (terminal == 0 || terminal >= before + GRAPH_WIDTH)
        return GRAPH_WIDTH;
    return terminal > before + GRAPH_WIDTH_MIN ? terminal - before : GRAPH_WIDTH_MIN;
}

/* So many signs, scaled down when the most would be too many; at least one for what is not 0. */
static void print_signs(char sign, uint64_t lines, const struct totals *totals)
{
    uint64_t n = totals->most <= totals->graph ? lines : lines * totals->graph / totals->most;

    if (n == 0 && lines > 0)
        n = 1;
    while (n-- > 0)
        putchar(sign);
}

static void print_amount(const struct detail *detail, const struct totals *totals)
{
    const struct changed *changed = detail->changed;
    char before[TEXT_SHORT], after[TEXT_SHORT];

    switch (detail->manner) {
    case MANNER_LINES:
        printf("%" PRIu64 " ", detail->diff.added + detail->diff.removed);
        print_signs('+', detail->diff.added, totals);
        print_signs('-', detail->diff.removed, totals);
        break;
    case MANNER_EVENTS:
        printf("events +%" PRIu64 " -%" PRIu64, detail->diff.added, detail->diff.removed);
        break;
    case MANNER_BINARY:
        printf("binary %s -> %s", text_size(changed->old_size, before),
               text_size(changed->new_size, after));
        break;
    default:
        if (changed->kind == CHANGE_MODIFIED && changed->old_mode != changed->new_mode)
            printf("mode %04o -> %04o", changed->old_mode & 07777, changed->new_mode & 07777);
        else if (changed->old_path)
            fputs("renamed", stdout);
        else if (changed->kind == CHANGE_MODIFIED)
            fputs("attributes", stdout);
    }
    putchar('\n');
}

static int print_stat(const struct comparison *comparison, struct hf_error *err)
{
    const size_t count = comparison->set.count;
    struct totals totals = {0};
    int status = add_up(comparison, &totals, err);

    totals.graph = graph_width(totals.width);
    for (size_t i = 0; i < count && status == HF_OK; i++) {
        char *text = path_text_of(comparison->details[i].changed);

        if (!text)
            return no_memory(err);
        printf(" %s%*s | ", text, (int)(totals.width - text_columns(text)), "");
        print_amount(&comparison->details[i], &totals);
        free(text);
    }
    if (status != HF_OK || count == 0)
        return status;
    printf(" %zu change%s, %" PRIu64 " line%s added, %" PRIu64 " removed", count,
           count == 1 ? "" : "s", totals.added, totals.added == 1 ? "" : "s", totals.removed);
    if (totals.events_added + totals.events_removed > 0)
        printf("; %" PRIu64 " event%s added, %" PRIu64 " removed", totals.events_added,
               totals.events_added == 1 ? "" : "s", totals.events_removed);
    putchar('\n');
    return HF_OK;
}

int compare_print(struct blob_cache *cache, const struct object_id *before,
                  const struct object_id *after, const struct compare_options *options,
                  size_t *ret_changes, struct hf_error *err)
{
    struct comparison comparison = {.cache = cache};
    int status = comparison_begin(&comparison, before, after, options->path, err);

    for (size_t i = 0; i < comparison.set.count && status == HF_OK; i++) {
        status = look(&comparison, options, &comparison.details[i], err);
        if (status == HF_OK && options->patch) {
            status = print_patch(&comparison.details[i], err);
            linediff_clear(&comparison.details[i].diff);
        }
    }
    if (status == HF_OK && !options->patch)
        status = print_stat(&comparison, err);
    if (status == HF_OK && ret_changes)
        *ret_changes = comparison.set.count;
    comparison_end(&comparison);
    return status;
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *bytes_json(const struct buf *bytes)
{
    BUF_AUTO text = {0};

    if (buf_append(&text, bytes->data, bytes->len) != HF_OK || buf_append(&text, "", 1) != HF_OK)
        return NULL;
    return json_bytes((const char *)text.data);
}

/* The added events as they are; what is no JSON as a string. */
static json_t *events_json(const struct linediff *diff)
{
    struct slice hunks = buf_slice(&diff->hunks), line;
    json_t *events = json_array();

    while (events && next_line(&hunks, &line)) {
        json_t *event;

        if (!is_event(line) || line.data[0] != '+')
            continue;
        event = json_loadb((const char *)line.data + 1, line.len - 1, JSON_DECODE_ANY, NULL);
        if (!event) {
            BUF_AUTO text = {0};
            if (buf_append(&text, line.data + 1, line.len - 1) == HF_OK)
                event = bytes_json(&text);
        }
        json_array_append_new(events, event);
    }
    return events;
}

static json_t *detail_json(const struct detail *detail, bool patch)
{
    const bool events = detail->manner == MANNER_EVENTS;
    json_t *object = changed_json(detail->changed);

    if (!object || detail->manner == MANNER_NONE)
        return object;
    if (detail->manner == MANNER_BINARY) {
        json_object_set_new(object, "binary", json_true());
        return object;
    }
    json_object_set_new(object, events ? "events_added" : "lines_added",
                        json_u64(detail->diff.added));
    json_object_set_new(object, events ? "events_removed" : "lines_removed",
                        json_u64(detail->diff.removed));
    if (patch && events)
        json_object_set_new(object, "events", events_json(&detail->diff));
    else if (patch)
        json_object_set_new(object, "patch", bytes_json(&detail->diff.hunks));
    return object;
}

int compare_json(struct blob_cache *cache, const struct object_id *before,
                 const struct object_id *after, const struct compare_options *options,
                 json_t **ret_changes, struct hf_error *err)
{
    struct comparison comparison = {.cache = cache};
    json_t *changes = json_array();
    int status = comparison_begin(&comparison, before, after, options->path, err);

    for (size_t i = 0; i < comparison.set.count && status == HF_OK; i++) {
        status = look(&comparison, options, &comparison.details[i], err);
        if (status == HF_OK && json_array_append_new(changes, detail_json(&comparison.details[i],
                                                                          options->patch)) != 0)
            status = no_memory(err);
        linediff_clear(&comparison.details[i].diff);
    }
    comparison_end(&comparison);
    if (status == HF_OK)
        *ret_changes = changes;
    else
        json_decref(changes);
    return status;
}
