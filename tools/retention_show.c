/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast retention show`. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "store/retention.h"

struct show_options {
    const char *store;
    bool json, builtin;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct show_options, store),
    {"default", 0, OPTION_FLAG, offsetof(struct show_options, builtin), NULL,
     "the built-in policy, whatever the store has"},
    {"json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);
extern const struct command command_retention_show;

const struct command command_retention_show = {
    .name = "retention show",
    .group = COMMAND_STORE,
    .summary = "Print the policy of what a store keeps, and for how long",
    .details = "Prints YAML, which 'holdfast retention set' takes. Where the policy comes from is\n"
               "said on standard error: from the store, or it is the built-in one.",
    .options = specs,
    .run = run,
};

/* Appends the text that counts. */
static int read_text(const struct show_options *options, struct store *store, struct buf *ret_text,
                     bool *ret_builtin, struct hf_error *err)
{
    int rc =
        options->builtin ? HF_NOENT : store_setting_get(store, RETENTION_SETTING, ret_text, err);

    *ret_builtin = rc == HF_NOENT;
    if (rc == HF_NOENT)
        rc = buf_append(ret_text, retention_default, strlen(retention_default));
    return rc == HF_NOMEM ? hf_fail(err, rc, "out of memory") : rc;
}

static int print_json(const struct store *store, struct slice text, bool builtin)
{
    json_t *object = json_object();
    BUF_AUTO policy = {0};
    int rc = buf_append(&policy, text.data, text.len);

    if (rc == HF_OK)
        rc = buf_append(&policy, "", 1);
    if (rc == HF_OK && object) {
        json_object_set_new(object, "store", json_bytes(store_info(store)->location));
        json_object_set_new(object, "source", json_string(builtin ? "built-in" : "store"));
        json_object_set_new(object, "policy", json_bytes((const char *)policy.data));
        rc = json_print(json_incref(object));
    }
    json_decref(object);
    return object ? rc : HF_NOMEM;
}

static int print_text(const struct store *store, struct slice text, bool builtin)
{
    if (builtin)
        fprintf(stderr, "The built-in policy; 'holdfast retention set FILE' gives a store one of "
                        "its own.\n");
    else
        fprintf(stderr,
                "The policy of %s; 'holdfast retention set --default' goes back to the "
                "built-in one.\n",
                store_info(store)->location);
    fwrite(text.data, 1, text.len, stdout);
    if (text.len > 0 && text.data[text.len - 1] != '\n')
        putchar('\n');
    return HF_OK;
}

static int run(int argc, char **argv)
{
    struct show_options options = {0};
    struct store *store = NULL;
    BUF_AUTO text = {0};
    struct hf_error err;
    bool builtin = false;
    int exit_code, status;

    if (!options_parse(&command_retention_show, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == HF_OK)
        status = read_text(&options, store, &text, &builtin, &err);
    if (status == HF_OK &&
        (options.json ? print_json : print_text)(store, buf_slice(&text), builtin) != HF_OK)
        status = hf_fail(&err, HF_NOMEM, "out of memory");
    store_close(store);
    return status == HF_OK ? EX_OK : command_fail(&err);
}
