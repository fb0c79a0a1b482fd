/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast backup verify`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "backup.h"
#include "command.h"
#include "context.h"
#include "text.h"

struct verify_options {
    const char *against;
    bool json;
};

static const struct option_spec specs[] = {
    {"against", 0, OPTION_STRING, offsetof(struct verify_options, against), "URL",
     "also compare what it has with this store"},
    {"json", 0, OPTION_FLAG, offsetof(struct verify_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_backup_verify = {
    .name = "backup verify",
    .group = COMMAND_STORE,
    .summary = "Read a backup back, every object and reference",
    .operands = "TARGET-URL",
    .details = "Does what 'holdfast fsck' does, on the store that holds the backups. With\n"
               "--against it says of which sessions the backup has not the latest version. The\n"
               "exit status is 0 for a sound and complete backup, 65 for damage, 75 when it is\n"
               "sound and versions are missing.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static void print_summary(const struct store *store, const struct fsck_totals *totals,
                          uint64_t behind)
{
    const char *location = store_info(store)->location;

    if (totals->findings)
        text_line(stdout, "%s is damaged: %" PRIu64 " findings", location, totals->findings);
    else
        text_line(stdout, "%s is sound: %" PRIu64 " roots reach %" PRIu64 " objects", location,
                  totals->roots, totals->objects);
    if (behind)
        printf("The latest version of %" PRIu64 " sessions is not in it.\n", behind);
}

static int compare(const char *url, struct store *backup, struct findings *findings,
                   uint64_t *ret_behind, uint64_t *ret_different, struct hf_error *err)
{
    struct store *source = NULL;
    int status = context_open_store(url, STORE_READ_ONLY, &source, err);

    if (status == HF_OK)
        status = copy_check(source, backup, err);
    if (status == HF_OK)
        status = backup_compare(source, backup, NULL, findings, ret_behind, ret_different, err);
    store_close(source);
    return status;
}

static int run(int argc, char **argv)
{
    struct verify_options options = {0};
    struct fsck_totals totals = {0};
    struct findings findings = {0};
    struct store *backup = NULL;
    uint64_t behind = 0, different = 0;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_backup_verify, &argc, &argv, &options, &exit_code))
        return exit_code;
    findings.json = options.json;
    status = backup_open(argv[0], STORE_READ_ONLY, NULL, &backup, &err);
    if (status != HF_OK)
        return command_fail(&err);
    status = findings_check(backup, &findings, &totals, &err);
    if (status == HF_OK && options.against)
        status = compare(options.against, backup, &findings, &behind, &different, &err);
    findings_end(&findings);
    totals.findings += different;
    if (status == HF_OK && !options.json)
        print_summary(backup, &totals, behind);
    store_close(backup);
    if (status != HF_OK)
        return command_fail(&err);
    if (totals.findings)
        return hf_status_exit(HF_CORRUPT);
    return behind ? EX_TEMPFAIL : EX_OK;
}
