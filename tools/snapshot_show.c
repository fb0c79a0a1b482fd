/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast snapshot show`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "pins.h"
#include "text.h"

struct show_options {
    const char *store;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct show_options, store),
    {"json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_snapshot_show = {
    .name = "snapshot show",
    .group = COMMAND_SESSION,
    .summary = "List the sessions of a snapshot, as they were",
    .operands = "NAME",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static json_t *pin_json(const struct pin *pin)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_set_name(object, "session", pin->name);
    json_object_set_new(object, "id", json_u64(pin->head.sid));
    json_object_set_new(object, "version", json_u64(pin->head.version));
    json_object_set_new(object, "root", json_id(&pin->head.root));
    json_object_set_new(object, "changed", json_time(pin->head.time));
    json_object_set_new(object, "bytes", json_u64(pin->head.bytes));
    json_object_set_new(object, "files", json_u64(pin->head.files));
    return object;
}

static int print_json(const struct pins *pins)
{
    struct json_list list = {0};
    int status = HF_OK;

    for (size_t i = 0; i < pins->count && status == HF_OK; i++)
        status = json_list_add(&list, pin_json(&pins->pins[i]));
    json_list_end(&list);
    return status;
}

static int print_table(const struct pins *pins)
{
    static const struct grid_column columns[] = {{"SESSION", false, true, 0},
                                                 {"VERSION", true, false, 1},
                                                 {"SIZE", true, false, 2},
                                                 {"FILES", true, false, 4},
                                                 {"CHANGED", true, false, 3}};
    struct grid *grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    const int64_t now = clock_realtime(&clock_system);
    char text[TEXT_SHORT];
    int status = HF_NOMEM;

    for (size_t i = 0; grid && i < pins->count; i++) {
        const struct pin *pin = &pins->pins[i];

        grid_add(grid, pin->name);
        snprintf(text, sizeof text, "%" PRIu64, pin->head.version);
        grid_add(grid, text);
        grid_add(grid, text_size(pin->head.bytes, text));
        snprintf(text, sizeof text, "%" PRIu64, pin->head.files);
        grid_add(grid, text);
        grid_add(grid, text_age(pin->head.time, now, text));
    }
    if (grid)
        status = grid_print(grid, stdout, grid_terminal_width(stdout));
    grid_free(grid);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct globs all = {0};
    struct show_options options = {0};
    struct store *store = NULL;
    struct pins pins = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_snapshot_show, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == HF_OK)
        status = pins_read(store, argv[0], &all, &pins, &err);
    if (status == HF_OK && (options.json ? print_json(&pins) : print_table(&pins)) != HF_OK)
        status = hf_fail(&err, HF_NOMEM, "out of memory");
    pins_clear(&pins);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
