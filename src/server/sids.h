/* SPDX-License-Identifier: Apache-2.0 */
/** A set of sessions, by number: a bit each, up to the highest that was put in. The caller guards it with its own lock.
 */
#ifndef SERVER_SIDS_H
#define SERVER_SIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** All zero: empty. */
struct sid_set {
    uint8_t *bits;
    size_t size; /**< bytes */
};

void sid_set_release(struct sid_set *set);
/** Whether there is room for `sid` without growing. */
bool sid_set_reaches(const struct sid_set *set, uint64_t sid);
bool sid_set_has(const struct sid_set *set, uint64_t sid);
/** Puts it in. HF_NOMEM; HF_INVAL: no session can have this number. */
int sid_set_add(struct sid_set *set, uint64_t sid);
void sid_set_remove(struct sid_set *set, uint64_t sid);

#endif
