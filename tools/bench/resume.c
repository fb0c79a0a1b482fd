/* SPDX-License-Identifier: Apache-2.0 */
/** Workload `resume`: a session that has lived for a while is read whole, as when another host takes it up. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/series.h"

#define LOG_BYTES ((uint64_t)20 << 20)
#define BATCH 2048
#define CHECKPOINTS 100
#define FILES 200
#define FILE_MIN ((uint64_t)1 << 10)
#define FILE_MAX ((uint64_t)32 << 10)
#define ROUNDS 3
/* A log is appended to as the client does for so long; the rest of it comes at once. */
#define APPEND_NS 20000000000LL
#define WALK_FDS 16

static int run(struct bench *bench, struct hf_error *err);

const struct workload workload_resume = {
    .name = "resume",
    .summary = "read a session: a log of 20 MiB, checkpoints, files",
    .run = run,
};

/* --- making it ------------------------------------------------------------------------------------------- */

/* One batch in a write of its own, or the rest of the log. */
static int append(struct bench *bench, const char *path, uint64_t len, struct hf_error *err)
{
    uint8_t data[BATCH];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), rc = HF_OK;

    if (fd < 0)
        return bench_fail(err, "make", path);
    for (; len > 0 && rc == HF_OK; len -= BATCH) {
        content_event(&bench->content, data, sizeof data);
        rc = bench_write(fd, path, data, sizeof data, err);
    }
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    return rc == HF_OK ? bench_go_on(err) : rc;
}

static int make_log(struct bench *bench, uint64_t len, struct hf_error *err)
{
    int64_t begin = samples_now();
    char path[BENCH_PATH];
    int rc = HF_OK;

    bench_path(bench, path, "events.jsonl");
    len -= len % BATCH;
    for (; len > 0 && rc == HF_OK && samples_now() - begin < APPEND_NS; len -= BATCH)
        rc = append(bench, path, BATCH, err);
    return rc == HF_OK && len > 0 ? append(bench, path, len, err) : rc;
}

static int make_checkpoints(struct bench *bench, uint64_t count, struct hf_error *err)
{
    char path[BENCH_PATH];
    struct series series;
    int rc = HF_OK;

    if (mkdir(bench_path(bench, path, "checkpoints"), 0700) != 0)
        return bench_fail(err, "make", path);
    if (series_init(&series, &bench->content, CHECKPOINTS) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (uint64_t i = 0; i < count && rc == HF_OK; i++) {
        int fd;

        bench_path(bench, path, "checkpoints/%03llu.md", (unsigned long long)i);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        rc = fd < 0 ? bench_fail(err, "make", path)
                    : bench_write(fd, path, series.data, series.len, err);
        if (fd >= 0 && close(fd) != 0 && rc == HF_OK)
            rc = bench_fail(err, "close", path);
        if (rc == HF_OK)
            rc = bench_go_on(err);
        series_next(&series);
    }
    series_free(&series);
    return rc;
}

static int make_files(struct bench *bench, uint64_t count, struct hf_error *err)
{
    char path[BENCH_PATH];
    int rc = HF_OK;

    if (mkdir(bench_path(bench, path, "files"), 0700) != 0)
        return bench_fail(err, "make", path);
    for (uint64_t i = 0; i < count && rc == HF_OK; i++) {
        uint64_t len = FILE_MIN + content_random(&bench->content, FILE_MAX - FILE_MIN);

        bench_path(bench, path, "files/%03llu.txt", (unsigned long long)i);
        rc = bench_make_file(bench, path, len, err);
    }
    return rc;
}

/* --- reading it ------------------------------------------------------------------------------------------- */

static uint64_t walked; /* bytes read: nftw(3) passes nothing on */

static int read_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    struct hf_error err;
    uint64_t len = 0;

    (void)st, (void)at;
    if (type != FTW_F)
        return 0;
    if (bench_read_file(path, &len, &err) != HF_OK) {
        errno = hf_status_errno(err.status);
        return -1;
    }
    walked += len;
    return 0;
}

static int read_all(struct bench *bench, uint64_t *ret_len, struct samples *samples,
                    struct hf_error *err)
{
    int64_t begin = samples_now();

    walked = 0;
    if (nftw(bench->dir, read_one, WALK_FDS, FTW_PHYS) != 0)
        return bench_fail(err, "read", bench->dir);
    *ret_len = walked;
    return bench_took(samples, begin, err);
}

static int add_median(struct bench *bench, const char *figure, uint64_t len,
                      struct samples *samples, struct hf_error *err)
{
    samples_sort(samples);
    return figures_add_rate(&bench->figures, figure, len,
                            (int64_t)(samples_micros(samples, 0.5) * 1000), err);
}

static int run(struct bench *bench, struct hf_error *err)
{
    struct samples cold = {0}, warm = {0};
    bool is_cold = false;
    uint64_t len = 0;
    int rc = make_log(bench, bench_scaled(bench, LOG_BYTES, BATCH), err);

    if (rc == HF_OK)
        rc = make_checkpoints(bench, bench_scaled(bench, CHECKPOINTS, 2), err);
    if (rc == HF_OK)
        rc = make_files(bench, bench_scaled(bench, FILES, 2), err);
    if (rc == HF_OK)
        rc = bench_settle(bench, err);
    for (int i = 0; i < ROUNDS && rc == HF_OK; i++) {
        rc = bench_make_cold(bench, &is_cold, err);
        if (rc == HF_OK && (is_cold || i == 0))
            rc = read_all(bench, &len, &cold, err);
        if (rc == HF_OK)
            rc = read_all(bench, &len, &warm, err);
    }
    if (rc == HF_OK)
        rc = is_cold ? add_median(bench, "cold", len, &cold, err)
                     : figures_leave_out(&bench->figures, "cold", "needs --remount", err);
    if (rc == HF_OK)
        rc = add_median(bench, "warm", len, &warm, err);
    samples_free(&cold);
    samples_free(&warm);
    return rc;
}
