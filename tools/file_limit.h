/* SPDX-License-Identifier: Apache-2.0 */
/** How many files this process may have open. */
#ifndef TOOLS_FILE_LIMIT_H
#define TOOLS_FILE_LIMIT_H

/** Lets the process open up to `wanted` files at the same time, as far as its hard limit allows. */
void file_limit_raise(unsigned long wanted);

#endif
