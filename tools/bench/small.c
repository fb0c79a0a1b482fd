/* SPDX-License-Identifier: Apache-2.0 */
/** Workload `small`: many small files, each step over all of them before the next one. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"

#define DIRECTORIES 50
#define FILES 100 /* in each */
#define FILE_BYTES 2048

static int run(struct bench *bench, struct hf_error *err);

const struct workload workload_small = {
    .name = "small",
    .summary = "5,000 files of 2 KiB: create, stat, read, unlink",
    .run = run,
};

static int create_file(struct bench *bench, const char *path, int64_t *took, struct hf_error *err)
{
    uint8_t data[FILE_BYTES];
    int64_t begin;
    int fd, rc;

    content_event(&bench->content, data, sizeof data);
    begin = samples_now();
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return bench_fail(err, "make", path);
    rc = bench_write(fd, path, data, sizeof data, err);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    *took += samples_now() - begin;
    return rc;
}

static int stat_file(struct bench *bench, const char *path, int64_t *took, struct hf_error *err)
{
    int64_t begin = samples_now();
    struct stat st;

    (void)bench;
    if (stat(path, &st) != 0)
        return bench_fail(err, "look at", path);
    *took += samples_now() - begin;
    return st.st_size == FILE_BYTES ? HF_OK : hf_fail(err, HF_IO, "%s lacks content", path);
}

static int read_file(struct bench *bench, const char *path, int64_t *took, struct hf_error *err)
{
    int64_t begin = samples_now();
    uint64_t len = 0;
    int rc = bench_read_file(path, &len, err);

    (void)bench;
    *took += samples_now() - begin;
    return rc == HF_OK && len != FILE_BYTES ? hf_fail(err, HF_IO, "%s lacks content", path) : rc;
}

static int unlink_file(struct bench *bench, const char *path, int64_t *took, struct hf_error *err)
{
    int64_t begin = samples_now();

    (void)bench;
    if (unlink(path) != 0)
        return bench_fail(err, "remove", path);
    *took += samples_now() - begin;
    return HF_OK;
}

static int make_directories(struct bench *bench, uint64_t count, struct hf_error *err)
{
    char path[BENCH_PATH];

    for (uint64_t d = 0; d < count; d++)
        if (mkdir(bench_path(bench, path, "%llu", (unsigned long long)d), 0700) != 0)
            return bench_fail(err, "make", path);
    return HF_OK;
}

static int run(struct bench *bench, struct hf_error *err)
{
    static const struct {
        const char *figure;
        int (*step)(struct bench *, const char *, int64_t *, struct hf_error *);
    } steps[] = {
        {"create", create_file}, {"stat", stat_file}, {"read", read_file}, {"unlink", unlink_file}};
    uint64_t directories = bench_scaled(bench, DIRECTORIES, 1);
    char path[BENCH_PATH];
    int rc = make_directories(bench, directories, err);

    for (size_t s = 0; s < sizeof steps / sizeof steps[0] && rc == HF_OK; s++) {
        int64_t took = 0;

        for (uint64_t i = 0; i < directories * FILES && rc == HF_OK; i++) {
            bench_path(bench, path, "%llu/file-%llu.md", (unsigned long long)(i / FILES),
                       (unsigned long long)(i % FILES));
            rc = steps[s].step(bench, path, &took, err);
            if (rc == HF_OK)
                rc = bench_go_on(err);
        }
        if (rc == HF_OK)
            rc = figures_add(&bench->figures, steps[s].figure, FIGURE_PER_SECOND,
                             (double)(directories * FILES) * 1e9 / (double)(took + 1), err);
    }
    return rc;
}
