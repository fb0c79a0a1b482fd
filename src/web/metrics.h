/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Writes metrics as Prometheus reads them (text format 0.0.4): families one after another, each with its samples.
 *
 *     metrics_family(metrics, "holdfast_hosts", METRIC_GAUGE, "Host sessions that are alive.");
 *     metrics_sample(metrics, "", metrics_labels(metrics, "tenant", name, NULL), 3);
 *
 * A failure for want of memory is remembered in `status`, and what follows does nothing.
 */
#ifndef WEB_METRICS_H
#define WEB_METRICS_H

#include <stdint.h>

#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/** All zero is an empty text. */
struct metrics {
    struct buf text;   /**< freed by its owner */
    int status;        /**< 0 or HF_NOMEM */
    const char *name;  /**< of the family that it is at */
    char labels[1024]; /**< metrics_labels() */
};

/** Begins a family. The name is borrowed until the next one. */
void metrics_family(struct metrics *metrics, const char *name, enum metric_type type,
                    const char *help);
/** Pairs of label and value, ended by NULL, as a sample wants them; a value may be any bytes. Valid until the next
 *  call. What does not fit is left out whole. */
const char *metrics_labels(struct metrics *metrics, ...) __attribute__((sentinel));
/** Adds a sample. `suffix` is "" but in a histogram; `labels` is "" or metrics_labels(). */
void metrics_sample(struct metrics *metrics, const char *suffix, const char *labels, double value);
/** A family of one sample without labels. */
void metrics_single(struct metrics *metrics, const char *name, enum metric_type type,
                    const char *help, double value);

/** What every process tells of itself: build, memory, CPU time, open files, start. */
void metrics_process(struct metrics *metrics);

#endif
