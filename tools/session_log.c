/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session log`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "changeset.h"
#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "progress.h"
#include "text.h"

#define CACHE_BYTES ((size_t)32 << 20)
#define PAGE 256 /* versions that are read at a time */

struct log_options {
    const char *store;
    uint64_t count;
    int64_t since, at;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct log_options, store),
    {"count", 'n', OPTION_NUMBER, offsetof(struct log_options, count), "NUMBER",
     "no more versions than this"},
    {"since", 0, OPTION_SINCE, offsetof(struct log_options, since), "WHEN",
     "only versions made since then: an age (2h, 3d)\nor a date (2026-01-31)"},
    {"at", 0, OPTION_SINCE, offsetof(struct log_options, at), "WHEN",
     "begin at the version that was the latest then"},
    {"json", 0, OPTION_FLAG, offsetof(struct log_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_log = {
    .name = "session log",
    .group = COMMAND_SESSION,
    .summary = "List the versions of a session, the latest first",
    .operands = "SESSION[@VERSION]",
    .details = "Tells of each version when and where it was made and what changed, against the\n"
               "kept version before it. With a version, begins at that one. The session '.' is\n"
               "the shared tree.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct log {
    struct store *store;
    struct blob_cache *cache;
    const struct log_options *options;
    struct json_list list;
    struct grid *grid; /* NULL: JSON */
    int64_t now;
    uint64_t printed;
    struct progress progress;
};

/* A stretch of history, the latest first; host names are owned. */
struct page {
    struct history_entry
        entries[PAGE + 1]; /* the last one for comparison only, and not there at the end */
    size_t count;
    bool full;
};

static int take(const struct history_entry *entry, void *arg)
{
    struct page *page = arg;
    struct history_entry copy = *entry;

    if (entry->host_name && !(copy.host_name = strdup(entry->host_name)))
        return HF_NOMEM;
    page->entries[page->count++] = copy;
    return 0;
}

static void page_clear(struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        free((char *)page->entries[i].host_name);
    page->count = 0;
}

/* --- one version ------------------------------------------------------------------------------------ */

static json_t *entry_json(const struct history_entry *entry, const struct changeset *changes)
{
    json_t *object = json_object();
    json_t *list = changes ? changeset_json(changes) : json_null();

    if (!object || !list)
        return NULL;
    json_object_set_new(object, "version", json_u64(entry->version));
    json_object_set_new(object, "root", json_id(&entry->root));
    json_object_set_new(object, "time", json_time(entry->time));
    json_object_set_new(object, "bytes", json_u64(entry->bytes));
    json_object_set_new(object, "files", json_u64(entry->files));
    json_object_set_new(object, "host", json_bytes(entry->host_name));
    json_object_set_new(object, "host_session", json_u64(entry->host));
    json_object_set_new(object, "token", json_u64(entry->token));
    json_object_set_new(object, "changes", list);
    return object;
}

static int add_row(struct log *log, const struct history_entry *entry,
                   const struct changeset *changes)
{
    char text[TEXT_SHORT], *line = changes ? changeset_line(changes) : strdup("(not known)");

    if (!line)
        return HF_NOMEM;
    snprintf(text, sizeof text, "%" PRIu64, entry->version);
    grid_add(log->grid, text);
    grid_add(log->grid, text_time(entry->time, text));
    grid_add(log->grid, text_age(entry->time, log->now, text));
    grid_add(log->grid, text_size(entry->bytes, text));
    grid_add(log->grid, entry->host_name);
    grid_add(log->grid, line);
    free(line);
    return 0;
}

/* `before` is the kept version before it; NULL: there is none. */
static int print_entry(struct log *log, const struct history_entry *entry,
                       const struct history_entry *before, struct hf_error *err)
{
    const bool known = before || entry->version == 1;
    struct changeset changes = {0};
    int status = HF_OK;

    if (known)
        status = changeset_read(log->cache, before ? &before->root : NULL, &entry->root, NULL,
                                &changes, err);
    if (status)
        return hf_fail_prefix(err, status, "version %" PRIu64, entry->version);
    status = log->grid ? add_row(log, entry, known ? &changes : NULL)
                       : json_list_add(&log->list, entry_json(entry, known ? &changes : NULL));
    changeset_clear(&changes);
    log->printed++;
    progress_add(&log->progress, 1, 0);
    return status == HF_NOMEM ? hf_fail(err, status, "out of memory") : status;
}

/* --- all of them -------------------------------------------------------------------------------------- */

/* Whether the log ends before this version. */
static bool is_past(const struct log *log, const struct history_entry *entry)
{
    return entry->time < log->options->since ||
           (log->options->count > 0 && log->printed >= log->options->count);
}

static bool is_later(const struct log *log, const struct history_entry *entry)
{
    return log->options->at > 0 && entry->time > log->options->at;
}

/* Asks for the roots of a page in one go. */
static void prefetch(struct log *log, const struct page *page)
{
    struct object_id roots[PAGE + 1];
    size_t n = 0;

    for (size_t i = 0; i < page->count; i++)
        if (!is_later(log, &page->entries[i]))
            roots[n++] = page->entries[i].root;
    blob_prefetch(log->cache, roots, n);
}

static int print_page(struct log *log, const struct page *page, bool *ret_end, struct hf_error *err)
{
    const size_t n = page->full ? PAGE : page->count;
    int status = HF_OK;

    prefetch(log, page);
    for (size_t i = 0; i < n && status == HF_OK; i++) {
        if (is_past(log, &page->entries[i])) {
            *ret_end = true;
            break;
        }
        if (!is_later(log, &page->entries[i]))
            status = print_entry(log, &page->entries[i],
                                 i + 1 < page->count ? &page->entries[i + 1] : NULL, err);
    }
    return status;
}

static int print_versions(struct log *log, uint64_t sid, uint64_t from, struct hf_error *err)
{
    struct page *page = calloc(1, sizeof *page);
    const uint64_t wanted = log->options->count;
    bool end = false;
    int status = page ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    while (status == HF_OK && !end && from > 0) {
        const uint64_t limit = wanted > 0 && wanted < PAGE && log->options->at == 0 ? wanted : PAGE;

        status = store_history(log->store, sid, from, limit + 1, take, page, err);
        if (status)
            break;
        page->full = page->count == PAGE + 1;
        status = print_page(log, page, &end, err);
        if (page->full)
            from = page->entries[PAGE].version;
        else
            end = true;
        page_clear(page);
    }
    if (page)
        page_clear(page);
    free(page);
    return status;
}

static int print_log(struct store *store, const struct context_session *session, uint64_t from,
                     const struct log_options *options, struct hf_error *err)
{
    static const struct grid_column columns[] = {
        {"VERSION", true, false, 0}, {"TIME", false, false, 4}, {"AGE", true, false, 1},
        {"SIZE", true, false, 3},    {"HOST", false, true, 2},  {"CHANGES", false, true, 0}};
    struct log log = {.store = store,
                      .cache = blob_cache_new(store, CACHE_BYTES),
                      .options = options,
                      .now = clock_realtime(&clock_system)};
    int status;

    if (!options->json)
        log.grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    if (!log.cache || (!options->json && !log.grid)) {
        status = hf_fail(err, HF_NOMEM, "out of memory");
        goto out;
    }
    if (log.grid)
        progress_start(&log.progress, "Comparing", "versions", options->count, 0);
    status = print_versions(&log, session->head.sid, from ? from : session->head.version, err);
    progress_end(&log.progress);
    if (!log.grid)
        json_list_end(&log.list);
    else if (status == 0 && grid_print(log.grid, stdout, grid_terminal_width(stdout)) != 0)
        status = hf_fail(err, HF_NOMEM, "out of memory");
out:
    grid_free(log.grid);
    blob_cache_free(log.cache);
    return status;
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
    if (status == 0 && version > session.head.version)
        status =
            hf_fail(&err, HF_NOENT, "session '%s' has no version %" PRIu64 "; the head is %" PRIu64,
                    session.name, version, session.head.version);
    if (status == 0)
        status = print_log(store, &session, version, &options, &err);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
