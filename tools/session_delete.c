/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session delete`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "presence.h"
#include "text.h"

struct delete_options {
    const char *store;
    uint32_t wait_ms;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct delete_options, store),
    {"wait", 'w', OPTION_DURATION, offsetof(struct delete_options, wait_ms), "TIME",
     "wait so long for a session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct delete_options, dry_run), NULL,
     "only say what would be deleted"},
    {"json", 0, OPTION_FLAG, offsetof(struct delete_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_delete = {
    .name = "session delete",
    .group = COMMAND_SESSION,
    .summary = "Move sessions to the trash",
    .operands = "SESSION...",
    .details = "Names are given in full. In the trash a session keeps its history until the\n"
               "retention policy or a purge forgets it; 'session undelete' takes it out. One\n"
               "that is in use is refused (75), and the others are deleted all the same.",
    .options = specs,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};

/* By its full name: the beginning of one is not enough to delete it. */
static int find(struct store *store, const char *name, struct context_session *ret_session,
                struct hf_error *err)
{
    int status = context_find_session(store, name, ret_session, err);

    if (status != HF_OK)
        return status;
    if (ret_session->head.sid == SHARED_SID)
        return hf_fail(err, HF_INVAL, "the shared tree cannot be deleted");
    if (strcmp(ret_session->name, name) != 0)
        return hf_fail(err, HF_NOENT, "there is no session '%s'; to delete '%s', name it in full",
                       name, ret_session->name);
    return HF_OK;
}

static int delete_session(struct presence *presence, const struct context_session *session,
                          uint32_t wait_ms, struct hf_error *err)
{
    struct lease lease;
    int status = presence_lease(presence, session->head.sid, wait_ms, &lease, err);

    if (status != HF_OK)
        return status;
    status = store_session_delete(presence_store(presence), presence_host(presence), lease.sid,
                                  lease.token, err);
    if (status != HF_OK)
        (void)presence_release(presence, &lease, NULL);
    return status;
}

static int say(const struct context_session *session, const struct delete_options *options,
               struct json_list *list)
{
    json_t *object;

    if (!options->json) {
        text_line(stdout,
                  options->dry_run ? "Session %s would be moved to the trash, as #%" PRIu64 "."
                                   : "Session %s is in the trash, as #%" PRIu64 ".",
                  session->name, session->head.sid);
        return HF_OK;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "session", session->name);
        json_object_set_new(object, "id", json_u64(session->head.sid));
    }
    return json_list_add(list, object);
}

static int delete_one(struct presence *presence, const char *name,
                      const struct delete_options *options, struct json_list *list,
                      struct hf_error *err)
{
    struct context_session session;
    int status = find(presence_store(presence), name, &session, err);

    if (status == HF_OK && !options->dry_run)
        status = delete_session(presence, &session, options->wait_ms, err);
    return status == HF_OK ? say(&session, options, list) : status;
}

static int run(int argc, char **argv)
{
    struct delete_options options = {0};
    struct presence *presence = NULL;
    struct json_list list = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_session_delete, &argc, &argv, &options, &exit_code))
        return exit_code;
    if ((options.dry_run
             ? presence_look(options.store, &presence, &err)
             : presence_open(options.store, "session delete", &presence, &err)) != HF_OK)
        return command_fail(&err);
    exit_code = EX_OK;
    for (int i = 0; i < argc; i++)
        if (delete_one(presence, argv[i], &options, &list, &err) != HF_OK)
            exit_code = command_fail(&err);
    if (options.json)
        json_list_end(&list);
    presence_close(presence);
    return exit_code;
}
