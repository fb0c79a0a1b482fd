/* SPDX-License-Identifier: Apache-2.0 */
/** The holdfast command: finds the subcommand and runs it. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "suggest.h"

#define NAME_MAX_BYTES 64
#define HELP_COLUMN 21 /* where summaries begin */
#define HELP_WIDTH 80

static const char *const headings[COMMAND_GROUPS] = {
    [COMMAND_MOUNT] = "Mount",
    [COMMAND_SESSION] = "Sessions",
    [COMMAND_SERVER] = "Many hosts",
    [COMMAND_STORE] = "Store",
};

/* Whether a command's first word is this one, of `len` bytes. */
static bool is_of_family(const struct command *command, const char *name, size_t len)
{
    return strncmp(command->name, name, len) == 0 && command->name[len] == ' ';
}

static void print_family(const struct command_family *family)
{
    size_t len = strlen(family->name), column = HELP_COLUMN + strlen(family->summary) + 1;
    const char *separator = ":";

    printf("  %-18s %s", family->name, family->summary);
    for (const struct command *const *c = commands; *c; c++) {
        const char *word = (*c)->name + len + 1;

        if (!is_of_family(*c, family->name, len))
            continue;
        fputs(separator, stdout);
        separator = ",";
        column += strlen(word) + 2;
        if (column > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN - 1, "");
            column = HELP_COLUMN + strlen(word) + 2;
        }
        printf(" %s", word);
    }
    putchar('\n');
}

static bool family_is_empty(const struct command_family *family)
{
    for (const struct command *const *c = commands; *c; c++)
        if (is_of_family(*c, family->name, strlen(family->name)))
            return false;
    return true;
}

static void print_group(enum command_group group)
{
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->group == group && !strchr((*c)->name, ' '))
            printf("  %-18s %s\n", (*c)->name, (*c)->summary);
    for (const struct command_family *f = families; f->name; f++)
        if (f->group == group && !family_is_empty(f))
            print_family(f);
}

static bool group_is_empty(enum command_group group)
{
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->group == group)
            return false;
    return true;
}

static void print_help(void)
{
    puts("Keeps the sessions of coding agents in one store, and mounts them where the agent\n"
         "looks for them.\n\n"
         "Usage: holdfast [--store URL] COMMAND [OPTIONS] [OPERANDS]");
    for (int group = 0; group < COMMAND_HIDDEN; group++) {
        if (group_is_empty((enum command_group)group))
            continue;
        printf("\n%s\n", headings[group]);
        print_group((enum command_group)group);
    }
    puts("\nOptions\n"
         "  --store URL        the store, as sqlite:/path/to/store.db\n"
         "                     (default: $HOLDFAST_STORE, else the embedded store in your\n"
         "                     data directory)\n"
         "  --version          print the version\n"
         "  -h, --help         print this help\n\n"
         "'holdfast COMMAND --help' explains a command; 'man holdfast-COMMAND' tells more.");
}

/* "session" alone: the first word of commands that have two. */
static bool is_family(const char *word)
{
    for (const struct command *const *c = commands; *c; c++)
        if (is_of_family(*c, word, strlen(word)))
            return true;
    return false;
}

static void family_help(const char *word)
{
    printf("Usage: holdfast %s COMMAND [OPTIONS] [OPERANDS]\n\nCommands\n", word);
    for (const struct command *const *c = commands; *c; c++)
        if (is_of_family(*c, word, strlen(word)))
            printf("  %-18s %s\n", (*c)->name, (*c)->summary);
    printf("\n'holdfast %s COMMAND --help' explains a command.\n", word);
}

static int unknown_command(const char *typed)
{
    struct suggestion closest = {0};
    char first[NAME_MAX_BYTES];

    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->group != COMMAND_HIDDEN)
            suggest_offer(&closest, typed, (*c)->name);
    for (const struct command *const *c = commands; !closest.word && *c; c++) {
        snprintf(first, sizeof first, "%.*s", (int)strcspn((*c)->name, " "), (*c)->name);
        suggest_offer(&closest, typed, first);
    }
    if (!closest.word) /* "list" is the last word of "session list" */
        for (const struct command *const *c = commands; *c && !closest.word; c++) {
            const char *space = strchr((*c)->name, ' ');
            if (space && strcmp(space + 1, typed) == 0)
                closest.word = (*c)->name;
        }
    if (closest.word)
        command_failf(HF_USAGE, "there is no command '%s'; did you mean '%s'?", typed,
                      closest.word);
    else
        command_failf(HF_USAGE, "there is no command '%s'", typed);
    fputs("'holdfast --help' lists the commands.\n", stderr);
    return EX_USAGE;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* "backup URL" is "backup create URL". */
