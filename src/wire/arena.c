/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/arena.h"

#include <stdint.h>
#include <stdlib.h>

/* Small pieces share a block of so much; larger ones have their own. */
#define BLOCK_SIZE 4096
#define ALIGNMENT _Alignof(max_align_t)

struct wire_arena_block {
    struct wire_arena_block *next;
    size_t size, used; /* of data */
    max_align_t data[];
};

static struct wire_arena_block *add_block(struct wire_arena *arena, size_t size)
{
    struct wire_arena_block *block = calloc(1, sizeof *block + size);

    if (!block)
        return NULL;
    block->size = size;
    /* A full block goes behind the one that still has room. */
    if (arena->blocks && size > BLOCK_SIZE) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *wire_arena_alloc(struct wire_arena *arena, size_t size)
{
    struct wire_arena_block *block = arena->blocks;
    void *piece;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!block || size > block->size - block->used)
        block = add_block(arena, size > BLOCK_SIZE / 2 ? size : BLOCK_SIZE);
    if (!block)
        return NULL;
    piece = (uint8_t *)block->data + block->used;
    block->used += size;
    return piece;
}

void wire_arena_free(struct wire_arena *arena)
{
    while (arena->blocks) {
        struct wire_arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
}
