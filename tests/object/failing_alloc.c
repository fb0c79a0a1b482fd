/* SPDX-License-Identifier: Apache-2.0 */
#include "failing_alloc.h"

#include <stdatomic.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_reallocarray(void *block, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t n, size_t size);

static atomic_size_t countdown; /* the allocation that fails, counted from now; 0: none */

void failing_alloc_after(size_t n)
{
    atomic_store(&countdown, n);
}

bool failing_alloc_stop(void)
{
    return atomic_exchange(&countdown, 0) == 0;
}

static bool fails(void)
{
    size_t left = atomic_load(&countdown);

    while (left > 0)
        if (atomic_compare_exchange_weak(&countdown, &left, left - 1))
            return left == 1;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

void *__wrap_reallocarray(void *block, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(block, n, size);
}
