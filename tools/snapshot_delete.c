/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast snapshot delete`. */
#include <stdio.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "text.h"

struct delete_options {
    const char *store;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct delete_options, store),
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct delete_options, dry_run), NULL,
     "only say what would be deleted"},
    {"json", 0, OPTION_FLAG, offsetof(struct delete_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_snapshot_delete = {
    .name = "snapshot delete",
    .group = COMMAND_SESSION,
    .summary = "Delete snapshots",
    .operands = "NAME...",
    .details = "The sessions stay as they are. What only the snapshot kept may be collected from\n"
               "then on, and cannot be got back.",
    .options = specs,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};

static int stop(const struct pin_info *pin, void *arg)
{
    (void)pin;
    (void)arg;
    return 1;
}

static int delete_one(struct store *store, const char *name, const struct delete_options *options,
                      struct json_list *list, struct hf_error *err)
{
    json_t *object;
    int status;

    status = options->dry_run ? store_snapshot_pins(store, name, stop, NULL, err)
                              : store_snapshot_delete(store, name, err);
    if (status < 0)
        return status;
    if (!options->json) {
        text_line(stdout,
                  options->dry_run ? "Snapshot %s would be deleted." : "Snapshot %s is deleted.",
                  name);
        return HF_OK;
    }
    object = json_object();
    if (object)
        json_set_name(object, "name", name);
    return json_list_add(list, object) == HF_OK ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

static int run(int argc, char **argv)
{
    struct delete_options options = {0};
    struct json_list list = {0};
    struct store *store = NULL;
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_snapshot_delete, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (context_open_store(options.store, options.dry_run ? STORE_READ_ONLY : 0, &store, &err) !=
        HF_OK)
        return command_fail(&err);
    exit_code = EX_OK;
    for (int i = 0; i < argc; i++)
        if (delete_one(store, argv[i], &options, &list, &err) != HF_OK)
            exit_code = command_fail(&err);
    if (options.json)
        json_list_end(&list);
    store_close(store);
    return exit_code;
}
