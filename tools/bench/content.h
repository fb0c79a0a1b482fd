/* SPDX-License-Identifier: Apache-2.0 */
/** What the workloads write: text like an agent's event log, one JSON event a line. LZ4 makes about a third of it
 *  (of 8 KiB alone 0.4), and no two KiB of it are alike. The same seed gives the same text. */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#define CONTENT_POOL 1024

struct content {
    uint64_t state;
    uint8_t pool[CONTENT_POOL]; /**< text that comes again and again, in pieces */
};

void content_init(struct content *content, uint64_t seed);
/** A number below `limit`, which is at least 1. */
uint64_t content_random(struct content *content, uint64_t limit);
/** One event of exactly `len` bytes, the last one a newline. */
void content_event(struct content *content, uint8_t *ret_text, size_t len);
/** Events of all sizes, exactly `len` bytes together; the last byte is a newline. */
void content_fill(struct content *content, uint8_t *ret_text, size_t len);

#endif
