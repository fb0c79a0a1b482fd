/* SPDX-License-Identifier: Apache-2.0 */
/** Valid records, nodes and roots of every shape, for the tests of the codec. The names are those of
 *  the vectors in docs/spec/format.md. */
#ifndef TESTS_OBJECT_SAMPLES_H
#define TESTS_OBJECT_SAMPLES_H

#include "object/node.h"

struct sample {
    const char *name;
    enum object_kind kind; /**< 0: an inode record */
    struct buf bytes;
};

#define SAMPLES_MAX 32

/** Makes all of them. Returns how many. */
size_t samples_make(struct sample samples[SAMPLES_MAX]);
void samples_free(struct sample *samples, size_t n);

/** An id that is 32 times `byte`. */
struct object_id sample_id(uint8_t byte);
/** A regular file of `size` bytes without content. */
struct inode_record sample_file(uint64_t ino, uint64_t size);

#endif
