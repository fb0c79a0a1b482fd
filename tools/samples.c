/* SPDX-License-Identifier: Apache-2.0 */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "holdfast/error.h"

int64_t samples_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int samples_add(struct samples *samples, int64_t ns)
{
    if (samples->count == samples->cap) {
        size_t cap = samples->cap ? 2 * samples->cap : 1024;
        int64_t *more = reallocarray(samples->ns, cap, sizeof *more);

        if (!more)
            return HF_NOMEM;
        samples->ns = more;
        samples->cap = cap;
    }
    samples->ns[samples->count++] = ns;
    return HF_OK;
}

static int by_duration(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

void samples_sort(struct samples *samples)
{
    if (samples->count > 0)
        qsort(samples->ns, samples->count, sizeof samples->ns[0], by_duration);
}

double samples_micros(const struct samples *samples, double quantile)
{
    if (samples->count == 0)
        return 0;
    return (double)samples->ns[(size_t)((double)(samples->count - 1) * quantile + 0.5)] / 1000;
}

double samples_rate(const struct samples *samples)
{
    double seconds = 0;

    for (size_t i = 0; i < samples->count; i++)
        seconds += (double)samples->ns[i] / 1e9;
    return seconds > 0 ? (double)samples->count / seconds : 0;
}

json_t *samples_json(const struct samples *samples)
{
    return samples->count == 0
               ? json_null()
               : json_pack("{s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)samples->count,
                           "p50_us", samples_micros(samples, 0.5), "p90_us",
                           samples_micros(samples, 0.9), "p99_us", samples_micros(samples, 0.99),
                           "max_us", samples_micros(samples, 1));
}

void samples_print_title(void)
{
    printf("%-26s %10s %10s %10s %10s\n", "MICROSECONDS", "MEDIAN", "P90", "P99", "LONGEST");
}

void samples_print(const char *label, const struct samples *samples)
{
    if (samples->count > 0)
        printf("%-26s %10.0f %10.0f %10.0f %10.0f\n", label, samples_micros(samples, 0.5),
               samples_micros(samples, 0.9), samples_micros(samples, 0.99),
               samples_micros(samples, 1));
}

void samples_free(struct samples *samples)
{
    free(samples->ns);
    *samples = (struct samples){0};
}
