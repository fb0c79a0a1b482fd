/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session log`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "text.h"

struct log_options {
    const char *store;
    uint64_t count;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct log_options, store),
    {"count", 'n', OPTION_NUMBER, offsetof(struct log_options, count), "NUMBER",
     "no more versions than this"},
    {"json", 0, OPTION_FLAG, offsetof(struct log_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_log = {
    .name = "session log",
    .group = COMMAND_SESSION,
    .summary = "List the versions of a session, the latest first",
    .operands = "SESSION[@VERSION]",
    .details = "With a version, begins at that one. The session '.' is the shared tree.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct log {
    struct json_list list;
    struct grid *grid; /* NULL: JSON */
    int64_t now;
};

static json_t *entry_json(const struct history_entry *entry)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "version", json_u64(entry->version));
    json_object_set_new(object, "root", json_id(&entry->root));
    json_object_set_new(object, "time", json_time(entry->time));
    json_object_set_new(object, "bytes", json_u64(entry->bytes));
    json_object_set_new(object, "files", json_u64(entry->files));
    json_object_set_new(object, "host", json_bytes(entry->host_name));
    json_object_set_new(object, "host_session", json_u64(entry->host));
    json_object_set_new(object, "token", json_u64(entry->token));
    return object;
}

static int visit(const struct history_entry *entry, void *arg)
{
    struct log *log = arg;
    char text[TEXT_SHORT];

    if (!log->grid)
        return json_list_add(&log->list, entry_json(entry));
    snprintf(text, sizeof text, "%" PRIu64, entry->version);
    grid_add(log->grid, text);
    grid_add(log->grid, text_time(entry->time, text));
    grid_add(log->grid, text_age(entry->time, log->now, text));
    grid_add(log->grid, text_size(entry->bytes, text));
    snprintf(text, sizeof text, "%" PRIu64, entry->files);
    grid_add(log->grid, text);
    grid_add(log->grid, text_id(&entry->root, text));
    grid_add(log->grid, entry->host_name);
    return 0;
}

static int print_log(struct store *store, const struct context_session *session, uint64_t from,
                     const struct log_options *options, struct hf_error *err)
{
    static const struct grid_column columns[] = {{"VERSION", true, false}, {"TIME", false, false},
                                                 {"AGE", true, false},     {"SIZE", true, false},
                                                 {"FILES", true, false},   {"ROOT", false, false},
                                                 {"HOST", false, true}};
    struct log log = {.now = clock_realtime(&clock_system)};
    int status;

    if (!options->json && !(log.grid = grid_new(columns, sizeof columns / sizeof columns[0])))
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = store_history(store, session->head.sid, from ? from : session->head.version,
                           options->count, visit, &log, err);
    if (status == 0 && log.grid)
        status = grid_print(log.grid, stdout, grid_terminal_width(stdout));
    else if (!log.grid)
        json_list_end(&log.list);
    grid_free(log.grid);
    return status == HF_NOMEM ? hf_fail(err, status, "out of memory") : status;
}

static int run(int argc, char **argv)
{
    struct log_options options = {0};
    struct context_session session;
    struct store *store = NULL;
    struct hf_error err;
    char *name, *path;
    uint64_t version;
    int exit_code, status;

    if (!options_parse(&command_session_log, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_split_operand(argv[0], &name, &version, &path, &err);
    if (status == 0 && *path)
        status = hf_fail(&err, HF_USAGE, "the log of one file is not kept: leave out ':%s'", path);
    if (status == 0)
        status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = context_find_session(store, name, &session, &err);
    if (status == 0)
        status = print_log(store, &session, version, &options, &err);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
