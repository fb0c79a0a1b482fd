/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Writes that reach the tree in two requests. The kernel sends what a write(2) puts into a page that is
 * not in its cache by itself. A commit between the two (for another file's close, say) would hold a part of
 * the write, and a crash right then would leave a torn one.
 *
 *      write(2)      |--------------|        from within a page to beyond its end
 *      requests      |----|---------|        the first one ends where the page does
 *
 * So a commit waits a moment for what may be the first part of a write. It is an end to waiting when anything
 * else comes through the same handle. All with the session's lock held.
 */
#ifndef TREE_SPLIT_H
#define TREE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;
struct tree_handle;

/** Notes a write through `handle`. */
void split_note(struct tree_handle *handle, uint64_t offset, size_t len);
/** No other part is to come. */
void split_end(struct tree_handle *handle);
/**
 * Waits for the other parts. True: the lock was let go meanwhile. Under an unbroken stream of writes there
 * may be no moment without a part of one: `*last`, 0 at first, is when the caller has waited long enough.
 */
bool split_wait(struct session *session, int64_t *last);

#endif
