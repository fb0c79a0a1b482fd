/* SPDX-License-Identifier: Apache-2.0 */
/** A store whose clock the test owns, so that what is in it can be of any age. Failures fail the test. */
#ifndef TESTS_STORE_AGED_H
#define TESTS_STORE_AGED_H

#include "base/clock.h"
#include "scene.h"
#include "store/store.h"

#define AGED_SECOND 1000000000LL
#define AGED_HOUR (3600 * AGED_SECOND)
#define AGED_DAY (24 * AGED_HOUR)

struct aged {
    struct clock clock; /* first: it is found by its address */
    _Atomic int64_t now;
    char url[128];
    char path[100]; /* of a store in a file */
    struct store *store;
    uint64_t host;
    struct scene scene;
    struct hf_error err;
};

/** A new store of an engine, "memory" or "sqlite", and a host session. It is 2026-05-04 12:00 UTC, a Monday. */
void aged_open(struct aged *aged, const char *engine);
void aged_close(struct aged *aged);

/** A session with one version, of the file "note" with this text. The lease is held. */
struct lease aged_session(struct aged *aged, const char *name, const char *text);
/** One version more. Its number. */
uint64_t aged_commit(struct aged *aged, struct lease *lease, const char *text);
/** The same `n` times, `step` ns after each other; the clock stands at the last one. */
void aged_commits(struct aged *aged, struct lease *lease, unsigned n, int64_t step);
void aged_release(struct aged *aged, const struct lease *lease);
/** To the trash. */
void aged_delete(struct aged *aged, const struct lease *lease);
/** Work for a rescue version. Its number. */
uint64_t aged_rescue(struct aged *aged, const struct lease *lease, const char *text);
void aged_policy(struct aged *aged, const char *text);

/** The versions that are there, latest first, as "7 5 1". Valid until the next call. */
const char *aged_versions(struct aged *aged, uint64_t sid);
/** What there is: names of live sessions, of trashed ones in brackets, "rescues N", "snapshots N". */
const char *aged_contents(struct aged *aged);

#endif
