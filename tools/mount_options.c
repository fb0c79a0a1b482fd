/* SPDX-License-Identifier: Apache-2.0 */
#include "mount_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "suggest.h"

/* Handed on to the kernel, or to fusermount3, as they are. */
static const char *const kernel_options[] = {"ro",    "allow_other", "suid",   "nosuid", "dev",
                                             "nodev", "exec",        "noexec", NULL};

/* For mount(8) and systemd, or without a meaning here: access times only change when they are set. */
static const char *const ignored_options[] = {
    "defaults",    "auto",          "noauto",   "nofail",     "user",     "users",
    "nouser",      "owner",         "group",    "_netdev",    "rw",       "async",
    "atime",       "noatime",       "diratime", "nodiratime", "relatime", "norelatime",
    "strictatime", "nostrictatime", "lazytime", "nolazytime", NULL};

static const char *const valued_options[] = {"memory",      "wait",    "claims", "commit_delay",
                                             "maintenance", "metrics", NULL};

static bool is_listed(const char *const *list, const char *word)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

static int add_kernel_option(struct mount_options *options, const char *word)
{
    struct buf *kernel = &options->kernel;
    int status = HF_OK;

    if (kernel->len)
        kernel->data[kernel->len - 1] = ',';
    status = buf_append(kernel, word, strlen(word) + 1);
    if (status != HF_OK && kernel->len)
        kernel->data[kernel->len - 1] = '\0';
    return status;
}

static bool is_flag(const char *word)
{
    return strcmp(word, "strict") == 0 || is_listed(kernel_options, word) ||
           is_listed(ignored_options, word);
}

static int unknown_option(const char *word, struct hf_error *err)
{
    struct suggestion closest = {0};

    if (is_flag(word))
        return hf_fail(err, HF_USAGE, "the mount option '%s' takes no value", word);
    if (is_listed(valued_options, word))
        return hf_fail(err, HF_USAGE, "the mount option '%s' needs a value", word);
    suggest_offer(&closest, word, "strict");
    for (const char *const *o = valued_options; *o; o++)
        suggest_offer(&closest, word, *o);
    for (const char *const *o = kernel_options; *o; o++)
        suggest_offer(&closest, word, *o);
    if (closest.word)
        return hf_fail(err, HF_USAGE, "there is no mount option '%s'; did you mean '%s'?", word,
                       closest.word);
    return hf_fail(err, HF_USAGE, "there is no mount option '%s'", word);
}

static int parse_maintenance(const char *value, struct mount_options *options)
{
    int status = options_parse_interval(value, &options->maintenance_ms);

    options->no_maintenance = status == HF_OK && options->maintenance_ms == 0;
    return status;
}

static const char *example_of(const char *name)
{
    if (strcmp(name, "memory") == 0)
        return "256M";
    return strcmp(name, "maintenance") == 0 ? "1h, or is off" : "500ms or 10s";
}

/** An option with a value. HF_NOENT: no such option. */
static int parse_valued(const char *name, const char *value, struct mount_options *options)
{
    if (strcmp(name, "memory") == 0)
        return options_parse_size(value, &options->memory);
    if (strcmp(name, "wait") == 0)
        return options_parse_duration(value, &options->wait_ms);
    if (strcmp(name, "commit_delay") == 0)
        return options_parse_duration(value, &options->commit_delay_ms);
    if (strcmp(name, "maintenance") == 0)
        return parse_maintenance(value, options);
    if (strcmp(name, "claims") == 0) {
        options->claims = value;
        return HF_OK;
    }
    if (strcmp(name, "metrics") == 0) {
        options->metrics = value;
        return HF_OK;
    }
    return strcmp(name, "comment") == 0 ? HF_OK : HF_NOENT;
}

static int parse_word(char *word, struct mount_options *options, struct hf_error *err)
{
    char *value = strchr(word, '=');
    int status = HF_OK;

    if (strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0)
        return HF_OK;
    if (value) {
        *value++ = '\0';
        status = parse_valued(word, value, options);
        if (status == HF_NOENT)
            return unknown_option(word, err);
        if (status != HF_OK)
            return hf_fail(err, HF_USAGE,
                           "'%s' is no value for the mount option '%s'; one looks like %s", value,
                           word, example_of(word));
        return HF_OK;
    }
    if (strcmp(word, "ro") == 0)
        options->read_only = true;
    if (strcmp(word, "strict") == 0)
        options->strict = true;
    else if (is_listed(kernel_options, word))
        status = add_kernel_option(options, word);
    else if (!is_listed(ignored_options, word))
        return unknown_option(word, err);
    return status == HF_OK ? HF_OK : hf_fail(err, status, "out of memory");
}

int mount_options_parse(char *text, struct mount_options *options, struct hf_error *err)
{
    char *save = NULL;

    for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        int status = parse_word(word, options, err);

        if (status != HF_OK)
            return status;
    }
    return HF_OK;
}
