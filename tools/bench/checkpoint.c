/* SPDX-License-Identifier: Apache-2.0 */
/** Workload `checkpoint`: an agent keeps versions of a growing text. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/series.h"

#define CHECKPOINTS 200
#define WRITE_BYTES ((size_t)512 << 10) /* as node's fs.writeFile does */

static int run(struct bench *bench, struct hf_error *err);

const struct workload workload_checkpoint = {
    .name = "checkpoint",
    .summary = "200 files of 64 KiB to 1 MiB, each 90 % like the last",
    .run = run,
};

static int write_synced(const char *path, const struct series *series, struct hf_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = HF_OK;

    if (fd < 0)
        return bench_fail(err, "make", path);
    for (size_t at = 0; at < series->len && rc == HF_OK; at += WRITE_BYTES)
        rc = bench_write(fd, path, series->data + at,
                         series->len - at < WRITE_BYTES ? series->len - at : WRITE_BYTES, err);
    if (rc == HF_OK && fsync(fd) != 0)
        rc = bench_fail(err, "sync", path);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    return rc;
}

static int save(struct bench *bench, const struct series *series, uint64_t version,
                struct samples *samples, struct hf_error *err)
{
    char temporary[BENCH_PATH], path[BENCH_PATH];
    int64_t begin;
    int rc;

    bench_path(bench, temporary, "checkpoints/.tmp-%llu", (unsigned long long)version);
    bench_path(bench, path, "checkpoints/%03llu.md", (unsigned long long)version);
    begin = samples_now();
    rc = write_synced(temporary, series, err);
    if (rc == HF_OK && rename(temporary, path) != 0)
        rc = bench_fail(err, "rename", temporary);
    return rc == HF_OK ? bench_took(samples, begin, err) : rc;
}

static int save_all(struct bench *bench, uint64_t count, struct samples *samples,
                    uint64_t *ret_bytes, struct hf_error *err)
{
    char path[BENCH_PATH];
    struct series series;
    uint64_t bytes = 0;
    int rc;

    if (mkdir(bench_path(bench, path, "checkpoints"), 0700) != 0)
        return bench_fail(err, "make", path);
    if (series_init(&series, &bench->content, CHECKPOINTS) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = save(bench, &series, 0, samples, err);
    for (uint64_t i = 1; i < count && rc == HF_OK; i++) {
        bytes += series.len;
        series_next(&series);
        rc = save(bench, &series, i, samples, err);
    }
    *ret_bytes = bytes + series.len;
    series_free(&series);
    return rc;
}

/* What is put off would hide a part of it. */
static int look_at_files(struct bench *bench, uint64_t *ret_bytes, struct hf_error *err)
{
    bool cold = false;
    int rc = bench->files ? bench_settle(bench, err) : HF_OK;

    if (rc == HF_OK && bench->files)
        rc = bench_make_cold(bench, &cold, err);
    return rc == HF_OK ? bench_stored(bench, ret_bytes, err) : rc;
}

static int add_stored(struct bench *bench, uint64_t before, uint64_t logical, struct hf_error *err)
{
    uint64_t after = 0;
    int rc = look_at_files(bench, &after, err);

    if (rc == HF_NODATA)
        return figures_leave_out(&bench->figures, "stored_per_byte", "needs --files", err);
    if (rc != HF_OK)
        return rc;
    return figures_add(&bench->figures, "stored_per_byte", FIGURE_RATIO,
                       ((double)after - (double)before) / (double)logical, err);
}

static int run(struct bench *bench, struct hf_error *err)
{
    struct samples samples = {0};
    uint64_t before = 0, bytes = 0;
    int64_t took = 0;
    int rc = look_at_files(bench, &before, err);

    if (rc == HF_OK || rc == HF_NODATA)
        rc = save_all(bench, bench_scaled(bench, CHECKPOINTS, 4), &samples, &bytes, err);
    for (size_t i = 0; i < samples.count; i++)
        took += samples.ns[i];
    if (rc == HF_OK)
        rc = figures_add_rate(&bench->figures, "checkpoint", bytes, took, err);
    if (rc == HF_OK)
        rc = figures_add_samples(&bench->figures, "checkpoint_file", &samples, err);
    if (rc == HF_OK)
        rc = add_stored(bench, before, bytes, err);
    samples_free(&samples);
    return rc;
}
