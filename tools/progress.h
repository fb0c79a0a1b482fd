/* SPDX-License-Identifier: Apache-2.0 */
/** One line on a terminal that says how far long work has come. On anything else it says nothing. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *verb; /**< "Copying" */
    uint64_t bytes, total_bytes;
    uint64_t items, total_items;
    const char *noun; /**< of the items: "sessions" */
    bool active;      /**< stderr is a terminal */
    int64_t shown;    /**< boot time of the last line */
};

/** `total_bytes` 0: bytes are not shown. */
void progress_start(struct progress *progress, const char *verb, const char *noun,
                    uint64_t total_items, uint64_t total_bytes);
/** Adds to what is done; writes at most ten times a second. */
void progress_add(struct progress *progress, uint64_t items, uint64_t bytes);
/** Wipes the line. */
void progress_end(struct progress *progress);

#endif
