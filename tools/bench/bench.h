/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One run of one workload in one directory, and the workloads that there are.
 *
 * A workload is a file of its own with a `const struct workload`, listed in workloads.c. It works through plain
 * system calls, so that it runs on any filesystem: first of all in `dir`, an empty directory (in a mount of Holdfast
 * a session) that was made for it. More sessions are directories beside it whose names begin with `prefix`
 * (bench_session()). All of that is removed when it returns, whatever it returns.
 *
 * It measures what the program waits for and nothing else: content is made before the clock is read. Systems are
 * compared by running it on each in turn, so it does the same operations everywhere: counts and sizes depend on
 * --scale alone, and content on the seed.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/content.h"
#include "bench/figures.h"
#include "holdfast/error.h"

#define BENCH_PATH (PATH_MAX + 256)

/** What a workload cannot do without: else it is left out, or refused when it was asked for. */
enum workload_needs {
    WORKLOAD_PEER = 1,  /**< --peer */
    WORKLOAD_STORE = 2, /**< --store */
};

struct bench;

struct workload {
    const char *name;    /**< "append" */
    const char *summary; /**< one line for the help, at most 60 bytes */
    unsigned needs;      /**< of enum workload_needs */
    /** Works and adds its figures. An error ends the whole run. */
    int (*run)(struct bench *bench, struct hf_error *err);
};

/** Every workload, in the order in which they run; ended by NULL. */
extern const struct workload *const workloads[];

struct bench {
    const char *top;     /**< the directory that was given, absolute */
    const char *peer;    /**< the same directory through another mount, absolute; or NULL */
    const char *store;   /**< the URL of the store behind them, or NULL */
    const char *remount; /**< a shell command that makes `top` cold, or NULL */
    const char *files;   /**< where the system keeps its data, joined by commas; or NULL */
    const char *pids; /**< the processes that serve `top`, joined by commas; NULL: asks the mount */
    double scale;     /**< 1: as documented */
    char prefix[64];  /**< "holdfast-bench-1234-append" */
    char dir[BENCH_PATH]; /**< "TOP/PREFIX" */
    struct content content;
    struct figures figures;
};

/** `full` by the scale, but at least `least`. */
uint64_t bench_scaled(const struct bench *bench, uint64_t full, uint64_t least);

/** Writes the path of "DIR/NAME" (formatted) and returns it. One that is too long is cut, and fails when used. */
const char *bench_path(const struct bench *bench, char path[BENCH_PATH], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** The same of "TOP/PREFIX-NAME": another session, which the caller makes. */
const char *bench_session(const struct bench *bench, char path[BENCH_PATH], const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** A path below `top` as the peer sees it. There is one. */
const char *bench_peer_path(const struct bench *bench, char path[BENCH_PATH], const char *own);

/** "cannot VERB PATH: …" of the current errno. Returns the status. */
int bench_fail(struct hf_error *err, const char *verb, const char *path);

/** Adds the time since `begin` (by samples_now()). 0, HF_NOMEM, or HF_INTR when the user wants to stop: so a loop
 *  around it ends soon. */
int bench_took(struct samples *samples, int64_t begin, struct hf_error *err);
/** HF_INTR when the user wants to stop. For loops without bench_took(). */
int bench_go_on(struct hf_error *err);

/** Writes all of it. 0 or the status of errno, with a sentence. */
int bench_write(int fd, const char *path, const void *data, size_t len, struct hf_error *err);
/** Makes a file of so many bytes of content, with writes of up to 1 MiB. */
int bench_make_file(struct bench *bench, const char *path, uint64_t len, struct hf_error *err);
/** Reads a file to its end, 256 KiB at a time as the client does. */
int bench_read_file(const char *path, uint64_t *ret_len, struct hf_error *err);

/** Runs --remount. True when there is one: `top` is cold now. */
int bench_make_cold(const struct bench *bench, bool *ret_cold, struct hf_error *err);
/** Bytes on the disk of --files, by allocated blocks. HF_NODATA when it was not given. */
int bench_stored(const struct bench *bench, uint64_t *ret_bytes, struct hf_error *err);
/** Bytes that the serving processes have caused to be written to storage so far (write_bytes of
 *  /proc/PID/io: counted when a page becomes dirty). HF_NODATA when no such process is known. */
int bench_written(const struct bench *bench, uint64_t *ret_bytes, struct hf_error *err);

/** Waits until what was written is on its medium and the serving processes (where they are known) have not written
 *  for a while, so that work put off is not counted with what follows. */
int bench_settle(const struct bench *bench, struct hf_error *err);

/** Makes ready for a workload: prefix, directory, content. */
int bench_begin(struct bench *bench, const struct workload *workload, uint64_t seed,
                struct hf_error *err);
/** Removes all that bench_begin() and the workload made. Keeps the figures. */
int bench_end(struct bench *bench, struct hf_error *err);
/** From now on SIGINT and SIGTERM make bench_go_on() fail, so that everything is cleaned up. */
void bench_catch_signals(void);

#endif
