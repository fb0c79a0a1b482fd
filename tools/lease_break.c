/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast lease break`. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "text.h"

struct break_options {
    const char *store, *reason;
    uint64_t token;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct break_options, store),
    {"token", 0, OPTION_NUMBER, offsetof(struct break_options, token), "NUMBER",
     "the token that is held, as 'lease show' tells it"},
    {"reason", 0, OPTION_STRING, offsetof(struct break_options, reason), "TEXT",
     "why; kept in the audit trail"},
    {"json", 0, OPTION_FLAG, offsetof(struct break_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_lease_break = {
    .name = "lease break",
    .group = COMMAND_SESSION,
    .summary = "Take a session from the host that holds it",
    .operands = "SESSION",
    .details = "What that host has not committed is refused from then on, and becomes a rescue\n"
               "version. A holder that is only idle need not be broken: it gives the session up\n"
               "when another host asks for it.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static int check(const struct break_options *options, struct hf_error *err)
{
    if (options->token == 0)
        return hf_fail(err, HF_USAGE,
                       "lease break: --token is needed: the one that 'holdfast lease show' prints");
    if (!options->reason || !*options->reason)
        return hf_fail(err, HF_USAGE, "lease break: --reason is needed: it is kept in the trail");
    return HF_OK;
}

static int say(const char *session, const struct break_options *options)
{
    if (options->json)
        return json_print(json_pack("{s:o, s:s, s:o, s:s}", "session", json_bytes(session), "state",
                                    "broken", "token", json_u64(options->token), "reason",
                                    options->reason));
    text_line(stdout, "The lease of %s with token %" PRIu64 " is broken.", session, options->token);
    return HF_OK;
}

static int run(int argc, char **argv)
{
    struct break_options options = {0};
    struct context_session session;
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_lease_break, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = check(&options, &err);
    if (status == 0)
        status = context_open_store(options.store, 0, &store, &err);
    if (status == 0)
        status = context_find_session(store, argv[0], &session, &err);
    if (status == 0)
        status = store_lease_break(store, session.head.sid, options.token, options.reason, &err);
    if (status == 0 && say(session.name, &options) != HF_OK)
        status = hf_fail(&err, HF_NOMEM, "out of memory");
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
