/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The page in which an appended file ends, for the kernel's cache.
 *
 *      before       |-----------|--            the last page is cached
 *      appended     |-----------|-----------|----
 *      cached       |-----------|-----------|     after write(2): the kernel does not have all of the last page
 *
 * Who reads the last byte, or appends again, makes the kernel ask for that page, for the attributes that a read makes
 * it doubt, and split the next write. So it is given the page, when the last who has the file open has closed it:
 * nobody changes it meanwhile (ADR 28).
 */
#ifndef TREE_TAIL_H
#define TREE_TAIL_H

#include <stddef.h>
#include <stdint.h>

struct tree_handle;

/** Notes a write through `handle`. The session is locked. */
void tail_note(struct tree_handle *handle, uint64_t offset, size_t len);
/** `handle` is about to go: gives the kernel the page if it lacks it. The session is not locked. */
void tail_give(struct tree_handle *handle);

#endif
