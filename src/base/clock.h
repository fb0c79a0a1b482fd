/* SPDX-License-Identifier: Apache-2.0 */
/** Clocks. A store, a lease and a tree read time only through one of these, so tests can own it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/** A source of time. Both functions are thread safe. */
struct clock {
    /** Nanoseconds since the Unix epoch (CLOCK_REALTIME). */
    int64_t (*realtime)(const struct clock *clock);
    /** Nanoseconds that grow steadily, suspend included (CLOCK_BOOTTIME). */
    int64_t (*boottime)(const struct clock *clock);
};

/** The system's clocks. */
extern const struct clock clock_system;

static inline int64_t clock_realtime(const struct clock *clock)
{
    return clock->realtime(clock);
}

static inline int64_t clock_boottime(const struct clock *clock)
{
    return clock->boottime(clock);
}

#endif
