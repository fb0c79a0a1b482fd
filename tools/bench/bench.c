/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)
#define READ_BYTES ((size_t)256 << 10)
#define WALK_FDS 32
#define SETTLE_NS 100000000L /* without a write */
#define SETTLE_TRIES 100
#define PID_XATTR "user.holdfast.pid" /* of a mount of Holdfast: its process */

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

void bench_catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int bench_go_on(struct hf_error *err)
{
    return stopped ? hf_fail(err, HF_INTR, "interrupted") : HF_OK;
}

int bench_fail(struct hf_error *err, const char *verb, const char *path)
{
    int error = errno;

    return hf_fail(err, hf_status_from_errno(error), "cannot %s %s: %s", verb, path,
                   strerror(error));
}

uint64_t bench_scaled(const struct bench *bench, uint64_t full, uint64_t least)
{
    uint64_t scaled = (uint64_t)((double)full * bench->scale + 0.5);

    return scaled < least ? least : scaled;
}

int bench_took(struct samples *samples, int64_t begin, struct hf_error *err)
{
    if (samples_add(samples, samples_now() - begin) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return bench_go_on(err);
}

/* --- paths ------------------------------------------------------------------------------------------------ */

const char *bench_path(const struct bench *bench, char path[BENCH_PATH], const char *format, ...)
{
    size_t len = (size_t)snprintf(path, BENCH_PATH, "%s/", bench->dir);
    va_list args;

    va_start(args, format);
    if (len < BENCH_PATH)
        vsnprintf(path + len, BENCH_PATH - len, format, args);
    va_end(args);
    return path;
}

const char *bench_session(const struct bench *bench, char path[BENCH_PATH], const char *format, ...)
{
    size_t len = (size_t)snprintf(path, BENCH_PATH, "%s-", bench->dir);
    va_list args;

    va_start(args, format);
    if (len < BENCH_PATH)
        vsnprintf(path + len, BENCH_PATH - len, format, args);
    va_end(args);
    return path;
}

const char *bench_peer_path(const struct bench *bench, char path[BENCH_PATH], const char *own)
{
    snprintf(path, BENCH_PATH, "%s%s", bench->peer, own + strlen(bench->top));
    return path;
}

/* --- files ------------------------------------------------------------------------------------------------ */

int bench_write(int fd, const char *path, const void *data, size_t len, struct hf_error *err)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bench_fail(err, "write", path);
        at += n;
        len -= (size_t)n;
    }
    return HF_OK;
}

static int fill_file(struct bench *bench, int fd, const char *path, uint64_t len,
                     struct hf_error *err)
{
    size_t size = len < PIECE ? (size_t)len : PIECE;
    uint8_t *piece = malloc(size ? size : 1);
    int rc = piece ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    while (rc == HF_OK && len > 0) {
        size_t part = len < size ? (size_t)len : size;

        content_fill(&bench->content, piece, part);
        rc = bench_write(fd, path, piece, part, err);
        len -= part;
        if (rc == HF_OK)
            rc = bench_go_on(err);
    }
    free(piece);
    return rc;
}

int bench_make_file(struct bench *bench, const char *path, uint64_t len, struct hf_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return bench_fail(err, "make", path);
    rc = fill_file(bench, fd, path, len, err);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    return rc;
}

int bench_read_file(const char *path, uint64_t *ret_len, struct hf_error *err)
{
    static uint8_t data[READ_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t len = 0;
    ssize_t n;

    if (fd < 0)
        return bench_fail(err, "open", path);
    while ((n = read(fd, data, sizeof data)) > 0)
        len += (uint64_t)n;
    close(fd);
    if (n < 0)
        return bench_fail(err, "read", path);
    *ret_len = len;
    return HF_OK;
}

/* --- what is behind the directory --------------------------------------------------------------------------- */

int bench_make_cold(const struct bench *bench, bool *ret_cold, struct hf_error *err)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)bench->remount, NULL};
    struct stat st;
    int error, status;
    pid_t pid;

    *ret_cold = false;
    if (!bench->remount)
        return HF_OK;
    error = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
    if (error != 0)
        return hf_fail(err, hf_status_from_errno(error), "cannot run a shell: %s", strerror(error));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return bench_fail(err, "wait for", "--remount");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return hf_fail(err, HF_IO, "'%s' failed", bench->remount);
    if (stat(bench->dir, &st) != 0)
        return hf_fail(err, HF_IO, "%s is not there any more after '%s'", bench->dir,
                       bench->remount);
    *ret_cold = true;
    return HF_OK;
}

