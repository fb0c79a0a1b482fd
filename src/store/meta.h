/* SPDX-License-Identifier: Apache-2.0 */
/** What a session's workspace.yaml says about it, for the session's index row. */
#ifndef STORE_META_H
#define STORE_META_H

#include "base/buf.h"
#include "store/types.h"

/** A workspace.yaml is read up to here, and no further. */
#define META_YAML_MAX 65536
/** A longer value is not taken. */
#define META_VALUE_MAX 4096

/** The strings of a session's index row, owned. All zero: nothing is known. */
struct meta_strings {
    char *cwd, *git_root, *repository, *branch, *name, *created_at, *updated_at;
};

/**
 * Reads the values of the known keys of the top mapping of `yaml`. The file is written by others and
 * anything can be in it: what is not a scalar, null, too long, or has a NUL in it is not taken; of a key
 * that comes twice the last counts; where the text stops being YAML, or nests absurdly, what stood before counts.
 * Returns 0 or HF_NOMEM. The caller ends it with meta_strings_free().
 */
int meta_parse(struct slice yaml, struct meta_strings *ret_strings);

/** Lets `meta` borrow the strings; its sizes stay as they are. */
void meta_strings_lend(const struct meta_strings *strings, struct session_meta *meta);
void meta_strings_free(struct meta_strings *strings);

#endif
