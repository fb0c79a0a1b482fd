/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session restore`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "command.h"
#include "compare.h"
#include "context.h"
#include "restore.h"
#include "text.h"

#define CACHE_BYTES ((size_t)32 << 20)

struct restore_options {
    const char *store;
    int64_t at;
    uint32_t wait_ms;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct restore_options, store),
    {"at", 0, OPTION_SINCE, offsetof(struct restore_options, at), "WHEN",
     "the version that was the latest then: an age (2h, 3d),\na date or a time"},
    {"wait", 'w', OPTION_DURATION, offsetof(struct restore_options, wait_ms), "TIME",
     "wait so long for a session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct restore_options, dry_run), NULL,
     "only show what would change"},
    {"json", 0, OPTION_FLAG, offsetof(struct restore_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_restore = {
    .name = "session restore",
    .group = COMMAND_SESSION,
    .summary = "Make an older version of a session the latest one",
    .operands = "SESSION[@VERSION]",
    .details = "Adds a version that is like the older one: nothing is lost, and restoring the\n"
               "version before brings back what was. Mounts that have the session idle give it\n"
               "up and show the restored state at once; one that is in use is refused (75).",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static int say(const struct context_session *session, uint64_t from, uint64_t version, bool json)
{
    json_t *object;

    if (!json && version)
        text_line(stdout, "Session %s is as it was at version %" PRIu64 ", as version %" PRIu64 ".",
                  session->name, from, version);
    else if (!json)
        text_line(stdout, "Session %s is as it was at version %" PRIu64 " already.", session->name,
                  from);
    if (!json)
        return HF_OK;
    object = json_object();
    if (object) {
        json_set_name(object, "session", session->name);
        json_object_set_new(object, "restored", json_u64(from));
        json_object_set_new(object, "version", json_u64(version ? version : session->head.version));
        json_object_set_new(object, "changed", json_boolean(version != 0));
    }
    return json_print(object);
}

static int show(struct store *store, const struct context_session *session,
                const struct session_head *from, bool json, struct hf_error *err)
{
    const struct compare_options options = {0};
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    json_t *changes;
    int status;

    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!json) {
        status = compare_print(cache, &session->head.root, &from->root, &options, NULL, err);
    } else {
        status = compare_json(cache, &session->head.root, &from->root, &options, &changes, err);
        if (status == HF_OK)
            status = json_print(changes);
    }
    blob_cache_free(cache);
    return status;
}

static int find(struct store *store, char *operand, int64_t at, struct context_session *ret_session,
                struct session_head *ret_from, struct hf_error *err)
{
    char *name, *path;
    uint64_t version;
    int status = context_split_operand(operand, &name, &version, &path, err);

    if (status == 0 && *path)
        status = hf_fail(err, HF_USAGE,
                         "one file is not restored alone; 'holdfast session cat' prints it");
    if (status == 0 && (version == 0) == (at == 0))
        status = hf_fail(err, HF_USAGE, "which version? Say %s@VERSION or --at WHEN", name);
    if (status == 0)
        status = context_find_session(store, name, ret_session, err);
    if (status == 0 && ret_session->head.sid == SHARED_SID)
        status = hf_fail(err, HF_INVAL, "the shared tree is no session, and is not restored");
    if (status == 0 && at)
        return context_read_version_at(store, ret_session, at, ret_from, err);
    return status ? status : context_read_version(store, ret_session, version, ret_from, err);
}

static int run(int argc, char **argv)
{
    struct restore_options options = {0};
    struct context_session session;
    struct presence *presence = NULL;
    struct session_head from;
    struct hf_error err;
    uint64_t version;
    int exit_code, status;

    if (!options_parse(&command_session_restore, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = options.dry_run ? presence_look(options.store, &presence, &err)
                             : presence_open(options.store, "session restore", &presence, &err);
    if (status == HF_OK)
        status = find(presence_store(presence), argv[0], options.at, &session, &from, &err);
    if (status == HF_OK && options.dry_run) {
        status = show(presence_store(presence), &session, &from, options.json, &err);
    } else if (status == HF_OK) {
        status = restore_onto(presence, session.head.sid, &from, options.wait_ms, &version, &err);
        if (status == HF_OK)
            status = say(&session, from.version, version, options.json);
    }
    presence_close(presence);
    return status ? command_fail(&err) : EX_OK;
}
