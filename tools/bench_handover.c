/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast bench handover`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "place.h"

#define ROUNDS_DEFAULT 200
#define ROUNDS_MAX 1000000
#define LINE_BYTES 2048

struct bench_options {
    const char *store;
    uint64_t rounds;
    bool json;
};

static const struct option_spec specs[] = {
    {"store", 0, OPTION_STRING, offsetof(struct bench_options, store), "URL",
     "the store that both mount: to measure a round trip"},
    {"rounds", 0, OPTION_NUMBER, offsetof(struct bench_options, rounds), "NUMBER",
     "hand-overs to measure (default: 200)"},
    {"json", 0, OPTION_FLAG, offsetof(struct bench_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_bench_handover = {
    .name = "bench handover",
    .group = COMMAND_STORE,
    .summary = "Measure how long an idle session takes to change hosts",
    .operands = "MOUNT MOUNT",
    .details = "Two mounts of one store append to one file in turn: each append has to wait for\n"
               "the other mount to give the session up. Beside it, the same append by a mount\n"
               "that has the session, and (with --store) a bare round trip to the store. The\n"
               "goal: a hand-over costs less than two round trips and one append.",
    .options = specs,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};

/* Durations in ns, sorted when they are complete. */
struct samples {
    int64_t *ns;
    size_t count;
};

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int by_duration(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static double micros(const struct samples *samples, double quantile)
{
    size_t at = (size_t)((double)(samples->count - 1) * quantile + 0.5);

    return (double)samples->ns[at] / 1000;
}

/* No two lines are alike: else the chunk that a line is appended to would be known on either side already. */
static void fill_line(char line[LINE_BYTES])
{
    static uint64_t state = 1;

    for (size_t i = 0; i < LINE_BYTES - 1; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        line[i] = (char)('a' + (state >> 33) % 26);
    }
    line[LINE_BYTES - 1] = '\n';
}

/* What an agent does for a batch of events: open, append, close. */
static int append(const char *path, struct hf_error *err)
{
    char line[LINE_BYTES];
    int fd, error = 0;

    fill_line(line);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0)
        error = errno;
    else if (write(fd, line, sizeof line) != (ssize_t)sizeof line)
        error = errno ? errno : EIO;
    if (fd >= 0 && close(fd) != 0 && error == 0)
        error = errno;
    return error == 0 ? HF_OK
                      : hf_fail(err, hf_status_from_errno(error), "cannot append to %s: %s", path,
                                strerror(error));
}

struct bench {
    char paths[2][PLACE_MAX + 64]; /* one file, through either mount */
    struct store *store;           /* or NULL */
    uint64_t rounds;
    struct samples handover, held, trip;
};

static int timed_append(const char *path, struct samples *samples, struct hf_error *err)
{
    int64_t begin = now();
    int status = append(path, err);

    samples->ns[samples->count++] = now() - begin;
    return status;
}

/* The three things in turn, so that all see the same machine. */
static int measure(struct bench *bench, struct hf_error *err)
{
    int status = append(bench->paths[1], err);

    for (uint64_t round = 0; round < bench->rounds && status == HF_OK; round++) {
        const char *path = bench->paths[round % 2];
        struct session_head head;
        int64_t begin;

        status = timed_append(path, &bench->handover, err);
        if (status == HF_OK)
            status = timed_append(path, &bench->held, err);
        if (status != HF_OK || !bench->store)
            continue;
        begin = now();
        status = store_session_head(bench->store, SHARED_SID, &head, err);
        bench->trip.ns[bench->trip.count++] = now() - begin;
    }
    return status;
}

static json_t *samples_json(const struct samples *samples)
{
    return samples->count == 0
               ? json_null()
               : json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)samples->count, "p50_us",
                           micros(samples, 0.5), "p90_us", micros(samples, 0.9), "p99_us",
                           micros(samples, 0.99));
}

static void print_samples(const char *label, const struct samples *samples)
{
    if (samples->count > 0)
        printf("%-26s %10.0f %10.0f %10.0f\n", label, micros(samples, 0.5), micros(samples, 0.9),
               micros(samples, 0.99));
}

static int report(const struct bench *bench, bool json)
{
    double handover = micros(&bench->handover, 0.5), held = micros(&bench->held, 0.5);
    double trips = bench->trip.count ? (handover - held) / micros(&bench->trip, 0.5) : 0;

    if (json)
        return json_print(
            json_pack("{s:o, s:o, s:o, s:o}", "handover", samples_json(&bench->handover), "held",
                      samples_json(&bench->held), "round_trip", samples_json(&bench->trip),
                      "extra_round_trips", bench->trip.count ? json_real(trips) : json_null()));
    printf("%-26s %10s %10s %10s\n", "MICROSECONDS", "MEDIAN", "P90", "P99");
    print_samples("append after a hand-over", &bench->handover);
    print_samples("append with the lease", &bench->held);
    print_samples("round trip", &bench->trip);
    printf("A hand-over costs %.2f times an append", handover / held);
    if (bench->trip.count)
        printf(", or %.1f round trips beside it", trips);
    puts(".");
    return HF_OK;
}

static void sort(struct samples *samples)
{
    qsort(samples->ns, samples->count, sizeof samples->ns[0], by_duration);
}

/* The session is made through the first mount, and must be there then through the second. */
static int make_session(struct bench *bench, int which, struct hf_error *err)
{
    char *path = bench->paths[which];
    bool made = mkdir(path, 0700) == 0;

    if (made && which == 1) {
        rmdir(path);
        rmdir(bench->paths[0]);
        return hf_fail(err, HF_USAGE, "bench handover: these are not two mounts of one store");
    }
    if (!made && !(which == 1 && errno == EEXIST))
        return hf_fail(err, hf_status_from_errno(errno), "cannot make %s: %s", path,
                       strerror(errno));
    return HF_OK;
}

/* Through one mount nothing would change hands. */
static int check_two(const char *one, const char *other, struct hf_error *err)
{
    struct stat a, b;

    if (stat(one, &a) != 0 || stat(other, &b) != 0)
        return HF_OK; /* said later, of the one that it is */
    if (a.st_dev == b.st_dev)
        return hf_fail(err, HF_USAGE, "bench handover: %s and %s are one mount, and it takes two",
                       one, other);
    return HF_OK;
}

static int prepare(struct bench *bench, char *const *mounts, struct hf_error *err)
{
    char place[PLACE_MAX];
    int status = check_two(mounts[0], mounts[1], err);

    for (int i = 0; i < 2 && status == HF_OK; i++) {
        status = place_of(mounts[i], place, err);
        if (status != HF_OK)
            break;
        snprintf(bench->paths[i], sizeof bench->paths[i], "%s/holdfast-bench-%d", place,
                 (int)getpid());
        status = make_session(bench, i, err);
    }
    for (int i = 0; i < 2 && status == HF_OK; i++)
        snprintf(bench->paths[i] + strlen(bench->paths[i]), sizeof "/events.jsonl",
                 "/events.jsonl");
    if (status != HF_OK)
        return status;
    bench->handover.ns = calloc(3 * bench->rounds, sizeof(int64_t));
    if (!bench->handover.ns)
        return hf_fail(err, HF_NOMEM, "out of memory");
    bench->held.ns = bench->handover.ns + bench->rounds;
    bench->trip.ns = bench->held.ns + bench->rounds;
    return HF_OK;
}

static void remove_session(struct bench *bench)
{
    char *slash = strrchr(bench->paths[0], '/');

    unlink(bench->paths[0]);
    *slash = '\0';
    rmdir(bench->paths[0]);
}

static int run(int argc, char **argv)
{
    struct bench_options options = {.rounds = ROUNDS_DEFAULT};
    struct bench bench = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_bench_handover, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (options.rounds < 1 || options.rounds > ROUNDS_MAX)
        return command_failf(HF_USAGE, "bench handover: --rounds must be 1 to %d", ROUNDS_MAX);
    bench.rounds = options.rounds;
    status = prepare(&bench, argv, &err);
    if (status == HF_OK && options.store)
        status = context_open_store(options.store, STORE_READ_ONLY, &bench.store, &err);
    if (status == HF_OK) {
        status = measure(&bench, &err);
        remove_session(&bench);
    }
    if (status == HF_OK) {
        sort(&bench.handover);
        sort(&bench.held);
        sort(&bench.trip);
        status = report(&bench, options.json);
    }
    store_close(bench.store);
    free(bench.handover.ns);
    return status ? command_fail(&err) : EX_OK;
}
