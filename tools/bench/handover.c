/* SPDX-License-Identifier: Apache-2.0 */
/** The workload `handover`: two mounts append to one file in turn, and a session changes hands each time. */
#include <fcntl.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/peer.h"
#include "context.h"

#define ROUNDS 200
#define LINE_BYTES 2048

struct handover {
    struct bench *bench;
    char paths[2][BENCH_PATH]; /* one file, through either mount */
    struct store *store;       /* or NULL */
    struct samples handover, held, trip;
};

/* What an agent does for a batch of events: open, append, close. */
static int append(const char *path, const uint8_t *line, struct hf_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return bench_fail(err, "open", path);
    rc = bench_write(fd, path, line, LINE_BYTES, err);
    if (close(fd) != 0 && rc == HF_OK)
        rc = bench_fail(err, "close", path);
    return rc;
}

/* No two lines are alike: else the chunk that a line is appended to would be known on either side already. */
static int timed_append(struct handover *handover, const char *path, struct samples *samples,
                        struct hf_error *err)
{
    uint8_t line[LINE_BYTES];
    int64_t begin;
    int rc;

    content_event(&handover->bench->content, line, sizeof line);
    begin = samples_now();
    rc = append(path, line, err);
    return rc == HF_OK ? bench_took(samples, begin, err) : rc;
}

static int timed_trip(struct handover *handover, struct hf_error *err)
{
    struct session_head head;
    int64_t begin = samples_now();
    int rc = store_session_head(handover->store, SHARED_SID, &head, err);

    return rc == HF_OK ? bench_took(&handover->trip, begin, err) : rc;
}

/* The three things in turn, so that all see the same machine. */
static int measure(struct handover *handover, struct hf_error *err)
{
    uint64_t rounds = bench_scaled(handover->bench, ROUNDS, 4);
    struct samples first = {0};
    int rc = timed_append(handover, handover->paths[1], &first, err);

    samples_free(&first);
    for (uint64_t round = 0; round < rounds && rc == HF_OK; round++) {
        const char *path = handover->paths[round % 2];

        rc = timed_append(handover, path, &handover->handover, err);
        if (rc == HF_OK)
            rc = timed_append(handover, path, &handover->held, err);
        if (rc == HF_OK && handover->store)
            rc = timed_trip(handover, err);
    }
    return rc;
}

static int report_trips(struct handover *handover, double more, struct hf_error *err)
{
    struct figures *figures = &handover->bench->figures;
    double trip;
    int rc;

    if (!handover->store) {
        rc = figures_leave_out(figures, "round_trip", "needs --store", err);
        return rc == HF_OK ? figures_leave_out(figures, "extra_round_trips", "needs --store", err)
                           : rc;
    }
    samples_sort(&handover->trip);
    trip = samples_micros(&handover->trip, 0.5);
    rc = figures_add_samples(figures, "round_trip", &handover->trip, err);
    return rc == HF_OK ? figures_add(figures, "extra_round_trips", FIGURE_RATIO, more / trip, err)
                       : rc;
}

static int report(struct handover *handover, struct hf_error *err)
{
    struct figures *figures = &handover->bench->figures;
    double given, held;
    int rc;

    samples_sort(&handover->handover);
    samples_sort(&handover->held);
    given = samples_micros(&handover->handover, 0.5);
    held = samples_micros(&handover->held, 0.5);
    rc = figures_add_samples(figures, "handover", &handover->handover, err);
    if (rc == HF_OK)
        rc = figures_add_samples(figures, "held", &handover->held, err);
    if (rc == HF_OK)
        rc = figures_add(figures, "handover_held_ratio", FIGURE_RATIO, given / held, err);
    return rc == HF_OK ? report_trips(handover, given - held, err) : rc;
}

static int run(struct bench *bench, struct hf_error *err)
{
    struct handover handover = {.bench = bench};
    int rc = peer_check(bench, err);

    bench_path(bench, handover.paths[0], "events.jsonl");
    bench_peer_path(bench, handover.paths[1], handover.paths[0]);
    if (rc == HF_OK && bench->store)
        rc = context_open_store(bench->store, STORE_READ_ONLY, &handover.store, err);
    if (rc == HF_OK)
        rc = measure(&handover, err);
    if (rc == HF_OK)
        rc = report(&handover, err);
    store_close(handover.store);
    samples_free(&handover.handover);
    samples_free(&handover.held);
    samples_free(&handover.trip);
    return rc;
}

const struct workload workload_handover = {
    .name = "handover",
    .summary = "an idle session changes hosts at each append",
    .needs = WORKLOAD_PEER,
    .run = run,
};
