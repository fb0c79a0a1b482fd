/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/clock.h"
#include "command.h"
#include "suggest.h"

#define OPTIONS_MAX 30
#define VALUE_HELP 1
#define VALUE_FIRST 256 /* above every short option's letter */
#define NS_PER_SECOND 1000000000LL

/* The table in the form that getopt_long(3) takes. */
struct getopt_form {
    struct option options[OPTIONS_MAX + 2];
    char letters[2 * OPTIONS_MAX + 4];
    size_t count;
};

static void getopt_form_make(const struct option_spec *specs, struct getopt_form *form)
{
    char *letter = form->letters;

    memset(form, 0, sizeof *form);
    *letter++ = ':';
    *letter++ = 'h';
    for (; specs && specs[form->count].name && form->count < OPTIONS_MAX; form->count++) {
        const struct option_spec *spec = &specs[form->count];
        form->options[form->count] =
            (struct option){spec->name, spec->kind == OPTION_FLAG ? no_argument : required_argument,
                            NULL, VALUE_FIRST + (int)form->count};
        if (spec->letter) {
            *letter++ = spec->letter;
            if (spec->kind != OPTION_FLAG)
                *letter++ = ':';
        }
    }
    form->options[form->count] = (struct option){"help", no_argument, NULL, VALUE_HELP};
}

static const struct option_spec *spec_of(const struct option_spec *specs, int value)
{
    if (value >= VALUE_FIRST)
        return &specs[value - VALUE_FIRST];
    for (; specs && specs->name; specs++)
        if (specs->letter && specs->letter == value)
            return specs;
    return NULL;
}

int options_parse_size(const char *text, uint64_t *ret_size)
{
    static const char units[] = "KMGTP";
    const char *unit;
    char *end;
    double value;

    if (!isdigit((unsigned char)*text))
        return HF_INVAL;
    errno = 0;
    value = strtod(text, &end);
    if (errno)
        return HF_INVAL;
    if (*end && (unit = strchr(units, toupper((unsigned char)*end))) != NULL) {
        for (const char *u = units; u <= unit; u++)
            value *= 1024;
        end++;
        if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0)
            end += strlen(end);
    }
    if (*end || !(value >= 0) || value >= 9.0e18)
        return HF_INVAL;
    *ret_size = (uint64_t)value;
    return 0;
}

static int parse_age(const char *text, int64_t now, int64_t *ret_time)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}, {'y', 31536000}};
    char *end;
    long count;

    if (!isdigit((unsigned char)*text))
        return HF_INVAL;
    errno = 0;
    count = strtol(text, &end, 10);
    if (errno || count > 1000000 || !end[0] || end[1])
        return HF_INVAL;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t age = 0;
        if (units[i].unit != *end)
            continue;
        if (__builtin_mul_overflow(count, units[i].seconds * NS_PER_SECOND, &age) || age > now)
            return HF_INVAL;
        *ret_time = now - age;
        return 0;
    }
    return HF_INVAL;
}

int options_parse_since(const char *text, int64_t now, int64_t *ret_time)
{
    static const char *const utc[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"};
    static const char *const local[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"};
    struct tm tm;
    const char *end;

    if (parse_age(text, now, ret_time) == 0)
        return 0;
    for (size_t i = 0; i < sizeof utc / sizeof utc[0]; i++) {
        memset(&tm, 0, sizeof tm);
        end = strptime(text, utc[i], &tm);
        if (end && !*end) {
            *ret_time = (int64_t)timegm(&tm) * NS_PER_SECOND;
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        memset(&tm, 0, sizeof tm);
        tm.tm_isdst = -1;
        end = strptime(text, local[i], &tm);
        if (end && !*end) {
            *ret_time = (int64_t)mktime(&tm) * NS_PER_SECOND;
            return 0;
        }
    }
    return HF_INVAL;
}

int options_parse_duration(const char *text, uint32_t *ret_ms)
{
    static const struct {
        const char *unit;
        unsigned long long ms;
    } units[] = {{"ms", 1},        {"s", 1000},        {"", 1000},
                 {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 86400 * 1000}};
    unsigned long long n;
    char *end;

    if (*text < '0' || *text > '9')
        return HF_INVAL;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno)
        return HF_INVAL;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        if (n > UINT32_MAX / units[i].ms)
            return HF_INVAL;
        *ret_ms = (uint32_t)(n * units[i].ms);
        return HF_OK;
    }
    return HF_INVAL;
}

int options_parse_interval(const char *text, uint32_t *ret_ms)
{
    uint32_t ms = 0;

    if (strcmp(text, "off") != 0 && (options_parse_duration(text, &ms) != HF_OK || ms == 0))
        return HF_INVAL;
    *ret_ms = ms;
    return HF_OK;
}

static int parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    unsigned long long number;

    if (!isdigit((unsigned char)*text))
        return HF_INVAL;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (errno || *end)
        return HF_INVAL;
    *ret_number = number;
    return 0;
}

static int append_list(char **list, const char *text)
{
    char *joined;

    if (asprintf(&joined, "%s%s%s", *list ? *list : "", *list ? "," : "", text) < 0)
        return HF_NOMEM;
    free(*list);
    *list = joined;
    return 0;
}

