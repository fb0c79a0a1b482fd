/* SPDX-License-Identifier: Apache-2.0 */
/** How fast a collection goes: works for a slice of time, tells how far it is, rests. Used by one thread. */
#ifndef ENGINE_SQLITE_PACE_H
#define ENGINE_SQLITE_PACE_H

#include "holdfast/error.h"
#include "store/types.h"

struct pace {
    const struct collect_options *options;
    int64_t began;   /**< the slice of work */
    int64_t longest; /**< ns of the longest transaction so far */
    const char *phase;
    uint64_t done, all; /**< of the phase */
};

void pace_start(struct pace *pace, const struct collect_options *options);
/** Another phase; `all` as for collect_progress_fn. */
int pace_phase(struct pace *pace, const char *phase, uint64_t all, struct hf_error *err);
/** Tells at once, whatever the time. */
int pace_tell(struct pace *pace, uint64_t done, struct hf_error *err);
/** Between two steps of work, with nothing held: may tell and rest. HF_INTR: it is to stop. */
int pace_step(struct pace *pace, uint64_t done, struct hf_error *err);

/** Now, for measuring: CLOCK_MONOTONIC in ns. */
int64_t pace_now(void);
/** Notes how long a transaction took that began then; returns it. */
int64_t pace_note(struct pace *pace, int64_t began);

/** Does nothing for so long. */
void pace_leave_gap(int64_t ns);

#endif
