/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A writing load on one session, and what the session must look like after any prefix of it.
 *
 * A load is a list of steps, each one file system call, made from a seed. Somebody performs the steps on a
 * mount or a tree, and notes outside of it how many were begun and up to which one everything was promised
 * to last. After a crash the session must be what the model says for one prefix between the two.
 */
#ifndef TESTS_CRASH_LOAD_H
#define TESTS_CRASH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum step_kind {
    STEP_MKDIR,
    STEP_OPEN,     /**< O_RDWR | O_CREAT in `slot`; with `truncate` O_TRUNC too */
    STEP_WRITE,    /**< `len` bytes of `seed` at `offset` */
    STEP_TRUNCATE, /**< the open file to `offset` bytes */
    STEP_FSYNC,
    STEP_CLOSE,
    STEP_RENAME, /**< replaces */
    STEP_UNLINK,
    STEP_LINK,
    STEP_SYMLINK, /**< `path` with the target `other` */
    STEP_CHMOD,
};

#define STEP_PATH_MAX 40
#define STEP_SLOTS 2

struct step {
    enum step_kind kind;
    unsigned slot;
    char path[STEP_PATH_MAX], other[STEP_PATH_MAX]; /**< below the session; "" is its directory */
    uint64_t offset, seed;
    uint32_t len;
    unsigned mode;
    bool truncate;
    bool durable; /**< once it has succeeded, everything up to it lasts */
};

struct load {
    struct step *steps;
    size_t count;
};

/** Makes at least `count` steps. Aborts when out of memory, as everything here. */
void load_make(struct load *load, uint64_t seed, size_t count);
void load_free(struct load *load);
/** The bytes that a STEP_WRITE writes: text without a NUL. */
void step_data(const struct step *step, uint8_t *ret_data);
/** For messages. */
void step_describe(const struct step *step, char *text, size_t size);

/** What a session holds: one line for each path, in byte order, "path type mode links size hash". */
void load_listing(const struct load *load, size_t prefix, struct buf *ret_listing);

/** One line of a listing. `content`: of a file, or the target of a symlink. */
void picture_add(struct buf *listing, const char *path, char type, unsigned mode, unsigned links,
                 struct slice content);
/** Sorts the lines. */
void picture_sort(struct buf *listing);

/**
 * Whether `listing` is what one of the prefixes acked..begun gives; *ret_prefix is that one. If not, says on
 * stdout how it differs from the nearest.
 */
bool load_verify(const struct load *load, size_t acked, size_t begun, const struct buf *listing,
                 size_t *ret_prefix);
/** Whether `listing` is the state in the middle of the last step begun: of a write that the kernel sent in
 *  two parts, the first one. */
bool load_verify_part(const struct load *load, size_t begun, const struct buf *listing);

/** A stream of numbers. */
uint64_t random_next(uint64_t *state);
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
    return random_next(state) % n;
}

#endif
