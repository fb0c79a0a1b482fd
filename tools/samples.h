/* SPDX-License-Identifier: Apache-2.0 */
/** Durations that were measured, and what they amount to. One thread at a time. */
#ifndef TOOLS_SAMPLES_H
#define TOOLS_SAMPLES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/** In ns. All zero is an empty one. */
struct samples {
    int64_t *ns;
    size_t count, cap;
};

/** The time by a clock that never goes back, ns. */
int64_t samples_now(void);
/** Adds one. Returns 0 or HF_NOMEM. */
int samples_add(struct samples *samples, int64_t ns);
/** Before the rest is asked for. */
void samples_sort(struct samples *samples);
/** In microseconds; `quantile` 0.5 is the median, 1 the longest. 0 when there are none. */
double samples_micros(const struct samples *samples, double quantile);
/** How many there would be in a second, one after the other. 0 when there are none. */
double samples_rate(const struct samples *samples);
/** {"count", "p50_us", "p90_us", "p99_us", "max_us"}; null when there are none. */
json_t *samples_json(const struct samples *samples);
/** Prints "MICROSECONDS  MEDIAN  P90  P99  LONGEST", and a line of it. Nothing when there are none. */
void samples_print_title(void);
void samples_print(const char *label, const struct samples *samples);
void samples_free(struct samples *samples);

#endif
