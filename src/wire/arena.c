/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/arena.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct wire_arena_block {
    struct wire_arena_block *next;
    max_align_t data[];
};

void *wire_arena_alloc(struct wire_arena *arena, size_t size)
{
    struct wire_arena_block *block;

    if (size > SIZE_MAX - sizeof *block)
        return NULL;
    block = calloc(1, sizeof *block + size);
    if (!block)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

void wire_arena_free(struct wire_arena *arena)
{
    while (arena->blocks) {
        struct wire_arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
}
