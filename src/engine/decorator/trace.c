/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/decorator/trace.h"

int trace_store_new(struct store *below, const struct clock *clock, int fd,
                    struct store **ret_store, struct hf_error *err)
{
    (void)below;
    (void)clock;
    (void)fd;
    (void)ret_store;
    return hf_fail(err, HF_UNSUPPORTED, "the trace decorator is not built in");
}
