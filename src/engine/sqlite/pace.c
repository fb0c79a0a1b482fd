/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/pace.h"

#include <time.h>

#define SLICE_NS 5000000
#define SECOND_NS 1000000000LL

int64_t pace_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

int64_t pace_note(struct pace *pace, int64_t began)
{
    int64_t took = pace_now() - began;

    if (took > pace->longest)
        pace->longest = took;
    return took;
}

void pace_start(struct pace *pace, const struct collect_options *options)
{
    *pace = (struct pace){.options = options, .began = pace_now(), .phase = "marking"};
}

static int tell(const struct pace *pace, struct hf_error *err)
{
    const struct collect_options *options = pace->options;

    if (options->progress &&
        options->progress(pace->phase, pace->done, pace->all, options->arg) != 0)
        return hf_fail(err, HF_INTR, "the collection was interrupted");
    return HF_OK;
}

int pace_phase(struct pace *pace, const char *phase, uint64_t all, struct hf_error *err)
{
    pace->phase = phase;
    pace->done = 0;
    pace->all = all;
    return tell(pace, err);
}

int pace_tell(struct pace *pace, uint64_t done, struct hf_error *err)
{
    pace->done = done;
    return tell(pace, err);
}

void pace_leave_gap(int64_t ns)
{
    struct timespec pause = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};

    if (ns > 0)
        nanosleep(&pause, NULL);
}

static void rest(int64_t worked, uint32_t percent)
{
    if (percent > 0 && percent < 100)
        pace_leave_gap(worked / percent * (100 - percent));
}

int pace_step(struct pace *pace, uint64_t done, struct hf_error *err)
{
    int64_t worked = pace_now() - pace->began;
    int rc;

    pace->done = done;
    if (worked < SLICE_NS)
        return HF_OK;
    rc = tell(pace, err);
    if (rc == HF_OK)
        rest(worked, pace->options->percent);
    pace->began = pace_now();
    return rc;
}
