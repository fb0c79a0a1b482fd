/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "grid.h"
#include "text.h"

#define NS_PER_SECOND 1000000000LL
#define INTERVAL_NS (NS_PER_SECOND / 10)
#define FIRST_NS NS_PER_SECOND
#define BAR_WIDTH 20
#define LINE_MAX_BYTES 512

/* How much of the work is done, 0 to 1; negative: nobody knows. Bytes say it better than items do. */
static double share_done(const struct progress *progress)
{
    uint64_t done = progress->total_bytes ? progress->bytes : progress->items;
    uint64_t total = progress->total_bytes ? progress->total_bytes : progress->total_items;

    if (total == 0)
        return -1;
    return done >= total ? 1 : (double)done / (double)total;
}

/* Appends a part of the line if it fits. Everything in it is ASCII. */
static void append(char *line, size_t width, size_t size, const char *part)
{
    size_t len = strlen(line), more = strlen(part);

    if (len + more <= width && len + more < size)
        memcpy(line + len, part, more + 1);
}

static void append_bar(char *line, size_t width, size_t size, double share)
{
    char bar[BAR_WIDTH + 16];
    size_t filled = (size_t)(share * BAR_WIDTH);

    bar[0] = ' ';
    bar[1] = '[';
    for (size_t i = 0; i < BAR_WIDTH; i++)
        bar[2 + i] = i < filled ? '=' : i == filled ? '>' : ' ';
    snprintf(bar + 2 + BAR_WIDTH, sizeof bar - 2 - BAR_WIDTH, "] %3.0f %%", share * 100);
    append(line, width, size, bar);
}

static void append_counts(const struct progress *progress, char *line, size_t width, size_t size)
{
    char part[128], done[TEXT_SHORT], total[TEXT_SHORT];

    if (progress->total_items)
        snprintf(part, sizeof part, " %" PRIu64 " of %" PRIu64 " %s", progress->items,
                 progress->total_items, progress->noun);
    else
        snprintf(part, sizeof part, " %" PRIu64 " %s", progress->items, progress->noun);
    append(line, width, size, part);
    if (progress->total_bytes)
        snprintf(part, sizeof part, ", %s of %s", text_size(progress->bytes, done),
                 text_size(progress->total_bytes, total));
    else
        snprintf(part, sizeof part, ", %s", text_size(progress->bytes, done));
    if (progress->bytes || progress->total_bytes)
        append(line, width, size, part);
}

static void append_rate(const struct progress *progress, double seconds, char *line, size_t width,
                        size_t size)
{
    char part[64], rate[TEXT_SHORT];

    if (seconds <= 0)
        return;
    if (progress->bytes)
        snprintf(part, sizeof part, ", %s/s",
                 text_size((uint64_t)((double)progress->bytes / seconds), rate));
    else
        snprintf(part, sizeof part, ", %.0f/s", (double)progress->items / seconds);
    append(line, width, size, part);
}

static void append_left(double share, double seconds, char *line, size_t width, size_t size)
{
    double left = share > 0 ? seconds / share - seconds : 0;
    char part[64];

    if (share <= 0 || share >= 1)
        return;
    if (left < 90)
        snprintf(part, sizeof part, ", %.0f s left", left);
    else if (left < 5400)
        snprintf(part, sizeof part, ", %.0f min left", left / 60);
    else
        snprintf(part, sizeof part, ", %.1f h left", left / 3600);
    append(line, width, size, part);
}

void progress_text(const struct progress *progress, int64_t now, size_t width, char *ret_text,
                   size_t size)
{
    double seconds = (double)(now - progress->started) / (double)NS_PER_SECOND;
    double share = share_done(progress);

    ret_text[0] = '\0';
    append(ret_text, width, size, progress->verb);
    if (share >= 0)
        append_bar(ret_text, width, size, share);
    append_counts(progress, ret_text, width, size);
    append_rate(progress, seconds, ret_text, width, size);
    append_left(share, seconds, ret_text, width, size);
}

void progress_start(struct progress *progress, const char *verb, const char *noun,
                    uint64_t total_items, uint64_t total_bytes)
{
    *progress = (struct progress){.verb = verb,
                                  .noun = noun,
                                  .total_items = total_items,
                                  .total_bytes = total_bytes,
                                  .active = grid_terminal_width(stderr) > 0,
                                  .started = clock_boottime(&clock_system)};
}

static void show(struct progress *progress)
{
    char line[LINE_MAX_BYTES];
    int64_t now;

    if (!progress->active)
        return;
    now = clock_boottime(&clock_system);
    if (now - progress->started < FIRST_NS || now - progress->shown < INTERVAL_NS)
        return;
    progress->shown = now;
    progress_text(progress, now, grid_terminal_width(stderr), line, sizeof line);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
}

void progress_add(struct progress *progress, uint64_t items, uint64_t bytes)
{
    progress->items += items;
    progress->bytes += bytes;
    show(progress);
}

void progress_set(struct progress *progress, uint64_t items, uint64_t total_items, uint64_t bytes)
{
    progress->items = items;
    progress->total_items = total_items;
    progress->bytes = bytes;
    show(progress);
}

void progress_end(struct progress *progress)
{
    if (progress->active && progress->shown)
        fputs("\r\033[K", stderr);
    progress->active = false;
}
