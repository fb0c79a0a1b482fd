/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast restore`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "backup.h"
#include "command.h"
#include "context.h"
#include "json.h"
#include "progress.h"
#include "restore.h"
#include "store/catalog.h"
#include "text.h"

/* Set while a whole store is being restored: what is in it then is a part, and the same restore may go on. */
#define UNDERWAY "restore-under-way"

struct restore_options {
    const char *store, *session, *as, *at, *snapshot;
    uint32_t wait_ms;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct restore_options, store),
    {"at", 0, OPTION_STRING, offsetof(struct restore_options, at), "BACKUP",
     "the sessions as this backup has seen them, one of\n'holdfast backup list' (default: the "
     "latest state)"},
    {"snapshot", 0, OPTION_STRING, offsetof(struct restore_options, snapshot), "NAME",
     "the sessions as this snapshot pins them"},
    {"session", 0, OPTION_STRING, offsetof(struct restore_options, session), "SESSION[@VERSION]",
     "one session, into a store in use: as its newest\nversion, or as a session when there is "
     "none"},
    {"as", 0, OPTION_STRING, offsetof(struct restore_options, as), "NAME",
     "with --session: as a new session of this name"},
    {"wait", 'w', OPTION_DURATION, offsetof(struct restore_options, wait_ms), "TIME",
     "wait so long for a session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct restore_options, dry_run), NULL,
     "only show what would be restored"},
    {"json", 0, OPTION_FLAG, offsetof(struct restore_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_restore = {
    .name = "restore",
    .group = COMMAND_STORE,
    .summary = "Bring a store, or one session, back from a backup",
    .operands = "BACKUP-URL",
    .details = "Without --session, the whole store is restored into an empty one, which is made\n"
               "when it is not there. Every fencing token is raised far above any that was ever\n"
               "granted, so that no host of the lost store can write to the new one. An\n"
               "interrupted restore goes on when it is run again. The exit status is 65 when\n"
               "something in the backup is damaged, and was left out.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* --- what is in the backup ---------------------------------------------------------------------------- */

struct printing {
    struct json_list list;
    bool json;
};

static int print_head(struct printing *printing, const char *name, const struct session_head *head)
{
    json_t *object;

    if (!printing->json) {
        text_line(stdout, "%s at version %" PRIu64, name, head->version);
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "session", name);
        json_object_set_new(object, "version", json_u64(head->version));
        json_object_set_new(object, "time", json_time(head->time));
    }
    return json_list_add(&printing->list, object);
}

static int print_pin(const struct pin_info *pin, void *arg)
{
    struct session_head head = {.version = pin->version, .time = pin->time};

    return print_head(arg, pin->sid == SHARED_SID ? "." : pin->session_name, &head);
}

/* What a restore of the whole would bring. */
static int show_all(struct store *backup, const char *at, bool json, struct hf_error *err)
{
    struct printing printing = {.json = json};
    struct catalog catalog = {0};
    int status;

    if (at) {
        status = store_snapshot_pins(backup, at, print_pin, &printing, err);
    } else {
        status = catalog_load(backup, &catalog, err);
        for (size_t i = 0; status == HF_OK && i < catalog.count; i++) {
            const struct session_info *info = &catalog.entries[i].info;

            if (info->state == SESSION_LIVE)
                status = print_head(&printing, info->head.sid == SHARED_SID ? "." : info->name,
                                    &info->head);
        }
        catalog_free(&catalog);
    }
    if (status == HF_OK && json)
        json_list_end(&printing.list);
    return status;
}

struct pin_search {
    const char *name;
    struct context_session found;
    bool is_found;
};

static int match_pin(const struct pin_info *pin, void *arg)
{
    struct pin_search *search = arg;

    if (pin->sid == SHARED_SID || strcmp(pin->session_name, search->name) != 0)
        return HF_OK;
    search->is_found = true;
    search->found.head =
        (struct session_head){pin->sid, pin->version, pin->root, pin->time, pin->bytes, pin->files};
    snprintf(search->found.name, sizeof search->found.name, "%s", pin->session_name);
    return HF_OK;
}

static int find_pinned(struct store *backup, const char *at, const char *name,
                       struct context_session *ret_session, struct hf_error *err)
{
    struct pin_search search = {.name = name};
    int status = store_snapshot_pins(backup, at, match_pin, &search, err);

    if (status == HF_OK && !search.is_found)
        status = hf_fail(err, HF_NOENT, "there is no session '%s' in %s", name, at);
    if (status == HF_OK)
        *ret_session = search.found;
    return status;
}

/* Finds what SESSION[@VERSION] names in the backup, live there or in the trash. */
static int find_session(struct store *backup, const char *at, char *operand,
                        struct context_session *ret_session, struct hf_error *err)
{
    char *name, *path;
    uint64_t version;
    int status = context_split_operand(operand, &name, &version, &path, err);

    if (status == HF_OK && *path)
        status = hf_fail(err, HF_USAGE,
                         "a session is restored whole; 'holdfast session cat' "
                         "prints one file of it");
    if (status != HF_OK)
        return status;
    if (at && version == 0)
        return find_pinned(backup, at, name, ret_session, err);
    status = context_find_session(backup, name, ret_session, err);
    if (status == HF_NOENT)
        status = context_find_trashed(backup, name, ret_session, err);
    if (status == HF_NOENT)
        status = hf_fail(err, status, "there is no session '%s' in the backup", name);
    if (status == HF_OK && ret_session->head.sid == SHARED_SID)
        status = hf_fail(err, HF_INVAL, "the shared tree is restored with the whole store alone");
    if (status == HF_OK && version)
        status = context_read_version(backup, ret_session, version, &ret_session->head, err);
    return status;
}

/* --- one session ---------------------------------------------------------------------------------------- */

static int say_session(const struct context_session *session, const char *name, uint64_t version,
                       bool json)
{
    json_t *object;

    if (!json && version)
        text_line(stdout,
                  "Session %s is as session %s was at version %" PRIu64 ", as version %" PRIu64 ".",
                  name, session->name, session->head.version, version);
    else if (!json)
        text_line(stdout, "Session %s is as session %s was at version %" PRIu64 " already.", name,
                  session->name, session->head.version);
    if (!json)
        return HF_OK;
    object = json_object();
    if (object) {
        json_set_name(object, "session", name);
        json_object_set_new(object, "restored", json_u64(session->head.version));
        json_object_set_new(object, "version", json_u64(version));
    }
    return json_print(object);
}

static int bring_session(struct presence *presence, struct store *backup,
                         const struct restore_options *options,
                         const struct context_session *session, struct hf_error *err)
{
    struct store *target = presence_store(presence);
    struct copy_options copy = {.target_host = presence_host(presence)};
    struct copy_totals totals = {0};
    const char *name = options->as ? options->as : session->name;
    struct session_head head;
    uint64_t version = 1;
    int status = copy_root(backup, target, &session->head.root, &copy, &totals, err);

    if (status != HF_OK)
        return status;
    status = store_session_find(target, name, &head, err);
    if (status == HF_OK && !options->as)
        status = restore_onto(presence, head.sid, &session->head, options->wait_ms, &version, err);
    else if (status == HF_OK || status == HF_NOENT)
        status = restore_as(presence, name, &session->head, NULL, err);
    return status == HF_OK ? say_session(session, name, version, options->json) : status;
}

static int restore_session(struct store *backup, const struct restore_options *options,
                           const char *at, struct hf_error *err)
{
    char operand[SESSION_NAME_MAX + 64];
    struct context_session session;
    struct presence *presence = NULL;
    struct printing printing = {.json = options->json};
    int status;

    if (strlen(options->session) >= sizeof operand)
        return hf_fail(err, HF_NOENT, "no session has such a long name");
    snprintf(operand, sizeof operand, "%s", options->session);
    status = find_session(backup, at, operand, &session, err);
    if (status == HF_OK && options->dry_run) {
        status = print_head(&printing, session.name, &session.head);
        if (options->json)
            json_list_end(&printing.list);
        return status;
    }
    if (status == HF_OK)
        status = presence_open(options->store, "restore", &presence, err);
    if (status == HF_OK)
        status = copy_check(backup, presence_store(presence), err);
    if (status == HF_OK)
        status = bring_session(presence, backup, options, &session, err);
    presence_close(presence);
    return status;
}

/* --- the whole ------------------------------------------------------------------------------------------- */

static int print_damage(const struct check_finding *finding, void *arg)
{
    progress_end(arg);
    text_line(stderr, "holdfast: %s", finding->message);
    return 0;
}

static int show_progress(uint64_t objects, uint64_t bytes, uint64_t sessions, uint64_t all,
                         void *arg)
{
    (void)objects;
    progress_set(arg, sessions, all, bytes);
    return 0;
}

/* Begins a restore, or finds that the same one was begun before. */
static int begin(struct store *backup, const char *at, struct store *target, struct hf_error *err)
{
    BUF_AUTO mark = {0}, found = {0};
    struct catalog catalog = {0};
    int status = store_setting_get(target, UNDERWAY, &found, err);

    if (buf_append(&mark, store_info(backup)->uuid, UUID_SIZE) != HF_OK ||
        buf_append(&mark, at ? at : "", at ? strlen(at) : 0) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (status == HF_OK && slice_compare(buf_slice(&mark), buf_slice(&found)) == 0)
        return HF_OK;
    if (status == HF_OK)
        return hf_fail(err, HF_EXIST,
                       "another backup was being restored into %s: go on with that "
                       "one, or restore into a new store",
                       store_info(target)->location);
    if (status == HF_NOENT)
        status = catalog_load(target, &catalog, err);
    if (status == HF_OK && catalog.count > 0)
        status = hf_fail(err, HF_EXIST,
                         "%s has sessions: restore into a new store, or one session with --session",
                         store_info(target)->location);
    catalog_free(&catalog);
    return status == HF_OK ? store_setting_set(target, UNDERWAY, buf_slice(&mark), err) : status;
}

static int bring_all(struct store *backup, const char *at, struct store *target,
                     struct copy_totals *ret_totals, struct hf_error *err)
{
    struct progress progress;
    struct copy_options copy = {.token_step = COPY_TOKEN_STEP,
                                .snapshot = at,
                                .report = print_damage,
                                .report_arg = &progress,
                                .progress = show_progress,
                                .arg = &progress};
    struct presence *presence = NULL;
    int status = presence_begin(target, "holdfast restore", &presence, err);

    if (status != HF_OK)
        return status;
    progress_start(&progress, "Restoring", "sessions", 0, 0);
    copy.target_host = presence_host(presence);
    status = copy_run(backup, target, &copy, ret_totals, err);
    progress_end(&progress);
    if (status == HF_OK)
        status = backup_restore_policy(backup, target, err);
    presence_end(presence);
    return status == HF_OK ? store_setting_set(target, UNDERWAY, (struct slice){0}, err) : status;
}

static int say_all(const struct copy_totals *totals, const struct store *target, bool json)
{
    char size[TEXT_SHORT];
    json_t *object;

    if (!json) {
        text_line(stdout,
                  "%s has %" PRIu64 " sessions with %" PRIu64 " versions, %" PRIu64
                  " rescue versions and %" PRIu64 " snapshots; %s came from the backup.",
                  store_info(target)->location, totals->sessions, totals->versions, totals->rescues,
                  totals->snapshots, text_size(totals->object_bytes, size));
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_object_set_new(object, "sessions", json_u64(totals->sessions));
        json_object_set_new(object, "versions", json_u64(totals->versions));
        json_object_set_new(object, "rescues", json_u64(totals->rescues));
        json_object_set_new(object, "snapshots", json_u64(totals->snapshots));
        json_object_set_new(object, "objects", json_u64(totals->objects));
        json_object_set_new(object, "bytes", json_u64(totals->object_bytes));
        json_object_set_new(object, "damaged", json_u64(totals->damaged));
    }
    return json_print(object);
}

static int restore_all(struct store *backup, const struct restore_options *options, const char *at,
                       uint64_t *ret_damaged, struct hf_error *err)
{
    struct copy_totals totals = {0};
    struct store *target = NULL;
    BUF_AUTO url = {0};
    int status;

    if (options->dry_run)
        return show_all(backup, at, options->json, err);
    status = backup_check_snapshot(backup, at, err);
    if (status == HF_OK)
        status = context_store_url(options->store, true, &url, err);
    if (status == HF_OK)
        status = backup_open((char *)url.data, 0, backup, &target, err);
    if (status == HF_OK)
        status = copy_check(backup, target, err);
    if (status == HF_OK)
        status = begin(backup, at, target, err);
    if (status == HF_OK)
        status = bring_all(backup, at, target, &totals, err);
    if (status == HF_OK)
        status = say_all(&totals, target, options->json);
    store_close(target);
    *ret_damaged = totals.damaged;
    return status;
}

static int check_usage(const struct restore_options *options, struct hf_error *err)
{
    if (options->at && options->snapshot)
        return hf_fail(err, HF_USAGE, "--at and --snapshot name two moments; say one");
    if (options->as && !options->session)
        return hf_fail(err, HF_USAGE, "--as needs --session: which one is to have that name?");
    return HF_OK;
}

static int run(int argc, char **argv)
{
    struct restore_options options = {0};
    struct store *backup = NULL;
    uint64_t damaged = 0;
    const char *at;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_restore, &argc, &argv, &options, &exit_code))
        return exit_code;
    at = options.at ? options.at : options.snapshot;
    status = check_usage(&options, &err);
    if (status == HF_OK)
        status = backup_open(argv[0], STORE_READ_ONLY, NULL, &backup, &err);
    if (status == HF_OK)
        status = options.session ? restore_session(backup, &options, at, &err)
                                 : restore_all(backup, &options, at, &damaged, &err);
    store_close(backup);
    if (status != HF_OK)
        return command_fail(&err);
    return damaged ? hf_status_exit(HF_CORRUPT) : EX_OK;
}
