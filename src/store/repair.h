/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Mends damaged objects of a store with good ones from another, its backup.
 *
 *     damaged or missing --in the other store?--yes--> what it refers to that is missing too, first --> in its place
 *                                             --no---> a damaged one is taken out, and kept aside
 *
 * Contents are verified against the id that they are to have, so that any store may be asked that computes ids
 * likewise. May run beside mounts. Used by one thread at a time.
 */
#ifndef STORE_REPAIR_H
#define STORE_REPAIR_H

#include "store/idmap.h"
#include "store/store.h"

/** Objects to be mended, gathered from the findings of a check. All zero to start with. */
struct repair_list {
    struct object_id *ids;
    bool *missing; /**< of each, whether it is not there at all */
    size_t n, cap;
    struct idmap listed;
};

struct repair_totals {
    uint64_t mended;    /**< objects whose good content is in its place again */
    uint64_t taken_out; /**< damaged objects that nobody had the content of */
    uint64_t unmended;  /**< missing ones, likewise */
};

/** Notes the object of a finding, if it is about one. HF_NOMEM. */
int repair_note(struct repair_list *list, const struct check_finding *finding);
void repair_list_free(struct repair_list *list);

/** Mends what is listed. `good` may be NULL: then damaged objects are only taken out. With `dry_run` it only looks what
 *  could be mended. */
int repair_run(struct store *store, struct store *good, const struct repair_list *list,
               bool dry_run, struct repair_totals *ret_totals, struct hf_error *err);

#endif
