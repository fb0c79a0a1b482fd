/* SPDX-License-Identifier: Apache-2.0 */
/** A list of versions of one session, with the names of the hosts that wrote them. Not thread safe. */
#ifndef STORE_VERSIONS_H
#define STORE_VERSIONS_H

#include "store/store.h"

/** All zero is a valid empty list. */
struct versions {
    struct history_entry *entries; /**< their host names are the list's own */
    size_t n, cap;
    char **hosts; /**< each name once: few hosts write to a session */
    size_t nhosts;
};

/** Adds a copy of an entry at the end. HF_NOMEM. */
int versions_add(struct versions *versions, const struct history_entry *entry);
void versions_free(struct versions *versions);

#endif
