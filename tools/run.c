/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast run`. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "hold.h"

#define EXIT_NOT_FOUND 127
#define EXIT_NOT_RUN 126
#define EXIT_SIGNAL 128

struct run_options {
    const char *session, *mount;
    uint32_t wait_ms;
    bool create;
};

static const struct option_spec specs[] = {
    {"session", 's', OPTION_STRING, offsetof(struct run_options, session), "SESSION",
     "the session to hold"},
    {"wait", 'w', OPTION_DURATION, offsetof(struct run_options, wait_ms), "TIME",
     "wait for it so long, as 30s or 5m (default: not)"},
    {"mount", 0, OPTION_STRING, offsetof(struct run_options, mount), "DIR",
     "where the sessions are mounted (default:\n${COPILOT_HOME:-~/.copilot}/session-state)"},
    {"create", 0, OPTION_FLAG, offsetof(struct run_options, create), NULL,
     "make the session when there is none"},
    {0}};

static int run(int argc, char **argv);

const struct command command_run = {
    .name = "run",
    .group = COMMAND_SESSION,
    .summary = "Run a command that has a session for itself",
    .operands = "-- COMMAND [ARGUMENT...]",
    .details = "Takes the session's lease on this host and keeps it while the command runs. When\n"
               "it is held elsewhere, the command is not run, and the exit code is 75. Else the\n"
               "exit code is the command's: 127 when it is not there, 126 when it cannot be run,\n"
               "128 and the signal's number when a signal ended it.",
    .options = specs,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};

/* Signals that a terminal or an administrator sends to end things: they are the command's to handle. */
static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
static volatile sig_atomic_t child;

static void pass_on(int signal_number)
{
    if (child > 0)
        kill((pid_t)child, signal_number);
}

static void handle_signals(void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
        sigaction(passed_on[i], &action, NULL);
}

static void start(char **argv)
{
    int error;

    execvp(argv[0], argv);
    error = errno;
    command_failf(hf_status_from_errno(error), "cannot run %s: %s", argv[0], strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN);
}

static int run_command(char **argv)
{
    sigset_t all, before;
    int status = 0;
    pid_t pid;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before); /* until the child's number is known */
    pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        start(argv);
    }
    child = pid;
    handle_signals(pass_on);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return command_failf(HF_NOMEM, "cannot start a process: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    handle_signals(SIG_DFL);
    return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(int argc, char **argv)
{
    struct run_options options = {0};
    struct hold_request request;
    struct hold *hold;
    struct hf_error err;
    char purpose[512];
    int exit_code;

    if (!options_parse(&command_run, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (!options.session)
        return command_failf(HF_USAGE, "run: --session is needed: the session to hold");
    snprintf(purpose, sizeof purpose, "holdfast run %s, pid %d", argv[0], (int)getpid());
    request = (struct hold_request){.session = options.session,
                                    .mount = options.mount,
                                    .create = options.create,
                                    .hint = "; --create makes it",
                                    .wait_ms = options.wait_ms,
                                    .purpose = purpose};
    if (hold_take(&request, &hold, &err) != HF_OK)
        return command_fail(&err);
    exit_code = run_command(argv);
    hold_drop(hold);
    return exit_code;
}
