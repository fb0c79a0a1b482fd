/* SPDX-License-Identifier: Apache-2.0 */
/** Telling the kernel what to believe no longer. No lock may be held: a notification may wait for a page that
 *  only another request can give. */
#ifndef TREE_KERNEL_H
#define TREE_KERNEL_H

#include "tree/session.h"

/** Everything that the kernel knows of a session: attributes, names, listings, and contents. */
void kernel_forget_session(struct session *session);
/** The listing of the top directory, and what it was told is not there. */
void kernel_forget_top(struct tree *tree);

#endif
