/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reads JSON (RFC 8259) where it stands: whether a value is whole, where it ends, and where some of its members
 * are, for those who cut or change text and must leave every other byte as it is. Builds no tree and allocates
 * nothing. What is in strings need not be UTF-8. Pure; thread safe.
 */
#ifndef BASE_JSONSCAN_H
#define BASE_JSONSCAN_H

#include "base/buf.h"

/** Values may be nested so deep, and members looked for so deep. */
#define JSONSCAN_DEPTH_MAX 512
#define JSONSCAN_PATH_MAX 4

enum jsonscan_result {
    JSONSCAN_WHOLE = 0,
    JSONSCAN_SHORT, /**< the text ends before the value does */
    JSONSCAN_BAD,   /**< it is no JSON, or nested too deep */
};

/** A member to be found. */
struct jsonscan_member {
    const char *path; /**< of names of objects, as they are written: "data.sessionId" */
    struct slice
        value; /**< found: as it stands in the text, with its quotes; else empty. Of several the last */
};

/**
 * Reads the one value that `text` begins with, after white space. Sets ret_end to where it ends in the text, or to
 * where the text ends or stops being JSON. The members' values are right only when it is whole.
 */
enum jsonscan_result jsonscan(struct slice text, struct jsonscan_member *members, size_t n,
                              size_t *ret_end);

/** What is between the quotes of a string without escapes; empty for all else. */
struct slice jsonscan_plain(struct slice value);

#endif
