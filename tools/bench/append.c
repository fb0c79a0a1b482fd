/* SPDX-License-Identifier: Apache-2.0 */
/** Workload `append`: what the client does for each batch of events, and what that costs as the log grows. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"

#define BATCH_MIN 1024
#define BATCH_MAX 4096
#define SMALL_LOG ((uint64_t)200 << 10)
#define MIDDLE_LOG ((uint64_t)20 << 20)
#define BIG_LOG ((uint64_t)200 << 20)
#define WRITTEN_BATCH 2048 /* of the appends whose writes to storage are counted */

static int run(struct bench *bench, struct hf_error *err);

const struct workload workload_append = {
    .name = "append",
    .summary = "the client's step for a batch of events of 1-4 KiB",
    .run = run,
};

/* A batch is opened, looked at and written as the client does; only `durably` is not its own. */
static int append_batch(const char *dir, const char *path, const uint8_t *data, size_t len,
                        bool durably, struct hf_error *err)
{
    struct stat st;
    char last;
    int fd, rc = HF_OK;

    if (mkdir(dir, 0700) == 0 || errno != EEXIST)
        return hf_fail(err, HF_IO, "%s was not there", dir);
    if (stat(path, &st) != 0)
        return bench_fail(err, "look at", path);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return bench_fail(err, "open", path);
    if (lseek(fd, -1, SEEK_END) < 0 || read(fd, &last, 1) != 1 || stat(path, &st) != 0 ||
        stat(path, &st) != 0)
        rc = bench_fail(err, "read", path);
    if (rc == HF_OK)
        rc = bench_write(fd, path, data, len, err);
    if (rc == HF_OK && durably && fsync(fd) != 0)
        rc = bench_fail(err, "sync", path);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    return rc;
}

static size_t make_batch(struct bench *bench, uint8_t data[BATCH_MAX])
{
    size_t len = BATCH_MIN + (size_t)content_random(&bench->content, BATCH_MAX - BATCH_MIN + 1);

    content_event(&bench->content, data, len);
    return len;
}

static int timed_append(struct bench *bench, const char *path, bool durably,
                        struct samples *samples, struct hf_error *err)
{
    uint8_t data[BATCH_MAX];
    size_t len = make_batch(bench, data);
    int64_t begin = samples_now();
    int rc = append_batch(bench->dir, path, data, len, durably, err);

    return rc == HF_OK ? bench_took(samples, begin, err) : rc;
}

static int measure_appends(struct bench *bench, const char *figure, uint64_t count, bool durably,
                           struct hf_error *err)
{
    struct samples samples = {0};
    char path[BENCH_PATH];
    int rc = bench_make_file(bench, bench_path(bench, path, "%s.jsonl", figure), SMALL_LOG, err);

    for (uint64_t i = 0; i < count && rc == HF_OK; i++)
        rc = timed_append(bench, path, durably, &samples, err);
    if (rc == HF_OK)
        rc = figures_add_samples(&bench->figures, figure, &samples, err);
    samples_free(&samples);
    return rc;
}

