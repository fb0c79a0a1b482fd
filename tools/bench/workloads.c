/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "bench/bench.h"

extern const struct workload workload_append;
extern const struct workload workload_checkpoint;
extern const struct workload workload_handover;
extern const struct workload workload_list;
extern const struct workload workload_locks;
extern const struct workload workload_resume;
extern const struct workload workload_seq;
extern const struct workload workload_server;
extern const struct workload workload_small;
extern const struct workload workload_sqlite;
extern const struct workload workload_visible;

/* clang-format off */
const struct workload *const workloads[] = {
    &workload_append,
    &workload_checkpoint,
    &workload_small,
    &workload_resume,
    &workload_seq,
    &workload_sqlite,
    &workload_locks,
    &workload_list,
    &workload_handover,
    &workload_visible,
    &workload_server,
    NULL,
};
/* clang-format on */
