/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The same requests, drawn at random, to the memory engine and to another one: both must answer alike, and
 * everything that can be read from them must be the same.
 *
 * HOLDFAST_SEED sets the seed, HOLDFAST_STEPS the number of requests.
 */
#ifndef TESTS_STORE_DIFFERENTIAL_H
#define TESTS_STORE_DIFFERENTIAL_H

#include <stdbool.h>
#include <stddef.h>

struct differential {
    const char *name; /**< of the other engine */
    unsigned steps;   /**< unless HOLDFAST_STEPS says another number */
    bool own_clock;   /**< it has its own clock, so that times are not compared */
    /** Writes the URL of a new store, and removes it. */
    void (*make)(char *ret_url, size_t size);
    void (*remove)(void);
};

/** Runs it; return what it returns from main(). */
int differential_main(const struct differential *other);

#endif
