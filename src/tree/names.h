/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Which session had a name when it was last told: a guess, which is checked against the session itself. Two names may
 * share a place; the later one has it then. Thread safe. All zero: empty.
 */
#ifndef TREE_NAMES_H
#define TREE_NAMES_H

#include <stdatomic.h>
#include <stdint.h>

#define NAMES_PLACES 1024

struct names {
    atomic_uint_fast64_t sids[NAMES_PLACES];
};

void names_note(struct names *names, const char *name, uint64_t sid);
/** The session that may have the name; 0: none is known. */
uint64_t names_sid(struct names *names, const char *name);

#endif
