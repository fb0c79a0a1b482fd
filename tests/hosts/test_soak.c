/* SPDX-License-Identifier: Apache-2.0 */
/* Collections, snapshots, retention, forks, restores and backups together, beside writers on several mounts, while
 * mounts, tools and the server are killed, and calls of tools fail. Afterwards both stores are sound, and every session, kept version, snapshot,
 * fork and backup reads back as the ledgers outside say.
 * Who does not end in time is named (limit.c).
 *
 *     driver:   kills mounts (and the server), starts them again; in the end reads everything
 *     owners:   one for each session: steps, looks, restores            owner.c
 *     chores:   one for each kind of tool, in a loop                     chores.c
 *
 * HOLDFAST_SECONDS (default 5): of each variant; HOLDFAST_SEED; HOLDFAST_KEEP; HOLDFAST_LIMIT: seconds that a
 * variant may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

#define CHILDREN SOAK_DRIVER
/* Beyond four times the disturbances: many times what a variant takes, also with sanitizers on a busy machine. */
#define LIMIT_SECONDS 400
#define READ_AT_MOST 150

static const char policy[] = "history:\n"
                             "  - sessions: 's[01]'\n    last: 3\n"
                             "  - sessions: 's*'\n    last: 25\n"
                             "  - last: 3\n"
                             "trash:\n  - keep: 1s\n"
                             "rescue:\n  - keep: 1s\n";

/* A tool that must succeed. */
static void run(struct soak *soak, const char *url, const char *const argv[], char *ret_output,
                size_t size)
{
    int code = soak_run(soak, url, argv, NULL, ret_output, size);

    if (code != 0)
        fail_msg("'%s %s' on %s ended with %d", argv[1], argv[2] ? argv[2] : "", url, code);
}

static void start_mount(struct daemon *daemon)
{
    if (!daemon_start(daemon)) {
        daemon_print_log(daemon);
        fail_msg("a mount does not start: exit code %d", daemon->exit_code);
    }
}

/* --- disturbing -------------------------------------------------------------------------------------------- */

/* Half of the mounts that start meet faults of their store, some of calls that were carried out. */
static void choose_faults(struct soak *soak, unsigned n, uint64_t *random)
{
    static const char *const calls[] = {"commit", "commit", "put", "get", "lease_acquire"};
    struct daemon *daemon = &soak->mounts[n];
    size_t len = 0;
    bool faulty = soak_below(random, 2) == 0;

    daemon->decorators[0] = '\0';
    atomic_store(&soak->faulty[n], faulty);
    if (!faulty)
        return;
    atomic_fetch_add(&soak->count.mounts_faulty, 1);
    for (unsigned i = 0; i < 3; i++)
        len += (size_t)snprintf(daemon->decorators + len, sizeof daemon->decorators - len,
                                "%s%s@%u:EIO%s", i == 0 ? "faulty(" : ",",
                                calls[soak_below(random, 5)], 1 + soak_below(random, 60),
                                soak_below(random, 2) ? "" : "!");
    assert_true(len + 3 < sizeof daemon->decorators);
    snprintf(daemon->decorators + len, sizeof daemon->decorators - len, ")+");
}

static void disturb_mount(struct soak *soak, unsigned n, uint64_t *random)
{
    soak_note("disturbing mount %u", n);
    atomic_fetch_add(&soak->disturbed[n], 1);
    if (soak_below(random, 5) == 0) {
        daemon_stop(&soak->mounts[n]);
        atomic_fetch_add(&soak->count.mounts_ended, 1);
    } else {
        daemon_kill(&soak->mounts[n]);
        atomic_fetch_add(&soak->count.mounts_killed, 1);
    }
    choose_faults(soak, n, random);
    soak_pause_ms(soak_below(random, 200));
    start_mount(&soak->mounts[n]);
    atomic_fetch_add(&soak->disturbed[n], 1);
}

