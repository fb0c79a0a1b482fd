/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast stats`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "text.h"

struct stats_options {
    const char *store;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct stats_options, store),
    {"json", 0, OPTION_FLAG, offsetof(struct stats_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_stats = {
    .name = "stats",
    .group = COMMAND_STORE,
    .summary = "Count sessions, objects and bytes, and what sharing saves",
    .details = "Logical is what the sessions' files hold now. Deduplicated is every object once,\n"
               "of all kept versions. Stored is the same as it is packed.",
    .options = specs,
    .run = run,
};

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static int print_json(const struct store_info *info, const struct store_stats *stats)
{
    json_t *object = json_object();

    if (!object)
        return HF_NOMEM;
    json_object_set_new(object, "store", json_bytes(info->location));
    json_object_set_new(object, "sessions", json_u64(stats->sessions));
    json_object_set_new(object, "trashed", json_u64(stats->trashed));
    json_object_set_new(object, "versions", json_u64(stats->versions));
    json_object_set_new(object, "objects", json_u64(stats->objects));
    json_object_set_new(object, "logical_bytes", json_u64(stats->logical_bytes));
    json_object_set_new(object, "deduplicated_bytes", json_u64(stats->unique_bytes));
    json_object_set_new(object, "stored_bytes", json_u64(stats->stored_bytes));
    json_object_set_new(object, "file_bytes", json_u64(stats->file_bytes));
    json_object_set_new(object, "stored_per_deduplicated",
                        json_real(ratio(stats->stored_bytes, stats->unique_bytes)));
    json_object_set_new(object, "stored_per_logical",
                        json_real(ratio(stats->stored_bytes, stats->logical_bytes)));
    return json_print(object);
}

static void print_bytes(const char *label, uint64_t bytes, const char *note)
{
    char text[TEXT_SHORT];

    printf("%-14s %10s   %s\n", label, text_size(bytes, text), note);
}

static void print_text(const struct store_info *info, const struct store_stats *stats)
{
    char note[80];

    printf("%-14s %s\n", "Store", info->location);
    printf("%-14s %10" PRIu64 "   and %" PRIu64 " in the trash\n", "Sessions", stats->sessions,
           stats->trashed);
    printf("%-14s %10" PRIu64 "\n", "Versions", stats->versions);
    printf("%-14s %10" PRIu64 "\n", "Objects", stats->objects);
    print_bytes("Logical", stats->logical_bytes, "in the files of all sessions as they are now");
    print_bytes("Deduplicated", stats->unique_bytes, "each object of every version once");
    snprintf(note, sizeof note, "packed: %.2f of deduplicated",
             ratio(stats->stored_bytes, stats->unique_bytes));
    if (stats->logical_bytes > 0) {
        size_t len = strlen(note);

        snprintf(note + len, sizeof note - len, ", %.2f of logical",
                 ratio(stats->stored_bytes, stats->logical_bytes));
    }
    print_bytes("Stored", stats->stored_bytes, note);
    print_bytes("On disk", stats->file_bytes, "the store's files");
}

static int run(int argc, char **argv)
{
    struct stats_options options = {0};
    struct store_stats stats;
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_stats, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = store_stats(store, &stats, &err);
    if (status == 0 && !options.json)
        print_text(store_info(store), &stats);
    else if (status == 0 && print_json(store_info(store), &stats) != 0)
        status = hf_fail(&err, HF_NOMEM, "out of memory");
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
