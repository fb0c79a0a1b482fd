/* SPDX-License-Identifier: Apache-2.0 */
/** The names in a directory, in byte order, and paths that grow and shrink by one name. */
#ifndef TOOLS_NAMES_H
#define TOOLS_NAMES_H

#include <stddef.h>

#include "base/buf.h"
#include "holdfast/error.h"

/** All zero is empty. */
struct names {
    char **names;
    size_t count, cap;
};

/** Reads a directory without "." and "..". `dirfd` is only borrowed. */
int names_read(int dirfd, struct names *ret_names, struct hf_error *err);
/** Adds a copy at the end. Returns 0 or HF_NOMEM. */
int names_add(struct names *names, const char *name);
void names_clear(struct names *names);

/** Adds "/name" (or "name" to an empty path); the path stays NUL-terminated past its length.
 *  Sets `ret_mark` for path_pop(). Returns 0 or HF_NOMEM. */
int path_push(struct buf *path, const char *name, size_t *ret_mark);
void path_pop(struct buf *path, size_t mark);
/** As a string; "." when empty. */
const char *path_text(const struct buf *path);

#endif
