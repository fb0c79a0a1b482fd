/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast backup create`, or `holdfast backup` for short. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "backup.h"
#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "json.h"
#include "presence.h"
#include "progress.h"
#include "text.h"

struct create_options {
    const char *store, *snapshot;
    char *globs;
    bool create, dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct create_options, store),
    {"create", 0, OPTION_FLAG, offsetof(struct create_options, create), NULL,
     "make the target when it is not there, to cut and\nname objects as the store does"},
    {"snapshot", 0, OPTION_STRING, offsetof(struct create_options, snapshot), "NAME",
     "only the moment that this snapshot of the store pins"},
    {"session", 0, OPTION_LIST, offsetof(struct create_options, globs), "GLOB",
     "only sessions with such a name, and no snapshots\n(may be given several times)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct create_options, dry_run), NULL,
     "only show what the target lacks"},
    {"json", 0, OPTION_FLAG, offsetof(struct create_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_backup_create = {
    .name = "backup create",
    .group = COMMAND_STORE,
    .summary = "Copy what another store lacks of this one",
    .operands = "TARGET-URL",
    .details = "Sends the objects, versions, rescue versions and snapshots that the target\n"
               "does not have yet, and pins the state in the target by a snapshot named\n"
               "backup-TIME. What was interrupted goes on at the next run. Both stores may be in\n"
               "use. 'holdfast backup TARGET-URL' is the same. The exit status is 65 when\n"
               "something in the store is damaged, and was left out.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .usual = true,
    .run = run,
};

static int print_damage(const struct check_finding *finding, void *arg)
{
    struct progress *progress = arg;

    progress_end(progress);
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

static int print_totals(const struct copy_totals *totals, const struct store *target, bool json)
{
    char size[TEXT_SHORT];
    json_t *object;

    if (!json) {
        text_line(stdout,
                  "%s in %s: %" PRIu64 " of %" PRIu64 " sessions had changed; %" PRIu64
                  " versions, %" PRIu64 " rescue versions, %" PRIu64 " snapshots and %" PRIu64
                  " objects (%s) are new.",
                  totals->run, store_info(target)->location, totals->changed, totals->sessions,
                  totals->versions, totals->rescues, totals->snapshots, totals->objects,
                  text_size(totals->object_bytes, size));
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_object_set_new(object, "backup", json_bytes(totals->run));
        json_object_set_new(object, "sessions", json_u64(totals->sessions));
        json_object_set_new(object, "changed", json_u64(totals->changed));
        json_object_set_new(object, "versions", json_u64(totals->versions));
        json_object_set_new(object, "rescues", json_u64(totals->rescues));
        json_object_set_new(object, "snapshots", json_u64(totals->snapshots));
        json_object_set_new(object, "objects", json_u64(totals->objects));
        json_object_set_new(object, "bytes", json_u64(totals->object_bytes));
        json_object_set_new(object, "damaged", json_u64(totals->damaged));
    }
    return json_print(object);
}

static int copy(struct store *source, struct store *target, struct copy_options *options,
                struct copy_totals *ret_totals, struct hf_error *err)
{
    struct presence *presence = NULL;
    struct progress progress;
    int status = presence_begin(target, "holdfast backup", &presence, err);

    if (status != HF_OK)
        return status;
    progress_start(&progress, "Copying", "sessions", 0, 0);
    options->target_host = presence_host(presence);
    options->run = clock_realtime(&clock_system);
    options->report = print_damage;
    options->report_arg = &progress;
    options->progress = show_progress;
    options->arg = &progress;
    status = copy_run(source, target, options, ret_totals, err);
    progress_end(&progress);
    if (status == HF_OK && !options->snapshot && options->nglobs == 0)
        status = backup_keep_policy(source, target, err);
    presence_end(presence);
    return status;
}

static int compare(struct store *source, struct store *target, const struct copy_options *copy,
                   bool json, struct hf_error *err)
{
    struct findings findings = {.json = json};
    uint64_t behind = 0, different = 0;
    int status = backup_compare(source, target, copy, &findings, &behind, &different, err);

    findings_end(&findings);
    if (status == HF_OK && !json && behind == 0 && different == 0)
        puts("The target has every session as it is.");
    return status;
}

/* What a dry run says of a target that is not there yet. */
static int tell_whole(const char *url, bool json)
{
    struct findings findings = {.json = json};
    int status = findings_add(&findings, HF_MISSING, "store",
                              "%s is not there: it would be made, and get everything", url);

    findings_end(&findings);
    return status;
}

static int show_lack(struct store *source, const char *url, const struct copy_options *copy_options,
                     const struct create_options *options, struct hf_error *err)
{
    struct store *target = NULL;
    int status = backup_open(url, STORE_READ_ONLY, NULL, &target, err);

    if (status == HF_NOENT && options->create)
        return tell_whole(url, options->json);
    if (status == HF_OK)
        status = compare(source, target, copy_options, options->json, err);
    store_close(target);
    return status;
}

static int bring(struct store *source, const char *url, struct copy_options *copy_options,
                 const struct create_options *options, uint64_t *ret_damaged, struct hf_error *err)
{
    struct copy_totals totals = {0};
    struct store *target = NULL;
    int status = backup_open(url, 0, options->create ? source : NULL, &target, err);

    if (status == HF_OK)
        status = copy(source, target, copy_options, &totals, err);
    if (status == HF_OK)
        status = print_totals(&totals, target, options->json);
    store_close(target);
    *ret_damaged = totals.damaged;
    return status;
}

static int run(int argc, char **argv)
{
    struct create_options options = {0};
    struct copy_options copy_options = {0};
    struct store *source = NULL;
    uint64_t damaged = 0;
    const char *globs[BACKUP_GLOBS_MAX];
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_backup_create, &argc, &argv, &options, &exit_code)) {
        free(options.globs);
        return exit_code;
    }
    copy_options.snapshot = options.snapshot;
    copy_options.globs = globs;
    status = backup_split_globs(options.globs, globs, &copy_options.nglobs, &err);
    if (status == HF_OK)
        status = context_open_store(options.store, STORE_READ_ONLY, &source, &err);
    if (status == HF_OK)
        status = backup_check_snapshot(source, options.snapshot, &err);
    if (status == HF_OK)
        status = options.dry_run ? show_lack(source, argv[0], &copy_options, &options, &err)
                                 : bring(source, argv[0], &copy_options, &options, &damaged, &err);
    store_close(source);
    free(options.globs);
    if (status != HF_OK)
        return command_fail(&err);
    return damaged ? hf_status_exit(HF_CORRUPT) : EX_OK;
}
