/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast lease list`. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "grid.h"
#include "lease_text.h"
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

const struct command command_lease_list = {
    .name = "lease list",
    .group = COMMAND_SESSION,
    .summary = "List the sessions that are held, by whom and why",
    .operands = "[GLOB]",
    .details = "A session that is not listed is free. One that is held and not pinned is given up\n"
               "as soon as another host asks for it.",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

struct listing {
    struct json_list list;
    struct grid *grid; /* NULL: JSON */
    const char *glob;  /* or NULL */
    int64_t now;
};

static int visit(const struct lease_info *lease, void *arg)
{
    struct listing *listing = arg;
    char text[TEXT_SHORT], line[600];

    if (listing->glob && fnmatch(listing->glob, lease->session_name, 0) != 0)
        return 0;
    if (!listing->grid)
        return json_list_add(&listing->list, lease_json(lease));
    grid_add(listing->grid, lease->session_name);
    grid_add(listing->grid, lease_state_text(lease));
    lease_holder_text(lease, line, sizeof line);
    grid_add(listing->grid, line);
    grid_add(listing->grid, text_age(lease->since, listing->now, text));
    snprintf(text, sizeof text, "%" PRIu64, lease->token);
    grid_add(listing->grid, text);
    grid_add(listing->grid, lease->pinned_by);
    lease_waiting_text(lease, line, sizeof line);
    grid_add(listing->grid, line);
    return 0;
}

static int print_leases(struct store *store, const char *glob, bool json, struct hf_error *err)
{
    static const struct grid_column columns[] = {
        {"SESSION", false, true, 0}, {"STATE", false, false, 1}, {"HELD BY", false, true, 0},
        {"SINCE", true, false, 2},   {"TOKEN", true, false, 5},  {"PINNED BY", false, true, 4},
        {"WAITING", false, true, 3}};
    struct listing listing = {.glob = glob, .now = clock_realtime(&clock_system)};
    int status;

    if (!json && !(listing.grid = grid_new(columns, sizeof columns / sizeof columns[0])))
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = store_lease_list(store, visit, &listing, err);
    if (status == 0 && listing.grid)
        status = grid_print(listing.grid, stdout, grid_terminal_width(stdout));
    else if (!listing.grid)
        json_list_end(&listing.list);
    grid_free(listing.grid);
    return status == HF_NOMEM ? hf_fail(err, status, "out of memory") : status;
}

static int run(int argc, char **argv)
{
    struct list_options options = {0};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_lease_list, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = print_leases(store, argc > 0 ? argv[0] : NULL, options.json, &err);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
