/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/decorator/op.h"

#include <string.h>

static const char *const names[] = {
#define STORE_OP_STRING(upper, lower) #lower,
    STORE_OPS(STORE_OP_STRING)
#undef STORE_OP_STRING
};

const char *store_op_name(enum store_op op)
{
    return op < STORE_OP_COUNT ? names[op] : "?";
}

int store_op_parse(const char *name, size_t len, enum store_op *ret_op)
{
    for (int op = 0; op < STORE_OP_COUNT; op++) {
        if (strlen(names[op]) == len && memcmp(names[op], name, len) == 0) {
            *ret_op = (enum store_op)op;
            return HF_OK;
        }
    }
    return HF_INVAL;
}
