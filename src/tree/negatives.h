/* SPDX-License-Identifier: Apache-2.0 */
/** Names that the kernel was told are not there, and believes until it is told otherwise. */
#ifndef TREE_NEGATIVES_H
#define TREE_NEGATIVES_H

#include <stdbool.h>

#include "base/htable.h"

/** So many of one set are believed; further misses are asked for each time. */
#define NEGATIVES_MAX 4096

struct negative {
    struct hnode node;
    struct negative *next; /* in the list that negatives_take() gives */
    uint64_t dir;          /* the mount's inode number */
    char name[];
};

/** All zero is empty. Guarded by its owner. */
struct negatives {
    struct htable names;
};

/** Notes that `name` is not in `dir`. False: it cannot be remembered, and must not be believed. */
bool negatives_note(struct negatives *negatives, uint64_t dir, const char *name);
/** Takes all of them out, as a list that the caller ends with negatives_free(). */
struct negative *negatives_take(struct negatives *negatives);
void negatives_free(struct negative *list);

#endif
