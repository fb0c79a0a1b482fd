/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A bad network between a client and a server on loopback: a thread that passes bytes on, and now and then cuts a
 * connection (also in the middle of a frame), stalls one for a while, or takes no new ones. What it does follows
 * from its seed and from what comes by. What fails ends the test by assert(3).
 */
#ifndef TESTS_ENGINE_PROXY_H
#define TESTS_ENGINE_PROXY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PROXY_PAIRS_MAX 64

struct proxy_pair {
    int client, server; /**< -1: none */
    int64_t stalled;    /**< passes nothing until then; CLOCK_MONOTONIC, ms */
    int64_t budget;     /**< bytes until something happens */
};

struct proxy {
    int fd;
    uint16_t port, to;
    uint64_t random;
    pthread_t thread;
    struct proxy_pair pairs[PROXY_PAIRS_MAX];
    atomic_bool stopping;
    atomic_bool calm; /**< nothing happens any more */
    atomic_uint cuts, stalls;
};

/** Passes connections to its own port on to 127.0.0.1:`to`. */
void proxy_start(struct proxy *proxy, uint16_t to, uint64_t seed);
void proxy_stop(struct proxy *proxy);

#endif
