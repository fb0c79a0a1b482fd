/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast fsck`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "backup.h"
#include "command.h"
#include "context.h"
#include "damage.h"
#include "findings.h"
#include "store/repair.h"

struct fsck_command_options {
    const char *store, *from;
    bool repair, dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct fsck_command_options, store),
    {"repair", 0, OPTION_FLAG, offsetof(struct fsck_command_options, repair), NULL,
     "take damaged objects out, and put good ones in their\nplace where there are any"},
    {"from", 0, OPTION_STRING, offsetof(struct fsck_command_options, from), "BACKUP-URL",
     "with --repair: a store that may have good ones"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct fsck_command_options, dry_run), NULL,
     "with --repair: only say what could be mended"},
    {"json", 0, OPTION_FLAG, offsetof(struct fsck_command_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_fsck = {
    .name = "fsck",
    .group = COMMAND_STORE,
    .summary = "Verify everything that a store holds, and mend it",
    .details = "Checks every object, every reference and every row, and names what is damaged\n"
               "and which sessions and versions that touches. The exit status is 0 only for a\n"
               "sound store. Changes nothing without --repair, and may run beside mounts.\n\n"
               "With --repair damaged objects are taken out, and kept aside; --from names a\n"
               "backup to take good ones from. Then everything is checked again, and the files\n"
               "that cannot be read are named.",
    .options = specs,
    .run = run,
};

static void print_summary(const struct store *store, const struct fsck_totals *totals)
{
    const char *location = store_info(store)->location;

    if (totals->findings == 0)
        printf("%s is sound: %" PRIu64 " roots reach %" PRIu64 " objects\n", location,
               totals->roots, totals->objects);
    else
        printf("%s is damaged: %" PRIu64 " findings\n", location, totals->findings);
}

static int mend(struct store *store, const char *from, bool dry_run,
                const struct repair_list *damage, struct findings *findings, struct hf_error *err)
{
    struct repair_totals totals = {0};
    struct store *good = NULL;
    int status = from ? backup_open(from, STORE_READ_ONLY, NULL, &good, err) : HF_OK;

    if (status == HF_OK && good)
        status = copy_check(good, store, err);
    if (status == HF_OK)
        status = repair_run(store, good, damage, dry_run, &totals, err);
    store_close(good);
    if (status == HF_OK)
        status =
            findings_add(findings, HF_OK, "repair",
                         "%" PRIu64 " objects %s, %" PRIu64 " damaged ones that %s have been "
                         "lost, %" PRIu64 " missing ones that nobody has",
                         totals.mended, dry_run ? "can be mended" : "are mended", totals.taken_out,
                         dry_run ? "would" : "are taken out and", totals.unmended);
    return status;
}

/* Mends what the first check has found, and checks again. */
static int repair(struct store *store, const struct fsck_command_options *options,
                  struct findings *findings, struct fsck_totals *totals, struct hf_error *err)
{
    int status;

    if (findings->damage.n == 0)
        return HF_OK;
    status = mend(store, options->from, options->dry_run, &findings->damage, findings, err);
    if (status != HF_OK || options->dry_run)
        return status;
    status = findings_check(store, findings, totals, err);
    if (status == HF_OK && totals->findings > 0)
        status = damage_name_paths(store, findings, err);
    return status;
}

static int run(int argc, char **argv)
{
    struct fsck_command_options options = {0};
    struct fsck_totals totals = {0};
    struct store *store = NULL;
    struct findings findings = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_fsck, &argc, &argv, &options, &exit_code))
        return exit_code;
    if ((options.from || options.dry_run) && !options.repair)
        return command_failf(HF_USAGE, "--from and --dry-run need --repair");
    findings.json = options.json;
    status = context_open_store(
        options.store, options.repair && !options.dry_run ? 0 : STORE_READ_ONLY, &store, &err);
    if (status != 0)
        return command_fail(&err);
    status = findings_check(store, &findings, &totals, &err);
    if (status == HF_OK && options.repair)
        status = repair(store, &options, &findings, &totals, &err);
    findings_end(&findings);
    if (status == 0 && !options.json)
        print_summary(store, &totals);
    store_close(store);
    if (status != 0)
        return command_fail(&err);
    return totals.findings == 0 ? EX_OK : hf_status_exit(HF_CORRUPT);
}
