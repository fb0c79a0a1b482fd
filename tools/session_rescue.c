/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session rescue`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "compare.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "restore.h"
#include "text.h"

#define CACHE_BYTES ((size_t)32 << 20)

struct rescue_options {
    const char *store, *as;
    uint32_t wait_ms;
    bool patch, dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct rescue_options, store),
    {"as", 0, OPTION_STRING, offsetof(struct rescue_options, as), "NEW",
     "keep: as a new session of this name"},
    {"patch", 'p', OPTION_FLAG, offsetof(struct rescue_options, patch), NULL,
     "show: print the changed lines"},
    {"wait", 'w', OPTION_DURATION, offsetof(struct rescue_options, wait_ms), "TIME",
     "keep: wait so long for a session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct rescue_options, dry_run), NULL,
     "keep, drop: only say what would be done"},
    {"json", 0, OPTION_FLAG, offsetof(struct rescue_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_rescue = {
    .name = "session rescue",
    .group = COMMAND_SESSION,
    .summary = "See, keep or drop work that lost its lease",
    .operands = "list [SESSION] | show|keep|drop ID",
    .details = "Work that could not be committed, because its host had lost the lease, is kept as\n"
               "a rescue version beside the session's history. 'show' compares it with the\n"
               "version that it was based on; 'keep' makes it the latest version of the session,\n"
               "or with --as a session of its own; 'drop' forgets it.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};

/* --- finding ------------------------------------------------------------------------------------- */

/** A rescue version, owned. */
struct rescue {
    uint64_t id, base; /* the version that it is based on */
    bool trashed;
    struct session_head head; /* its root, bytes and files */
    char name[SESSION_NAME_MAX + 1];
    bool found;
};

static int find(const struct rescue_info *info, void *arg)
{
    struct rescue *rescue = arg;

    if (info->id != rescue->id)
        return 0;
    rescue->found = true;
    rescue->base = info->version;
    rescue->trashed = info->trashed;
    rescue->head = (struct session_head){.sid = info->sid,
                                         .root = info->root,
                                         .time = info->time,
                                         .bytes = info->bytes,
                                         .files = info->files};
    snprintf(rescue->name, sizeof rescue->name, "%s", info->session_name ? info->session_name : "");
    return 1;
}

static int find_rescue(struct store *store, const char *operand, struct rescue *ret_rescue,
                       struct hf_error *err)
{
    const char *digits = operand + (*operand == '#');
    struct rescue rescue = {0};
    char *end;
    int status;

    errno = 0;
    rescue.id = strtoull(digits, &end, 10);
    if (errno || *end || *digits < '0' || *digits > '9')
        return hf_fail(err, HF_USAGE, "'%s' is not the number of a rescue version", operand);
    status = store_rescue_list(store, UINT64_MAX, find, &rescue, err);
    if (status < 0)
        return status;
    if (!rescue.found)
        return hf_fail(err, HF_NOENT,
                       "there is no rescue version %s; see 'holdfast session rescue list'",
                       operand);
    *ret_rescue = rescue;
    return HF_OK;
}

/* --- list ------------------------------------------------------------------------------------------ */

struct listing {
    struct grid *grid; /* NULL: JSON */
    struct json_list list;
    int64_t now;
};

static json_t *info_json(const struct rescue_info *info)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "id", json_u64(info->id));
    json_set_name(object, "session", info->session_name);
    json_object_set_new(object, "trashed", json_boolean(info->trashed));
    json_object_set_new(object, "version", json_u64(info->version));
    json_object_set_new(object, "root", json_id(&info->root));
    json_object_set_new(object, "time", json_time(info->time));
    json_object_set_new(object, "bytes", json_u64(info->bytes));
    json_object_set_new(object, "files", json_u64(info->files));
    json_object_set_new(object, "host", json_bytes(info->host_name));
    json_object_set_new(object, "token", json_u64(info->token));
    json_object_set_new(object, "reason", json_bytes(info->reason));
    return object;
}

static int visit(const struct rescue_info *info, void *arg)
{
    struct listing *listing = arg;
    char text[TEXT_SHORT];

    if (!listing->grid)
        return json_list_add(&listing->list, info_json(info));
    snprintf(text, sizeof text, "%" PRIu64, info->id);
    grid_add(listing->grid, text);
    grid_add(listing->grid, info->session_name);
    snprintf(text, sizeof text, "%" PRIu64, info->version);
    grid_add(listing->grid, text);
    grid_add(listing->grid, text_age(info->time, listing->now, text));
    grid_add(listing->grid, text_size(info->bytes, text));
    grid_add(listing->grid, info->host_name);
    grid_add(listing->grid, info->reason);
    return 0;
}

static int list(struct presence *presence, const char *operand,
                const struct rescue_options *options, struct hf_error *err)
{
    static const struct grid_column columns[] = {
        {"ID", true, false, 0},    {"SESSION", false, true, 0}, {"BASED ON", true, false, 5},
        {"AGE", true, false, 3},   {"SIZE", true, false, 4},    {"HOST", false, true, 2},
        {"REASON", false, true, 1}};
    struct store *store = presence_store(presence);
    struct listing listing = {.now = clock_realtime(&clock_system)};
    struct context_session session;
    uint64_t sid = UINT64_MAX;
    int status = HF_OK;

    if (operand) {
        status = context_find_session(store, operand, &session, err);
        if (status != HF_OK)
            return status;
        sid = session.head.sid;
    }
    if (!options->json && !(listing.grid = grid_new(columns, sizeof columns / sizeof columns[0])))
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = store_rescue_list(store, sid, visit, &listing, err);
    if (options->json)
        json_list_end(&listing.list);
    else if (status == HF_OK)
        status = grid_print(listing.grid, stdout, grid_terminal_width(stdout));
    grid_free(listing.grid);
    return status == HF_NOMEM ? hf_fail(err, status, "out of memory") : status;
}

/* --- show ------------------------------------------------------------------------------------------ */

static int take_base(const struct history_entry *entry, void *arg)
{
    struct session_head *base = arg;

    base->version = entry->version;
    base->root = entry->root;
    return 1;
}

static int show(struct presence *presence, const char *operand,
                const struct rescue_options *options, struct hf_error *err)
{
    const struct compare_options compare = {.patch = options->patch};
    struct store *store = presence_store(presence);
    struct session_head base = {0};
    struct blob_cache *cache;
    struct rescue rescue;
    json_t *changes;
    int status = find_rescue(store, operand, &rescue, err);

    if (status == HF_OK && rescue.base > 0)
        status = store_history(store, rescue.head.sid, rescue.base, 1, take_base, &base, err);
    if (status < 0)
        return status;
    if (base.version != rescue.base)
        return hf_fail(err, HF_NOENT, "version %" PRIu64 ", on which it is based, is not kept",
                       rescue.base);
    cache = blob_cache_new(store, CACHE_BYTES);
    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!options->json) {
        status = compare_print(cache, base.version ? &base.root : NULL, &rescue.head.root, &compare,
                               NULL, err);
    } else {
        status = compare_json(cache, base.version ? &base.root : NULL, &rescue.head.root, &compare,
                              &changes, err);
        if (status == HF_OK)
            status = json_print(changes);
    }
    blob_cache_free(cache);
    return status;
}

/* --- keep, drop ------------------------------------------------------------------------------------- */

static int say(const struct rescue *rescue, const char *done, const char *name, uint64_t version,
               const struct rescue_options *options)
{
    json_t *object;

    if (!options->json) {
        if (name)
            text_line(stdout,
                      "Rescue version %" PRIu64 " of session %s %s as version %" PRIu64
                      " of session %s.",
                      rescue->id, rescue->name, done, version, name);
        else
            text_line(stdout, "Rescue version %" PRIu64 " of session %s %s.", rescue->id,
                      rescue->name, done);
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_object_set_new(object, "id", json_u64(rescue->id));
        json_set_name(object, "session", name ? name : rescue->name);
        json_object_set_new(object, "version", name ? json_u64(version) : json_null());
    }
    return json_print(object);
}

/* What is kept is a version now, in the history like any other: the rescue version has done its work. */
static int keep(struct presence *presence, const char *operand,
                const struct rescue_options *options, struct hf_error *err)
{
    struct store *store = presence_store(presence);
    const char *name = options->as;
    struct session_head head;
    struct rescue rescue;
    uint64_t version = 1;
    int status = find_rescue(store, operand, &rescue, err);

    if (status == HF_OK && !name && rescue.trashed)
        status = hf_fail(err, HF_NOENT, "session %s is in the trash: undelete it, or say --as NEW",
                         rescue.name);
    if (status == HF_OK && !name && rescue.head.sid == SHARED_SID)
        status = hf_fail(err, HF_INVAL, "the shared tree is not rescued into; say --as NEW");
    if (status == HF_OK && !name)
        status = store_session_head(store, rescue.head.sid, &head, err);
    if (status == HF_OK && options->dry_run)
        return say(&rescue, "would be kept", name ? name : rescue.name, name ? 1 : head.version + 1,
                   options);
    if (status == HF_OK && name)
        status = restore_as(presence, name, &rescue.head, NULL, err);
    else if (status == HF_OK)
        status =
            restore_onto(presence, rescue.head.sid, &rescue.head, options->wait_ms, &version, err);
    if (status == HF_OK)
        status = store_rescue_drop(store, rescue.head.sid, rescue.id, err);
    if (status != HF_OK)
        return status;
    return say(&rescue, "is kept", name ? name : rescue.name, version ? version : head.version,
               options);
}

static int drop(struct presence *presence, const char *operand,
                const struct rescue_options *options, struct hf_error *err)
{
    struct store *store = presence_store(presence);
    struct rescue rescue;
    int status = find_rescue(store, operand, &rescue, err);

    if (status == HF_OK && !options->dry_run)
        status = store_rescue_drop(store, rescue.head.sid, rescue.id, err);
    if (status != HF_OK)
        return status;
    return say(&rescue, options->dry_run ? "would be dropped" : "is dropped", NULL, 0, options);
}

/* --- which ------------------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    bool needs_id, writes;
    int (*run)(struct presence *, const char *, const struct rescue_options *, struct hf_error *);
} actions[] = {{"list", false, false, list},
               {"show", true, false, show},
               {"keep", true, true, keep},
               {"drop", true, true, drop}};

static int run(int argc, char **argv)
{
    struct rescue_options options = {0};
    struct presence *presence = NULL;
    struct hf_error err;
    size_t i = 0;
    int exit_code, status;

    if (!options_parse(&command_session_rescue, &argc, &argv, &options, &exit_code))
        return exit_code;
    while (i < sizeof actions / sizeof actions[0] && strcmp(actions[i].word, argv[0]) != 0)
        i++;
    if (i == sizeof actions / sizeof actions[0])
        return command_failf(HF_USAGE, "'%s' is not list, show, keep or drop", argv[0]);
    if (actions[i].needs_id && argc < 2)
        return command_failf(HF_USAGE,
                             "which one? 'session rescue list' prints the rescue versions");
    status = options.dry_run || !actions[i].writes
                 ? presence_look(options.store, &presence, &err)
                 : presence_open(options.store, "session rescue", &presence, &err);
    if (status == HF_OK)
        status = actions[i].run(presence, argc > 1 ? argv[1] : NULL, &options, &err);
    presence_close(presence);
    return status ? command_fail(&err) : EX_OK;
}
