/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast bench handover`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "place.h"
#include "samples.h"

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
    int64_t begin = samples_now();
    int status = append(path, err);

    if (status == HF_OK && samples_add(samples, samples_now() - begin) != HF_OK)
        status = hf_fail(err, HF_NOMEM, "out of memory");
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
        begin = samples_now();
        status = store_session_head(bench->store, SHARED_SID, &head, err);
        if (samples_add(&bench->trip, samples_now() - begin) != HF_OK)
            status = hf_fail(err, HF_NOMEM, "out of memory");
    }
    return status;
}

static int report(const struct bench *bench, bool json)
{
    double handover = samples_micros(&bench->handover, 0.5),
           held = samples_micros(&bench->held, 0.5);
    double trips = bench->trip.count ? (handover - held) / samples_micros(&bench->trip, 0.5) : 0;

    if (json)
        return json_print(
            json_pack("{s:o, s:o, s:o, s:o}", "handover", samples_json(&bench->handover), "held",
                      samples_json(&bench->held), "round_trip", samples_json(&bench->trip),
                      "extra_round_trips", bench->trip.count ? json_real(trips) : json_null()));
    samples_print_title();
    samples_print("append after a hand-over", &bench->handover);
    samples_print("append with the lease", &bench->held);
    samples_print("round trip", &bench->trip);
    printf("A hand-over costs %.2f times an append", handover / held);
    if (bench->trip.count)
        printf(", or %.1f round trips beside it", trips);
    puts(".");
    return HF_OK;
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
    return status;
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
        samples_sort(&bench.handover);
        samples_sort(&bench.held);
        samples_sort(&bench.trip);
        status = report(&bench, options.json);
    }
    store_close(bench.store);
    samples_free(&bench.handover);
    samples_free(&bench.held);
    samples_free(&bench.trip);
    return status ? command_fail(&err) : EX_OK;
}
