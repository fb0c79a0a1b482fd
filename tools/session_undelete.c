/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session undelete`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "text.h"

struct undelete_options {
    const char *store, *as;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct undelete_options, store),
    {"as", 0, OPTION_STRING, offsetof(struct undelete_options, as), "NEW",
     "under this name (default: the one it had)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct undelete_options, dry_run), NULL,
     "only say what would be done"},
    {"json", 0, OPTION_FLAG, offsetof(struct undelete_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_undelete = {
    .name = "session undelete",
    .group = COMMAND_SESSION,
    .summary = "Take a session out of the trash",
    .operands = "NAME|#ID",
    .details = "With all its history. Where several sessions of the name are in the trash, name\n"
               "the one by its number; 'holdfast session list --trash' prints them.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static int say(const struct context_session *session, const char *name,
               const struct undelete_options *options)
{
    json_t *object;

    if (!options->json) {
        text_line(stdout,
                  options->dry_run ? "Session #%" PRIu64 " would be taken out of the trash, as %s."
                                   : "Session #%" PRIu64 " is out of the trash, as %s.",
                  session->head.sid, name);
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "session", name);
        json_object_set_new(object, "id", json_u64(session->head.sid));
        json_object_set_new(object, "version", json_u64(session->head.version));
    }
    return json_print(object);
}

static int undelete(struct store *store, const struct context_session *session, const char *name,
                    bool dry_run, struct hf_error *err)
{
    struct session_head head;
    int status;

    status = dry_run ? store_session_find(store, name, &head, err)
                     : store_session_undelete(store, session->head.sid, name, err);
    if (dry_run && status == HF_OK)
        status = HF_EXIST;
    else if (dry_run && status == HF_NOENT)
        status = HF_OK;
    return status == HF_EXIST
               ? hf_fail(err, status, "there is a session '%s' already; --as gives another name",
                         name)
               : status;
}

static int run(int argc, char **argv)
{
    struct undelete_options options = {0};
    struct context_session session;
    struct store *store = NULL;
    struct hf_error err;
    const char *name = NULL;
    int exit_code, status;

    if (!options_parse(&command_session_undelete, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, options.dry_run ? STORE_READ_ONLY : 0, &store, &err);
    if (status == HF_OK)
        status = context_find_trashed(store, argv[0], &session, &err);
    if (status == HF_OK) {
        name = options.as ? options.as : session.name;
        status = undelete(store, &session, name, options.dry_run, &err);
    }
    if (status == HF_OK)
        status = say(&session, name, &options);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