static const struct command *usual_of(const char *word)
{
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->usual && is_of_family(*c, word, strlen(word)))
            return *c;
    return NULL;
}

/* Runs the command whose first word is argv[0]. */
static int dispatch(int argc, char **argv)
{
    const struct command *command = command_find(argv[0]);
    char name[NAME_MAX_BYTES];

    if (command)
        return command->run(argc, argv);
    if (!is_family(argv[0]))
        return unknown_command(argv[0]);
    if (argc < 2) {
        command_failf(HF_USAGE, "'%s' needs a command", argv[0]);
        fprintf(stderr, "'holdfast %s --help' lists them.\n", argv[0]);
        return EX_USAGE;
    }
    if (is_help(argv[1])) {
        family_help(argv[0]);
        return EX_OK;
    }
    snprintf(name, sizeof name, "%s %s", argv[0], argv[1]);
    command = command_find(name);
    if (command)
        return command->run(argc - 1, argv + 1);
    command = usual_of(argv[0]);
    return command ? command->run(argc, argv) : unknown_command(name);
}

/* `holdfast help session list` is `holdfast session list --help`. */
static int dispatch_help(int argc, char **argv)
{
    char *words[4];
    int n = 0;

    while (n < argc && n < 2) {
        words[n] = argv[n];
        n++;
    }
    words[n++] = (char *)"--help";
    words[n] = NULL;
    return dispatch(n, words);
}

/* Options before the command. True: argv starts with the command. False: exit with `ret_exit`. */
static bool global_options(int *argc, char ***argv, int *ret_exit)
{
    for (; *argc > 0 && (*argv)[0][0] == '-'; (*argc)--, (*argv)++) {
        const char *word = (*argv)[0];
        const char *url = NULL;
        *ret_exit = EX_OK;
        if (is_help(word)) {
            print_help();
            return false;
        }
        if (strcmp(word, "--version") == 0) {
            puts("holdfast " HOLDFAST_VERSION);
            return false;
        }
        if (strncmp(word, "--store=", 8) == 0) {
            url = word + 8;
        } else if (strcmp(word, "--store") == 0 && *argc > 1) {
            url = (*argv)[1];
            (*argc)--, (*argv)++;
        }
        if (!url || setenv("HOLDFAST_STORE", url, 1) != 0) {
            *ret_exit = strcmp(word, "--store") == 0
                            ? command_failf(HF_USAGE, "'--store' needs the URL of a store")
                            : command_failf(HF_USAGE, "unknown option '%s'", word);
            fputs("Try 'holdfast --help'.\n", stderr);
            return false;
        }
    }
    return true;
}

/* Output that did not arrive is a failure, however well the work went. */
static int finish(int exit_code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        command_failf(HF_IO, "cannot write the output: %s", strerror(errno));
        return exit_code == EX_OK ? EX_IOERR : exit_code;
    }
    return exit_code;
}

/* mount(8) runs these for a line of fstab. */
static bool is_mount_helper(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;

    return strcmp(name, "mount.fuse.holdfast") == 0 || strcmp(name, "mount.holdfast") == 0;
}

int main(int argc, char **argv)
{
    const struct command *mount = command_find("mount");
    int exit_code = EX_USAGE;

    setlocale(LC_CTYPE, "");
    if (argc > 0 && mount && is_mount_helper(argv[0]))
        return finish(mount->run(argc, argv));
    argc--, argv++;
    if (!global_options(&argc, &argv, &exit_code))
        return finish(exit_code);
    if (argc < 1) {
        command_failf(HF_USAGE, "which command?");
        fputs("'holdfast --help' lists the commands.\n", stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[0], "help") == 0) {
        if (argc == 1)
            print_help();
        return finish(argc == 1 ? EX_OK : dispatch_help(argc - 1, argv + 1));
    }
    return finish(dispatch(argc, argv));
}
