/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast backup list`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "backup.h"
#include "base/clock.h"
#include "command.h"
#include "grid.h"
#include "text.h"

struct list_options {
    bool json;
};

static const struct option_spec specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, "print JSON"}, {0}};

static int run(int argc, char **argv);

const struct command command_backup_list = {
    .name = "backup list",
    .group = COMMAND_STORE,
    .summary = "List the backups that a store holds",
    .operands = "TARGET-URL",
    .details = "One line for each run of 'holdfast backup' that came to its end. Each name is a\n"
               "snapshot of the target, and can be given to 'holdfast restore --at'.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct listing {
    struct grid *grid;
    struct json_list list;
    int64_t now;
    bool json;
};

static int add_json(struct listing *listing, const struct snapshot_info *info)
{
    json_t *object = json_object();

    if (object) {
        json_set_name(object, "backup", info->name);
        json_object_set_new(object, "time", json_time(info->time));
        json_object_set_new(object, "sessions", json_u64(info->sessions));
    }
    return json_list_add(&listing->list, object);
}

static int visit(const struct snapshot_info *info, void *arg)
{
    struct listing *listing = arg;
    char text[TEXT_SHORT];

    if (!copy_is_run(info->name))
        return HF_OK;
    if (listing->json)
        return add_json(listing, info);
    grid_add(listing->grid, info->name);
    grid_add(listing->grid, text_time(info->time, text));
    grid_add(listing->grid, text_age(info->time, listing->now, text));
    snprintf(text, sizeof text, "%" PRIu64, info->sessions);
    grid_add(listing->grid, text);
    return HF_OK;
}

static int run(int argc, char **argv)
{
    static const struct grid_column columns[] = {{"BACKUP", false, false, 0},
                                                 {"TIME", false, false, 2},
                                                 {"AGE", false, false, 1},
                                                 {"SESSIONS", true, false, 3}};
    struct list_options options = {0};
    struct listing listing = {.now = clock_realtime(&clock_system)};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_backup_list, &argc, &argv, &options, &exit_code))
        return exit_code;
    listing.json = options.json;
    status = backup_open(argv[0], STORE_READ_ONLY, NULL, &store, &err);
    if (status != HF_OK)
        return command_fail(&err);
    listing.grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    status = listing.grid ? store_snapshot_list(store, visit, &listing, &err) : HF_NOMEM;
    if (status == HF_OK && options.json)
        json_list_end(&listing.list);
    else if (status == HF_OK)
        status = grid_print(listing.grid, stdout, grid_terminal_width(stdout));
    if (status == HF_NOMEM)
        hf_fail(&err, status, "out of memory");
    grid_free(listing.grid);
    store_close(store);
    return status == HF_OK ? EX_OK : command_fail(&err);
}
