/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast bench`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "bench/bench.h"
#include "command.h"
#include "json.h"
#include "suggest.h"

#define PERCENT_MAX 10000

struct run_options {
    char *workloads, *files, *pids;
    const char *peer, *store, *remount;
    uint64_t percent, seed;
    bool json;
};

static const struct option_spec specs[] = {
    {"workload", 'w', OPTION_LIST, offsetof(struct run_options, workloads), "NAME",
     "only this one; may be given several times"},
    {"peer", 0, OPTION_STRING, offsetof(struct run_options, peer), "DIRECTORY",
     "the same directory through another mount"},
    {"store", 0, OPTION_STRING, offsetof(struct run_options, store), "URL",
     "the store behind the directory"},
    {"remount", 0, OPTION_STRING, offsetof(struct run_options, remount), "COMMAND",
     "a shell command that makes the directory cold"},
    {"files", 0, OPTION_LIST, offsetof(struct run_options, files), "PATH",
     "where the system keeps its data; may be given several\ntimes"},
    {"pid", 0, OPTION_LIST, offsetof(struct run_options, pids), "PID",
     "a process that serves the directory; may be given\nseveral times (default: the mount's)"},
    {"scale", 0, OPTION_NUMBER, offsetof(struct run_options, percent), "PERCENT",
     "of the sizes and counts (default: 100)"},
    {"seed", 0, OPTION_NUMBER, offsetof(struct run_options, seed), "NUMBER",
     "of the content (default: another one each time)"},
    {"json", 0, OPTION_FLAG, offsetof(struct run_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_bench_run = {
    .name = "bench run",
    .group = COMMAND_STORE,
    .summary = "Measure what agents wait for, on any directory",
    .operands = "DIRECTORY",
    .details = "Does in the directory what agents do, and says how long it took. It works on\n"
               "any filesystem, so that two can be compared; what it makes is removed again.\n"
               "Without --workload, every workload runs that has what it needs. They and their\n"
               "figures are explained in the manual page.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .usual = true,
    .run = run,
};

/* Whether `name` is one of those in a list joined by commas. */
static bool is_listed(const char *list, const char *name)
{
    for (const char *at = list; at && *at; at += *at == ',') {
        size_t len = strcspn(at, ",");

        if (len == strlen(name) && memcmp(at, name, len) == 0)
            return true;
        at += len;
    }
    return false;
}

static const char *lacks(const struct bench *bench, const struct workload *workload)
{
    if ((workload->needs & WORKLOAD_PEER) && !bench->peer)
        return "--peer";
    if ((workload->needs & WORKLOAD_STORE) && !bench->store)
        return "--store";
    return NULL;
}

static const struct workload *find(const char *name, size_t len)
{
    for (const struct workload *const *w = workloads; *w; w++)
        if (strlen((*w)->name) == len && memcmp((*w)->name, name, len) == 0)
            return *w;
    return NULL;
}

/* Every name in the list is that of a workload, and has what it needs. */
static int check_list(const struct bench *bench, const char *list, struct hf_error *err)
{
    struct suggestion closest = {0};
    char name[32];

    for (const char *at = list; at && *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        const struct workload *workload = find(at, len);

        snprintf(name, sizeof name, "%.*s", (int)len, at);
        at += len;
        if (len == 0)
            continue;
        if (workload && lacks(bench, workload))
            return hf_fail(err, HF_USAGE, "bench: the workload '%s' needs %s", name,
                           lacks(bench, workload));
        if (workload)
            continue;
        for (const struct workload *const *w = workloads; *w; w++)
            suggest_offer(&closest, name, (*w)->name);
        return closest.word
                   ? hf_fail(err, HF_USAGE, "bench: there is no workload '%s'; did you mean '%s'?",
                             name, closest.word)
                   : hf_fail(err, HF_USAGE, "bench: there is no workload '%s'", name);
    }
    return HF_OK;
}

/* One workload from beginning to end. What it made goes also when it fails. */
static int run_one(struct bench *bench, const struct workload *workload, uint64_t seed,
                   struct hf_error *err)
{
    struct hf_error end_err;
    int rc = bench_begin(bench, workload, seed, err), end;

    if (rc != HF_OK)
        return rc;
    rc = workload->run(bench, err);
    end = bench_end(bench, &end_err);
    if (rc == HF_OK && end != HF_OK) {
        *err = end_err;
        rc = end;
    }
    return rc == HF_OK ? rc : hf_fail_prefix(err, rc, "%s", workload->name);
}

static int tell(struct bench *bench, const struct workload *workload, json_t *all,
                struct hf_error *err)
{
    json_t *figures;

    if (!all) {
        figures_print(&bench->figures, workload->name);
        fflush(stdout);
        return HF_OK;
    }
    figures = figures_json(&bench->figures);
    return figures && json_object_set_new(all, workload->name, figures) == 0
               ? HF_OK
               : hf_fail(err, HF_NOMEM, "out of memory");
}

/* `all`: gets the figures of each; NULL: they are printed at once. */
static int run_all(struct bench *bench, const struct run_options *options, json_t *all,
                   struct hf_error *err)
{
    int rc = HF_OK;

    for (const struct workload *const *w = workloads; *w && rc == HF_OK; w++) {
        if (options->workloads ? !is_listed(options->workloads, (*w)->name)
                               : lacks(bench, *w) != NULL)
            continue;
        rc = run_one(bench, *w, options->seed, err);
        if (rc == HF_OK)
            rc = tell(bench, *w, all, err);
        figures_free(&bench->figures);
    }
    return rc;
}

static int measure(struct bench *bench, const struct run_options *options, struct hf_error *err)
{
    json_t *all;
    int rc;

    if (!options->json) {
        printf("seed %llu\n", (unsigned long long)options->seed);
        return run_all(bench, options, NULL, err);
    }
    if (!(all = json_object()))
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = run_all(bench, options, all, err);
    if (rc == HF_OK)
        return json_print(json_pack("{s:o, s:I, s:I, s:o}", "directory", json_bytes(bench->top),
                                    "scale_percent", (json_int_t)options->percent, "seed",
                                    (json_int_t)options->seed, "workloads", all));
    json_decref(all);
    return rc;
}

/* The absolute path of a directory, freed by the caller. */
static int resolve(const char *given, char **ret_path, struct hf_error *err)
{
    struct stat st;
    char *path = realpath(given, NULL);

    if (!path || stat(path, &st) != 0) {
        free(path);
        return bench_fail(err, "find", given);
    }
    if (!S_ISDIR(st.st_mode)) {
        free(path);
        return hf_fail(err, HF_NOTDIR, "%s is not a directory", given);
    }
    *ret_path = path;
    return HF_OK;
}

static int check_pids(const char *list, struct hf_error *err)
{
    char *end;

    for (const char *at = list; at && *at; at = end + (*end == ','))
        if (strtol(at, &end, 10) <= 0 || (*end && *end != ','))
            return hf_fail(err, HF_USAGE, "bench: '%s' is no process id", list);
    return HF_OK;
}

static int run(int argc, char **argv)
{
    struct run_options options = {.percent = 100, .seed = (uint64_t)samples_now() & INT64_MAX};
    struct bench bench = {0};
    struct hf_error err;
    char *top = NULL, *peer = NULL;
    int exit_code, rc;

    if (!options_parse(&command_bench_run, &argc, &argv, &options, &exit_code))
        return exit_code;
    rc = options.percent < 1 || options.percent > PERCENT_MAX || options.seed > INT64_MAX
             ? hf_fail(&err, HF_USAGE, "bench: --scale must be 1 to %d, and --seed below 2^63",
                       PERCENT_MAX)
             : check_pids(options.pids, &err);
    if (rc == HF_OK)
        rc = resolve(argv[0], &top, &err);
    if (rc == HF_OK && options.peer)
        rc = resolve(options.peer, &peer, &err);
    bench = (struct bench){.top = top,
                           .peer = peer,
                           .store = options.store,
                           .remount = options.remount,
                           .files = options.files,
                           .pids = options.pids,
                           .scale = (double)options.percent / 100};
    if (rc == HF_OK)
        rc = check_list(&bench, options.workloads, &err);
    if (rc == HF_OK) {
        bench_catch_signals();
        rc = measure(&bench, &options, &err);
    }
    free(top);
    free(peer);
    free(options.workloads);
    free(options.files);
    free(options.pids);
    return rc ? command_fail(&err) : EX_OK;
}
