/* SPDX-License-Identifier: Apache-2.0 */
/** What a workload measured, by name: latencies, rates, ratios. Printed for people, and as JSON for programs. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include "holdfast/error.h"
#include "samples.h"

enum figure_unit {
    FIGURE_MICROSECONDS, /**< of samples: lower is better */
    FIGURE_PER_SECOND,   /**< of operations: higher is better */
    FIGURE_MB_PER_SECOND,
    FIGURE_RATIO,
    FIGURE_BYTES,
    FIGURE_COUNT,
};

struct figure {
    const char *name; /**< static, in lower case with '_': "append_fsync"; a key of the JSON */
    enum figure_unit unit;
    struct samples samples; /**< of FIGURE_MICROSECONDS, sorted */
    double value;           /**< of the others */
    const char *left_out;   /**< static: why it was not measured; else NULL */
};

/** In the order in which they were added. All zero is an empty list. */
struct figures {
    struct figure *list;
    size_t count;
};

/** Adds a latency, and takes the samples over (they are empty then, also on failure). There is at least one.
 *  Here and below: 0 or HF_NOMEM. */
int figures_add_samples(struct figures *figures, const char *name, struct samples *samples,
                        struct hf_error *err);
/** Adds a value. */
int figures_add(struct figures *figures, const char *name, enum figure_unit unit, double value,
                struct hf_error *err);
/** Adds MB/s (10^6 bytes) of so many bytes in so many ns. */
int figures_add_rate(struct figures *figures, const char *name, uint64_t bytes, int64_t ns,
                     struct hf_error *err);
/** Says that a figure could not be measured here: `why` "needs --remount". */
int figures_leave_out(struct figures *figures, const char *name, const char *why,
                      struct hf_error *err);

/** {NAME: {"unit": "us", "count", "p50_us", …} or {"unit", "value"} or {"left_out": why}, …}. NULL: out of memory. */
json_t *figures_json(const struct figures *figures);
/** A title line with the workload's name, and a line for each figure. */
void figures_print(const struct figures *figures, const char *title);
void figures_free(struct figures *figures);

#endif
