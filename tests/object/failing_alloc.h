/* SPDX-License-Identifier: Apache-2.0 */
/** Makes one allocation of the project's own code fail. The program is linked with FAILING_ALLOC_OPTIONS
 *  (tests/CMakeLists.txt). Thread safe. */
#ifndef TESTS_OBJECT_FAILING_ALLOC_H
#define TESTS_OBJECT_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/** The n-th allocation from now on fails, once; n > 0. */
void failing_alloc_after(size_t n);
/** No allocation fails from now on. Whether one did. */
bool failing_alloc_stop(void);

#endif
