/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "bench/bench.h"

extern const struct workload workload_append;

/* clang-format off */
const struct workload *const workloads[] = {
    &workload_append,
    NULL,
};
/* clang-format on */
