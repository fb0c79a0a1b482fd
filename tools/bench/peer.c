/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/peer.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int peer_check(const struct bench *bench, struct hf_error *err)
{
    char path[BENCH_PATH];
    struct stat own, other;

    if (stat(bench->top, &own) != 0)
        return bench_fail(err, "look at", bench->top);
    if (stat(bench->peer, &other) != 0)
        return bench_fail(err, "look at", bench->peer);
    if (own.st_dev == other.st_dev)
        return hf_fail(err, HF_USAGE, "%s and %s are one mount, and it takes two", bench->top,
                       bench->peer);
    /* A mount that has looked for the name before may be late to show it; but it cannot make it again. */
    if (mkdir(bench_peer_path(bench, path, bench->dir), 0700) == 0) {
        rmdir(path);
        return hf_fail(err, HF_USAGE, "%s does not show what is in %s", bench->peer, bench->top);
    }
    return errno == EEXIST ? HF_OK : bench_fail(err, "make", path);
}
