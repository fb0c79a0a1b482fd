/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast snapshot diff`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "changeset.h"
#include "command.h"
#include "compare.h"
#include "context.h"
#include "grid.h"
#include "pins.h"
#include "progress.h"
#include "text.h"

#define CACHE_BYTES ((size_t)32 << 20)
#define NOW "now" /* not a snapshot, but the sessions as they are */

struct diff_options {
    const char *store;
    bool patch, raw, json, exit_code;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct diff_options, store),
    {"patch", 'p', OPTION_FLAG, offsetof(struct diff_options, patch), NULL,
     "print the changed lines of each session"},
    {"raw", 0, OPTION_FLAG, offsetof(struct diff_options, raw), NULL,
     "compare events.jsonl as a text, not as events"},
    {"exit-code", 0, OPTION_FLAG, offsetof(struct diff_options, exit_code), NULL,
     "exit with 1 when there is a difference"},
    {"json", 0, OPTION_FLAG, offsetof(struct diff_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_snapshot_diff = {
    .name = "snapshot diff",
    .group = COMMAND_SESSION,
    .summary = "Show what differs between two snapshots, or since one",
    .operands = "NAME [OTHER|now [SESSION]]",
    .details = "Without OTHER, or with 'now', against the sessions as they are. SESSION (a\n"
               "pattern, as 'squadron-*') shows the files of the sessions that match.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 3,
    .run = run,
};

/* A comparison in progress. */
struct diff {
    const struct diff_options *options;
    bool files; /* show each session's files, not a line for each session */
    struct blob_cache *cache;
    struct grid *grid;
    struct json_list list;
    struct progress progress;
    size_t differing;
};

/* A session on both sides, or on one. */
struct couple {
    const struct pin *before, *after; /* NULL: it is not there */
};

static const struct object_id *root_of(const struct pin *pin)
{
    return pin && pin->head.version > 0 ? &pin->head.root : NULL;
}

static const char *name_of(const struct couple *couple)
{
    return couple->after ? couple->after->name : couple->before->name;
}

static void versions_text(const struct couple *couple, char *ret_text, size_t size)
{
    if (!couple->before)
        snprintf(ret_text, size, "new -> %" PRIu64, couple->after->head.version);
    else if (!couple->after)
        snprintf(ret_text, size, "%" PRIu64 " -> gone", couple->before->head.version);
    else
        snprintf(ret_text, size, "%" PRIu64 " -> %" PRIu64, couple->before->head.version,
                 couple->after->head.version);
}

static int add_row(struct diff *diff, const struct couple *couple, struct hf_error *err)
{
    struct changeset changes = {0};
    char versions[64], *line = NULL;
    int status = changeset_read(diff->cache, root_of(couple->before), root_of(couple->after), NULL,
                                &changes, err);

    if (status == HF_OK && !(line = changeset_line(&changes)))
        status = hf_fail(err, HF_NOMEM, "out of memory");
    if (status == HF_OK) {
        versions_text(couple, versions, sizeof versions);
        grid_add(diff->grid, name_of(couple));
        grid_add(diff->grid, versions);
        grid_add(diff->grid, line);
    }
    free(line);
    changeset_clear(&changes);
    return status;
}

static int print_files(struct diff *diff, const struct couple *couple,
                       const struct compare_options *compare, struct hf_error *err)
{
    char versions[64], text[SESSION_NAME_MAX + 96];

    versions_text(couple, versions, sizeof versions);
    snprintf(text, sizeof text, "%s (version %s)", name_of(couple), versions);
    text_print_line("Session", text);
    return compare_print(diff->cache, root_of(couple->before), root_of(couple->after), compare,
                         NULL, err);
}

static int print_json(struct diff *diff, const struct couple *couple,
                      const struct compare_options *compare, struct hf_error *err)
{
    json_t *object, *changes;
    int status = compare_json(diff->cache, root_of(couple->before), root_of(couple->after), compare,
                              &changes, err);

    if (status != HF_OK)
        return status;
    object = json_object();
    json_set_name(object, "session", name_of(couple));
    json_object_set_new(object, "id",
                        json_u64((couple->after ? couple->after : couple->before)->head.sid));
    json_object_set_new(object, "before",
                        couple->before ? json_u64(couple->before->head.version) : json_null());
    json_object_set_new(object, "after",
                        couple->after ? json_u64(couple->after->head.version) : json_null());
    json_object_set_new(object, "changes", changes);
    return json_list_add(&diff->list, object);
}

static int compare_couple(struct diff *diff, const struct couple *couple, struct hf_error *err)
{
    const struct compare_options compare = {diff->options->patch, diff->options->raw, NULL};
    const struct object_id *a = root_of(couple->before), *b = root_of(couple->after);
    int status;

    progress_add(&diff->progress, 1, 0);
    if (couple->before && couple->after && (a == b || (a && b && object_id_equal(a, b))) &&
        strcmp(couple->before->name, couple->after->name) == 0)
        return HF_OK;
    diff->differing++;
    if (diff->options->json)
        status = print_json(diff, couple, &compare, err);
    else if (diff->files)
        status = print_files(diff, couple, &compare, err);
    else
        status = add_row(diff, couple, err);
    return status == HF_OK ? status : hf_fail_prefix(err, status, "%s", name_of(couple));
}

/* Both are in order of number. */
static int compare_all(struct diff *diff, const struct pins *before, const struct pins *after,
                       struct hf_error *err)
{
    size_t i = 0, j = 0;
    int status = HF_OK;

    while (status == HF_OK && (i < before->count || j < after->count)) {
        const struct pin *a = i < before->count ? &before->pins[i] : NULL;
        const struct pin *b = j < after->count ? &after->pins[j] : NULL;
        struct couple couple = {a, b};

        if (a && b && a->head.sid != b->head.sid)
            *(a->head.sid < b->head.sid ? &couple.after : &couple.before) = NULL;
        i += couple.before != NULL;
        j += couple.after != NULL;
        status = compare_couple(diff, &couple, err);
    }
    return status;
}

static int print(struct diff *diff, const struct pins *before, const struct pins *after,
                 struct hf_error *err)
{
    static const struct grid_column columns[] = {
        {"SESSION", false, true, 0}, {"VERSIONS", false, false, 1}, {"CHANGES", false, true, 0}};
    int status;

    diff->grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    if (!diff->cache || !diff->grid)
        return hf_fail(err, HF_NOMEM, "out of memory");
    progress_start(&diff->progress, "Comparing", "sessions",
                   before->count > after->count ? before->count : after->count, 0);
    status = compare_all(diff, before, after, err);
    progress_end(&diff->progress);
    if (diff->options->json)
        json_list_end(&diff->list);
    else if (status == HF_OK && !diff->files && diff->differing > 0 &&
             grid_print(diff->grid, stdout, grid_terminal_width(stdout)) != HF_OK)
        status = hf_fail(err, HF_NOMEM, "out of memory");
    return status;
}

static int read_side(struct store *store, const char *name, const struct globs *globs,
                     struct pins *ret_pins, struct hf_error *err)
{
    return strcmp(name, NOW) == 0 ? pins_read_now(store, globs, ret_pins, err)
                                  : pins_read(store, name, globs, ret_pins, err);
}

static int compare_snapshots(struct store *store, int argc, char **argv, struct diff *diff,
                             struct hf_error *err)
{
    const char *glob = argc > 2 ? argv[2] : NULL;
    const struct globs globs = {&glob, glob != NULL};
    struct pins before = {0}, after = {0};
    int status = read_side(store, argv[0], &globs, &before, err);

    if (status == HF_OK)
        status = read_side(store, argc > 1 ? argv[1] : NOW, &globs, &after, err);
    if (status == HF_OK && glob && before.count + after.count == 0)
        status = hf_fail(err, HF_NOENT, "no session '%s' is in either", glob);
    diff->files = glob || diff->options->patch;
    diff->cache = blob_cache_new(store, CACHE_BYTES);
    if (status == HF_OK)
        status = print(diff, &before, &after, err);
    grid_free(diff->grid);
    blob_cache_free(diff->cache);
    pins_clear(&before);
    pins_clear(&after);
    return status;
}

static int run(int argc, char **argv)
{
    struct diff_options options = {0};
    struct diff diff = {.options = &options};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_snapshot_diff, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == HF_OK)
        status = compare_snapshots(store, argc, argv, &diff, &err);
    store_close(store);
    if (status)
        return command_fail(&err);
    return options.exit_code && diff.differing > 0 ? 1 : EX_OK;
}
