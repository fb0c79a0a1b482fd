/* SPDX-License-Identifier: Apache-2.0 */
/** The workload `locks`: a lock taken and given back, alone and against another mount. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "bench/bench.h"
#include "bench/peer.h"

#define PAIRS 10000
#define PAIRS_ACROSS 1000
/* What the client locks before it looks into a session: shared by all sessions of all hosts. */
#define SHARED_DIR ".session-operation-locks"

typedef int (*lock_fn)(int fd, bool lock);

static int by_flock(int fd, bool lock)
{
    return flock(fd, lock ? LOCK_EX : LOCK_UN);
}

static int by_fcntl(int fd, bool lock)
{
    struct flock range = {.l_type = lock ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET, .l_len = 1};

    return fcntl(fd, lock ? F_SETLKW : F_SETLK, &range);
}

/* An open file to lock. */
struct lockfile {
    const char *path;
    int fd;
};

static int open_lockfile(struct lockfile *file, const char *path, struct hf_error *err)
{
    file->path = path;
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return file->fd >= 0 ? HF_OK : bench_fail(err, "open", path);
}

static void close_lockfile(struct lockfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static int lock_pair(const struct lockfile *file, lock_fn set, struct hf_error *err)
{
    if (set(file->fd, true) != 0)
        return bench_fail(err, "lock", file->path);
    return set(file->fd, false) == 0 ? HF_OK : bench_fail(err, "unlock", file->path);
}

/* So many pairs, on each file of `n` in turn. */
static int time_pairs(const struct lockfile *files, size_t n, lock_fn set, uint64_t pairs,
                      struct samples *samples, struct hf_error *err)
{
    int rc = HF_OK;

    for (uint64_t i = 0; i < pairs && rc == HF_OK; i++) {
        int64_t begin = samples_now();

        rc = lock_pair(&files[i % n], set, err);
        if (rc == HF_OK)
            rc = bench_took(samples, begin, err);
    }
    return rc;
}

static int report_pairs(struct bench *bench, const char *latency, const char *rate,
                        struct samples *samples, struct hf_error *err)
{
    double per_second = samples_rate(samples);
    int rc = figures_add_samples(&bench->figures, latency, samples, err);

    return rc == HF_OK ? figures_add(&bench->figures, rate, FIGURE_PER_SECOND, per_second, err)
                       : rc;
}

static int measure_pairs(struct bench *bench, const struct lockfile *files, size_t n, lock_fn set,
                         const char *latency, const char *rate, struct hf_error *err)
{
    uint64_t pairs = bench_scaled(bench, n == 1 ? PAIRS : PAIRS_ACROSS, 10);
    struct samples samples = {0};
    int rc = time_pairs(files, n, set, pairs, &samples, err);

    if (rc == HF_OK)
        rc = report_pairs(bench, latency, rate, &samples, err);
    samples_free(&samples);
    return rc;
}

/* --- within a session ------------------------------------------------------------------------------------- */

static int run_alone(struct bench *bench, struct hf_error *err)
{
    struct lockfile file = {.fd = -1};
    char path[BENCH_PATH];
    int rc = open_lockfile(&file, bench_path(bench, path, "inuse.hold"), err);

    if (rc == HF_OK)
        rc = measure_pairs(bench, &file, 1, by_flock, "flock", "flock_rate", err);
    if (rc == HF_OK)
        rc = measure_pairs(bench, &file, 1, by_fcntl, "fcntl", "fcntl_rate", err);
    close_lockfile(&file);
    return rc;
}

/* --- in the shared tree ----------------------------------------------------------------------------------- */

/* One who locks as fast as it can. */
struct contender {
    struct lockfile file;
    uint64_t pairs;
    struct samples samples;
    struct hf_error err;
    int rc;
};

static void *contend(void *arg)
{
    struct contender *contender = arg;

    contender->rc = time_pairs(&contender->file, 1, by_flock, contender->pairs, &contender->samples,
                               &contender->err);
    return NULL;
}

/* Both at once: who waits is woken when the other lets go. */
static int contend_both(const struct lockfile files[2], struct contender both[2],
                        struct hf_error *err)
{
    pthread_t thread;
    int rc;

    both[0].file = files[0];
    both[1].file = files[1];
    rc = thread_start(&thread, contend, &both[1], err);
    if (rc != HF_OK)
        return rc;
    contend(&both[0]);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2 && rc == HF_OK; i++) {
        rc = both[i].rc;
        if (rc != HF_OK)
            *err = both[i].err;
    }
    return rc;
}