static void disturb_server(struct soak *soak, uint64_t *random)
{
    soak_note("disturbing the server");
    atomic_fetch_add(&soak->disturbed[SOAK_SERVER], 1);
    service_stop(&soak->service, soak_below(random, 4) == 0 ? SIGTERM : SIGKILL);
    soak_pause_ms(soak_below(random, 200));
    assert_true(service_start(&soak->service));
    atomic_fetch_add(&soak->disturbed[SOAK_SERVER], 1);
    atomic_fetch_add(&soak->count.server_killed, 1);
}

/* Whether all children live. */
static bool all_live(const pid_t children[CHILDREN])
{
    for (unsigned i = 0; i < CHILDREN; i++) {
        siginfo_t info = {0};

        if (waitid(P_PID, (id_t)children[i], &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid)
            return false;
    }
    return true;
}

static void disturb(struct soak *soak, const pid_t children[CHILDREN], unsigned seconds)
{
    uint64_t random = soak->seed;
    time_t end = time(NULL) + (time_t)seconds;

    while (time(NULL) < end && all_live(children)) {
        soak_pause_ms(200 + soak_below(&random, 1000));
        if (soak->served && soak_below(&random, 3) == 0)
            disturb_server(soak, &random);
        else
            disturb_mount(soak, soak_below(&random, soak->nmounts), &random);
    }
}

/* In the end all is read through mounts that read what there is. */
static void end_faults(struct soak *soak)
{
    for (unsigned n = 0; n < soak->nmounts; n++) {
        soak->mounts[n].decorators[0] = '\0';
        if (!atomic_exchange(&soak->faulty[n], false))
            continue;
        daemon_kill(&soak->mounts[n]);
        start_mount(&soak->mounts[n]);
    }
}

static void start_children(struct soak *soak, pid_t children[CHILDREN])
{
    fflush(stdout);
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] != 0)
            continue;
        soak_am(soak, i);
        if (i < SOAK_SESSIONS)
            owner_run(soak, i);
        else
            chore_run(soak, i - SOAK_SESSIONS);
        soak_note("nothing any more");
        fflush(stdout);
        _exit(0);
    }
}

static void join_children(struct soak *soak, const pid_t children[CHILDREN])
{
    bool well = true;

    atomic_store(&soak->stop, true);
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;

        soak_note("waiting for %s%u to end", i < SOAK_SESSIONS ? "the owner of s" : "chore ",
                  i < SOAK_SESSIONS ? i : i - SOAK_SESSIONS);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        soak->workers[i].pid = 0;
        well = well && status == 0;
    }
    assert_true(well);
}

/* --- reading back ------------------------------------------------------------------------------------------ */

static void read_state(const char *path, struct ledger_state *ret_state)
{
    int error;

    soak_note("reading %s", path);
    error = ledger_read(path, ret_state, NULL);
    if (error != 0)
        fail_msg("%s: %s", path, strerror(error));
}

struct reading {
    const struct ledger *ledger;
    unsigned versions, exact;
};

/* Every kept version of a session, or so many, the latest first. */
static void check_versions(struct reading *reading, const char *session)
{
    char path[800];
    struct dirent *entry;
    unsigned left = READ_AT_MOST;
    DIR *dir;

    snprintf(path, sizeof path, "%s/.holdfast/versions", session);
    dir = opendir(path);
    if (!dir)
        fail_msg("%s: %s", path, strerror(errno));
    while ((entry = readdir(dir)) && left > 0) {
        struct ledger_state state;
        bool exact;

        if (entry->d_name[0] == '.')
            continue;
        left--;
        snprintf(path, sizeof path, "%s/.holdfast/versions/%s", session, entry->d_name);
        read_state(path, &state);
        if (!ledger_allows_version(reading->ledger, strtoull(entry->d_name, NULL, 10), &state,
                                   &exact))
            fail_msg("%s is not what it was", path);
        reading->versions++;
        reading->exact += exact;
    }
    closedir(dir);
}

