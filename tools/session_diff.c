/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session diff`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "compare.h"
#include "context.h"

#define CACHE_BYTES ((size_t)32 << 20)

struct diff_options {
    const char *store;
    bool patch, raw, json, exit_code;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct diff_options, store),
    {"patch", 'p', OPTION_FLAG, offsetof(struct diff_options, patch), NULL,
     "print the changed lines, not only how many"},
    {"raw", 0, OPTION_FLAG, offsetof(struct diff_options, raw), NULL,
     "compare events.jsonl as a text, not as events"},
    {"exit-code", 0, OPTION_FLAG, offsetof(struct diff_options, exit_code), NULL,
     "exit with 1 when there is a difference"},
    {"json", 0, OPTION_FLAG, offsetof(struct diff_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_diff = {
    .name = "session diff",
    .group = COMMAND_SESSION,
    .summary = "Show what differs between two versions or sessions",
    .operands = "SESSION[@VERSION] [OTHER[@VERSION] [PATH]]",
    .details = "With one operand, shows what that version changed. A second without a name is\n"
               "one of the same session: 'session diff work@3 @7'. With a PATH, only what is\n"
               "there and below it.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 3,
    .run = run,
};

/* One of the two things compared. */
struct end {
    struct context_session session;
    struct session_head version; /* version 0: an empty tree */
};

static int find_end(struct store *store, char *operand, const struct end *other,
                    struct end *ret_end, const char **ret_path, struct hf_error *err)
{
    char *name, *path;
    uint64_t version;
    int status;

    /* "@7": the name is that of the other one. */
    if (other && *operand == '@') {
        char *end;

        ret_end->session = other->session;
        version = strtoull(operand + 1, &end, 10);
        if (version == 0 || *end)
            return hf_fail(err, HF_USAGE, "'%s' is not a version", operand);
        return context_read_version(store, &ret_end->session, version, &ret_end->version, err);
    }
    status = context_split_operand(operand, &name, &version, &path, err);
    if (status == 0)
        status = context_find_session(store, name, &ret_end->session, err);
    if (status == 0)
        status = context_read_version(store, &ret_end->session, version, &ret_end->version, err);
    if (status == 0 && *path)
        *ret_path = path;
    return status;
}

static int take_before(const struct history_entry *entry, void *arg)
{
    struct session_head *before = arg;

    before->version = entry->version;
    before->root = entry->root;
    before->time = entry->time;
    return 1;
}

/* The kept version before another; version 0 before the first. */
static int find_before(struct store *store, const struct end *after, struct end *ret_before,
                       struct hf_error *err)
{
    struct session_head before = {.sid = after->version.sid};
    int status = 0;

    if (after->version.version > 1)
        status = store_history(store, before.sid, after->version.version - 1, 1, take_before,
                               &before, err);
    if (status < 0)
        return status;
    if (after->version.version > 1 && before.version == 0)
        return hf_fail(err, HF_NOENT, "no version before %s@%" PRIu64 " is kept",
                       after->session.name, after->version.version);
    ret_before->session = after->session;
    ret_before->version = before;
    return 0;
}

static json_t *end_json(const struct end *end)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_set_name(object, "session", end->session.name);
    json_object_set_new(object, "version", json_u64(end->version.version));
    json_object_set_new(object, "root",
                        end->version.version ? json_id(&end->version.root) : json_null());
    return object;
}

static int print(struct store *store, const struct end *before, const struct end *after,
                 const struct diff_options *options, const char *path, size_t *ret_changes,
                 struct hf_error *err)
{
    const struct compare_options compare = {options->patch, options->raw, path};
    const struct object_id *a = before->version.version ? &before->version.root : NULL;
    const struct object_id *b = after->version.version ? &after->version.root : NULL;
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    json_t *changes, *object;
    int status;

    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!options->json) {
        status = compare_print(cache, a, b, &compare, ret_changes, err);
    } else if ((status = compare_json(cache, a, b, &compare, &changes, err)) == 0) {
        *ret_changes = json_array_size(changes);
        object = json_object();
        json_object_set_new(object, "before", end_json(before));
        json_object_set_new(object, "after", end_json(after));
        json_object_set_new(object, "changes", changes);
        status = json_print(object);
    }
    blob_cache_free(cache);
    return status;
}

static int diff(struct store *store, int argc, char **argv, const struct diff_options *options,
                size_t *ret_changes, struct hf_error *err)
{
    struct end before = {0}, after = {0};
    const char *path = NULL;
    int status;

    if (argc == 1) {
        status = find_end(store, argv[0], NULL, &after, &path, err);
        if (status == 0)
            status = find_before(store, &after, &before, err);
    } else {
        status = find_end(store, argv[0], NULL, &before, &path, err);
        if (status == 0)
            status = find_end(store, argv[1], &before, &after, &path, err);
    }
    if (argc == 3)
        path = argv[2];
    return status ? status : print(store, &before, &after, options, path, ret_changes, err);
}

static int run(int argc, char **argv)
{
    struct diff_options options = {0};
    struct store *store = NULL;
    struct hf_error err;
    size_t changes = 0;
    int exit_code, status;

    if (!options_parse(&command_session_diff, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = diff(store, argc, argv, &options, &changes, &err);
    store_close(store);
    if (status)
        return command_fail(&err);
    return options.exit_code && changes > 0 ? 1 : EX_OK;
}