static int measure_contended(struct bench *bench, const struct lockfile files[2],
                             struct hf_error *err)
{
    uint64_t pairs = bench_scaled(bench, PAIRS_ACROSS, 10) / 2;
    struct contender both[2] = {{.pairs = pairs}, {.pairs = pairs}};
    int64_t begin = samples_now();
    int rc = contend_both(files, both, err);
    double seconds = (double)(samples_now() - begin) / 1e9;

    for (size_t i = 0; i < both[1].samples.count && rc == HF_OK; i++)
        if (samples_add(&both[0].samples, both[1].samples.ns[i]) != HF_OK)
            rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = figures_add_samples(&bench->figures, "contended", &both[0].samples, err);
    if (rc == HF_OK)
        rc = figures_add(&bench->figures, "contended_rate", FIGURE_PER_SECOND,
                         (double)(2 * pairs) / seconds, err);
    samples_free(&both[0].samples);
    samples_free(&both[1].samples);
    return rc;
}

static int leave_out_across(struct bench *bench, const char *why, struct hf_error *err)
{
    static const char *const names[] = {"alternating", "alternating_rate", "contended",
                                        "contended_rate"};
    int rc = HF_OK;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == HF_OK; i++)
        rc = figures_leave_out(&bench->figures, names[i], why, err);
    return rc;
}

/* Whether a lock through one mount keeps the other out. Some filesystems leave locks to the kernel of each host. */
static int keeps_out(const struct lockfile files[2], bool *ret_keeps, struct hf_error *err)
{
    bool taken;
    int rc = HF_OK;

    if (by_flock(files[0].fd, true) != 0)
        return bench_fail(err, "lock", files[0].path);
    taken = flock(files[1].fd, LOCK_EX | LOCK_NB) == 0;
    if (taken)
        (void)by_flock(files[1].fd, false);
    else if (errno != EWOULDBLOCK)
        rc = bench_fail(err, "lock", files[1].path);
    if (by_flock(files[0].fd, false) != 0 && rc == HF_OK)
        rc = bench_fail(err, "unlock", files[0].path);
    if (rc == HF_OK)
        *ret_keeps = !taken;
    return rc;
}

static int measure_both(struct bench *bench, const struct lockfile files[2], struct hf_error *err)
{
    bool keeps = false;
    int rc = keeps_out(files, &keeps, err);

    if (rc == HF_OK && !keeps)
        return leave_out_across(bench, "a lock does not keep the other mount out", err);
    if (rc == HF_OK)
        rc = measure_pairs(bench, files, 2, by_flock, "alternating", "alternating_rate", err);
    return rc == HF_OK ? measure_contended(bench, files, err) : rc;
}

static int measure_across(struct bench *bench, const char *path, struct hf_error *err)
{
    struct lockfile files[2] = {{.fd = -1}, {.fd = -1}};
    char peer_path[BENCH_PATH];
    int rc = open_lockfile(&files[0], path, err);

    if (rc == HF_OK)
        rc = open_lockfile(&files[1], bench_peer_path(bench, peer_path, path), err);
    if (rc == HF_OK)
        rc = measure_both(bench, files, err);
    close_lockfile(&files[0]);
    close_lockfile(&files[1]);
    return rc;
}

/* One file in the shared tree. The directory is removed only if it is made here. */
static int run_shared(struct bench *bench, struct hf_error *err)
{
    char dir[BENCH_PATH], path[BENCH_PATH];
    struct lockfile file = {.fd = -1};
    bool made;
    int rc;

    snprintf(dir, sizeof dir, "%s/" SHARED_DIR, bench->top);
    made = mkdir(dir, 0700) == 0;
    if (!made && errno != EEXIST)
        return bench_fail(err, "make", dir);
    snprintf(path, sizeof path, "%s/" SHARED_DIR "/%s.lock", bench->top, bench->prefix);
    rc = open_lockfile(&file, path, err);
    if (rc == HF_OK)
        rc = measure_pairs(bench, &file, 1, by_flock, "shared", "shared_rate", err);
    close_lockfile(&file);
    if (rc == HF_OK)
        rc = bench->peer ? measure_across(bench, path, err)
                         : leave_out_across(bench, "needs --peer", err);
    unlink(path);
    if (made)
        rmdir(dir);
    return rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    int rc = bench->peer ? peer_check(bench, err) : HF_OK;

    if (rc == HF_OK)
        rc = run_alone(bench, err);
    return rc == HF_OK ? run_shared(bench, err) : rc;
}

const struct workload workload_locks = {
    .name = "locks",
    .summary = "locks taken and given back; with --peer, contended",
    .run = run,
};
