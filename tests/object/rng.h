/* SPDX-License-Identifier: Apache-2.0 */
/** Repeatable random numbers for tests (xorshift64, G. Marsaglia, "Xorshift RNGs", 2003). */
#ifndef TESTS_OBJECT_RNG_H
#define TESTS_OBJECT_RNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct rng {
    uint64_t state;
};

/** Seeds from $HOLDFAST_SEED, or else from `seed`, and prints it. */
static inline struct rng rng_make(uint64_t seed)
{
    const char *given = getenv("HOLDFAST_SEED");
    struct rng rng = {given ? strtoull(given, NULL, 0) : seed};

    printf("seed %llu\n", (unsigned long long)rng.state);
    return rng;
}

/** A number below `n`. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
    rng->state ^= rng->state << 13;
    rng->state ^= rng->state >> 7;
    rng->state ^= rng->state << 17;
    return (rng->state >> 11) % n;
}

static inline void rng_fill(struct rng *rng, uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)rng_below(rng, 256);
}

/** Lines of words: compressible, as logs are. */
static inline void rng_text(struct rng *rng, uint8_t *data, size_t len)
{
    static const char *const words[] = {"{\"type\":\"", "assistant", "tool",  "\",\"id\":", "user",
                                        "content",      "},\n",      " the ", "result "};
    size_t at = 0;

    while (at < len) {
        const char *word = words[rng_below(rng, sizeof words / sizeof words[0])];

        for (; *word && at < len; word++)
            data[at++] = (uint8_t)*word;
        if (at < len)
            data[at++] = (uint8_t)('0' + rng_below(rng, 10));
    }
}

#endif
