/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast retention apply`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "presence.h"
#include "progress.h"
#include "store/retention.h"
#include "text.h"

struct apply_options {
    const char *store;
    bool json, dry_run;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct apply_options, store),
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct apply_options, dry_run), NULL,
     "only print what would go, and the rule that says so"},
    {"json", 0, OPTION_FLAG, offsetof(struct apply_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);
extern const struct command command_retention_apply;

const struct command command_retention_apply = {
    .name = "retention apply",
    .group = COMMAND_STORE,
    .summary = "Let go what the policy does not keep",
    .details = "Forgets versions, sessions in the trash, rescue versions and snapshots, and moves\n"
               "idle sessions to the trash, as the store's policy says. Heads stay, and so does a\n"
               "session that is in use. 'holdfast gc' then frees their room. 'holdfast serve' and\n"
               "mounts of an embedded store do both by themselves.",
    .options = specs,
    .run = run,
};

/* What went, or would, counted by the rule that says so, in the order in which the rules spoke first. */
struct by_rule {
    char *rule;
    enum retention_kind kind;
    uint64_t count;
};

struct output {
    const struct apply_options *options;
    int64_t now;
    struct grid *grid; /* of a dry run */
    struct json_list list;
    struct by_rule *rules;
    size_t nrules;
    struct progress progress;
    uint64_t done, all;
};

static const char *kind_word(enum retention_kind kind)
{
    static const char *const words[] = {[RETENTION_VERSION] = "version",
                                        [RETENTION_TRASH] = "session to trash",
                                        [RETENTION_PURGE] = "trashed session",
                                        [RETENTION_RESCUE] = "rescue version",
                                        [RETENTION_SNAPSHOT] = "snapshot"};

    return words[kind];
}

static const char *kind_key(enum retention_kind kind)
{
    static const char *const keys[] = {[RETENTION_VERSION] = "version",
                                       [RETENTION_TRASH] = "trash",
                                       [RETENTION_PURGE] = "purge",
                                       [RETENTION_RESCUE] = "rescue",
                                       [RETENTION_SNAPSHOT] = "snapshot"};

    return keys[kind];
}

/* --- one thing -------------------------------------------------------------------------------------- */

static json_t *action_json(const struct retention_action *action)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "what", json_string(kind_key(action->kind)));
    if (action->kind == RETENTION_SNAPSHOT) {
        json_set_name(object, "snapshot", action->snapshot);
    } else {
        json_set_name(object, "session", action->session_name);
        json_object_set_new(object, "sid", json_u64(action->sid));
        json_object_set_new(object, "bytes", json_u64(action->bytes));
    }
    if (action->kind == RETENTION_VERSION)
        json_object_set_new(object, "version", json_u64(action->version));
    if (action->kind == RETENTION_RESCUE)
        json_object_set_new(object, "rescue", json_u64(action->rescue));
    json_object_set_new(object, "time", json_time(action->time));
    json_object_set_new(object, "rule", json_bytes(action->rule));
    return object;
}

static void add_row(struct output *output, const struct retention_action *action)
{
    char text[SESSION_NAME_MAX + 64];
    char size[TEXT_SHORT];

    grid_add(output->grid, kind_word(action->kind));
    if (action->kind == RETENTION_VERSION)
        snprintf(text, sizeof text, "%s@%" PRIu64, action->session_name, action->version);
    else if (action->kind == RETENTION_RESCUE)
        snprintf(text, sizeof text, "%s, rescue %" PRIu64, action->session_name, action->rescue);
    else
        snprintf(text, sizeof text, "%s",
                 action->kind == RETENTION_SNAPSHOT ? action->snapshot : action->session_name);
    grid_add(output->grid, text);
    grid_add(output->grid, text_age(action->time, output->now, size));
    grid_add(output->grid,
             action->kind == RETENTION_SNAPSHOT ? NULL : text_size(action->bytes, size));
    grid_add(output->grid, action->rule);
}

static int count_rule(struct output *output, const struct retention_action *action)
{
    struct by_rule *grown;
    size_t i = 0;

    while (i < output->nrules && (output->rules[i].kind != action->kind ||
                                  strcmp(output->rules[i].rule, action->rule) != 0))
        i++;
    if (i == output->nrules) {
        grown = reallocarray(output->rules, i + 1, sizeof *grown);
        if (!grown)
            return HF_NOMEM;
        output->rules = grown;
        output->rules[i] = (struct by_rule){.rule = strdup(action->rule), .kind = action->kind};
        if (!output->rules[i].rule)
            return HF_NOMEM;
        output->nrules++;
    }
    output->rules[i].count++;
    return HF_OK;
}

static int on_action(const struct retention_action *action, void *arg)
{
    struct output *output = arg;

    progress_set(&output->progress, ++output->done, output->all, 0);
    if (output->options->json)
        return json_list_add(&output->list, action_json(action));
    if (output->grid)
        add_row(output, action);
    return count_rule(output, action);
}

static int count_all(const struct retention_action *action, void *arg)
{
    (void)action;
    ++*(uint64_t *)arg;
    return 0;
}

/* --- all of it -------------------------------------------------------------------------------------- */

static int print_rules(const struct output *output)
{
    static const struct grid_column columns[] = {
        {"COUNT", true, false, 0}, {"WHAT", false, false, 0}, {"RULE", false, true, 0}};
    struct grid *grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    int rc = HF_NOMEM;

    for (size_t i = 0; grid && i < output->nrules; i++) {
        char count[TEXT_SHORT];

        snprintf(count, sizeof count, "%" PRIu64, output->rules[i].count);
        grid_add(grid, count);
        grid_add(grid, kind_word(output->rules[i].kind));
        grid_add(grid, output->rules[i].rule);
    }
    if (grid)
        rc = grid_print(grid, stdout, grid_terminal_width(stdout));
    grid_free(grid);
    return rc;
}

static int print_text(const struct output *output, const struct retention_totals *totals)
{
    size_t width = grid_terminal_width(stdout);
    int rc = HF_OK;

    if (output->done == 0) {
        puts("Nothing to let go.");
    } else {
        if (output->grid) {
            rc = grid_print(output->grid, stdout, width);
            puts("");
        }
        if (rc == HF_OK)
            rc = print_rules(output);
    }
    if (totals->skipped > 0)
        printf("%" PRIu64 " idle session%s stayed, being in use again.\n", totals->skipped,
               totals->skipped == 1 ? "" : "s");
    if (output->done > 0)
        puts(output->grid ? "Nothing was changed." : "'holdfast gc' frees the room of what went.");
    return rc;
}

static int plan(struct store *store, const struct retention *policy, struct output *output,
                struct hf_error *err)
{
    static const struct grid_column columns[] = {{"WHAT", false, false, 1},
                                                 {"NAME", false, true, 0},
                                                 {"AGE", true, false, 3},
                                                 {"SIZE", true, false, 2},
                                                 {"RULE", false, true, 0}};
    const struct retention_watch watch = {.visit = on_action, .arg = output};

    if (!output->options->json) {
        output->grid = grid_new(columns, sizeof columns / sizeof columns[0]);
        if (!output->grid)
            return hf_fail(err, HF_NOMEM, "out of memory");
    }
    return retention_plan(store, policy, output->now, &watch, err);
}

static int apply(struct store *store, const struct retention *policy, struct output *output,
                 struct retention_totals *totals, struct hf_error *err)
{
    const struct retention_watch count = {.visit = count_all, .arg = &output->all};
    const struct retention_watch watch = {.visit = on_action, .arg = output};
    struct presence *presence = NULL;
    int rc = retention_plan(store, policy, output->now, &count, err);

    if (rc == HF_OK)
        rc = presence_begin(store, "holdfast retention apply", &presence, err);
    if (rc != HF_OK)
        return rc;
    progress_start(&output->progress, "Letting go", "things", output->all, 0);
    rc = retention_apply(store, presence_host(presence), policy, output->now, &watch, totals, err);
    progress_end(&output->progress);
    presence_end(presence);
    return rc;
}

static int work(struct store *store, struct output *output, struct hf_error *err)
{
    struct retention_totals totals = {0};
    struct retention *policy = NULL;
    int rc = retention_load(store, &policy, err);

    if (rc == HF_OK)
        rc = output->options->dry_run ? plan(store, policy, output, err)
                                      : apply(store, policy, output, &totals, err);
    retention_free(policy);
    if (output->options->json)
        json_list_end(&output->list);
    else if (rc == HF_OK)
        rc = print_text(output, &totals);
    return rc == HF_NOMEM ? hf_fail(err, rc, "out of memory") : rc;
}

static void release(struct output *output)
{
    for (size_t i = 0; i < output->nrules; i++)
        free(output->rules[i].rule);
    free(output->rules);
    grid_free(output->grid);
}

static int run(int argc, char **argv)
{
    struct apply_options options = {0};
    struct output output = {.options = &options, .now = clock_realtime(&clock_system)};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_retention_apply, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, options.dry_run ? STORE_READ_ONLY : 0, &store, &err);
    if (status == HF_OK)
        status = work(store, &output, &err);
    release(&output);
    store_close(store);
    return status == HF_OK ? EX_OK : command_fail(&err);
}
