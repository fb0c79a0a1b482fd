/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast snapshot list`. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "text.h"

struct list_options {
    const char *store;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct list_options, store),
    {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_snapshot_list = {
    .name = "snapshot list",
    .group = COMMAND_SESSION,
    .summary = "List the snapshots of a store",
    .operands = "[GLOB]",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

struct listing {
    const char *glob;  /* or NULL */
    struct grid *grid; /* NULL: JSON */
    struct json_list list;
    int64_t now;
};

static json_t *info_json(const struct snapshot_info *info)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_set_name(object, "name", info->name);
    json_object_set_new(object, "time", json_time(info->time));
    json_object_set_new(object, "sessions", json_u64(info->sessions));
    return object;
}

static int visit(const struct snapshot_info *info, void *arg)
{
    struct listing *listing = arg;
    char text[TEXT_SHORT];

    if (listing->glob && fnmatch(listing->glob, info->name, 0) != 0)
        return 0;
    if (!listing->grid)
        return json_list_add(&listing->list, info_json(info));
    grid_add(listing->grid, info->name);
    grid_add(listing->grid, text_time(info->time, text));
    grid_add(listing->grid, text_age(info->time, listing->now, text));
    snprintf(text, sizeof text, "%" PRIu64, info->sessions);
    grid_add(listing->grid, text);
    return 0;
}

static int list(struct store *store, const char *glob, bool json, struct hf_error *err)
{
    static const struct grid_column columns[] = {{"SNAPSHOT", false, true, 0},
                                                 {"TIME", false, false, 2},
                                                 {"AGE", true, false, 1},
                                                 {"SESSIONS", true, false, 3}};
    struct listing listing = {.glob = glob, .now = clock_realtime(&clock_system)};
    int status;

    if (!json && !(listing.grid = grid_new(columns, sizeof columns / sizeof columns[0])))
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = store_snapshot_list(store, visit, &listing, err);
    if (json)
        json_list_end(&listing.list);
    else if (status == 0)
        status = grid_print(listing.grid, stdout, grid_terminal_width(stdout));
    grid_free(listing.grid);
    return status == HF_NOMEM ? hf_fail(err, status, "out of memory") : status;
}

static int run(int argc, char **argv)
{
    struct list_options options = {0};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_snapshot_list, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = list(store, argc > 0 ? argv[0] : NULL, options.json, &err);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
