/* SPDX-License-Identifier: Apache-2.0 */
/** What the index row of a session says of its workspace.yaml. */
#ifndef TREE_META_INDEX_H
#define TREE_META_INDEX_H

#include "store/meta.h"
#include "tree/session.h"

#define META_INDEX_FILE "workspace.yaml"

/** Parses the beginning of an opened workspace.yaml. */
int meta_index_parse(struct filemap *file, struct meta_strings *ret_strings);
/** Reads workspace.yaml of the session's top directory: `ret_strings` owns what commit->meta points to.
 *  A missing or damaged file leaves the strings unknown; one that cannot be read, as they were. Locked. */
void meta_index_read(struct session *session, struct meta_strings *ret_strings,
                     struct commit *commit);

#endif
