/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast lease hold` and `holdfast lease wait`. */
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "hold.h"
#include "json.h"
#include "text.h"

struct hold_options {
    const char *store, *mount;
    uint32_t wait_ms;
    bool json;
};

#define OPTIONS_WHERE                                                                              \
    {"store",                                                                                      \
     0,                                                                                            \
     OPTION_STRING,                                                                                \
     offsetof(struct hold_options, store),                                                         \
     "URL",                                                                                        \
     "a store, to do it without a mount: then no mount\nanywhere can write meanwhile"},            \
        {"mount",                                                                                  \
         0,                                                                                        \
         OPTION_STRING,                                                                            \
         offsetof(struct hold_options, mount),                                                     \
         "DIR",                                                                                    \
         "where the sessions are mounted (default:\n${COPILOT_HOME:-~/.copilot}/session-state)"},  \
    {                                                                                              \
        "json", 0, OPTION_FLAG, offsetof(struct hold_options, json), NULL, "print JSON"            \
    }

static const struct option_spec hold_specs[] = {
    {"wait", 'w', OPTION_DURATION, offsetof(struct hold_options, wait_ms), "TIME",
     "wait for it so long, as 30s or 5m (default: not)"},
    OPTIONS_WHERE,
    {0}};

static const struct option_spec wait_specs[] = {
    {"wait", 'w', OPTION_DURATION, offsetof(struct hold_options, wait_ms), "TIME",
     "no longer than this, as 30s or 5m (default: as long\nas it takes)"},
    OPTIONS_WHERE,
    {0}};

static int run_hold(int argc, char **argv);
static int run_wait(int argc, char **argv);

const struct command command_lease_hold = {
    .name = "lease hold",
    .group = COMMAND_SESSION,
    .summary = "Hold a session until interrupted",
    .operands = "SESSION",
    .details = "Prints a line once it is held, and keeps it until Ctrl-C or SIGTERM. The exit\n"
               "code is 75 when it is held elsewhere. 'holdfast run' holds a session while a\n"
               "command runs.",
    .options = hold_specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_hold,
};

const struct command command_lease_wait = {
    .name = "lease wait",
    .group = COMMAND_SESSION,
    .summary = "Wait until a session can be had",
    .operands = "SESSION",
    .details = "Takes the session and gives it up at once: a holder that is only idle gives way.\n"
               "The exit code is 75 when it could not be had in time.",
    .options = wait_specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run_wait,
};

static int say(const char *session, const char *state, bool json)
{
    json_t *object;

    if (!json) {
        text_line(stdout, "Session %s is %s.", session, state);
        return fflush(stdout) == 0 ? HF_OK : HF_IO;
    }
    object = json_object();
    if (object) {
        json_set_name(object, "session", session);
        json_object_set_new(object, "state", json_string(state));
    }
    json_print(object);
    return fflush(stdout) == 0 ? HF_OK : HF_IO;
}

static int take(const struct hold_options *options, const char *session, uint32_t wait_ms,
                const char *what, struct hold **ret_hold, struct hf_error *err)
{
    char purpose[128];
    struct hold_request request = {.session = session,
                                   .store = options->store,
                                   .mount = options->mount,
                                   .wait_ms = wait_ms,
                                   .purpose = purpose};

    snprintf(purpose, sizeof purpose, "holdfast lease %s, pid %d", what, (int)getpid());
    return hold_take(&request, ret_hold, err);
}

static int run_hold(int argc, char **argv)
{
    struct hold_options options = {0};
    struct hold *hold;
    struct hf_error err;
    sigset_t ends;
    int exit_code, which;

    if (!options_parse(&command_lease_hold, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (take(&options, argv[0], options.wait_ms, "hold", &hold, &err) != HF_OK)
        return command_fail(&err);
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    if (say(argv[0], "held", options.json) == HF_OK)
        sigwait(&ends, &which);
    hold_drop(hold);
    return EX_OK;
}

static int run_wait(int argc, char **argv)
{
    struct hold_options options = {.wait_ms = HOLD_FOREVER};
    struct hold *hold;
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_lease_wait, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (take(&options, argv[0], options.wait_ms, "wait", &hold, &err) != HF_OK)
        return command_fail(&err);
    hold_drop(hold);
    say(argv[0], "free", options.json);
    return EX_OK;
}
