/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast completion SHELL`: prints a shell's completion script, made from the command table. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"

/* What an operand of a command is, told from its name in the usage line. */
enum operand { OPERAND_NONE, OPERAND_SESSION, OPERAND_DIRECTORY };

static enum operand operand_of(const struct command *command)
{
    const char *operands = command->operands ? command->operands : "";

    if (strncmp(operands, "SESSION", 7) == 0)
        return OPERAND_SESSION;
    if (strstr(operands, "DIR") || strstr(operands, "MOUNTPOINT"))
        return OPERAND_DIRECTORY;
    return OPERAND_NONE;
}

static size_t first_word_length(const struct command *command)
{
    return strcspn(command->name, " ");
}

static bool same_first_word(const struct command *a, const struct command *b)
{
    size_t len = first_word_length(a);

    return len == first_word_length(b) && strncmp(a->name, b->name, len) == 0;
}

/* Whether no command before it has the same first word. */
static bool is_first_of_word(const struct command *const *command)
{
    if ((*command)->group == COMMAND_HIDDEN)
        return false;
    for (const struct command *const *c = commands; c != command; c++)
        if (same_first_word(*c, *command))
            return false;
    return true;
}

/* What ends a quoted word, or has a meaning in one. */
#define FISH_SPECIAL "'\\"
#define ZSH_SPECIAL "'\\:"
#define ZSH_BRACKETS "'\\[]"

/* A help text on one line, without what is special. */
static void print_plain(const char *text, const char *special)
{
    for (; *text; text++)
        putchar(*text == '\n' ? ' ' : strchr(special, *text) ? '-' : *text);
}

static void print_second_words(const struct command *first)
{
    for (const struct command *const *c = commands; *c; c++)
        if (same_first_word(first, *c) && strchr((*c)->name, ' '))
            printf(" %s", strchr((*c)->name, ' ') + 1);
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_first_words(void)
{
    fputs("    '') words='--store --version --help", stdout);
    for (const struct command *const *c = commands; *c; c++)
        if (is_first_of_word(c))
            printf(" %.*s", (int)first_word_length(*c), (*c)->name);
    puts("' ;;");
    for (const struct command *const *c = commands; *c; c++)
        if (is_first_of_word(c) && strchr((*c)->name, ' ')) {
            printf("    '%.*s') words='--help", (int)first_word_length(*c), (*c)->name);
            print_second_words(*c);
            puts("' ;;");
        }
}

static void bash_command(const struct command *command)
{
    static const char *const operands[] = {
        [OPERAND_NONE] = "", [OPERAND_SESSION] = "session", [OPERAND_DIRECTORY] = "directory"};

    printf("    '%s' | '%s '*) operand='%s' words='--help", command->name, command->name,
           operands[operand_of(command)]);
    for (const struct option_spec *spec = command->options; spec && spec->name; spec++)
        printf(" --%s", spec->name);
    fputs("' takes=' ", stdout);
    for (const struct option_spec *spec = command->options; spec && spec->name; spec++) {
        if (spec->kind == OPTION_FLAG)
            continue;
        printf("--%s ", spec->name);
        if (spec->letter)
            printf("-%c ", spec->letter);
    }
    puts("' ;;");
}

static void bash_script(void)
{
    puts("# bash completion for holdfast\n"
         "_holdfast() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    local command='' words='' takes=' --store ' operand='' i\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        case ${COMP_WORDS[i]} in\n"
         "        --store) ((i++)) ;;\n"
         "        -*) ;;\n"
         "        *) command=${command:+$command }${COMP_WORDS[i]} ;;\n"
         "        esac\n"
         "    done\n"
         "    case $command in");
    bash_first_words();
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->group != COMMAND_HIDDEN)
            bash_command(*c);
    puts("    esac\n"
         "    if [[ $takes == *\" $prev \"* ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
         "    elif [[ $operand == directory && $cur != -* ]]; then\n"
         "        mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
         "    else\n"
         "        if [[ $operand == session && $cur != -* ]]; then\n"
         "            words=$(holdfast completion sessions 2>/dev/null)\n"
         "        fi\n"
         "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
         "    fi\n"
         "}\n"
         "complete -F _holdfast holdfast");
}

/* --- zsh -------------------------------------------------------------------------------------- */

static void zsh_words(const struct command *family)
{
    for (const struct command *const *c = commands; *c; c++) {
        const char *second = strchr((*c)->name, ' ');
        if (family ? !second || !same_first_word(family, *c) : !is_first_of_word(c))
            continue;
        printf("            '%.*s:", family ? (int)strlen(second + 1) : (int)first_word_length(*c),
               family ? second + 1 : (*c)->name);
        print_plain(!family && second ? "commands on sessions" : (*c)->summary, ZSH_SPECIAL);
        puts("'");
    }
}

static void zsh_option(const struct option_spec *spec)
{
    printf("            '--%s%s[", spec->name, spec->kind == OPTION_FLAG ? "" : "=");
    print_plain(spec->help, ZSH_BRACKETS);
    printf("]%s%s%s'\n", spec->argument ? ":" : "", spec->argument ? spec->argument : "",
           spec->argument ? ":_files" : "");
}

static void zsh_command(const struct command *command)
{
    static const char *const operands[] = {[OPERAND_NONE] = "*: :_default",
                                           [OPERAND_SESSION] = "*: :_holdfast_sessions",
                                           [OPERAND_DIRECTORY] = "*: :_directories"};

    printf("    ('%s' | '%s '*)\n        choices=(\n", command->name, command->name);
    for (const struct option_spec *spec = command->options; spec && spec->name; spec++)
        zsh_option(spec);
    printf("            '--help[print help]' '%s')\n        _arguments -s $choices ;;\n",
           operands[operand_of(command)]);
}

static void zsh_script(void)
{
    puts("#compdef holdfast\n"
         "_holdfast_sessions() {\n"
         "    local -a names=(${(f)\"$(holdfast completion sessions 2>/dev/null)\"})\n"
         "    compadd -a names\n"
         "}\n"
         "_holdfast() {\n"
         "    local command='' i\n"
         "    local -a choices\n"
         "    for ((i = 2; i < CURRENT; i++)); do\n"
         "        case $words[i] in\n"
         "        (--store) ((i++)) ;;\n"
         "        (-*) ;;\n"
         "        (*) command=\"${command:+$command }$words[i]\" ;;\n"
         "        esac\n"
         "    done\n"
         "    case $command in\n"
         "    ('')\n        choices=('--store:the store' '--version:print the version'\n"
         "            '--help:print help'");
    zsh_words(NULL);
    puts("        )\n        _describe command choices ;;");
    for (const struct command *const *c = commands; *c; c++)
        if (is_first_of_word(c) && strchr((*c)->name, ' ')) {
            printf("    ('%.*s')\n        choices=(\n", (int)first_word_length(*c), (*c)->name);
            zsh_words(*c);
            puts("        )\n        _describe command choices ;;");
        }
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->group != COMMAND_HIDDEN)
            zsh_command(*c);
    puts("    esac\n}\n_holdfast \"$@\"");
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_word(const char *condition, int len, const char *word, const char *summary)
{
    printf("complete -c holdfast -n '__holdfast_at \"%s\"' -a '%.*s' -d '", condition, len, word);
    print_plain(summary, FISH_SPECIAL);
    puts("'");
}

static void fish_command(const struct command *command)
{
    for (const struct option_spec *spec = command->options; spec && spec->name; spec++) {
        printf("complete -c holdfast -n '__holdfast_in \"%s\"' -l %s", command->name, spec->name);
        if (spec->letter)
            printf(" -s %c", spec->letter);
        printf("%s -d '", spec->kind == OPTION_FLAG ? "" : " -r");
        print_plain(spec->help, FISH_SPECIAL);
        puts("'");
    }
    if (operand_of(command) == OPERAND_SESSION)
        printf("complete -c holdfast -n '__holdfast_in \"%s\"' -a "
               "'(holdfast completion sessions 2>/dev/null)'\n",
               command->name);
    if (operand_of(command) == OPERAND_DIRECTORY)
        printf("complete -c holdfast -n '__holdfast_in \"%s\"' -a "
               "'(__fish_complete_directories)'\n",
               command->name);
}

static void fish_script(void)
{
    char first[64];

    puts("# fish completion for holdfast\n"
         "function __holdfast_words\n"
         "    set -l skip 0\n"
         "    for word in (commandline -opc)[2..-1]\n"
         "        if test $skip = 1\n            set skip 0\n"
         "        else if test \"$word\" = --store\n            set skip 1\n"
         "        else if not string match -q -- '-*' $word\n            echo $word\n"
         "        end\n    end\nend\n"
         "function __holdfast_at\n    set -l words (string join ' ' (__holdfast_words))\n"
         "    test \"$words\" = \"$argv\"\nend\n"
         "function __holdfast_in\n    string match -q -- \"$argv*\" (string join ' ' "
         "(__holdfast_words))\nend\n"
         "complete -c holdfast -f\n"
         "complete -c holdfast -l help -s h -d 'print help'\n"
         "complete -c holdfast -n '__holdfast_at \"\"' -l version -d 'print the version'\n"
         "complete -c holdfast -n '__holdfast_at \"\"' -l store -r -d 'the store'");
    for (const struct command *const *c = commands; *c; c++) {
        const char *second = strchr((*c)->name, ' ');
        snprintf(first, sizeof first, "%.*s", (int)first_word_length(*c), (*c)->name);
        if (is_first_of_word(c))
            fish_word("", (int)strlen(first), first,
                      second ? "commands on sessions" : (*c)->summary);
        if ((*c)->group != COMMAND_HIDDEN && second)
            fish_word(first, (int)strlen(second + 1), second + 1, (*c)->summary);
    }
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->group != COMMAND_HIDDEN)
            fish_command(*c);
}

/* --- what the scripts and the tests ask for ---------------------------------------------------- */

/* Each command on a line, and each of its options on one with the command before it. */
static void list_commands(void)
{
    for (const struct command *const *c = commands; *c; c++) {
        if ((*c)->group == COMMAND_HIDDEN)
            continue;
        puts((*c)->name);
        for (const struct option_spec *spec = (*c)->options; spec && spec->name; spec++)
            printf("%s\t--%s\n", (*c)->name, spec->name);
    }
}

static int print_session(const struct session_info *info, void *arg)
{
    (void)arg;
    puts(info->name);
    return 0;
}

static int list_sessions(void)
{
    const struct session_filter all = {0};
    struct store *store = NULL;
    struct hf_error err;
    int status = context_open_store(NULL, STORE_READ_ONLY, &store, &err);

    if (status == 0)
        status = store_session_list(store, &all, print_session, NULL, &err);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(int argc, char **argv);

const struct command command_completion = {
    .name = "completion",
    .group = COMMAND_HIDDEN,
    .summary = "Print the completion script for bash, zsh or fish",
    .operands = "SHELL",
    .details = "In place of a shell, 'commands' lists all commands and options, and 'sessions'\n"
               "the names of the store's sessions.",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static int run(int argc, char **argv)
{
    int exit_code;

    if (!options_parse(&command_completion, &argc, &argv, NULL, &exit_code))
        return exit_code;
    if (strcmp(argv[0], "sessions") == 0)
        return list_sessions();
    if (strcmp(argv[0], "commands") == 0)
        list_commands();
    else if (strcmp(argv[0], "bash") == 0)
        bash_script();
    else if (strcmp(argv[0], "zsh") == 0)
        zsh_script();
    else if (strcmp(argv[0], "fish") == 0)
        fish_script();
    else
        return command_failf(HF_USAGE, "no completion for '%s': bash, zsh or fish", argv[0]);
    return EX_OK;
}
