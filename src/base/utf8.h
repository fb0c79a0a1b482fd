/* SPDX-License-Identifier: Apache-2.0 */
/** Well-formed UTF-8 (RFC 3629). Pure. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/buf.h"

/** Length of the well-formed sequence that `text` (not empty) begins with: 1 to 4, or 0. */
size_t utf8_length(struct slice text);
/** How many bytes of `text` are well-formed up to the first that are not; all of them: text.len. */
size_t utf8_check(struct slice text);

#endif
