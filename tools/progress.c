/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "text.h"

#define INTERVAL_NS 100000000

void progress_start(struct progress *progress, const char *verb, const char *noun,
                    uint64_t total_items, uint64_t total_bytes)
{
    *progress = (struct progress){.verb = verb,
                                  .noun = noun,
                                  .total_items = total_items,
                                  .total_bytes = total_bytes,
                                  .active = isatty(STDERR_FILENO) == 1};
}

void progress_add(struct progress *progress, uint64_t items, uint64_t bytes)
{
    char done[TEXT_SHORT], total[TEXT_SHORT];
    int64_t now;

    progress->items += items;
    progress->bytes += bytes;
    if (!progress->active)
        return;
    now = clock_boottime(&clock_system);
    if (now - progress->shown < INTERVAL_NS)
        return;
    progress->shown = now;
    fprintf(stderr, "\r%s: %" PRIu64 " of %" PRIu64 " %s", progress->verb, progress->items,
            progress->total_items, progress->noun);
    if (progress->total_bytes > 0)
        fprintf(stderr, ", %s of %s", text_size(progress->bytes, done),
                text_size(progress->total_bytes, total));
    fputs("\033[K", stderr);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->active && progress->shown)
        fputs("\r\033[K", stderr);
    progress->active = false;
}
