/* SPDX-License-Identifier: Apache-2.0 */
#include "web/metrics.h"

#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "holdfast/error.h"

static void append(struct metrics *metrics, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct metrics *metrics, const char *format, ...)
{
    char line[2048];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (metrics->status != HF_OK || len < 0 || (size_t)len >= sizeof line)
        return;
    metrics->status = buf_append(&metrics->text, line, (size_t)len);
}

void metrics_family(struct metrics *metrics, const char *name, enum metric_type type,
                    const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    metrics->name = name;
    append(metrics, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, types[type]);
}

/* One label with its value, in which a quote, a backslash and a newline are escaped. 0: it does not fit. */
static size_t write_label(char *out, size_t size, const char *label, const char *value)
{
    int len = snprintf(out, size, "%s=\"", label);
    size_t at = (size_t)len;

    if (len < 0 || at + 2 >= size)
        return 0;
    for (; *value; value++) {
        if (at + 4 >= size)
            return 0;
        if (*value == '"' || *value == '\\' || *value == '\n')
            out[at++] = '\\';
        out[at++] = *value == '\n' ? 'n' : *value;
    }
    out[at++] = '"';
    return at;
}

const char *metrics_labels(struct metrics *metrics, ...)
{
    char *out = metrics->labels;
    size_t size = sizeof metrics->labels, at = 0, len;
    const char *label, *value;
    va_list args;

    va_start(args, metrics);
    while ((label = va_arg(args, const char *))) {
        value = va_arg(args, const char *);
        if (at > 0 && at + 1 < size)
            out[at++] = ',';
        len = write_label(out + at, size - at, label, value);
        if (len == 0 && at > 0)
            at--;
        at += len;
    }
    va_end(args);
    out[at] = '\0';
    return out;
}

void metrics_sample(struct metrics *metrics, const char *suffix, const char *labels, double value)
{
    bool braces = labels[0] != '\0';

    append(metrics, "%s%s%s%s%s ", metrics->name, suffix, braces ? "{" : "", labels,
           braces ? "}" : "");
    if (value == floor(value) && fabs(value) < 1e15)
        append(metrics, "%.0f\n", value);
    else
        append(metrics, "%.9g\n", value);
}

void metrics_single(struct metrics *metrics, const char *name, enum metric_type type,
                    const char *help, double value)
{
    metrics_family(metrics, name, type, help);
    metrics_sample(metrics, "", "", value);
}

/* --- the process --------------------------------------------------------------------------------------- */

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long size, resident = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = -3; /* ".", "..", and the one that looks */

    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void metrics_process(struct metrics *metrics)
{
    metrics_family(metrics, "holdfast_build_info", METRIC_GAUGE, "The version of the program.");
    metrics_sample(metrics, "", metrics_labels(metrics, "version", HOLDFAST_VERSION, NULL), 1);
    metrics_single(metrics, "process_resident_memory_bytes", METRIC_GAUGE,
                   "Resident memory size in bytes.", resident_bytes());
    metrics_single(metrics, "process_cpu_seconds_total", METRIC_COUNTER,
                   "User and system CPU time spent in seconds.", cpu_seconds());
    metrics_single(metrics, "process_open_fds", METRIC_GAUGE, "Open file descriptors.",
                   open_files());
}
