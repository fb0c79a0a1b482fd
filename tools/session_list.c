/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session list`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "grid.h"
#include "session_json.h"
#include "text.h"

struct list_options {
    const char *store, *repository, *branch, *cwd, *sort;
    int64_t since;
    bool trash, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct list_options, store),
    {"repository", 0, OPTION_STRING, offsetof(struct list_options, repository), "NAME",
     "only sessions on this repository"},
    {"branch", 0, OPTION_STRING, offsetof(struct list_options, branch), "NAME",
     "only sessions on this branch"},
    {"cwd", 0, OPTION_STRING, offsetof(struct list_options, cwd), "DIR",
     "only sessions that work in this directory"},
    {"since", 0, OPTION_SINCE, offsetof(struct list_options, since), "WHEN",
     "only sessions changed since then: an age (2h, 3d)\nor a date (2026-01-31)"},
    {"trash", 0, OPTION_FLAG, offsetof(struct list_options, trash), NULL,
     "the sessions in the trash instead"},
    {"sort", 0, OPTION_STRING, offsetof(struct list_options, sort), "KEY",
     "name (default), changed, created, size or files"},
    {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_list = {
    .name = "session list",
    .group = COMMAND_SESSION,
    .summary = "List the sessions of a store",
    .operands = "[GLOB]",
    .details = "GLOB chooses by name, as 'squadron-*'; quote it from the shell.",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

/* A session kept for sorting: what is shown of it. */
struct row {
    struct session_head head;
    int64_t created, trashed;
    char *name, *title, *repository, *branch, *holder;
    json_t *json;
};

struct listing {
    struct row *rows;
    size_t count, cap;
    bool trash, json;
};

static char *copy(const char *text, bool *failed)
{
    char *duplicate = strdup(text ? text : "");

    if (!duplicate)
        *failed = true;
    return duplicate;
}

static void row_clear(struct row *row)
{
    free(row->name);
    free(row->title);
    free(row->repository);
    free(row->branch);
    free(row->holder);
    json_decref(row->json);
}

static int visit(const struct session_info *info, void *arg)
{
    struct listing *listing = arg;
    struct row row = {.head = info->head, .created = info->created, .trashed = info->trashed};
    bool failed = false;

    if (listing->count == listing->cap) {
        size_t cap = listing->cap ? 2 * listing->cap : 64;
        struct row *rows = reallocarray(listing->rows, cap, sizeof *rows);
        if (!rows)
            return HF_NOMEM;
        listing->rows = rows;
        listing->cap = cap;
    }
    row.name = copy(info->name, &failed);
    if (listing->json) {
        row.json = session_json(info);
        failed = failed || !row.json;
    } else {
        row.title = copy(info->meta.name, &failed);
        row.repository = copy(info->meta.repository, &failed);
        row.branch = copy(info->meta.branch, &failed);
        row.holder = copy(info->holder_name, &failed);
    }
    listing->rows[listing->count++] = row;
    return failed ? HF_NOMEM : 0;
}

/* --- order ------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

/* The largest first, and the latest; equals by name. */
#define COMPARE_DOWN(function, member)                                                             \
    static int function(const void *a, const void *b)                                              \
    {                                                                                              \
        const struct row *x = a, *y = b;                                                           \
        if (x->member != y->member)                                                                \
            return x->member < y->member ? 1 : -1;                                                 \
        return by_name(a, b);                                                                      \
    }
COMPARE_DOWN(by_changed, head.time)
COMPARE_DOWN(by_created, created)
COMPARE_DOWN(by_size, head.bytes)
COMPARE_DOWN(by_files, head.files)

static const struct {
    const char *key;
    int (*compare)(const void *, const void *);
} orders[] = {{"name", by_name},
              {"changed", by_changed},
              {"created", by_created},
              {"size", by_size},
              {"files", by_files}};

static int (*order_of(const char *key))(const void *, const void *)
{
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (strcmp(key, orders[i].key) == 0)
            return orders[i].compare;
    return NULL;
}

/* --- output ----------------------------------------------------------------------------------- */

static int print_json(const struct listing *listing)
{
    struct json_list list = {0};
    int status = 0;

    for (size_t i = 0; i < listing->count && status == 0; i++)
        status = json_list_add(&list, json_incref(listing->rows[i].json));
    json_list_end(&list);
    return status;
}

static void add_row(struct grid *grid, const struct row *row, bool trash, int64_t now)
{
    char text[TEXT_SHORT], number[TEXT_SHORT];

    if (trash) {
        snprintf(number, sizeof number, "#%" PRIu64, row->head.sid);
        grid_add(grid, number);
    }
    grid_add(grid, row->name);
    grid_add(grid, row->repository);
    grid_add(grid, row->branch);
    grid_add(grid, text_size(row->head.bytes, text));
    snprintf(number, sizeof number, "%" PRIu64, row->head.files);
    grid_add(grid, number);
    snprintf(number, sizeof number, "%" PRIu64, row->head.version);
    grid_add(grid, number);
    grid_add(grid, text_age(row->head.time, now, text));
    if (trash)
        grid_add(grid, row->trashed ? text_age(row->trashed, now, text) : "");
    else
        grid_add(grid, row->holder);
    grid_add(grid, row->title);
}

static int print_table(const struct listing *listing)
{
    static const struct grid_column live[] = {
        {"SESSION", false, true, 0}, {"REPOSITORY", false, true, 4}, {"BRANCH", false, true, 5},
        {"SIZE", true, false, 3},    {"FILES", true, false, 6},      {"VERSION", true, false, 6},
        {"CHANGED", true, false, 1}, {"HELD BY", false, true, 2},    {"TITLE", false, true, 4}};
    static const struct grid_column trash[] = {
        {"ID", true, false, 0},      {"SESSION", false, true, 0}, {"REPOSITORY", false, true, 4},
        {"BRANCH", false, true, 5},  {"SIZE", true, false, 3},    {"FILES", true, false, 6},
        {"VERSION", true, false, 6}, {"CHANGED", true, false, 2}, {"DELETED", true, false, 1},
        {"TITLE", false, true, 4}};
    struct grid *grid = listing->trash ? grid_new(trash, sizeof trash / sizeof trash[0])
                                       : grid_new(live, sizeof live / sizeof live[0]);
    int64_t now = clock_realtime(&clock_system);
    int status = HF_NOMEM;

    if (grid) {
        for (size_t i = 0; i < listing->count; i++)
            add_row(grid, &listing->rows[i], listing->trash, now);
        status = grid_print(grid, stdout, grid_terminal_width(stdout));
    }
    grid_free(grid);
    return status;
}

static int list(const struct list_options *options, const char *glob, struct hf_error *err)
{
    const struct session_filter filter = {.name_glob = glob,
                                          .repository = options->repository,
                                          .branch = options->branch,
                                          .cwd = options->cwd,
                                          .changed_since = options->since,
                                          .trashed = options->trash};
    struct listing listing = {.trash = options->trash, .json = options->json};
    struct store *store = NULL;
    int status;

    status = context_open_store(options->store, STORE_READ_ONLY, &store, err);
    if (status)
        goto out;
    status = store_session_list(store, &filter, visit, &listing, err);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    if (status)
        goto out;
    if (options->sort && listing.count > 1)
        qsort(listing.rows, listing.count, sizeof listing.rows[0], order_of(options->sort));
    status = listing.json ? print_json(&listing) : print_table(&listing);
    if (status)
        hf_fail(err, status, "out of memory");
out:
    for (size_t i = 0; i < listing.count; i++)
        row_clear(&listing.rows[i]);
    free(listing.rows);
    store_close(store);
    return status;
}

static int run(int argc, char **argv)
{
    struct list_options options = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_session_list, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (options.sort && !order_of(options.sort))
        return command_failf(HF_USAGE, "'%s' is no order: name, changed, created, size or files",
                             options.sort);
    return list(&options, argc > 0 ? argv[0] : NULL, &err) ? command_fail(&err) : EX_OK;
}
