/* SPDX-License-Identifier: Apache-2.0 */
/** The workload `visible`: when an append on one mount can be read through a file that another holds open. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/peer.h"

#define ROUNDS 500
#define LINE_BYTES 2048
/* Some never show it before the file is opened again, and some only once their cached attributes are old. */
#define PATIENCE_NS 3000000000LL
#define RUN_NS 15000000000LL /* no further round after so long */
#define NAP_NS 10000

struct visible {
    struct bench *bench;
    char path[BENCH_PATH], peer_path[BENCH_PATH];
    int fd; /* the peer's */
    bool unseen;
    uint64_t size;
    struct samples append, seen, after;
};

static int append(struct visible *visible, const uint8_t *line, struct hf_error *err)
{
    int fd = open(visible->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return bench_fail(err, "open", visible->path);
    rc = bench_write(fd, visible->path, line, LINE_BYTES, err);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", visible->path);
    visible->size += LINE_BYTES;
    return rc;
}

/* Follows the file as `tail -f` does, but without long pauses. */
static int wait_for_line(struct visible *visible, struct hf_error *err)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};
    int64_t until = samples_now() + PATIENCE_NS;
    struct stat st;
    char byte;
    ssize_t n;

    do {
        if (fstat(visible->fd, &st) != 0)
            return bench_fail(err, "look at", visible->peer_path);
        n = (uint64_t)st.st_size < visible->size
                ? 0
                : pread(visible->fd, &byte, 1, (off_t)(visible->size - 1));
        if (n < 0)
            return bench_fail(err, "read", visible->peer_path);
        if (n == 1)
            return byte == '\n' ? HF_OK
                                : hf_fail(err, HF_CORRUPT, "%s does not have what was written",
                                          visible->peer_path);
        nanosleep(&nap, NULL);
    } while (samples_now() < until && bench_go_on(err) == HF_OK);
    visible->unseen = true;
    return bench_go_on(err);
}

static int round_trip(struct visible *visible, struct hf_error *err)
{
    uint8_t line[LINE_BYTES];
    int64_t begin, closed;
    int rc;

    content_event(&visible->bench->content, line, sizeof line);
    begin = samples_now();
    rc = append(visible, line, err);
    closed = samples_now();
    if (rc == HF_OK)
        rc = wait_for_line(visible, err);
    if (rc == HF_OK)
        rc = bench_took(&visible->after, closed, err);
    if (rc == HF_OK)
        rc = bench_took(&visible->seen, begin, err);
    if (rc == HF_OK && samples_add(&visible->append, closed - begin) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    return rc;
}

static int measure(struct visible *visible, struct hf_error *err)
{
    uint64_t rounds = bench_scaled(visible->bench, ROUNDS, 5);
    int64_t until = samples_now() + RUN_NS;
    int rc = HF_OK;

    for (uint64_t i = 0; i < rounds && rc == HF_OK && !visible->unseen && samples_now() < until;
         i++)
        rc = round_trip(visible, err);
    return rc;
}

static int report(struct visible *visible, struct hf_error *err)
{
    static const char *const names[] = {"append", "append_to_seen", "close_to_seen"};
    struct samples *samples[] = {&visible->append, &visible->seen, &visible->after};
    int rc = HF_OK;

    for (size_t i = 0; i < 3 && rc == HF_OK; i++)
        rc = visible->unseen
                 ? figures_leave_out(&visible->bench->figures, names[i],
                                     "an open file does not show it within 3 s", err)
                 : figures_add_samples(&visible->bench->figures, names[i], samples[i], err);
    return rc;
}

static int open_peer(struct visible *visible, struct hf_error *err)
{
    int rc = bench_make_file(visible->bench, visible->path, LINE_BYTES, err);

    visible->size = LINE_BYTES;
    if (rc != HF_OK)
        return rc;
    visible->fd = open(visible->peer_path, O_RDONLY | O_CLOEXEC);
    return visible->fd >= 0 ? HF_OK : bench_fail(err, "open", visible->peer_path);
}

static int run(struct bench *bench, struct hf_error *err)
{
    struct visible visible = {.bench = bench, .fd = -1};
    int rc = peer_check(bench, err);

    bench_path(bench, visible.path, "events.jsonl");
    bench_peer_path(bench, visible.peer_path, visible.path);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); /* else each nap is 50 µs longer */
    if (rc == HF_OK)
        rc = open_peer(&visible, err);
    if (rc == HF_OK)
        rc = measure(&visible, err);
    if (rc == HF_OK)
        rc = report(&visible, err);
    (void)prctl(PR_SET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
    if (visible.fd >= 0)
        close(visible.fd);
    samples_free(&visible.append);
    samples_free(&visible.seen);
    samples_free(&visible.after);
    return rc;
}

const struct workload workload_visible = {
    .name = "visible",
    .summary = "an append is seen through a file open elsewhere",
    .needs = WORKLOAD_PEER,
    .run = run,
};
