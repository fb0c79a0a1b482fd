/* SPDX-License-Identifier: Apache-2.0 */
/* What looks after a store, each in a loop, beside the writers: collections here and in the backup, snapshots, retention,
 * forks, backups. Every third run is killed, and every sixth has a call fail. */
#include "soak.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SNAPSHOTS_KEPT 5
#define FORKS_KEPT 6

/* Whether a tool may have to be tried again (75): while another collects, or, on a server, while a session is leased by
 * a tool that was killed. On a file such a lease is over with its process. */
static bool may_be_refused(const struct soak *soak, const char *tool)
{
    return soak->served || strcmp(tool, "gc") == 0 || strcmp(tool, "retention") == 0;
}

/* Runs a tool that may end with 0, `other`, by a kill or by a fault, or be refused; otherwise only while the server is
 * away. */
static int run(struct soak *soak, const char *url, const char *const argv[], int other,
               uint64_t *random, char *ret_output, size_t size)
{
    unsigned before = atomic_load(&soak->disturbed[SOAK_SERVER]);
    int code = soak_run(soak, url, argv, random, ret_output, size);
    unsigned after = atomic_load(&soak->disturbed[SOAK_SERVER]);

    if (code == 75 && may_be_refused(soak, argv[1]))
        atomic_fetch_add(&soak->count.tools_refused, 1);
    else if (code > 0 && code != other && before == after && before % 2 == 0)
        soak_die("'%s %s' ended with %d; the log of the tools says why", argv[1], argv[2], code);
    return code;
}

/* --- collections ----------------------------------------------------------------------------------------- */

static void collect(struct soak *soak, uint64_t *random)
{
    static const char *const percents[] = {"100", "100", "50", "20"};
    const char *const argv[] = {
        "holdfast", "gc", "--json", "--percent", percents[soak_below(random, 4)], NULL};
    bool of_backup = soak_below(random, 4) == 0 && atomic_load(&soak->count.backups) > 0;
    char output[2000];

    if (run(soak, of_backup ? soak->backup : soak->url, argv, 0, random, output, sizeof output) !=
        0)
        return;
    atomic_fetch_add(&soak->count.removed, soak_number(output, "removed"));
    atomic_fetch_add(of_backup ? &soak->count.backup_collections : &soak->count.collections, 1);
}

/* --- retention --------------------------------------------------------------------------------------------- */

static void let_go(struct soak *soak, uint64_t *random)
{
    const char *const argv[] = {"holdfast", "retention", "apply", "--json", NULL};
    static char output[1 << 20];

    if (run(soak, soak->url, argv, 0, random, output, sizeof output) != 0)
        return;
    for (const char *at = output; (at = strstr(at, "\"what\":\"version\"")); at++)
        atomic_fetch_add(&soak->count.versions_dropped, 1);
    atomic_fetch_add(&soak->count.applied, 1);
}

/* --- snapshots --------------------------------------------------------------------------------------------- */

/* Asks the writers to hold still. Whether all do. */
static bool quieten(struct soak *soak)
{
    atomic_store(&soak->quiet, true);
    for (unsigned s = 0; s < SOAK_SESSIONS; s++)
        for (unsigned ms = 0; !atomic_load(&soak->still[s]); ms++) {
            if (ms == 5000 || atomic_load(&soak->stop))
                return false;
            soak_pause_ms(1);
        }
    return true;
}

static void pin(struct soak *soak, uint64_t *random)
{
    unsigned n = atomic_load(&soak->snapshots_made);
    struct soak_snapshot *snapshot = &soak->snapshots[n];
    char name[20];
    const char *const create[] = {"holdfast", "snapshot", "create", name, "--session", "s*", NULL};
    const char *const show[] = {"holdfast", "snapshot", "show", "--json", name, NULL};

    if (n + 1 == SOAK_SNAPSHOTS)
        return;
    snprintf(name, sizeof name, "p%u", n);
    snapshot->quiet = soak_below(random, 2) == 0 && quieten(soak);
    for (unsigned s = 0; s < SOAK_SESSIONS; s++)
        snapshot->steps[s] = atomic_load(&soak->ledgers[s].acked);
    run(soak, soak->url, create, 0, random, NULL, 0);
    /* One that was killed may have made it: asked before anybody writes again. */
    if (run(soak, soak->url, show, 66, NULL, snapshot->shown, sizeof snapshot->shown) == 0) {
        atomic_store(&snapshot->state, SNAPSHOT_THERE);
        atomic_fetch_add(&soak->count.snapshots, 1);
    }
    atomic_store(&soak->quiet, false);
    atomic_store(&soak->snapshots_made, n + 1);
}

static void unpin(struct soak *soak, uint64_t *random)
{
    unsigned n = atomic_load(&soak->snapshots_made), there = 0, chosen = 0;
    char name[20];
    const char *const argv[] = {"holdfast", "snapshot", "delete", name, NULL};

    for (unsigned i = 0; i < n; i++)
        if (atomic_load(&soak->snapshots[i].state) == SNAPSHOT_THERE && ++there &&
            soak_below(random, there) == 0)
            chosen = i;
    if (there <= SNAPSHOTS_KEPT)
        return;
    snprintf(name, sizeof name, "p%u", chosen);
    atomic_store(&soak->snapshots[chosen].state, SNAPSHOT_GOING);
    if (run(soak, soak->url, argv, 66, random, NULL, 0) == 0)
        atomic_fetch_add(&soak->count.unpinned, 1);
}

/* --- forks --------------------------------------------------------------------------------------------------- */

static void fork_one(struct soak *soak, uint64_t *random)
{
    static unsigned n;
    unsigned session = soak_below(random, SOAK_SESSIONS);
    char from[20], to[40], old[40];
    const char *const make[] = {"holdfast", "session", "fork", from, to, NULL};
    const char *const drop[] = {"holdfast", "session", "delete", old, NULL};
    static char made[FORKS_KEPT][40];

    snprintf(from, sizeof from, "s%u", session);
    snprintf(to, sizeof to, "f%u-%u", session, n);
    if (run(soak, soak->url, make, 0, random, NULL, 0) == 0)
        atomic_fetch_add(&soak->count.forks, 1);
    snprintf(old, sizeof old, "%s", made[n % FORKS_KEPT]);
    if (old[0] && run(soak, soak->url, drop, 66, random, NULL, 0) == 0)
        atomic_fetch_add(&soak->count.deleted, 1);
    snprintf(made[n++ % FORKS_KEPT], 40, "%s", to);
}

/* --- backups ------------------------------------------------------------------------------------------------- */

static void back_up(struct soak *soak, uint64_t *random)
{
    const char *const argv[] = {"holdfast", "backup", "--create", soak->backup, NULL};

    if (run(soak, soak->url, argv, 0, random, NULL, 0) == 0)
        atomic_fetch_add(&soak->count.backups, 1);
}

void chore_run(struct soak *soak, unsigned chore)
{
    uint64_t random = soak->seed + 200 + chore;

    while (!atomic_load(&soak->stop)) {
        switch (chore) {
        case 0:
            collect(soak, &random);
            break;
        case 1:
            let_go(soak, &random);
            break;
        case 2:
            pin(soak, &random);
            unpin(soak, &random);
            break;
        case 3:
            fork_one(soak, &random);
            break;
        default:
            back_up(soak, &random);
            break;
        }
        soak_pause_ms(soak_below(&random, 100));
    }
}
