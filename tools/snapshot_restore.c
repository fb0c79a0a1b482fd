/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast snapshot restore`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "pins.h"
#include "progress.h"
#include "restore.h"
#include "text.h"

struct restore_options {
    const char *store, *as;
    char *sessions;
    uint32_t wait_ms;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct restore_options, store),
    {"session", 0, OPTION_LIST, offsetof(struct restore_options, sessions), "GLOB",
     "only sessions that match; may be given several times"},
    {"as", 0, OPTION_STRING, offsetof(struct restore_options, as), "NAME",
     "as new sessions; in NAME, * stands for the session's\nname: 'old-*'"},
    {"wait", 'w', OPTION_DURATION, offsetof(struct restore_options, wait_ms), "TIME",
     "wait so long for each session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct restore_options, dry_run), NULL,
     "only say what would be done"},
    {"json", 0, OPTION_FLAG, offsetof(struct restore_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_snapshot_restore = {
    .name = "snapshot restore",
    .group = COMMAND_SESSION,
    .summary = "Make sessions again what they were in a snapshot",
    .operands = "NAME",
    .details = "Each gets a version that is like the one in the snapshot: nothing is lost. One in\n"
               "the trash comes out of it, one that is gone is made anew. A session in use is\n"
               "refused (75), and the others are restored all the same. Sessions that are not\n"
               "in the snapshot, and the shared tree, stay as they are.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/** What becomes of a session. */
enum outcome { RESTORED, UNCHANGED, UNDELETED, MADE };

static const char *const outcome_words[] = {"restored", "unchanged", "undeleted", "made"};

struct work {
    struct presence *presence;
    const struct restore_options *options;
    struct json_list list;
};

static int to_trash_state(const struct session_info *info, void *arg)
{
    (void)info;
    *(bool *)arg = true;
    return 1;
}

/* Whether the session lives, is in the trash, or is gone. */
static int find_state(struct store *store, uint64_t sid, struct session_head *ret_head,
                      bool *ret_live, bool *ret_trashed, struct hf_error *err)
{
    const struct session_filter filter = {.sid = sid, .trashed = true};
    int status = store_session_head(store, sid, ret_head, err);

    *ret_live = status == HF_OK;
    if (status != HF_NOENT)
        return status;
    status = store_session_list(store, &filter, to_trash_state, ret_trashed, err);
    return status < 0 ? status : HF_OK;
}

/* In its place. `ret_version`: the latest one then. */
static int restore_in_place(struct work *work, const struct pin *pin, enum outcome *ret_outcome,
                            uint64_t *ret_version, struct hf_error *err)
{
    struct store *store = presence_store(work->presence);
    const bool dry_run = work->options->dry_run;
    struct session_head head = {0};
    bool live = false, trashed = false;
    uint64_t version = 0;
    int status = find_state(store, pin->head.sid, &head, &live, &trashed, err);

    if (status == HF_OK && !live && !trashed) {
        *ret_outcome = MADE;
        *ret_version = 1;
        return dry_run ? HF_OK : restore_as(work->presence, pin->name, &pin->head, NULL, err);
    }
    if (status == HF_OK && trashed && !dry_run) {
        status = store_session_undelete(store, pin->head.sid, pin->name, err);
        if (status == HF_EXIST)
            status =
                hf_fail(err, status, "another session has the name '%s' now; see --as", pin->name);
    }
    if (status != HF_OK)
        return status;
    if (dry_run)
        version = live && object_id_equal(&head.root, &pin->head.root) ? 0 : head.version + 1;
    else
        status = restore_onto(work->presence, pin->head.sid, &pin->head, work->options->wait_ms,
                              &version, err);
    *ret_outcome = trashed ? UNDELETED : version ? RESTORED : UNCHANGED;
    *ret_version = version ? version : live ? head.version : pin->head.version;
    return status;
}

/* The name of a copy: '*' in the pattern is the session's name. */
static int name_copy(const char *pattern, const char *name, char ret_name[2 * SESSION_NAME_MAX],
                     struct hf_error *err)
{
    const char *star = strchr(pattern, '*');
    const size_t head = star ? (size_t)(star - pattern) : strlen(pattern);
    const int len = snprintf(ret_name, 2 * SESSION_NAME_MAX, "%.*s%s%s", (int)head, pattern,
                             star ? name : "", star ? star + 1 : "");

    if (len < 0 || len > SESSION_NAME_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "the name for a copy of %s is too long", name);
    return HF_OK;
}

static int say(struct work *work, const struct pin *pin, const char *name, enum outcome outcome,
               uint64_t version)
{
    json_t *object;

    if (!work->options->json) {
        const char *would = work->options->dry_run ? "would be " : "";

        if (outcome == UNCHANGED)
            text_line(stdout, "%s: as in version %" PRIu64 " already", name, pin->head.version);
        else
            text_line(stdout, "%s: %s%s from version %" PRIu64 ", as version %" PRIu64, name, would,
                      outcome_words[outcome], pin->head.version, version);
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "session", name);
        json_object_set_new(object, "outcome", json_string(outcome_words[outcome]));
        json_object_set_new(object, "restored", json_u64(pin->head.version));
        json_object_set_new(object, "version", json_u64(version));
    }
    return json_list_add(&work->list, object);
}

static int restore_one(struct work *work, const struct pin *pin, struct hf_error *err)
{
    char name[2 * SESSION_NAME_MAX];
    enum outcome outcome = MADE;
    uint64_t version = 1;
    int status;

    if (work->options->as) {
        status = name_copy(work->options->as, pin->name, name, err);
        if (status == HF_OK && !work->options->dry_run)
            status = restore_as(work->presence, name, &pin->head, NULL, err);
    } else {
        snprintf(name, sizeof name, "%s", pin->name);
        status = restore_in_place(work, pin, &outcome, &version, err);
    }
    return status == HF_OK ? say(work, pin, name, outcome, version) : status;
}

static size_t count_sessions(const struct pins *pins)
{
    size_t n = 0;

    for (size_t i = 0; i < pins->count; i++)
        n += pins->pins[i].head.sid != SHARED_SID;
    return n;
}

/* Restores all that can be. Returns the exit code. */
static int restore_all(struct work *work, const struct pins *pins)
{
    struct progress progress;
    struct hf_error err;
    int exit_code = EX_OK;

    progress_start(&progress, "Restoring", "sessions", count_sessions(pins), 0);
    for (size_t i = 0; i < pins->count; i++) {
        if (pins->pins[i].head.sid == SHARED_SID)
            continue;
        if (restore_one(work, &pins->pins[i], &err) != HF_OK) {
            progress_end(&progress);
            exit_code = command_fail(&err);
        }
        progress_add(&progress, 1, 0);
    }
    progress_end(&progress);
    if (work->options->json)
        json_list_end(&work->list);
    return exit_code;
}

static int check(const struct restore_options *options, const char *snapshot,
                 const struct pins *pins, struct hf_error *err)
{
    const size_t n = count_sessions(pins);

    if (n == 0)
        return hf_fail(err, HF_NOENT, "no session of snapshot %s matches", snapshot);
    if (options->as && !strchr(options->as, '*') && n > 1)
        return hf_fail(err, HF_USAGE, "%zu sessions cannot all be called '%s': say '%s-*'", n,
                       options->as, options->as);
    return HF_OK;
}

static int run(int argc, char **argv)
{
    struct restore_options options = {0};
    struct work work = {.options = &options};
    struct pins pins = {0};
    struct globs globs = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_snapshot_restore, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = globs_split(options.sessions, &globs);
    if (status != HF_OK)
        hf_fail(&err, status, "out of memory");
    if (status == HF_OK)
        status = options.dry_run
                     ? presence_look(options.store, &work.presence, &err)
                     : presence_open(options.store, "snapshot restore", &work.presence, &err);
    if (status == HF_OK)
        status = pins_read(presence_store(work.presence), argv[0], &globs, &pins, &err);
    if (status == HF_OK)
        status = check(&options, argv[0], &pins, &err);
    exit_code = status == HF_OK ? restore_all(&work, &pins) : command_fail(&err);
    pins_clear(&pins);
    presence_close(work.presence);
    globs_clear(&globs);
    free(options.sessions);
    return exit_code;
}
