/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's own memory stays in bounds, whatever passes through it: a file much larger than the bound, written
 * and read; many sessions, made and walked.
 *
 * HOLDFAST_FILE_MIB: the file (default 1024; 4096 is what is promised); HOLDFAST_SESSIONS (default 10000;
 * promised: 100000). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "load.h"

#define BOUND_KIB (256 * 1024)
#define BLOCK (1024 * 1024)

static unsigned number_from(const char *variable, unsigned otherwise)
{
    const char *text = getenv(variable);

    return text ? (unsigned)strtoul(text, NULL, 0) : otherwise;
}

/** The most that the mount ever had in memory, in KiB. */
static long peak(const struct daemon *daemon)
{
    char path[64], line[200];
    long kib = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)daemon->pid);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    fclose(file);
    return kib;
}

static void check_peak(const struct daemon *daemon, const char *what)
{
    long kib = peak(daemon);

    print_message("%s: at most %ld MiB\n", what, kib / 1024);
    assert_in_range(kib, 1, BOUND_KIB);
}

static void remount(struct daemon *daemon)
{
    assert_true(daemon_stop(daemon));
    assert_true(daemon_start(daemon));
}

static void fill(uint64_t *block, uint64_t seed)
{
    for (size_t i = 0; i < BLOCK / sizeof *block; i++)
        block[i] = random_next(&seed);
}

static void a_file_larger_than_the_bound_is_written_and_read(void **state)
{
    struct daemon *daemon = *state;
    unsigned blocks = number_from("HOLDFAST_FILE_MIB", 1024);
    uint64_t *want = malloc(BLOCK), *got = malloc(BLOCK);
    char path[300];
    int fd;

    snprintf(path, sizeof path, "%s/session", daemon->mountpoint);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/session/file", daemon->mountpoint);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    for (unsigned i = 0; i < blocks; i++) {
        fill(want, i);
        assert_int_equal(write(fd, want, BLOCK), BLOCK);
    }
    assert_int_equal(close(fd), 0);
    check_peak(daemon, "writing");
    remount(daemon);
    fd = open(path, O_RDONLY);
    for (unsigned i = 0; i < blocks; i++) {
        fill(want, i);
        assert_int_equal(read(fd, got, BLOCK), BLOCK);
        assert_memory_equal(got, want, BLOCK);
    }
    assert_int_equal(close(fd), 0);
    check_peak(daemon, "reading");
    free(want);
    free(got);
}

static void make_session(const struct daemon *daemon, unsigned i)
{
    static const char line[] = "{\"type\":\"session.start\"}\n";
    char path[320];
    int fd;

    snprintf(path, sizeof path, "%s/session-%06u", daemon->mountpoint, i);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path + strlen(path), 30, "/events.jsonl");
    fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
    assert_int_equal(close(fd), 0);
}

static unsigned walk(const struct daemon *daemon)
{
    DIR *top = opendir(daemon->mountpoint);
    const struct dirent *entry;
    unsigned found = 0;
    char path[600];
    struct stat st;

    assert_non_null(top);
    while ((entry = readdir(top))) {
        snprintf(path, sizeof path, "%s/%s/events.jsonl", daemon->mountpoint, entry->d_name);
        found += stat(path, &st) == 0 && st.st_size == 25;
    }
    closedir(top);
    return found;
}

static void many_sessions_are_made_and_walked(void **state)
{
    struct daemon *daemon = *state;
    unsigned sessions = number_from("HOLDFAST_SESSIONS", 10000);

    for (unsigned i = 0; i < sessions; i++)
        make_session(daemon, i);
    check_peak(daemon, "making sessions");
    remount(daemon);
    assert_int_equal(walk(daemon), sessions);
    check_peak(daemon, "walking sessions");
}

static int start(void **state)
{
    static struct daemon daemon;

    *state = &daemon;
    return daemon_prepare(&daemon, NULL) && daemon_start(&daemon) ? 0 : -1;
}

static int end(void **state)
{
    struct daemon *daemon = *state;
    bool stopped = daemon_stop(daemon);

    daemon_remove(daemon);
    return stopped ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_larger_than_the_bound_is_written_and_read, start,
                                        end),
        cmocka_unit_test_setup_teardown(many_sessions_are_made_and_walked, start, end),
    };

    if (daemon_obstacle()) {
        printf("skipped: %s\n", daemon_obstacle());
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
