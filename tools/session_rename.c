/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session rename`. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "presence.h"
#include "text.h"

struct rename_options {
    const char *store;
    uint32_t wait_ms;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct rename_options, store),
    {"wait", 'w', OPTION_DURATION, offsetof(struct rename_options, wait_ms), "TIME",
     "wait so long for a session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct rename_options, dry_run), NULL,
     "only say what would be done"},
    {"json", 0, OPTION_FLAG, offsetof(struct rename_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_rename = {
    .name = "session rename",
    .group = COMMAND_SESSION,
    .summary = "Give a session another name",
    .operands = "OLD NEW",
    .details = "Its files stay as they are, workspace.yaml too: it is the directory that gets\n"
               "another name. A session in use is refused (75), and so is a name that is taken.",
    .options = specs,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};

/* What the store would say, without the lease. */
static int check(struct store *store, const char *name, struct hf_error *err)
{
    struct session_head head;
    int status = store_session_find(store, name, &head, err);

    if (status == HF_OK)
        return hf_fail(err, HF_EXIST, "there is a session '%s' already", name);
    return status == HF_NOENT ? HF_OK : status;
}

static int rename_session(struct presence *presence, const struct context_session *session,
                          const char *name, uint32_t wait_ms, struct hf_error *err)
{
    struct lease lease;
    int status = presence_lease(presence, session->head.sid, wait_ms, &lease, err);

    if (status != HF_OK)
        return status;
    status = store_session_rename(presence_store(presence), presence_host(presence), lease.sid,
                                  lease.token, name, RENAME_SESSION_NEW, 0, err);
    (void)presence_release(presence, &lease, NULL);
    return status == HF_EXIST ? hf_fail(err, status, "there is a session '%s' already", name)
                              : status;
}

static int say(const char *old, const char *name, const struct rename_options *options)
{
    json_t *object;

    if (!options->json) {
        text_line(stdout,
                  options->dry_run ? "Session %s would be called %s."
                                   : "Session %s is now called %s.",
                  old, name);
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "before", old);
        json_set_name(object, "session", name);
    }
    return json_print(object);
}

static int run(int argc, char **argv)
{
    struct rename_options options = {0};
    struct context_session session;
    struct presence *presence = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_session_rename, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = options.dry_run ? presence_look(options.store, &presence, &err)
                             : presence_open(options.store, "session rename", &presence, &err);
    if (status == HF_OK)
        status = context_find_session(presence_store(presence), argv[0], &session, &err);
    if (status == HF_OK && session.head.sid == SHARED_SID)
        status = hf_fail(&err, HF_INVAL, "the shared tree is no session: it has no name");
    if (status == HF_OK && options.dry_run)
        status = check(presence_store(presence), argv[1], &err);
    else if (status == HF_OK)
        status = rename_session(presence, &session, argv[1], options.wait_ms, &err);
    if (status == HF_OK)
        status = say(session.name, argv[1], &options);
    presence_close(presence);
    return status ? command_fail(&err) : EX_OK;
}
