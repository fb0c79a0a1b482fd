/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Memory for small things that live long among much that does not. From malloc() they would lie between what is freed
 * around them, and each would keep a page of the process. Here they lie side by side, in the order of their making; a
 * block is given back when nothing in it lives any more, and holes are not filled before. Thread safe.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

/** Zeroed memory for anything. NULL: there is none. */
void *pool_alloc(size_t size);
/** A copy of a string; ended with pool_free_string(). */
char *pool_string(const char *string);
/** Frees what has `size` bytes. NULL is fine. */
void pool_free(void *memory, size_t size);
void pool_free_string(char *string);

#endif
