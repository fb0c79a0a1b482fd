/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast doctor`. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "place.h"

struct doctor_options {
    const char *store;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct doctor_options, store),
    {"json", 0, OPTION_FLAG, offsetof(struct doctor_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_doctor = {
    .name = "doctor",
    .group = COMMAND_MOUNT,
    .summary = "Check this machine, the store and the mount point",
    .operands = "[MOUNTPOINT]",
    .details = "Changes nothing. Says what to do about each finding. The exit status is 0 unless\n"
               "something has to be mended; warnings do not count.",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

struct doctor {
    json_t *findings; /* NULL: print as they come */
    unsigned warnings, failures;
    bool color;
};

static void print_finding(const struct doctor *doctor, enum doctor_level level, const char *check,
                          const char *advice, const char *message)
{
    static const char *const words[] = {"ok", "warning", "FAILED"};
    static const char *const colors[] = {"\033[32m", "\033[33m", "\033[1;31m"};

    printf("%s%-8s%s %-12s %s\n", doctor->color ? colors[level] : "", words[level],
           doctor->color ? "\033[m" : "", check, message);
    for (const char *line = advice; line && *line;) {
        size_t len = strcspn(line, "\n");
        printf("%22s%.*s\n", line == advice ? "-> " : "", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

void doctor_report(struct doctor *doctor, enum doctor_level level, const char *check,
                   const char *advice, const char *format, ...)
{
    static const char *const levels[] = {"ok", "warning", "failure"};
    char message[640];
    va_list args;
    json_t *finding;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    doctor->warnings += level == DOCTOR_WARNING;
    doctor->failures += level == DOCTOR_FAILURE;
    if (!doctor->findings) {
        print_finding(doctor, level, check, advice, message);
        return;
    }
    finding = json_object();
    json_object_set_new(finding, "check", json_string(check));
    json_object_set_new(finding, "level", json_string(levels[level]));
    json_object_set_new(finding, "message", json_bytes(message));
    json_object_set_new(finding, "advice", json_bytes(advice));
    json_array_append_new(doctor->findings, finding);
}

static void print_summary(const struct doctor *doctor)
{
    if (doctor->failures)
        printf("\n%u to mend, %u warnings.\n", doctor->failures, doctor->warnings);
    else if (doctor->warnings)
        printf("\nNothing has to be mended; %u warnings.\n", doctor->warnings);
    else
        puts("\nAll is well.");
}

static int finish(struct doctor *doctor)
{
    int exit_code = doctor->failures ? EX_UNAVAILABLE : EX_OK;

    if (!doctor->findings) {
        print_summary(doctor);
    } else {
        json_t *object = json_object();
        json_object_set_new(object, "healthy", json_boolean(!doctor->failures));
        json_object_set_new(object, "warnings", json_u64(doctor->warnings));
        json_object_set_new(object, "failures", json_u64(doctor->failures));
        json_object_set_new(object, "findings", doctor->findings);
        if (json_print(object) != 0)
            return command_failf(HF_NOMEM, "out of memory");
    }
    return exit_code;
}

static int run(int argc, char **argv)
{
    struct doctor_options options = {0};
    struct doctor doctor = {0};
    char mount_point[PLACE_MAX];
    BUF_AUTO url = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_doctor, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (options.json && !(doctor.findings = json_array()))
        return command_failf(HF_NOMEM, "out of memory");
    doctor.color = !options.json && isatty(STDOUT_FILENO);
    doctor_check_system(&doctor);
    if (context_store_url(options.store, false, &url, &err) == 0)
        doctor_check_store(&doctor, (const char *)url.data);
    else
        doctor_report(&doctor, DOCTOR_FAILURE, "store", "Set HOME, or name a store with --store.",
                      "%s", err.message);
    if (place_of(argc > 0 ? argv[0] : NULL, mount_point, &err) == 0)
        doctor_check_mount(&doctor, mount_point);
    else
        doctor_report(&doctor, DOCTOR_FAILURE, "mount", NULL, "%s", err.message);
    return finish(&doctor);
}
