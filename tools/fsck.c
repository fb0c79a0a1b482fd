/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast fsck`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "progress.h"
#include "store/fsck.h"

struct fsck_command_options {
    const char *store;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct fsck_command_options, store),
    {"json", 0, OPTION_FLAG, offsetof(struct fsck_command_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_fsck = {
    .name = "fsck",
    .group = COMMAND_STORE,
    .summary = "Verify everything that a store holds",
    .details = "Checks every object, every reference and every row, and names what is damaged and\n"
               "which sessions and versions that touches. The exit status is 0 only for a sound\n"
               "store. Changes nothing, and may run beside mounts.",
    .options = specs,
    .run = run,
};

struct printer {
    struct json_list list;
    struct progress progress;
    uint64_t done;
    bool json, begun;
};

static json_t *finding_json(const struct check_finding *finding)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "what", json_bytes(finding->what));
    json_object_set_new(object, "status", json_bytes(hf_status_text(finding->status)));
    json_object_set_new(object, "message", json_bytes(finding->message));
    if (finding->has_object)
        json_object_set_new(object, "object", json_id(&finding->object));
    if (finding->has_session) {
        json_object_set_new(object, "session", json_u64(finding->sid));
        json_object_set_new(object, "version", json_u64(finding->version));
    }
    return object;
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    struct printer *printer = arg;

    progress_end(&printer->progress);
    if (printer->json)
        return json_list_add(&printer->list, finding_json(finding));
    printf("%s: %s\n", finding->what, finding->message);
    return 0;
}

static void show_progress(uint64_t done, uint64_t all, void *arg)
{
    struct printer *printer = arg;

    if (!printer->begun)
        progress_start(&printer->progress, "Walking", "objects", all, 0);
    printer->begun = true;
    progress_add(&printer->progress, done - printer->done, 0);
    printer->done = done;
}

static void print_summary(const struct store *store, const struct fsck_totals *totals)
{
    const char *location = store_info(store)->location;

    if (totals->findings == 0)
        printf("%s is sound: %" PRIu64 " roots reach %" PRIu64 " objects\n", location,
               totals->roots, totals->objects);
    else
        printf("%s is damaged: %" PRIu64 " findings\n", location, totals->findings);
}

static int run(int argc, char **argv)
{
    struct fsck_command_options options = {0};
    struct fsck_totals totals = {0};
    struct store *store = NULL;
    struct printer printer = {0};
    struct fsck_options fsck = {print_finding, &printer, show_progress, &printer};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_fsck, &argc, &argv, &options, &exit_code))
        return exit_code;
    printer.json = options.json;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status != 0)
        return command_fail(&err);
    status = fsck_run(store, &fsck, &totals, &err);
    progress_end(&printer.progress);
    if (options.json)
        json_list_end(&printer.list);
    else if (status == 0)
        print_summary(store, &totals);
    store_close(store);
    if (status != 0)
        return command_fail(&err);
    return totals.findings == 0 ? EX_OK : hf_status_exit(HF_CORRUPT);
}
