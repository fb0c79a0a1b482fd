/* SPDX-License-Identifier: Apache-2.0 */
/** What the fuzz targets share: conditions that must hold, and a count of what is allocated. */
#ifndef TESTS_FUZZ_WATCH_H
#define TESTS_FUZZ_WATCH_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/** Ends the program, and so the fuzzing, unless it is so. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** Counts from now on what this thread allocates. Only a build with clang's address sanitizer can: else it is 0. */
void watch(void);
/** Stops, and returns the bytes. */
size_t unwatch(void);

#endif