static void check_heads(const struct soak *soak, const struct daemon *daemon, const char *what)
{
    struct reading reading = {0};

    for (unsigned s = 0; s < SOAK_SESSIONS; s++) {
        struct ledger_state state;
        char path[400];

        snprintf(path, sizeof path, "%s/s%u", daemon->mountpoint, s);
        reading.ledger = &soak->ledgers[s];
        read_state(path, &state);
        if (!ledger_is(reading.ledger, &state, atomic_load(&reading.ledger->acked)))
            fail_msg("%s: s%u is not as it was left", what, s);
        check_versions(&reading, path);
    }
    print_message("%s: %u heads, %u versions (%u of them known exactly)\n", what, SOAK_SESSIONS,
                  reading.versions, reading.exact);
}

static void check_forks(const struct soak *soak, const struct daemon *daemon)
{
    DIR *dir = opendir(daemon->mountpoint);
    struct dirent *entry;
    unsigned forks = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        struct ledger_state state;
        char path[600];
        unsigned s;

        if (sscanf(entry->d_name, "f%u-", &s) != 1)
            continue;
        snprintf(path, sizeof path, "%s/%s", daemon->mountpoint, entry->d_name);
        read_state(path, &state);
        if (!ledger_allows(&soak->ledgers[s], &state))
            fail_msg("the fork %s is as its session never was", entry->d_name);
        forks++;
    }
    closedir(dir);
    print_message("%u forks\n", forks);
}

static void check_restored(const struct soak *soak, const struct daemon *daemon,
                           const struct soak_snapshot *snapshot, const char *name)
{
    for (unsigned s = 0; s < SOAK_SESSIONS; s++) {
        struct ledger_state state;
        char path[400];

        snprintf(path, sizeof path, "%s/%s.s%u", daemon->mountpoint, name, s);
        read_state(path, &state);
        if (!ledger_allows(&soak->ledgers[s], &state) ||
            (snapshot->quiet && !ledger_is(&soak->ledgers[s], &state, snapshot->steps[s])))
            fail_msg("s%u in the snapshot %s is not what it was", s, name);
    }
}

/* Every snapshot shows what it showed when it was made, and its sessions come back as they were. */
static void check_snapshots(struct soak *soak, const char *url, const struct daemon *daemon)
{
    unsigned n = atomic_load(&soak->snapshots_made), quiet = 0, there = 0;

    for (unsigned i = 0; i < n; i++) {
        struct soak_snapshot *snapshot = &soak->snapshots[i];
        char name[20], as[24], shown[sizeof snapshot->shown];
        const char *const show[] = {"holdfast", "snapshot", "show", "--json", name, NULL};
        const char *const restore[] = {"holdfast", "snapshot", "restore", name, "--as", as, NULL};

        if (atomic_load(&snapshot->state) != SNAPSHOT_THERE)
            continue;
        snprintf(name, sizeof name, "p%u", i);
        snprintf(as, sizeof as, "p%u.*", i);
        run(soak, url, show, shown, sizeof shown);
        assert_string_equal(shown, snapshot->shown);
        run(soak, url, restore, NULL, 0);
        check_restored(soak, daemon, snapshot, name);
        there++;
        quiet += snapshot->quiet;
    }
    print_message("%u snapshots, %u of them of a quiet moment\n", there, quiet);
}

/* A collection after which another finds nothing to do, and a sound store. */
static void clean(struct soak *soak, const char *url)
{
    static const char *const gc[] = {"holdfast", "gc", "--json", NULL};
    static const char *const fsck[] = {"holdfast", "fsck", NULL};
    static const char *const stats[] = {"holdfast", "stats", "--json", NULL};
    char output[2000];
    unsigned long reachable, hidden;

    run(soak, url, gc, NULL, 0);
    run(soak, url, gc, output, sizeof output);
    assert_int_equal(soak_number(output, "removed"), 0);
    reachable = soak_number(output, "reachable");
    hidden = soak_number(output, "hidden");
    run(soak, url, stats, output, sizeof output);
    print_message("%lu objects, %lu reachable, %lu hidden\n", soak_number(output, "objects"),
                  reachable, hidden);
    assert_in_range(soak_number(output, "objects"), reachable, reachable + hidden);
    run(soak, url, fsck, NULL, 0);
}

