/* SPDX-License-Identifier: Apache-2.0 */
/** What every engine is told when it opens a store. */
#ifndef ENGINE_OPTIONS_H
#define ENGINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "object/chunker.h"

enum store_open_flags {
    STORE_CREATE = 1 << 0,    /**< make it when it is not there */
    STORE_READ_ONLY = 1 << 1, /**< no call may change it */
};

/** Properties of a store that is made; ignored for one that is there. All zero: the defaults. */
struct store_create_options {
    struct chunker_params chunker; /**< all 0: CHUNKER_DEFAULT */
    bool strict;                   /**< close(2) waits for the medium */
    bool keyed;                    /**< ids are HMAC under a key kept in the store */
    const uint8_t *key;            /**< 32 bytes, of a copy of a keyed store; NULL: random ones */
};

#endif
