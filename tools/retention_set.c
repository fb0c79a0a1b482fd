/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast retention set`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "store/retention.h"
#include "text.h"

struct set_options {
    const char *store;
    bool builtin, dry_run;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct set_options, store),
    {"default", 0, OPTION_FLAG, offsetof(struct set_options, builtin), NULL,
     "go back to the built-in policy"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct set_options, dry_run), NULL,
     "only say whether the policy is one"},
    {0}};

static int run(int argc, char **argv);
extern const struct command command_retention_set;

const struct command command_retention_set = {
    .name = "retention set",
    .group = COMMAND_STORE,
    .summary = "Give a store a policy of what it keeps, and for how long",
    .operands = "FILE|-",
    .details =
        "Reads YAML from FILE, or with - from standard input, and checks it first: a policy\n"
        "that is none is refused, with the line that is wrong. Nothing goes by the new\n"
        "policy at once: 'holdfast retention apply --dry-run' shows what would.\n"
        "holdfast-retention-set(1) describes what a policy can say.",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

static int read_stream(FILE *file, const char *name, struct buf *ret_text, struct hf_error *err)
{
    char chunk[4096];
    size_t n;

    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) {
        if (buf_append(ret_text, chunk, n) != HF_OK)
            return hf_fail(err, HF_NOMEM, "out of memory");
        if (ret_text->len > SETTING_MAX)
            return hf_fail(err, HF_CONFIG, "%s has more than the %d bytes of a policy", name,
                           SETTING_MAX);
    }
    if (ferror(file))
        return hf_fail(err, HF_IO, "cannot read %s: %s", name, strerror(errno));
    return HF_OK;
}

static int read_file(const char *path, struct buf *ret_text, struct hf_error *err)
{
    FILE *file;
    int rc;

    if (strcmp(path, "-") == 0)
        return read_stream(stdin, "standard input", ret_text, err);
    file = fopen(path, "re");
    if (!file)
        return hf_fail(err, hf_status_from_errno(errno), "cannot read %s: %s", path,
                       strerror(errno));
    rc = read_stream(file, path, ret_text, err);
    fclose(file);
    return rc;
}

/* The text is judged here, so that the sentence names the file. */
static int read_policy(const char *path, struct buf *ret_text, struct hf_error *err)
{
    struct retention *policy = NULL;
    int rc = read_file(path, ret_text, err);

    if (rc != HF_OK)
        return rc;
    rc = retention_parse(buf_slice(ret_text), &policy, err);
    retention_free(policy);
    return rc == HF_OK ? rc : hf_fail_prefix(err, rc, "%s", path);
}

static void say(const struct set_options *options, const char *path, const struct store *store)
{
    const char *policy = options->builtin ? "The built-in policy" : "The policy";

    if (options->dry_run && !options->builtin)
        text_line(stdout, "%s is a policy; nothing is changed.", path);
    else
        text_line(stdout,
                  options->dry_run ? "%s would hold for %s."
                                   : "%s holds for %s now; 'holdfast retention apply --dry-run' "
                                     "shows what it lets go.",
                  policy, store_info(store)->location);
}

static int set(const struct set_options *options, const char *path, struct hf_error *err)
{
    struct store *store = NULL;
    BUF_AUTO text = {0};
    int rc = options->builtin ? HF_OK : read_policy(path, &text, err);

    if (rc == HF_OK)
        rc =
            context_open_store(options->store, options->dry_run ? STORE_READ_ONLY : 0, &store, err);
    if (rc == HF_OK && !options->dry_run)
        rc = store_setting_set(store, RETENTION_SETTING, buf_slice(&text), err);
    if (rc == HF_OK)
        say(options, path, store);
    store_close(store);
    return rc;
}

static int run(int argc, char **argv)
{
    struct set_options options = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_retention_set, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (options.builtin == (argc > 0))
        return command_failf(HF_USAGE, "give either a FILE with a policy or --default");
    return set(&options, argc > 0 ? argv[0] : NULL, &err) == HF_OK ? EX_OK : command_fail(&err);
}