static int store_value(const struct option_spec *spec, const char *text, void *values)
{
    char *member = (char *)values + spec->offset;

    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)member = true;
        return 0;
    case OPTION_STRING:
        *(const char **)(void *)member = text;
        return 0;
    case OPTION_NUMBER:
        return parse_number(text, (uint64_t *)(void *)member);
    case OPTION_SIZE:
        return options_parse_size(text, (uint64_t *)(void *)member);
    case OPTION_SINCE:
        return options_parse_since(text, clock_realtime(&clock_system), (int64_t *)(void *)member);
    case OPTION_DURATION:
        return options_parse_duration(text, (uint32_t *)(void *)member);
    case OPTION_LIST:
        return append_list((char **)(void *)member, text);
    }
    return HF_INVAL;
}

__attribute__((format(printf, 2, 3))) static int usage_error(const struct command *command,
                                                             const char *format, ...)
{
    struct hf_error err;
    char sentence[256];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    hf_fail(&err, HF_USAGE, "%s: %s", command->name, sentence);
    command_fail(&err);
    fprintf(stderr, "Try 'holdfast %s --help'.\n", command->name);
    return hf_status_exit(HF_USAGE);
}

static int unknown_option(const struct command *command, char **argv)
{
    struct suggestion closest = {0};
    char typed[64] = "";
    const char *word = argv[optind - 1];

    if (strncmp(word, "--", 2) != 0)
        return usage_error(command, "unknown option '-%c'", optopt);
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    for (const struct option_spec *spec = command->options; spec && spec->name; spec++)
        suggest_offer(&closest, typed, spec->name);
    if (!closest.word)
        return usage_error(command, "unknown option '--%s'", typed);
    return usage_error(command, "unknown option '--%s'; did you mean '--%s'?", typed, closest.word);
}

static int wrong_value(const struct command *command, const struct option_spec *spec,
                       const char *text)
{
    static const char *const kinds[] = {
        [OPTION_NUMBER] = "whole number",
        [OPTION_SIZE] = "size (512, 64K, 1.5G)",
        [OPTION_SINCE] = "age (2h, 3d) or date (2026-01-31)",
        [OPTION_DURATION] = "duration (500ms, 30s, 5m, 1h)",
        [OPTION_LIST] = "list",
    };
    const char *wanted = kinds[spec->kind];

    return usage_error(command, "'%s' is no %s for --%s", text, wanted, spec->name);
}

static bool operands_fit(const struct command *command, int argc, char **argv, int *ret_exit)
{
    if (argc < command->min_operands) {
        *ret_exit = usage_error(command, "an operand is missing: it takes %s", command->operands);
        return false;
    }
    if (command->max_operands >= 0 && argc > command->max_operands) {
        *ret_exit = usage_error(command, "unexpected operand '%s'", argv[command->max_operands]);
        return false;
    }
    return true;
}

/* One result of getopt_long(3). False: end with `ret_exit`. */
static bool take_option(const struct command *command, int value, char **argv, void *values,
                        int *ret_exit)
{
    const struct option_spec *spec;

    if (value == VALUE_HELP || value == 'h') {
        command_help(command);
        *ret_exit = EX_OK;
        return false;
    }
    if (value == ':') {
        *ret_exit = usage_error(command, "'%s' needs an argument", argv[optind - 1]);
        return false;
    }
    spec = spec_of(command->options, value);
    if (value == '?' || !spec) {
        *ret_exit = unknown_option(command, argv);
        return false;
    }
    if (store_value(spec, optarg, values) != 0) {
        *ret_exit = wrong_value(command, spec, optarg);
        return false;
    }
    return true;
}

bool options_parse(const struct command *command, int *argc, char ***argv, void *values,
                   int *ret_exit)
{
    struct getopt_form form;
    int value;

    getopt_form_make(command->options, &form);
    optind = 0; /* glibc: start anew */
    opterr = 0;
    while ((value = getopt_long(*argc, *argv, form.letters, form.options, NULL)) != -1)
        if (!take_option(command, value, *argv, values, ret_exit))
            return false;
    *argc -= optind;
    *argv += optind;
    return operands_fit(command, *argc, *argv, ret_exit);
}

static void help_line(const char *left, const char *help)
{
    const char *eol;

    if (strlen(left) > 24)
        printf("  %s\n  %-24s  ", left, "");
    else
        printf("  %-24s  ", left);
    while ((eol = strchr(help, '\n')) != NULL) {
        printf("%.*s\n  %-24s  ", (int)(eol - help), help, "");
        help = eol + 1;
    }
    puts(help);
}

void options_help(const struct option_spec *options)
{
    char left[80];

    puts("\nOptions");
    for (; options && options->name; options++) {
        char letter[5] = "";
        if (options->letter)
            snprintf(letter, sizeof letter, "-%c, ", options->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, options->name,
                 options->argument ? " " : "", options->argument ? options->argument : "");
        help_line(left, options->help);
    }
    help_line("-h, --help", "print this help");
}