static void check_backup(struct soak *soak)
{
    const char *const backup[] = {"holdfast", "backup", "--create", soak->backup, NULL};
    const char *const verify[] = {"holdfast", "backup", "verify", soak->backup, NULL};
    const char *const restore[] = {"holdfast", "restore", soak->backup, NULL};
    struct daemon third;
    char url[300];

    run(soak, soak->url, backup, NULL, 0);
    clean(soak, soak->backup);
    run(soak, soak->url, verify, NULL, 0);
    assert_true(daemon_prepare(&third, NULL));
    snprintf(url, sizeof url, "sqlite:%s", third.store);
    run(soak, url, restore, NULL, 0);
    start_mount(&third);
    check_heads(soak, &third, "restored from the backup");
    check_snapshots(soak, url, &third);
    assert_true(daemon_stop(&third));
    clean(soak, url);
    daemon_remove(&third);
}

static void print_counts(struct soak *soak)
{
#define COUNT(name) atomic_load(&soak->count.name)
    print_message("%lu steps, %lu recoveries, %lu leases broken, %lu restores, %lu forks (%lu "
                  "deleted)\n",
                  COUNT(steps), COUNT(recoveries), COUNT(breaks), COUNT(restores), COUNT(forks),
                  COUNT(deleted));
    print_message("%lu collections, %lu of the backup; %lu objects removed; "
                  "%lu retentions, %lu versions let go\n",
                  COUNT(collections), COUNT(backup_collections), COUNT(removed), COUNT(applied),
                  COUNT(versions_dropped));
    print_message("%lu snapshots (%lu deleted), %lu backups\n", COUNT(snapshots), COUNT(unpinned),
                  COUNT(backups));
    print_message("%lu tools killed, %lu ended by a fault, %lu to be tried again, %lu mounts "
                  "killed, %lu ended, %lu with faults, %lu ends of the server\n",
                  COUNT(tools_killed), COUNT(tools_failed), COUNT(tools_refused),
                  COUNT(mounts_killed), COUNT(mounts_ended), COUNT(mounts_faulty),
                  COUNT(server_killed));
#undef COUNT
}

static unsigned seconds_to_disturb(void)
{
    const char *seconds = getenv("HOLDFAST_SECONDS");

    return seconds ? (unsigned)strtoul(seconds, NULL, 10) : 5;
}

static void what_is_kept_is_what_was_written(void **state)
{
    struct soak *soak = *state;
    pid_t children[CHILDREN];

    start_children(soak, children);
    disturb(soak, children, seconds_to_disturb());
    join_children(soak, children);
    end_faults(soak);
    print_counts(soak);
    clean(soak, soak->url);
    check_backup(soak);
    check_heads(soak, &soak->mounts[0], "the store");
    check_forks(soak, &soak->mounts[1]);
    check_snapshots(soak, soak->url, &soak->mounts[0]);
    /* A run in which little happened proves little. */
    assert_true(atomic_load(&soak->count.steps) > 50);
    assert_true(atomic_load(&soak->count.removed) > 0);
    assert_true(atomic_load(&soak->count.versions_dropped) > 0);
    assert_true(atomic_load(&soak->count.snapshots) > 0);
    soak->passed = true;
}

/* --- the world ------------------------------------------------------------------------------------------- */

static bool start_mounts(struct soak *soak)
{
    bool up = true;

    for (unsigned i = 0; i < soak->nmounts && up; i++) {
        struct daemon *daemon = &soak->mounts[i];
        char name[20];

        snprintf(name, sizeof name, "host-%u", i);
        up = daemon_prepare(daemon, NULL);
        if (up && soak->served)
            up = service_admit(&soak->service, name, daemon);
        else
            snprintf(daemon->store, sizeof daemon->store, "%s", soak->service.store);
        up = up && daemon_start(daemon);
    }
    return up;
}

