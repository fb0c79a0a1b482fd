/* SPDX-License-Identifier: Apache-2.0 */
/** The patterns of an option that may be given several times: names match when any does. */
#ifndef TOOLS_GLOBS_H
#define TOOLS_GLOBS_H

#include <stdbool.h>
#include <stddef.h>

/** All zero: no patterns, which everything matches. */
struct globs {
    const char **globs;
    size_t count;
};

/** Splits what OPTION_LIST gave, at its commas (NULL: no patterns). The list is written to and must live on; what is
 *  made is ended by globs_clear(). HF_NOMEM. */
int globs_split(char *list, struct globs *ret_globs);
void globs_clear(struct globs *globs);
bool globs_match(const struct globs *globs, const char *name);

#endif
