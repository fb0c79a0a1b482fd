/* SPDX-License-Identifier: Apache-2.0 */
/** Randomness that keeps many hosts from doing the same thing at the same moment. */
#ifndef ENGINE_REMOTE_RANDOM_H
#define ENGINE_REMOTE_RANDOM_H

#include <stdint.h>
#include <sys/random.h>

/** 32 random bits; when the system has none to give, some bits in the middle. */
static inline uint32_t remote_random(void)
{
    uint32_t bits;

    return getrandom(&bits, sizeof bits, GRND_NONBLOCK) == (ssize_t)sizeof bits ? bits
                                                                                : UINT32_MAX / 2;
}

#endif