static uint64_t walked; /* bytes of the tree that is walked: nftw(3) passes nothing on */

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path, (void)at;
    if (type == FTW_F)
        walked += (uint64_t)st->st_blocks * 512;
    return 0;
}

int bench_stored(const struct bench *bench, uint64_t *ret_bytes, struct hf_error *err)
{
    char path[BENCH_PATH];

    if (!bench->files)
        return hf_fail(err, HF_NODATA, "--files was not given");
    walked = 0;
    for (const char *at = bench->files; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");

        snprintf(path, sizeof path, "%.*s", (int)len, at);
        at += len;
        if (len > 0 && nftw(path, add_blocks, WALK_FDS, FTW_PHYS) != 0)
            return bench_fail(err, "look at", path);
    }
    *ret_bytes = walked;
    return HF_OK;
}

static int written_by(long pid, uint64_t *ret_bytes, struct hf_error *err)
{
    static const char key[] = "write_bytes: ";
    char path[64], line[128];
    FILE *file;
    int rc = HF_IO;

    snprintf(path, sizeof path, "/proc/%ld/io", pid);
    if (!(file = fopen(path, "re")))
        return bench_fail(err, "open", path);
    while (rc != HF_OK && fgets(line, sizeof line, file))
        if (strncmp(line, key, sizeof key - 1) == 0) {
            *ret_bytes = strtoull(line + sizeof key - 1, NULL, 10);
            rc = HF_OK;
        }
    fclose(file);
    return rc == HF_OK ? HF_OK : hf_fail(err, rc, "%s lacks a line", path);
}

/* `among_living`: those that have ended since, as when the directory was remounted, count nothing. */
static int sum_written(const struct bench *bench, bool among_living, uint64_t *ret_bytes,
                       struct hf_error *err)
{
    char asked[32] = "";
    const char *pids = bench->pids;
    uint64_t sum = 0, bytes = 0;
    int rc = HF_OK;

    if (!pids && getxattr(bench->top, PID_XATTR, asked, sizeof asked - 1) > 0)
        pids = asked;
    if (!pids)
        return hf_fail(err, HF_NODATA, "--pid was not given");
    for (const char *at = pids; *at && rc == HF_OK; at += strcspn(at, ","), at += *at == ',') {
        rc = written_by(strtol(at, NULL, 10), &bytes, err);
        if (rc == HF_OK)
            sum += bytes;
        else if (rc == HF_NOENT && among_living)
            rc = HF_OK;
    }
    if (rc == HF_OK)
        *ret_bytes = sum;
    return rc;
}

int bench_written(const struct bench *bench, uint64_t *ret_bytes, struct hf_error *err)
{
    return sum_written(bench, false, ret_bytes, err);
}

int bench_settle(const struct bench *bench, struct hf_error *err)
{
    const struct timespec pause = {.tv_nsec = SETTLE_NS};
    uint64_t before = 0, after = 1;
    int fd = open(bench->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = HF_OK;

    if (fd < 0)
        return bench_fail(err, "open", bench->dir);
    if (syncfs(fd) != 0)
        rc = bench_fail(err, "sync", bench->dir);
    close(fd);
    for (int i = 0; i < SETTLE_TRIES && before != after && rc == HF_OK; i++) {
        before = after;
        nanosleep(&pause, NULL);
        rc = sum_written(bench, true, &after, err);
        if (rc == HF_NODATA)
            return HF_OK;
    }
    return rc;
}

/* --- the life of a run -------------------------------------------------------------------------------------- */

int bench_begin(struct bench *bench, const struct workload *workload, uint64_t seed,
                struct hf_error *err)
{
    content_init(&bench->content, seed);
    snprintf(bench->prefix, sizeof bench->prefix, "holdfast-bench-%d-%s", (int)getpid(),
             workload->name);
    snprintf(bench->dir, sizeof bench->dir, "%s/%s", bench->top, bench->prefix);
    return mkdir(bench->dir, 0700) == 0 ? HF_OK : bench_fail(err, "make", bench->dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

int bench_end(struct bench *bench, struct hf_error *err)
{
    DIR *top = opendir(bench->top);
    char path[BENCH_PATH];
    struct dirent *entry;
    int rc = HF_OK;

    if (!top)
        return bench_fail(err, "open", bench->top);
    while ((entry = readdir(top)) != NULL) {
        if (strncmp(entry->d_name, bench->prefix, strlen(bench->prefix)) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", bench->top, entry->d_name);
        if (nftw(path, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS) != 0 && rc == HF_OK)
            rc = bench_fail(err, "remove", path);
    }
    closedir(top);
    return rc;
}
