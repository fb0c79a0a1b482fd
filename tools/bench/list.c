/* SPDX-License-Identifier: Apache-2.0 */
/** The workload `list`: a few and many sessions, as `ls -lR`, `find` and the client's listSessions() see them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bench/bench.h"

#define FEW 500
#define MANY 10000
#define LOG_MIN 2048
#define LOG_MAX 8192
#define WARM_ROUNDS 5
#define PIECE 262144

/* --- making ------------------------------------------------------------------------------------------------ */

static int make_text(const char *path, const char *text, struct hf_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return bench_fail(err, "make", path);
    rc = bench_write(fd, path, text, strlen(text), err);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    return rc;
}

/* What the client writes about a session. */
static int make_workspace(const char *dir, const char *name, struct hf_error *err)
{
    char path[BENCH_PATH + 32], text[512];

    snprintf(path, sizeof path, "%s/workspace.yaml", dir);
    snprintf(text, sizeof text,
             "id: %s\ncwd: /home/agent/src/project\ngit_root: /home/agent/src/project\n"
             "repository: example/project\nbranch: main\nname: Work on %s\n"
             "created_at: 2026-01-01T09:00:00.000Z\nupdated_at: 2026-01-01T10:00:00.000Z\n",
             name, name);
    return make_text(path, text, err);
}

static int make_session(struct bench *bench, uint64_t number, struct hf_error *err)
{
    uint64_t bytes = LOG_MIN + content_random(&bench->content, LOG_MAX - LOG_MIN);
    char dir[BENCH_PATH], path[BENCH_PATH + 32];
    int rc;

    bench_session(bench, dir, "%06llu", (unsigned long long)number);
    if (mkdir(dir, 0700) != 0)
        return bench_fail(err, "make", dir);
    rc = make_workspace(dir, strrchr(dir, '/') + 1, err);
    snprintf(path, sizeof path, "%s/events.jsonl", dir);
    if (rc == HF_OK)
        rc = bench_make_file(bench, path, bytes, err);
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    if (rc == HF_OK && mkdir(path, 0700) != 0)
        rc = bench_fail(err, "make", path);
    snprintf(path, sizeof path, "%s/checkpoints/index.md", dir);
    if (rc == HF_OK)
        rc = make_text(path, "# Checkpoints\n\n- 001: The plan\n- 002: The first step\n", err);
    snprintf(path, sizeof path, "%s/plan.md", dir);
    if (rc == HF_OK)
        rc = make_text(path, "# Plan\n\n1. Look around\n2. Change something\n3. Test it\n", err);
    return rc;
}

/* --- walks -------------------------------------------------------------------------------------------------- */

/* A walk counts what it meets. */
struct walk {
    struct bench *bench;
    uint64_t entries;
    struct hf_error *err;
};

typedef int (*walk_fn)(struct walk *walk);
typedef int (*visit_fn)(struct walk *walk, const char *path, unsigned char type);

/* The names of a directory are read whole before any is looked at, as ls does. */
struct names {
    char **list;
    unsigned char *types;
    size_t count, cap;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
    free(names->types);
}

static int names_add(struct names *names, const struct dirent *entry)
{
    if (names->count == names->cap) {
        size_t cap = names->cap ? 2 * names->cap : 64;
        char **list = reallocarray(names->list, cap, sizeof *list);
        unsigned char *types;

        if (!list)
            return HF_NOMEM;
        names->list = list;
        if (!(types = reallocarray(names->types, cap, sizeof *types)))
            return HF_NOMEM;
        names->types = types;
        names->cap = cap;
    }
    if (!(names->list[names->count] = strdup(entry->d_name)))
        return HF_NOMEM;
    names->types[names->count++] = entry->d_type;
    return HF_OK;
}

