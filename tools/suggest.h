/* SPDX-License-Identifier: Apache-2.0 */
/** What somebody who typed a wrong word may have meant. */
#ifndef TOOLS_SUGGEST_H
#define TOOLS_SUGGEST_H

#include <stddef.h>

/** Number of letters to insert, delete, replace or swap to get from one word to the other (optimal
 *  string alignment); words longer than 63 bytes are compared by their first 63. */
size_t suggest_distance(const char *a, const char *b);

/** The closest of several words, kept up one after another. All zero to start with. */
struct suggestion {
    const char *word; /**< the best so far, or NULL when none is close enough */
    size_t distance;
};
void suggest_offer(struct suggestion *suggestion, const char *typed, const char *word);

#endif
