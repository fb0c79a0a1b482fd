/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast snapshot create`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "globs.h"
#include "json.h"
#include "text.h"

#define NAME_MAX_BYTES 1024
#define NS_PER_SECOND 1000000000LL

struct create_options {
    const char *store;
    char *sessions;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct create_options, store),
    {"session", 0, OPTION_LIST, offsetof(struct create_options, sessions), "GLOB",
     "only sessions that match; may be given several times\n(default: all, and the shared tree)"},
    {"json", 0, OPTION_FLAG, offsetof(struct create_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_snapshot_create = {
    .name = "snapshot create",
    .group = COMMAND_SESSION,
    .summary = "Pin sessions as they are at this moment",
    .operands = "NAME",
    .details =
        "All of them at one moment, without stopping anybody who writes, and at a cost\n"
        "that does not depend on their size. In NAME, %Y, %m, %d, %H and the like stand for\n"
        "the time (strftime(3), in UTC): 'daily-%Y-%m-%d' for a timer.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* What a letter after '%' stands for: those of strftime(3) that make sense in a name. 0: none. */
static size_t expand_one(char letter, const struct tm *tm, char *out, size_t size)
{
    switch (letter) {
    case 'Y':
        return strftime(out, size, "%Y", tm);
    case 'm':
        return strftime(out, size, "%m", tm);
    case 'd':
        return strftime(out, size, "%d", tm);
    case 'F':
        return strftime(out, size, "%F", tm);
    case 'H':
        return strftime(out, size, "%H", tm);
    case 'M':
        return strftime(out, size, "%M", tm);
    case 'S':
        return strftime(out, size, "%S", tm);
    case 'T':
        return strftime(out, size, "%T", tm);
    case 'a':
        return strftime(out, size, "%a", tm);
    case 'u':
        return strftime(out, size, "%u", tm);
    case 'j':
        return strftime(out, size, "%j", tm);
    case 'G':
        return strftime(out, size, "%G", tm);
    case 'V':
        return strftime(out, size, "%V", tm);
    case '%':
        return strftime(out, size, "%%", tm);
    default:
        return 0;
    }
}

static int expand(const char *pattern, char ret_name[NAME_MAX_BYTES], struct hf_error *err)
{
    const time_t now = (time_t)(clock_realtime(&clock_system) / NS_PER_SECOND);
    struct tm tm;
    size_t len = 0;

    if (!gmtime_r(&now, &tm))
        return hf_fail(err, HF_RANGE, "the clock is far off");
    for (const char *c = pattern; *c; c++) {
        size_t n = 1;

        if (len + 64 > NAME_MAX_BYTES)
            return hf_fail(err, HF_NAMETOOLONG, "the name of the snapshot is too long");
        if (*c != '%')
            ret_name[len] = *c;
        else if ((n = expand_one(*++c, &tm, ret_name + len, NAME_MAX_BYTES - len)) == 0)
            return hf_fail(err, HF_USAGE,
                           "'%s': after %% stands one of Y m d F H M S T a u j G V %%", pattern);
        len += n;
    }
    ret_name[len] = '\0';
    return HF_OK;
}

static int find(const struct snapshot_info *info, void *arg)
{
    struct snapshot_info *wanted = arg;

    if (strcmp(info->name, wanted->name) != 0)
        return 0;
    wanted->time = info->time;
    wanted->sessions = info->sessions;
    return 1;
}

static int say(struct store *store, const char *name, bool json, struct hf_error *err)
{
    struct snapshot_info info = {.name = name};
    json_t *object;
    int status = store_snapshot_list(store, find, &info, err);

    if (status < 0)
        return status;
    if (!json) {
        text_line(stdout, "Snapshot %s pins %" PRIu64 " session%s.", name, info.sessions,
                  info.sessions == 1 ? "" : "s");
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "name", name);
        json_object_set_new(object, "time", json_time(info.time));
        json_object_set_new(object, "sessions", json_u64(info.sessions));
    }
    return json_print(object);
}

static int run(int argc, char **argv)
{
    struct create_options options = {0};
    char name[NAME_MAX_BYTES];
    struct store *store = NULL;
    struct globs globs = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_snapshot_create, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = expand(argv[0], name, &err);
    if (status == HF_OK && globs_split(options.sessions, &globs) != HF_OK)
        status = hf_fail(&err, HF_NOMEM, "out of memory");
    if (status == HF_OK)
        status = context_open_store(options.store, 0, &store, &err);
    if (status == HF_OK)
        status = store_snapshot_create(store, name, globs.globs, globs.count, &err);
    if (status == HF_OK)
        status = say(store, name, options.json, &err);
    store_close(store);
    globs_clear(&globs);
    free(options.sessions);
    return status ? command_fail(&err) : EX_OK;
}
