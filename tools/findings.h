/* SPDX-License-Identifier: Apache-2.0 */
/** What checks of a store find, printed as it comes, below a line of progress. */
#ifndef TOOLS_FINDINGS_H
#define TOOLS_FINDINGS_H

#include "json.h"
#include "progress.h"
#include "store/fsck.h"
#include "store/repair.h"

struct findings_version {
    uint64_t sid, version;
};

/** All zero but for `json` to start with. Ended with findings_end(). */
struct findings {
    bool json; /**< an array, one finding a line */
    struct json_list list;
    struct progress progress;
    bool begun; /**< the progress is */
    /* Of the last check: */
    struct repair_list damage;         /**< objects */
    struct findings_version *versions; /**< the latest damaged one of each session */
    size_t nversions, cap;
};

/** A check_report_fn; `arg` is the struct findings. */
int findings_print(const struct check_finding *finding, void *arg);
/** Says "what: message", or adds both to the array, for findings of a command's own. */
int findings_add(struct findings *findings, int status, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/** Wipes the progress, ends the array and frees what was noted. */
void findings_end(struct findings *findings);

/** fsck_run() with findings that are printed. */
int findings_check(struct store *store, struct findings *findings, struct fsck_totals *ret_totals,
                   struct hf_error *err);

#endif
