/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <stdbool.h>

static _Thread_local bool watching;
static _Thread_local size_t allocated;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *, size_t),
                                              void (*free_hook)(const volatile void *));

static void on_malloc(const volatile void *block, size_t size)
{
    (void)block;
    if (watching)
        allocated += size;
}

static void on_free(const volatile void *block)
{
    (void)block;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) == 0;
}
#endif
#endif

void watch(void)
{
    allocated = 0;
    watching = true;
}

size_t unwatch(void)
{
    watching = false;
    return allocated;
}
