/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A subcommand of the program: what it is called, what it takes, and what runs it.
 *
 * Each lives in a file of its own as one `const struct command`, and is listed in commands.c. Help,
 * parsing, the shell completions and the test of the manual pages all read the same description.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <stdbool.h>

#include "holdfast/error.h"
#include "options.h"

/** The headings of `holdfast --help`, in order. */
enum command_group {
    COMMAND_MOUNT,
    COMMAND_SESSION,
    COMMAND_SERVER,
    COMMAND_STORE,
    COMMAND_HIDDEN,
    COMMAND_GROUPS
};

struct command {
    const char *name; /**< "mount", or of two words "session list" */
    enum command_group group;
    const char *summary;  /**< one line without a full stop, at most 60 bytes */
    const char *operands; /**< for the usage line: "[GLOB]"; or NULL */
    const char *details;  /**< paragraphs for --help, lines of at most 80 bytes; or NULL */
    const struct option_spec *options; /**< ended by an element without a name; or NULL */
    int min_operands, max_operands;    /**< max -1: any number */
    bool usual; /**< of two words: meant also by the first one alone, before operands */
    /** Runs it: argv[0] is the command's (last) word. Returns the process exit code. */
    int (*run)(int argc, char **argv);
};

/** The first word of commands that have two: one line of `holdfast --help` for all of them. */
struct command_family {
    const char *name;
    enum command_group group;
    const char *summary; /**< what they are about, before the list of their second words */
};

/** Every family; ended by one without a name. */
extern const struct command_family families[];

/** Every command, in the order of the help; ended by NULL. */
extern const struct command *const commands[];

/** The command with this name; NULL when there is none. */
const struct command *command_find(const char *name);

/** Prints "holdfast: sentence" to stderr. Returns the exit code for the error's status. */
int command_fail(const struct hf_error *err);
/** The same with a sentence of its own. */
int command_failf(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Prints what `holdfast NAME --help` prints. */
void command_help(const struct command *command);

#endif
