/* SPDX-License-Identifier: Apache-2.0 */
/** What the processes of test_soak.c share, in shared memory. */
#ifndef TESTS_HOSTS_SOAK_H
#define TESTS_HOSTS_SOAK_H

#include "ledger.h"
#include "service.h"

#define SOAK_MOUNTS 3
#define SOAK_SESSIONS 4
#define SOAK_SNAPSHOTS 2000

/** A process of the test, as its time limit tells of it. */
struct soak_worker {
    pid_t pid; /**< 0: none */
    char at[200];
};

enum snapshot_state { SNAPSHOT_NONE, SNAPSHOT_THERE, SNAPSHOT_GOING };

/** A snapshot "p<n>". */
struct soak_snapshot {
    atomic_int state; /**< enum snapshot_state */
    bool quiet;       /**< nobody wrote while it was made: it pins exactly the steps below */
    uint32_t steps[SOAK_SESSIONS];
    char shown[4000]; /**< what `snapshot show` said of it then */
};

/** The processes that look after the store; each in a loop until the end. */
#define SOAK_CHORES 5
/** Owners, chores and the driver. */
#define SOAK_DRIVER (SOAK_SESSIONS + SOAK_CHORES)
#define SOAK_WORKERS (SOAK_DRIVER + 1)

struct soak {
    struct service service; /**< its folder and store; the server runs in one of the variants */
    struct daemon mounts[SOAK_MOUNTS];
    unsigned nmounts;
    bool served;
    bool passed;      /**< the driver: all was as it should be */
    char url[700];    /**< of the store, for tools */
    char backup[300]; /**< of the store that backups go to */
    uint64_t seed;
    struct soak_worker workers[SOAK_WORKERS];
    pid_t watcher; /**< of the time limit */
    /** Grow by one before a mount is killed and when it is back; odd: it is away. The last is the server's. */
    atomic_uint disturbed[SOAK_MOUNTS + 1];
    atomic_bool faulty[SOAK_MOUNTS]; /**< calls of the mount's store fail: any error is right */
    atomic_bool stop;
    atomic_bool quiet;                /**< the writers are asked to hold still */
    atomic_bool still[SOAK_SESSIONS]; /**< they do */
    struct ledger ledgers[SOAK_SESSIONS];
    struct soak_snapshot snapshots[SOAK_SNAPSHOTS];
    atomic_uint snapshots_made;
    struct {
        atomic_ulong steps, recoveries, breaks, restores, collections, removed, applied,
            versions_dropped;
        atomic_ulong forks, deleted, snapshots, unpinned, backups, backup_collections;
        atomic_ulong tools_killed, tools_failed, tools_refused, mounts_killed, mounts_ended,
            mounts_faulty, server_killed;
    } count;
};

/** Of the server in `disturbed`. */
#define SOAK_SERVER SOAK_MOUNTS

uint64_t soak_random(uint64_t *random);
/** 0 to n - 1. */
unsigned soak_below(uint64_t *random, unsigned n);
void soak_pause_ms(unsigned ms);
/** Ends this process, and so the test, after a sentence. */
__attribute__((noreturn, format(printf, 1, 2))) void soak_die(const char *format, ...);
/** The folder of a session in a mount. */
void soak_path(const struct soak *soak, unsigned mount, unsigned session, char ret_path[400]);

/** Runs the program on the store at `url`. Its output goes to `ret_output` if that is not NULL. With `random` it may be
 *  killed on the way, or one of its calls fails. Returns the exit code; -1: one of these ended it. */
int soak_run(struct soak *soak, const char *url, const char *const argv[], uint64_t *random,
             char *ret_output, size_t size);
/** The number behind "key": in JSON, or 0. */
unsigned long soak_number(const char *json, const char *key);

/** The writer of a session: changes it until the end, through any mount, and keeps its ledger. */
void owner_run(struct soak *soak, unsigned session);

/** Looks after the store in one way. */
void chore_run(struct soak *soak, unsigned chore);

/** This process is that worker. */
void soak_am(struct soak *soak, unsigned worker);
/** What this process is at, if it is a worker. */
__attribute__((format(printf, 1, 2))) void soak_note(const char *format, ...);
/** From now on, so many seconds: then the test fails, and says what everybody is at. */
void limit_start(struct soak *soak, unsigned seconds);
void limit_end(struct soak *soak);

#endif
