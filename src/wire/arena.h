/* SPDX-License-Identifier: Apache-2.0 */
/** Memory that is freed all at once: what a message is built from. Not thread safe. */
#ifndef WIRE_ARENA_H
#define WIRE_ARENA_H

#include <stddef.h>

struct wire_arena {
    struct wire_arena_block *blocks;
};

/** `size` bytes, zeroed, aligned for anything; NULL when there is no memory. */
void *wire_arena_alloc(struct wire_arena *arena, size_t size);
void wire_arena_free(struct wire_arena *arena);

#endif
