/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/decorator/faulty.h"

int faulty_store_new(struct store *below, const char *spec, struct store **ret_store,
                     struct hf_error *err)
{
    (void)below;
    (void)spec;
    (void)ret_store;
    return hf_fail(err, HF_UNSUPPORTED, "the faulty decorator is not built in");
}