/* As a program logs that keeps its file open. */
static int measure_held_open(struct bench *bench, uint64_t count, struct hf_error *err)
{
    struct samples samples = {0};
    uint8_t data[BATCH_MAX];
    char path[BENCH_PATH];
    int fd = open(bench_path(bench, path, "open.jsonl"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                  0600);
    int rc = fd < 0 ? bench_fail(err, "make", path) : HF_OK;

    for (uint64_t i = 0; i < count && rc == HF_OK; i++) {
        size_t len = make_batch(bench, data);
        int64_t begin = samples_now();

        rc = bench_write(fd, path, data, len, err);
        if (rc == HF_OK)
            rc = bench_took(&samples, begin, err);
    }
    if (fd >= 0 && close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    if (rc == HF_OK)
        rc = figures_add_samples(&bench->figures, "append_held_open", &samples, err);
    samples_free(&samples);
    return rc;
}

/* In turn, so that both see the same machine. */
static int measure_growth(struct bench *bench, uint64_t count, struct hf_error *err)
{
    struct samples small = {0}, big = {0};
    char small_path[BENCH_PATH], big_path[BENCH_PATH];
    double ratio = 0;
    int rc = bench_make_file(bench, bench_path(bench, small_path, "small.jsonl"), SMALL_LOG, err);

    if (rc == HF_OK)
        rc = bench_make_file(bench, bench_path(bench, big_path, "big.jsonl"),
                             bench_scaled(bench, BIG_LOG, 2 * SMALL_LOG), err);
    if (rc == HF_OK)
        rc = bench_settle(bench, err);
    for (uint64_t i = 0; i < count && rc == HF_OK; i++) {
        rc = timed_append(bench, small_path, false, &small, err);
        if (rc == HF_OK)
            rc = timed_append(bench, big_path, false, &big, err);
    }
    if (rc == HF_OK) {
        samples_sort(&small);
        samples_sort(&big);
        ratio = samples_micros(&big, 0.5) / samples_micros(&small, 0.5);
        rc = figures_add_samples(&bench->figures, "append_200KiB_log", &small, err);
    }
    if (rc == HF_OK)
        rc = figures_add_samples(&bench->figures, "append_200MiB_log", &big, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, "long_log_ratio", FIGURE_RATIO, ratio, err);
    samples_free(&small);
    samples_free(&big);
    return rc;
}

static int append_plainly(struct bench *bench, const char *path, uint64_t count, bool durably,
                          struct hf_error *err)
{
    uint8_t data[WRITTEN_BATCH];
    int rc = HF_OK;

    for (uint64_t i = 0; i < count && rc == HF_OK; i++) {
        content_event(&bench->content, data, sizeof data);
        rc = append_batch(bench->dir, path, data, sizeof data, durably, err);
        if (rc == HF_OK)
            rc = bench_go_on(err);
    }
    return rc;
}

static int measure_written(struct bench *bench, const char *figure, uint64_t count, bool durably,
                           struct hf_error *err)
{
    char path[BENCH_PATH];
    uint64_t before = 0, after = 0;
    int rc = bench_written(bench, &before, err);

    if (rc == HF_NODATA)
        return figures_leave_out(&bench->figures, figure, "needs --pid", err);
    if (rc == HF_OK)
        rc = bench_make_file(bench, bench_path(bench, path, "%s.jsonl", figure),
                             bench_scaled(bench, MIDDLE_LOG, SMALL_LOG), err);
    if (rc == HF_OK)
        rc = bench_settle(bench, err);
    if (rc == HF_OK)
        rc = bench_written(bench, &before, err);
    if (rc == HF_OK)
        rc = append_plainly(bench, path, count, durably, err);
    if (rc == HF_OK)
        rc = bench_settle(bench, err);
    if (rc == HF_OK)
        rc = bench_written(bench, &after, err);
    return rc == HF_OK
               ? figures_add(&bench->figures, figure, FIGURE_RATIO,
                             (double)(after - before) / (double)(count * WRITTEN_BATCH), err)
               : rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    uint64_t count = bench_scaled(bench, 2000, 20);
    int rc = measure_appends(bench, "append", count, false, err);

    if (rc == HF_OK)
        rc = measure_appends(bench, "append_fsync", bench_scaled(bench, 1000, 10), true, err);
    if (rc == HF_OK)
        rc = measure_held_open(bench, count, err);
    if (rc == HF_OK)
        rc = measure_growth(bench, bench_scaled(bench, 1000, 10), err);
    if (rc == HF_OK)
        rc = measure_written(bench, "written_per_byte", count, false, err);
    if (rc == HF_OK)
        rc = measure_written(bench, "written_per_byte_fsync", count, true, err);
    return rc;
}
