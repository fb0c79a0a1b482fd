/* SPDX-License-Identifier: Apache-2.0 */
/** Workload `seq`: one large file, from its beginning to its end. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"

#define FILE_BYTES ((uint64_t)1 << 30)
#define WRITE_BYTES ((size_t)1 << 20)

static int run(struct bench *bench, struct hf_error *err);

const struct workload workload_seq = {
    .name = "seq",
    .summary = "a file of 1 GiB: write, read",
    .run = run,
};

/* Only the time within the system calls: making the content takes as long as some disks. */
static int write_file(struct bench *bench, int fd, const char *path, uint64_t len, int64_t *took,
                      struct hf_error *err)
{
    uint8_t *data = malloc(WRITE_BYTES);
    int rc = data ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    for (uint64_t at = 0; at < len && rc == HF_OK; at += WRITE_BYTES) {
        size_t part = len - at < WRITE_BYTES ? (size_t)(len - at) : WRITE_BYTES;
        int64_t begin;

        content_fill(&bench->content, data, part);
        begin = samples_now();
        rc = bench_write(fd, path, data, part, err);
        *took += samples_now() - begin;
        if (rc == HF_OK)
            rc = bench_go_on(err);
    }
    free(data);
    return rc;
}

static int timed_close(int fd, const char *path, int64_t *took, struct hf_error *err)
{
    int64_t begin = samples_now();
    int rc = close(fd) == 0 ? HF_OK : bench_fail(err, "close", path);

    *took += samples_now() - begin;
    return rc;
}

static int sync_file(const char *path, int64_t *took, struct hf_error *err)
{
    int64_t begin = samples_now();
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) != 0 ? bench_fail(err, "sync", path) : HF_OK;

    if (fd >= 0)
        close(fd);
    *took += samples_now() - begin;
    return rc;
}

static int measure_write(struct bench *bench, const char *path, uint64_t len, struct hf_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc, close_rc;
    int64_t took = 0;

    if (fd < 0)
        return bench_fail(err, "make", path);
    rc = write_file(bench, fd, path, len, &took, err);
    close_rc = timed_close(fd, path, &took, rc == HF_OK ? err : NULL);
    if (rc == HF_OK)
        rc = close_rc;
    if (rc == HF_OK)
        rc = figures_add_rate(&bench->figures, "write", len, took, err);
    if (rc == HF_OK)
        rc = sync_file(path, &took, err);
    return rc == HF_OK ? figures_add_rate(&bench->figures, "write_synced", len, took, err) : rc;
}

static int measure_read(struct bench *bench, const char *figure, const char *path, uint64_t len,
                        struct hf_error *err)
{
    int64_t begin = samples_now();
    uint64_t got = 0;
    int rc = bench_read_file(path, &got, err);

    if (rc == HF_OK && got != len)
        rc = hf_fail(err, HF_IO, "%s lacks content", path);
    return rc == HF_OK ? figures_add_rate(&bench->figures, figure, len, samples_now() - begin, err)
                       : rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    uint64_t len = bench_scaled(bench, FILE_BYTES, WRITE_BYTES);
    char path[BENCH_PATH];
    bool cold = false;
    int rc = measure_write(bench, bench_path(bench, path, "large"), len, err);

    if (rc == HF_OK)
        rc = bench_make_cold(bench, &cold, err);
    if (rc == HF_OK)
        rc = cold ? measure_read(bench, "read_cold", path, len, err)
                  : figures_leave_out(&bench->figures, "read_cold", "needs --remount", err);
    return rc == HF_OK ? measure_read(bench, "read", path, len, err) : rc;
}
