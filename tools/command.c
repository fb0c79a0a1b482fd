/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

int command_fail(const struct hf_error *err)
{
    fflush(stdout);
    text_line(stderr, "holdfast: %s", err->message);
    return hf_status_exit(err->status);
}

int command_failf(int status, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("holdfast: ", stderr);
    va_start(args, format);
    text_vline(stderr, format, args);
    va_end(args);
    return hf_status_exit(status);
}

void command_help(const struct command *command)
{
    printf("%s.\n\nUsage: holdfast %s%s%s%s\n", command->summary, command->name,
           command->options && command->options->name ? " [OPTIONS]" : "",
           command->operands ? " " : "", command->operands ? command->operands : "");
    if (command->details)
        printf("\n%s\n", command->details);
    options_help(command->options);
}
