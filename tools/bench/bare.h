/* SPDX-License-Identifier: Apache-2.0 */
/** What a program costs that does nothing but insert the rows of commits into a database of its own. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include "bench/bench.h"

/** Commits per second: so many, in so many transactions (1 to `commits`), each transaction on the medium, in the
 *  directory of the workload. */
int bare_measure(struct bench *bench, uint64_t commits, uint64_t transactions, double *ret_rate,
                 struct hf_error *err);

#endif
