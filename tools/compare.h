/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Shows what differs between two roots: how much, or the changed lines as a unified diff, or JSON. The log of
 * events (events.jsonl) is compared as events; files that are no text, or too large, only by their sizes.
 */
#ifndef TOOLS_COMPARE_H
#define TOOLS_COMPARE_H

#include "json.h"
#include "tree/blob.h"

struct compare_options {
    bool patch;       /**< the changed lines, not only how many */
    bool raw;         /**< events.jsonl as a text like any other */
    const char *path; /**< only this, and what is below it; NULL: everything */
};

/** A root that is NULL is an empty tree. Prints to stdout; `ret_changes` (may be NULL): how many paths differ. */
int compare_print(struct blob_cache *cache, const struct object_id *before,
                  const struct object_id *after, const struct compare_options *options,
                  size_t *ret_changes, struct hf_error *err);

/** The same as a JSON array of changes (changeset.h), each with "lines_added" and "lines_removed", or
 *  "events_added" and "events_removed", or "binary"; with `patch` also "patch", or "events". */
int compare_json(struct blob_cache *cache, const struct object_id *before,
                 const struct object_id *after, const struct compare_options *options,
                 json_t **ret_changes, struct hf_error *err);

#endif
