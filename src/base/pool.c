/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** Blocks lie at multiples of their size, so that what is in one leads to it. */
#define BLOCK_BYTES ((size_t)64 << 10)
/** What is larger comes from malloc(): it has pages of its own, nearly. */
#define SMALL_MAX 4096
#define ALIGNMENT alignof(max_align_t)

/* A sanitizer sees what is used after its end only if it is freed. */
#if defined(__SANITIZE_ADDRESS__)
#define SMALL_LIMIT 0
#else
#define SMALL_LIMIT SMALL_MAX
#endif

struct block {
    size_t used; /* bytes from its beginning, this included */
    size_t live;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *current; /* lock: where the next one goes; NULL: none */

static size_t rounded(size_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct block *block_new(void)
{
    struct block *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);

    if (block)
        *block = (struct block){.used = rounded(sizeof *block)};
    return block;
}

/** The block that has room; `lock` is held. */
static struct block *block_for(size_t size)
{
    if (!current || BLOCK_BYTES - current->used < size) {
        struct block *block = block_new();

        if (!block)
            return NULL;
        if (current && current->live == 0)
            free(current);
        current = block;
    }
    return current;
}

void *pool_alloc(size_t size)
{
    void *memory = NULL;
    struct block *block;

    if (size > SMALL_LIMIT)
        return calloc(1, size);
    size = rounded(size ? size : 1);
    pthread_mutex_lock(&lock);
    block = block_for(size);
    if (block) {
        memory = (char *)block + block->used;
        block->used += size;
        block->live++;
    }
    pthread_mutex_unlock(&lock);
    return memory ? memset(memory, 0, size) : NULL;
}

char *pool_string(const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = pool_alloc(size);

    return copy ? memcpy(copy, string, size) : NULL;
}

void pool_free(void *memory, size_t size)
{
    struct block *block;

    if (!memory || size > SMALL_LIMIT) {
        free(memory);
        return;
    }
    block = (struct block *)((char *)memory - (uintptr_t)memory % BLOCK_BYTES);
    pthread_mutex_lock(&lock);
    block->live--;
    if (block->live == 0 && block == current)
        block->used = rounded(sizeof *block);
    else if (block->live == 0)
        free(block);
    pthread_mutex_unlock(&lock);
}

void pool_free_string(char *string)
{
    if (string)
        pool_free(string, strlen(string) + 1);
}
