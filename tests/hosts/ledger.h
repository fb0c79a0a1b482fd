/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a session must hold, as an independent copy outside the store says it.
 *
 * A session has a few files, and one named "step" with a number. A step changes one or two of the files, and writes its
 * own number last; it is noted here before it begins. So whatever version of the session is read, however it was
 * come by, "step" says which state it must be: that one, but for files which a step that began there had in hand.
 */
#ifndef TESTS_HOSTS_LEDGER_H
#define TESTS_HOSTS_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_FILES 8
/** Where the kernel cuts a write that does not fill its pages: after the first, and before the last. When the mount ends
 *  between two requests, the write fails, and a part of it may stay. */
#define LEDGER_CUTS 2
#define LEDGER_STEPS 60000
#define LEDGER_VERSIONS 20000

struct file_state {
    int64_t size; /**< -1: there is no such file */
    uint64_t hash;
};

struct ledger_state {
    uint32_t step;
    struct file_state files[LEDGER_FILES];
};

struct ledger_step {
    uint32_t base;    /**< the step in whose state it began */
    uint32_t touched; /**< a bit for each file */
    struct file_state files[LEDGER_FILES];
    struct file_state
        cuts[LEDGER_CUTS]; /**< of the first touched file: what a part of the write makes of it */
};

/** A version of which it is known exactly what it holds. */
struct ledger_version {
    uint64_t version;
    uint32_t step;
};

/** Lies in shared memory; only the session's writer changes it. */
struct ledger {
    atomic_uint begun; /**< steps 0 to this one are noted; 0 is the new session */
    atomic_uint acked; /**< the last one that was acknowledged whole */
    atomic_uint nversions;
    struct ledger_step steps[LEDGER_STEPS];
    struct ledger_version versions[LEDGER_VERSIONS];
};

/** "notes", "d/a" … */
extern const char *const ledger_names[LEDGER_FILES];

void ledger_init(struct ledger *ledger);
bool ledger_is_full(const struct ledger *ledger);
/** Notes a step that is about to begin; `cuts` (NULL: none) as in struct ledger_step. Returns its number. */
uint32_t ledger_begin(struct ledger *ledger, uint32_t base, uint32_t touched,
                      const struct file_state files[LEDGER_FILES],
                      const struct file_state cuts[LEDGER_CUTS]);
void ledger_note_version(struct ledger *ledger, uint64_t version, uint32_t step);

struct file_state ledger_hash(const void *data, size_t size);

/** Reads a session, or a version of one, from the directory at `path`. Into `data` (NULL: into nowhere), of
 *  LEDGER_FILES buffers that are allocated anew, go the contents. 0 or an errno; EILSEQ: there is something else. */
int ledger_read(const char *path, struct ledger_state *ret_state, uint8_t *data[LEDGER_FILES]);

/** Whether that was ever a state of the session, between two changes. Says why not on standard output. */
bool ledger_allows(const struct ledger *ledger, const struct ledger_state *state);
/** Whether it is exactly the state after `step`. */
bool ledger_is(const struct ledger *ledger, const struct ledger_state *state, uint32_t step);
/** Likewise of a version: if it is known exactly what it holds, it must be that. */
bool ledger_allows_version(const struct ledger *ledger, uint64_t version,
                           const struct ledger_state *state, bool *ret_exact);

#endif