static int names_read(struct names *names, const char *path, const char *prefix,
                      struct hf_error *err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = HF_OK;

    if (!dir)
        return bench_fail(err, "open", path);
    while (rc == HF_OK && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            rc = names_add(names, entry);
    closedir(dir);
    return rc == HF_OK ? rc : hf_fail(err, rc, "out of memory");
}

/* Visits the entries below `path` whose names begin with `prefix`. */
static int visit_all(struct walk *walk, const char *path, const char *prefix, visit_fn visit)
{
    struct names names = {0};
    char below[BENCH_PATH];
    int rc = names_read(&names, path, prefix, walk->err);

    for (size_t i = 0; i < names.count && rc == HF_OK; i++) {
        int len = snprintf(below, sizeof below, "%s/%s", path, names.list[i]);

        walk->entries++;
        rc = len < (int)sizeof below ? visit(walk, below, names.types[i])
                                     : hf_fail(walk->err, HF_NAMETOOLONG, "%s is too long", path);
    }
    names_free(&names);
    return rc == HF_OK ? bench_go_on(walk->err) : rc;
}

/* `ls -lR` also asks each for its label and its access control lists; most have none. */
static int visit_ls(struct walk *walk, const char *path, unsigned char type)
{
    struct stat st;
    char label[256];

    (void)type;
    if (lstat(path, &st) != 0)
        return bench_fail(walk->err, "look at", path);
    (void)lgetxattr(path, "security.selinux", label, sizeof label);
    (void)getxattr(path, "system.posix_acl_access", NULL, 0);
    if (!S_ISDIR(st.st_mode))
        return HF_OK;
    (void)getxattr(path, "system.posix_acl_default", NULL, 0);
    return visit_all(walk, path, "", visit_ls);
}

static int walk_ls(struct walk *walk)
{
    return visit_all(walk, walk->bench->top, walk->bench->prefix, visit_ls);
}

/* `find` looks at directories only, where the listing says what each entry is. */
static int visit_find(struct walk *walk, const char *path, unsigned char type)
{
    struct stat st;

    if (type == DT_UNKNOWN) {
        if (lstat(path, &st) != 0)
            return bench_fail(walk->err, "look at", path);
        type = S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
    } else if (type == DT_DIR && lstat(path, &st) != 0) {
        return bench_fail(walk->err, "look at", path);
    }
    return type == DT_DIR ? visit_all(walk, path, "", visit_find) : HF_OK;
}

static int walk_find(struct walk *walk)
{
    return visit_all(walk, walk->bench->top, walk->bench->prefix, visit_find);
}

/* What listSessions() costs: 3 opens and 6 stats for each session, one of them of a name that is not there. */
static int visit_session(struct walk *walk, const char *path, unsigned char type)
{
    char log[BENCH_PATH + 32], workspace[BENCH_PATH + 32], detached[BENCH_PATH + 32];
    struct stat st;
    uint64_t len;
    int rc = HF_OK;

    (void)type;
    snprintf(workspace, sizeof workspace, "%s/workspace.yaml", path);
    snprintf(log, sizeof log, "%s/events.jsonl", path);
    snprintf(detached, sizeof detached, "%s/.detached", path);
    if (stat(path, &st) != 0)
        return bench_fail(walk->err, "look at", path);
    if (stat(workspace, &st) != 0)
        return errno == ENOENT ? HF_OK : bench_fail(walk->err, "look at", workspace);
    rc = bench_read_file(workspace, &len, walk->err);
    for (int i = 0; i < 2 && rc == HF_OK; i++) {
        if (stat(log, &st) != 0)
            return bench_fail(walk->err, "look at", log);
        rc = bench_read_file(log, &len, walk->err);
    }
    if (rc == HF_OK && stat(detached, &st) != 0 && errno != ENOENT)
        rc = bench_fail(walk->err, "look at", detached);
    if (rc == HF_OK && stat(path, &st) != 0)
        rc = bench_fail(walk->err, "look at", path);
    return rc;
}

static int walk_sessions(struct walk *walk)
{
    return visit_all(walk, walk->bench->top, walk->bench->prefix, visit_session);
}

/* --- measuring ------------------------------------------------------------------------------------------------ */

/* One way to look at them, with the names of its figures: cold and warm, of a few and of many. */
static const struct way {
    walk_fn walk;
    const char *names[2][2];
} ways[] = {
    {walk_ls, {{"few_ls_cold", "few_ls_warm"}, {"many_ls_cold", "many_ls_warm"}}},
    {walk_find, {{"few_find_cold", "few_find_warm"}, {"many_find_cold", "many_find_warm"}}},
    {walk_sessions,
     {{"few_sessions_cold", "few_sessions_warm"}, {"many_sessions_cold", "many_sessions_warm"}}},
};

/* Entries per second, of the median of so many walks. */
static int time_walks(struct bench *bench, walk_fn walk_by, unsigned rounds, double *ret_rate,
                      struct hf_error *err)
{
    struct samples samples = {0};
    uint64_t entries = 0;
    int rc = HF_OK;

    for (unsigned i = 0; i < rounds && rc == HF_OK; i++) {
        struct walk walk = {.bench = bench, .err = err};
        int64_t begin = samples_now();

        rc = walk_by(&walk);
        entries = walk.entries;
        if (rc == HF_OK)
            rc = bench_took(&samples, begin, err);
    }
    samples_sort(&samples);
    if (rc == HF_OK)
        *ret_rate = (double)entries * 1e6 / samples_micros(&samples, 0.5);
    samples_free(&samples);
    return rc;
}

static int measure_way(struct bench *bench, const struct way *way, int size, struct hf_error *err)
{
    double rate = 0;
    bool cold = false;
    int rc = bench_make_cold(bench, &cold, err);

    if (rc == HF_OK && !cold)
        rc = figures_leave_out(&bench->figures, way->names[size][0], "needs --remount", err);
    if (rc == HF_OK) /* without --remount, to make it warm */
        rc = time_walks(bench, way->walk, 1, &rate, err);
    if (rc == HF_OK && cold)
        rc = figures_add(&bench->figures, way->names[size][0], FIGURE_PER_SECOND, rate, err);
    if (rc == HF_OK)
        rc = time_walks(bench, way->walk, WARM_ROUNDS, &rate, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, way->names[size][1], FIGURE_PER_SECOND, rate, err);
    return rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    static const uint64_t sizes[] = {FEW, MANY};
    uint64_t made = 0;
    int rc = HF_OK;

    for (int size = 0; size < 2 && rc == HF_OK; size++) {
        uint64_t sessions = bench_scaled(bench, sizes[size], 2);

        while (made < sessions && rc == HF_OK)
            rc = make_session(bench, made++, err);
        for (size_t i = 0; i < sizeof ways / sizeof ways[0] && rc == HF_OK; i++)
            rc = measure_way(bench, &ways[i], size, err);
    }
    return rc;
}

const struct workload workload_list = {
    .name = "list",
    .summary = "500 and 10,000 sessions: ls -lR, find, the client's list",
    .run = run,
};
