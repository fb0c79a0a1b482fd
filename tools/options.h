/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Declarative command-line options: one table gives the parsing, the help and the completions.
 *
 *     struct list_options { const char *store; bool json; };
 *     static const struct option_spec specs[] = {
 *         OPTION_STORE(struct list_options, store),
 *         {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, "print JSON"},
 *         {0}};
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;

/** What an option takes, and the type of the member it is stored in. */
enum option_kind {
    OPTION_FLAG,   /**< nothing; bool */
    OPTION_STRING, /**< const char *, points into argv */
    OPTION_NUMBER, /**< a whole number; uint64_t */
    OPTION_SIZE,   /**< "512", "64K", "1.5G" (powers of 1024); uint64_t bytes */
    OPTION_SINCE, /**< "2h", "3d", "2026-01-31", "2026-01-31T10:00:00Z"; int64_t ns since the epoch */
    OPTION_DURATION, /**< "500ms", "30s", "30", "5m", "1h", "2d"; uint32_t ms */
    OPTION_LIST,     /**< may be given several times, joined by ','; char *, freed by the caller */
};

struct option_spec {
    const char *name; /**< without the dashes; NULL ends the table */
    char letter;      /**< of the short form, or 0 */
    enum option_kind kind;
    size_t offset;        /**< of the member in the command's struct of values */
    const char *argument; /**< "URL"; NULL for a flag */
    const char *help;     /**< begins in lower case; may hold several lines */
};

/** The option that every command on a store has. */
#define OPTION_STORE(type, member)                                                                 \
    {                                                                                              \
        "store", 0, OPTION_STRING, offsetof(type, member), "URL",                                  \
            "the store (default: $HOLDFAST_STORE, else the embedded\nstore in your data "          \
            "directory)"                                                                           \
    }

/** Options may stand before and after operands; "--" ends them.
 *  True: go on; `values` is filled in, and argc and argv are left with the operands alone. False: all is
 *  said (help was asked for, or the usage is wrong): exit with `ret_exit`. */
bool options_parse(const struct command *command, int *argc, char ***argv, void *values,
                   int *ret_exit);

/** Prints the table as the "Options" part of a help text. */
void options_help(const struct option_spec *options);

/** Parses the argument of an OPTION_SINCE; `now` in ns. 0 or HF_INVAL. */
int options_parse_since(const char *text, int64_t now, int64_t *ret_time);
/** Parses the argument of an OPTION_SIZE. 0 or HF_INVAL. */
int options_parse_size(const char *text, uint64_t *ret_size);

/** Parses the argument of an OPTION_DURATION: a whole number of ms, s (also without a unit), m, h or d, at most
 *  49 days. 0 or HF_INVAL. */
int options_parse_duration(const char *text, uint32_t *ret_ms);
/** The same of something done every so often, or "off" (0). 0 or HF_INVAL. */
int options_parse_interval(const char *text, uint32_t *ret_ms);

#endif
