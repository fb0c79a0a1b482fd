/* SPDX-License-Identifier: Apache-2.0 */
#include "failing_alloc.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_reallocarray(void *block, size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t n, size_t size);

static size_t countdown; /* the allocation that fails, counted from now; 0: none */

void failing_alloc_after(size_t n)
{
    countdown = n;
}

bool failing_alloc_stop(void)
{
    const bool failed = countdown == 0;

    countdown = 0;
    return failed;
}

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
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
