/* SPDX-License-Identifier: Apache-2.0 */
/** What differs between two texts line by line, as hunks of a unified diff; found by diff(1) of diffutils. */
#ifndef TOOLS_LINEDIFF_H
#define TOOLS_LINEDIFF_H

#include <stdbool.h>

#include "base/buf.h"
#include "holdfast/error.h"

/** All zero is empty. */
struct linediff {
    uint64_t added, removed; /**< lines */
    struct buf hunks;        /**< from the first "@@" on; empty when the texts are equal */
};

/** Compares. `context`: lines shown around a change. Ended by linediff_clear(). HF_UNSUPPORTED when there is no
 *  diff(1); where one text is empty it is not needed. */
int linediff_run(struct slice before, struct slice after, unsigned context,
                 struct linediff *ret_diff, struct hf_error *err);
void linediff_clear(struct linediff *diff);

/** Whether the beginning of a file looks like text: it has no NUL. */
bool linediff_is_text(struct slice content);

#endif
