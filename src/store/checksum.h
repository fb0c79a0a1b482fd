/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The checksum of a row that no content hash covers: the first eight bytes of SHA-256 over the table's
 * name and the row's columns in their order, each with its type and length, so that no two different
 * rows give the same bytes.
 *
 *     checksum_start(&sum, "lease");
 *     checksum_int(&sum, sid);
 *     checksum_text(&sum, pinned_by);
 *     rc = checksum_end(&sum, &value);
 *
 * A failure is kept until checksum_end(), which tells it. Not thread safe.
 */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include <stdint.h>

#include "base/buf.h"

/** Rows of ordinary size need no allocation. */
struct checksum {
    struct buf overflow;
    uint8_t bytes[1024];
    size_t len;
    int status;
};

void checksum_start(struct checksum *sum, const char *table);
void checksum_int(struct checksum *sum, int64_t value);
/** NULL is a value of its own. */
void checksum_text(struct checksum *sum, const char *text);
void checksum_blob(struct checksum *sum, const void *data, size_t len);
/** Gives the checksum and frees what `sum` holds. Returns 0 or HF_NOMEM. */
int checksum_end(struct checksum *sum, int64_t *ret_value);

#endif
