/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast gc`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "progress.h"
#include "text.h"

struct gc_options {
    const char *store;
    uint64_t percent;
    bool json, dry_run;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct gc_options, store),
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct gc_options, dry_run), NULL,
     "only count what would go"},
    {"percent", 0, OPTION_NUMBER, offsetof(struct gc_options, percent), "N",
     "work at most so much of the time, 1 to 100 (default:\n100)"},
    {"json", 0, OPTION_FLAG, offsetof(struct gc_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);
extern const struct command command_gc;

const struct command command_gc = {
    .name = "gc",
    .group = COMMAND_STORE,
    .summary = "Remove the objects that nothing can reach",
    .details =
        "Keeps whatever a head, a version, a snapshot, the trash or a rescue version needs,\n"
        "and what mounts are about to commit; removes the rest, and hands the room back to\n"
        "the file system. Runs beside mounts, and may be interrupted at any time. What is\n"
        "to be kept is for 'holdfast retention' to say. 'holdfast serve' and mounts of an\n"
        "embedded store collect by themselves.",
    .options = specs,
    .run = run,
};

struct phases {
    struct progress progress;
    char phase[32]; /* what it shows: the name that was told is another's */
};

static int show_progress(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    struct phases *phases = arg;

    if (strcmp(phases->phase, phase) != 0) {
        progress_end(&phases->progress);
        snprintf(phases->phase, sizeof phases->phase, "%s", phase);
        progress_start(&phases->progress, phases->phase, "objects", all, 0);
    }
    progress_set(&phases->progress, done, all, 0);
    return 0;
}

static int print_json(const struct store *store, const struct collect_totals *totals, bool dry_run)
{
    json_t *object = json_object();

    if (!object)
        return HF_NOMEM;
    json_object_set_new(object, "store", json_bytes(store_info(store)->location));
    json_object_set_new(object, "dry_run", json_boolean(dry_run));
    json_object_set_new(object, "roots", json_u64(totals->roots));
    json_object_set_new(object, "reachable", json_u64(totals->reachable));
    json_object_set_new(object, "removed", json_u64(totals->removed));
    json_object_set_new(object, "removed_bytes", json_u64(totals->removed_bytes));
    json_object_set_new(object, "hidden", json_u64(totals->hidden));
    json_object_set_new(object, "freed_bytes", json_u64(totals->freed_bytes));
    json_object_set_new(object, "longest_ms", json_real((double)totals->longest_ns / 1e6));
    return json_print(object);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_text(const struct collect_totals *totals, bool dry_run)
{
    char size[TEXT_SHORT];

    if (totals->removed == 0)
        printf("Nothing to remove");
    else
        printf("%s %" PRIu64 " object%s, %s as packed", dry_run ? "Would remove" : "Removed",
               totals->removed, plural(totals->removed), text_size(totals->removed_bytes, size));
    printf("; %" PRIu64 " stay%s.\n", totals->reachable, totals->reachable == 1 ? "s" : "");
    if (totals->hidden > 0)
        printf("%" PRIu64 " more stay%s for now, as others are packed against %s.\n",
               totals->hidden, totals->hidden == 1 ? "s" : "", totals->hidden == 1 ? "it" : "them");
    if (!dry_run && totals->freed_bytes > 0)
        printf("%s handed back to the file system.\n", text_size(totals->freed_bytes, size));
}

static int collect(const struct gc_options *options, struct store *store, struct hf_error *err)
{
    struct phases phases = {0};
    struct collect_options how = {.dry_run = options->dry_run,
                                  .percent = (uint32_t)options->percent,
                                  .progress = show_progress,
                                  .arg = &phases};
    struct collect_totals totals = {0};
    int rc = store_collect(store, &how, &totals, err);

    progress_end(&phases.progress);
    if (rc != HF_OK)
        return rc;
    if (options->json)
        return print_json(store, &totals, options->dry_run) == HF_OK
                   ? HF_OK
                   : hf_fail(err, HF_NOMEM, "out of memory");
    print_text(&totals, options->dry_run);
    return HF_OK;
}

static int run(int argc, char **argv)
{
    struct gc_options options = {.percent = 100};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_gc, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (options.percent < 1 || options.percent > 100)
        return command_failf(HF_USAGE, "--percent takes 1 to 100");
    status = context_open_store(options.store, options.dry_run ? STORE_READ_ONLY : 0, &store, &err);
    if (status == HF_OK)
        status = collect(&options, store, &err);
    store_close(store);
    return status == HF_OK ? EX_OK : command_fail(&err);
}
