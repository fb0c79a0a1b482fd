/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast lease show`. */
#include <stdio.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "lease_text.h"
#include "text.h"

struct show_options {
    const char *store;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct show_options, store),
    {"json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_lease_show = {
    .name = "lease show",
    .group = COMMAND_SESSION,
    .summary = "Show who holds a session, since when and why",
    .operands = "SESSION",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct show {
    uint64_t sid;
    bool json;
};

static int print_lease(const struct lease_info *lease, bool json)
{
    if (json)
        return json_print(lease_json(lease));
    text_print_line("Session", lease->session_name);
    lease_print(lease, clock_realtime(&clock_system));
    return HF_OK;
}

static int visit(const struct lease_info *lease, void *arg)
{
    const struct show *show = arg;

    if (lease->sid != show->sid)
        return 0;
    return print_lease(lease, show->json) == HF_OK ? 1 : HF_NOMEM;
}

static int show_lease(struct store *store, const struct context_session *session, bool json,
                      struct hf_error *err)
{
    struct show show = {session->head.sid, json};
    struct lease_info lease = {
        .sid = session->head.sid, .session_name = session->name, .state = LEASE_FREE};
    int status;

    if (session->head.sid == SHARED_SID)
        return hf_fail(err, HF_INVAL, "the shared tree has no lease: every host may change it");
    status = store_lease_list(store, visit, &show, err);
    if (status == 0)
        status = print_lease(&lease, json);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    return status > 0 ? 0 : status;
}

static int run(int argc, char **argv)
{
    struct show_options options = {0};
    struct context_session session;
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_lease_show, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = context_find_session(store, argv[0], &session, &err);
    if (status == 0)
        status = show_lease(store, &session, options.json, &err);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
