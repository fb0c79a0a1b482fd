/* SPDX-License-Identifier: Apache-2.0 */
/* What appends to a log cost below the kernel: bench_append FILE [APPENDS [MIB [OBJECTS]]]. A log of MIB is made in a
 * store, and 2 KiB at a time appended to it: open, write, close (and fsync). OBJECTS: so many others are put first, to
 * make the index as large as it will be. Counts (statements, system calls, bytes) travel between machines; times do
 * not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/sqlite/engine.h"
#include "engine/sqlite/sqlite.h"
#include "mount.h"

#define APPEND 2048

static void fill(struct store *store, size_t objects)
{
    enum { BATCH = 1000 };
    static struct object batch[BATCH];
    static uint64_t contents[BATCH][4];
    uint64_t number = 0;

    for (size_t done = 0; done < objects; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            contents[i][0] = number++;
            batch[i] = (struct object){.kind = OBJECT_CHUNK,
                                       .content = slice_of(contents[i], sizeof contents[i])};
            object_id_compute(&store_info(store)->hasher, OBJECT_CHUNK, contents[i],
                              sizeof contents[i], &batch[i].id);
        }
        assert_int_equal(store_put(store, 0, batch, BATCH, NULL), HF_OK);
    }
}

/* Lines like those of a log: mostly the same words, some that are new. */
static void write_lines(uint64_t *seed, char *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        char line[256];
        size_t n;

        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        n = (size_t)snprintf(line, sizeof line,
                             "{\"type\":\"assistant.message\",\"id\":\"%016llx\",\"parent\":"
                             "\"%016llx\",\"data\":{\"content\":\"step %llu of the plan\","
                             "\"tokens\":%llu}}\n",
                             (unsigned long long)*seed,
                             (unsigned long long)(*seed * 0x9e3779b97f4a7c15ULL),
                             (unsigned long long)(*seed >> 50), (unsigned long long)(*seed >> 40));
        n = n < len - at ? n : len - at;
        memcpy(to + at, line, n);
        at += n;
    }
}

/* --- counters ----------------------------------------------------------------------------------- */

struct counts {
    uint64_t statements;
    unsigned long long read_calls, write_calls, written; /* of the process */
    uint64_t syncs;
    int64_t cpu, time;
};

static int64_t now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void count(struct sqlite_store *store, struct counts *ret_counts)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[64];

    *ret_counts = (struct counts){.statements = store->writer.db.executed,
                                  .syncs = medium_syncs(&store->medium),
                                  .cpu = now(CLOCK_THREAD_CPUTIME_ID),
                                  .time = now(CLOCK_MONOTONIC)};
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        unsigned long long number = value ? strtoull(value + 1, NULL, 10) : 0;

        if (strncmp(line, "wchar", 5) == 0)
            ret_counts->written = number;
        else if (strncmp(line, "syscr", 5) == 0)
            ret_counts->read_calls = number;
        else if (strncmp(line, "syscw", 5) == 0)
            ret_counts->write_calls = number;
    }
    if (file)
        fclose(file);
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

static void report(const char *what, const struct counts *from, const struct counts *to,
                   int64_t *times, size_t n)
{
    double each = (double)n;

    qsort(times, n, sizeof *times, compare);
    printf("%s: %.1f us p50, %.1f p99, %.1f mean, %.1f of the processor; %.1f statements, %.2f "
           "reads, %.2f writes, %.2f syncs, %.0f bytes (%.2f per byte)\n",
           what, (double)times[n / 2] / 1e3, (double)times[n * 99 / 100] / 1e3,
           (double)(to->time - from->time) / each / 1e3, (double)(to->cpu - from->cpu) / each / 1e3,
           (double)(to->statements - from->statements) / each,
           (double)(to->read_calls - from->read_calls) / each,
           (double)(to->write_calls - from->write_calls) / each,
           (double)(to->syncs - from->syncs) / each, (double)(to->written - from->written) / each,
           (double)(to->written - from->written) / each / APPEND);
}

/* --- appends ------------------------------------------------------------------------------------ */

static void append(struct mount *mount, const char *lines, bool sync)
{
    struct tree_handle *handle = NULL;

    assert_int_equal(mount_openfile(mount, "s/log", O_WRONLY | O_APPEND, 0, &handle), HF_OK);
    assert_int_equal(tree_append(handle, &mount->caller, 0, lines, APPEND), HF_OK);
    if (sync)
        assert_int_equal(tree_fsync(handle), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

static void measure(struct mount *mount, uint64_t *seed, size_t n, bool sync, const char *what)
{
    struct sqlite_store *store = sqlite_store_of(mount->store);
    int64_t *times = calloc(n, sizeof *times);
    struct counts before, after;
    char lines[APPEND];

    assert_non_null(times);
    medium_make_room(&store->medium);
    count(store, &before);
    for (size_t i = 0; i < n; i++) {
        write_lines(seed, lines, sizeof lines);
        times[i] = -now(CLOCK_MONOTONIC);
        append(mount, lines, sync);
        times[i] += now(CLOCK_MONOTONIC);
    }
    medium_make_room(&store->medium); /* what it copies is a part of the cost */
    count(store, &after);
    report(what, &before, &after, times, n);
    free(times);
}

static void make_log(struct mount *mount, uint64_t *seed, size_t mib)
{
    static char lines[1 << 20];
    struct tree_handle *handle = NULL;

    assert_int_equal(mount_mkdir(mount, "s", 0700), HF_OK);
    assert_int_equal(mount_openfile(mount, "s/log", O_WRONLY | O_CREAT, 0600, &handle), HF_OK);
    for (size_t i = 0; i < mib; i++) {
        write_lines(seed, lines, sizeof lines);
        assert_int_equal(tree_write(handle, &mount->caller, i << 20, lines, sizeof lines), HF_OK);
    }
    assert_int_equal(mount_closefile(handle), HF_OK);
}

int main(int argc, char **argv)
{
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    size_t mib = argc > 3 ? strtoul(argv[3], NULL, 10) : 20;
    size_t objects = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    struct mount mount;
    uint64_t seed = 1;
    char url[1100];

    if (argc < 2 || n < 10) {
        fprintf(stderr, "usage: bench_append FILE [APPENDS [MIB [OBJECTS]]]\n");
        return 64;
    }
    snprintf(url, sizeof url, "sqlite:%s", argv[1]);
    mount_open(&mount, url);
    fill(mount.store, objects);
    make_log(&mount, &seed, mib);
    measure(&mount, &seed, n, false, "relaxed");
    measure(&mount, &seed, n / 10, true, "sync");
    return mount_close(&mount) == HF_OK ? 0 : 1;
}
