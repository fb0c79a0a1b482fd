/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/sqlite.h"

int sqlite_store_open(const char *path, unsigned flags, const struct store_create_options *create,
                      const struct clock *clock, struct store **ret_store, struct hf_error *err)
{
    (void)flags;
    (void)create;
    (void)clock;
    (void)ret_store;
    return hf_fail(err, HF_UNSUPPORTED, "the sqlite engine is not built in: %s", path);
}
