/* SPDX-License-Identifier: Apache-2.0 */
/* How long a commit of an append takes, and what it writes: bench_append FILE [COMMITS [CHUNKS [OBJECTS]]].
 * OBJECTS: so many others are put first, to make the index as large as it will be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "append_load.h"
#include "engine/sqlite/engine.h"
#include "engine/sqlite/sqlite.h"

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

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

static int64_t cpu_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void measure(struct sqlite_store *store, struct append_load *load, size_t commits,
                    enum durability durability, const char *what)
{
    int64_t *times = calloc(commits, sizeof *times);
    uint64_t statements = store->writer.db.executed;
    int64_t total = 0, cpu = cpu_time();

    assert_non_null(times);
    medium_make_room(&store->medium);
    for (size_t i = 0; i < commits; i++) {
        assert_int_equal(append_load_step(load, durability), HF_OK);
        times[i] = load->commit_ns;
        total += times[i];
    }
    qsort(times, commits, sizeof *times, compare);
    cpu = cpu_time() - cpu;
    printf("%s: %.1f us mean (%.1f of the processor with making it), %.1f p50, %.1f p99, %.1f max; "
           "%.1f statements\n",
           what, (double)total / (double)commits / 1e3, (double)cpu / (double)commits / 1e3,
           (double)times[commits / 2] / 1e3, (double)times[commits * 99 / 100] / 1e3,
           (double)times[commits - 1] / 1e3,
           (double)(store->writer.db.executed - statements) / (double)commits);
    free(times);
}

/* With a small number of commits, so that no checkpoint comes between. */
static void measure_log(struct sqlite_store *store, struct append_load *load, const char *path)
{
    char log[1100];
    struct stat before, after;

    snprintf(log, sizeof log, "%s-wal", path);
    medium_make_room(&store->medium);
    assert_int_equal(stat(log, &before), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(append_load_step(load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(stat(log, &after), 0);
    printf("log: %.0f bytes a commit\n", (double)(after.st_size - before.st_size) / 200);
}

int main(int argc, char **argv)
{
    size_t commits = argc > 2 ? strtoul(argv[2], NULL, 10) : 5000;
    size_t chunks = argc > 3 ? strtoul(argv[3], NULL, 10) : 300;
    static struct append_load load;
    struct host_identity identity = {.host_name = "bench", .incarnation = 1};
    struct hf_error err = {0};
    struct store *store;
    uint64_t host;

    if (argc < 2 ||
        sqlite_store_open(argv[1], STORE_CREATE, NULL, &clock_system, &store, &err) != HF_OK) {
        fprintf(stderr, "bench_append: %s\n", err.message);
        return 1;
    }
    assert_int_equal(store_host_register(store, &identity, NULL, &host, NULL), HF_OK);
    fill(store, argc > 4 ? strtoul(argv[4], NULL, 10) : 0);
    append_load_start(&load, store, host, "bench", chunks);
    measure_log(sqlite_store_of(store), &load, argv[1]);
    measure(sqlite_store_of(store), &load, commits, DURABILITY_RELAXED, "relaxed");
    measure(sqlite_store_of(store), &load, commits / 10, DURABILITY_SYNC, "sync");
    append_load_end(&load);
    store_close(store);
    return 0;
}
