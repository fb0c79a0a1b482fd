/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One line on a terminal that says how far long work has come, how fast it goes and how long it will take. It
 * comes after a second. On anything else than a terminal it says nothing.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    const char *verb; /**< "Copying" */
    uint64_t bytes, total_bytes;
    uint64_t items, total_items;
    const char *noun; /**< of the items: "sessions" */
    bool active;      /**< stderr is a terminal */
    int64_t started;  /**< by CLOCK_BOOTTIME, ns */
    int64_t shown;    /**< the same of the last line; 0: none yet */
};

/** Totals of 0 are not known (yet). Bytes that stay 0 are not shown. */
void progress_start(struct progress *progress, const char *verb, const char *noun,
                    uint64_t total_items, uint64_t total_bytes);
/** Adds to what is done; writes at most ten times a second. */
void progress_add(struct progress *progress, uint64_t items, uint64_t bytes);
/** Says what is done, where that is counted elsewhere and the total still grows. */
void progress_set(struct progress *progress, uint64_t items, uint64_t total_items, uint64_t bytes);
/** Wipes the line. */
void progress_end(struct progress *progress);

/** The line as of `now`, at most `width` columns (and `size` bytes): what does not fit is left out, the least
 *  important first. */
void progress_text(const struct progress *progress, int64_t now, size_t width, char *ret_text,
                   size_t size);

#endif