static bool make_sessions(struct soak *soak)
{
    bool made = true;

    for (unsigned s = 0; s < SOAK_SESSIONS; s++) {
        char path[420];

        ledger_init(&soak->ledgers[s]);
        soak_path(soak, 0, s, path);
        made = made && mkdir(path, 0700) == 0;
        snprintf(path + strlen(path), 10, "/d");
        made = made && mkdir(path, 0700) == 0;
    }
    return made;
}

static bool set_policy(struct soak *soak)
{
    char path[300];
    const char *const argv[] = {"holdfast", "retention", "set", path, NULL};
    FILE *file;

    snprintf(path, sizeof path, "%s/policy", soak->service.dir);
    file = fopen(path, "w");
    if (!file)
        return false;
    fputs(policy, file);
    fclose(file);
    return soak_run(soak, soak->url, argv, NULL, NULL, 0) == 0;
}

static int set_up(void **state, bool served)
{
    struct soak *soak =
        mmap(NULL, sizeof *soak, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *seed = getenv("HOLDFAST_SEED"), *limit = getenv("HOLDFAST_LIMIT");
    struct daemon operator= {0};
    bool up;

    assert_true(soak != MAP_FAILED);
    *state = soak;
    soak->seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)soak->seed);
    soak->served = served;
    limit_start(soak, limit ? (unsigned)strtoul(limit, NULL, 10)
                            : LIMIT_SECONDS + 4 * seconds_to_disturb());
    soak->nmounts = served ? 2 : SOAK_MOUNTS;
    up = service_prepare(&soak->service, "10m") && (!served || service_start(&soak->service));
    snprintf(soak->backup, sizeof soak->backup, "sqlite:%s/backup.db", soak->service.dir);
    snprintf(soak->url, sizeof soak->url, "sqlite:%s", soak->service.store);
    if (up && served) {
        up = service_admit(&soak->service, "operator", &operator);
        snprintf(soak->url, sizeof soak->url, "%s", operator.url);
    }
    up = up && start_mounts(soak) && make_sessions(soak) && set_policy(soak);
    if (!up)
        limit_end(soak);
    return up ? 0 : -1;
}

static int set_up_embedded(void **state)
{
    return set_up(state, false);
}

static int set_up_served(void **state)
{
    return set_up(state, true);
}

static void print_tools(const struct soak *soak)
{
    char command[300];

    snprintf(command, sizeof command, "tail -n 40 '%s/tools'", soak->service.dir);
    printf("--- the last that the tools printed:\n");
    fflush(stdout);
    if (system(command) != 0)
        printf("nothing\n");
}

static int tear_down(void **state)
{
    static const char *const fsck[] = {"holdfast", "fsck", NULL};
    struct soak *soak = *state;
    bool sound = true;

    soak_note("ending the mounts and the server, and looking at the store");
    for (unsigned i = 0; i < soak->nmounts; i++)
        sound = daemon_stop(&soak->mounts[i]) && sound;
    service_stop(&soak->service, SIGTERM);
    sound = service_run(&soak->service, fsck, NULL) == 0 && sound;
    sound = sound && soak->passed;
    if (!sound)
        print_tools(soak);
    for (unsigned i = 0; i < soak->nmounts; i++) {
        if (!sound)
            daemon_print_log(&soak->mounts[i]);
        daemon_remove(&soak->mounts[i]);
    }
    if (!sound)
        service_print_log(&soak->service);
    service_remove(&soak->service);
    limit_end(soak);
    munmap(soak, sizeof *soak);
    return sound ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_kept_is_what_was_written, set_up_embedded,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_is_what_was_written, set_up_served, tear_down),
    };
    const char *obstacle = daemon_obstacle();

    if (!obstacle)
        obstacle = service_obstacle();
    if (obstacle) {
        printf("skipped: %s\n", obstacle);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
