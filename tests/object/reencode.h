/* SPDX-License-Identifier: Apache-2.0 */
/** Decodes anything that the codec knows into its parts and encodes these again: what is canonical is
 *  the same afterwards. Shared by the unit tests and the fuzz target. */
#ifndef TESTS_OBJECT_REENCODE_H
#define TESTS_OBJECT_REENCODE_H

#include "object/node.h"

/** Each appends the new encoding to `out`. Returns 0 or what the decoder said. */
int reencode_record(struct slice bytes, struct buf *out);
int reencode_xattr_block(struct slice bytes, struct buf *out);
int reencode_object(enum object_kind kind, struct slice bytes, struct buf *out);

#endif
