/* SPDX-License-Identifier: Apache-2.0 */
/** For workloads with two mounts. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "bench/bench.h"

/** Checks that --peer is another mount, and shows what is made in the directory. HF_USAGE. */
int peer_check(const struct bench *bench, struct hf_error *err);

#endif
