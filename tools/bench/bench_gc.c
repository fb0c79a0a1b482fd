/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast bench gc`. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "presence.h"
#include "progress.h"
#include "samples.h"
#include "text.h"
#include "tree/build.h"

#define OBJECTS_DEFAULT 1000000
#define OBJECTS_MAX 100000000
/* Chunks of a file, and what a writer appends. A file is small enough that no part of it is put before its commit:
 * what a host has put stays for a day. */
#define CHUNK_AVG 256
#define CHUNKS_PER_SESSION 1000
#define WRITTEN_BYTES 16384 /* of the file that is written; it does not grow */
#define CHANGED_BYTES 2048  /* by each commit */
#define CACHE_BYTES ((size_t)32 << 20)
#define LOG "events.jsonl"
/* Without a collection at least so long. */
#define QUIET_NS 3000000000LL

struct bench_options {
    uint64_t objects, percent;
    bool json;
};

static const struct option_spec specs[] = {
    {"objects", 0, OPTION_NUMBER, offsetof(struct bench_options, objects), "NUMBER",
     "in the store, half of them garbage (default: 1000000)"},
    {"percent", 0, OPTION_NUMBER, offsetof(struct bench_options, percent), "NUMBER",
     "of the time that the collection works (default: 100)"},
    {"json", 0, OPTION_FLAG, offsetof(struct bench_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_bench_gc = {
    .name = "bench gc",
    .group = COMMAND_STORE,
    .summary = "Measure commits beside a collection of garbage",
    .operands = "DIRECTORY",
    .details = "Makes a store in the directory, fills it, and lets one writer change 2 KiB with\n"
               "each commit: for a while alone, beside a collection, and as long alone again.\n"
               "Removes the store at the end. The goal: no commit waits noticeably longer.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct bench {
    struct store *store;
    struct presence *presence;
    struct blob_cache *cache;
    uint64_t random;
    struct lease lease; /* of the session that is written */
    struct object_id root;
    uint64_t version;
    struct samples quiet, beside;
};

/* --- filling ------------------------------------------------------------------------------------------- */

static void fill_random(struct bench *bench, uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bench->random = bench->random * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)(bench->random >> 33);
    }
}

struct source {
    struct bench *bench;
    size_t left;
};

static int read_random(void *arg, uint8_t *ret_data, size_t size, size_t *ret_len,
                       struct hf_error *err)
{
    struct source *source = arg;

    (void)err;
    *ret_len = source->left < size ? source->left : size;
    fill_random(source->bench, ret_data, *ret_len);
    source->left -= *ret_len;
    return HF_OK;
}

/* A session with one file of so many bytes, leased. Its root and lease. */
static int make_session(struct bench *bench, const char *name, size_t bytes,
                        struct object_id *ret_root, struct lease *ret_lease, struct hf_error *err)
{
    const struct build_attr top = {.mode = S_IFDIR | 0700}, file = {.mode = S_IFREG | 0600};
    struct source source = {bench, bytes};
    struct commit commit = {.durability = DURABILITY_RELAXED};
    struct build *build = NULL;
    int rc = build_open(bench->cache, presence_host(bench->presence), NULL, &top, &build, err);

    if (rc == HF_OK)
        rc = build_put(build, LOG, &file, read_random, &source, err);
    if (rc == HF_OK)
        rc = build_finish(build, &commit, err);
    if (rc == HF_OK)
        rc = store_session_create(bench->store, presence_host(bench->presence), name, &commit,
                                  ret_lease, err);
    if (rc == HF_OK)
        *ret_root = commit.root;
    build_free(build);
    return rc;
}

/* Every other session goes again, with all that is in it. */
static int fill_store(struct bench *bench, uint64_t objects, struct hf_error *err)
{
    uint64_t sessions = (objects + CHUNKS_PER_SESSION - 1) / CHUNKS_PER_SESSION;
    struct progress progress;
    struct object_id root;
    struct lease lease;
    char name[32];
    int rc = HF_OK;

    progress_start(&progress, "Filling the store", "sessions", sessions, 0);
    for (uint64_t i = 0; i < sessions && rc == HF_OK; i++) {
        snprintf(name, sizeof name, "session-%" PRIu64, i);
        rc = make_session(bench, name, (size_t)CHUNKS_PER_SESSION * CHUNK_AVG, &root, &lease, err);
        if (rc == HF_OK && i % 2)
            rc = store_session_delete(bench->store, presence_host(bench->presence), lease.sid,
                                      lease.token, err);
        else if (rc == HF_OK)
            rc = presence_release(bench->presence, &lease, err);
        if (rc == HF_OK && i % 2)
            rc = store_session_purge(bench->store, lease.sid, err);
        progress_add(&progress, 1, 0);
    }
    progress_end(&progress);
    bench->version = 1;
    return rc == HF_OK
               ? make_session(bench, "written", WRITTEN_BYTES, &bench->root, &bench->lease, err)
               : rc;
}

/* --- measuring ------------------------------------------------------------------------------------------ */

/* One change; the commit alone is timed. */
static int change(struct bench *bench, struct samples *samples, struct hf_error *err)
{
    uint8_t data[CHANGED_BYTES];
    struct commit commit = {.sid = bench->lease.sid,
                            .token = bench->lease.token,
                            .base_version = bench->version,
                            .durability = DURABILITY_RELAXED,
                            .meta = {.bytes = WRITTEN_BYTES, .files = 1}};
    struct build *build = NULL;
    int64_t begin;
    int rc =
        build_open(bench->cache, presence_host(bench->presence), &bench->root, NULL, &build, err);

    fill_random(bench, data, sizeof data);
    if (rc == HF_OK)
        rc = build_splice(build, LOG, 0, CHANGED_BYTES, slice_of(data, sizeof data), 0, err);
    if (rc == HF_OK)
        rc = build_finish(build, &commit, err);
    if (rc == HF_OK) {
        begin = samples_now();
        rc = store_commit(bench->store, presence_host(bench->presence), &commit, &bench->version,
                          err);
        if (rc == HF_OK && samples_add(samples, samples_now() - begin) != HF_OK)
            rc = hf_fail(err, HF_NOMEM, "out of memory");
    }
    bench->root = commit.root;
    build_free(build);
    return rc;
}

static int change_for(struct bench *bench, int64_t ns, struct hf_error *err)
{
    int64_t end = samples_now() + ns;
    int rc = HF_OK;

    while (rc == HF_OK && samples_now() < end)
        rc = change(bench, &bench->quiet, err);
    return rc;
}

/* A collection on a thread of its own. */
struct collection {
    struct store *store;
    struct collect_options options;
    struct collect_totals totals;
    struct hf_error err;
    int rc;
    int64_t took;
    atomic_bool over;
};

static void *collect(void *arg)
{
    struct collection *collection = arg;
    int64_t begin = samples_now();

    collection->rc = store_collect(collection->store, &collection->options, &collection->totals,
                                   &collection->err);
    collection->took = samples_now() - begin;
    atomic_store(&collection->over, true);
    return NULL;
}

static int change_beside(struct bench *bench, struct collection *collection, struct hf_error *err)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, collect, collection);

    if (rc != 0)
        return hf_fail(err, hf_status_from_errno(rc), "cannot start a thread: %s", strerror(rc));
    while (rc == HF_OK && !atomic_load(&collection->over))
        rc = change(bench, &bench->beside, err);
    pthread_join(thread, NULL);
    if (rc == HF_OK && collection->rc != HF_OK) {
        rc = collection->rc;
        *err = collection->err;
    }
    return rc;
}

static int measure(struct bench *bench, struct collection *collection, struct hf_error *err)
{
    int rc = change_for(bench, QUIET_NS, err);

    if (rc == HF_OK)
        rc = change_beside(bench, collection, err);
    if (rc == HF_OK)
        rc = change_for(bench, collection->took > QUIET_NS ? collection->took : QUIET_NS, err);
    samples_sort(&bench->quiet);
    samples_sort(&bench->beside);
    return rc;
}

/* --- telling ---------------------------------------------------------------------------------------------- */

static double ratio(const struct bench *bench, double quantile)
{
    double quiet = samples_micros(&bench->quiet, quantile);

    return quiet > 0 ? samples_micros(&bench->beside, quantile) / quiet : 0;
}

static int report(const struct bench *bench, const struct collection *collection, bool json)
{
    const struct collect_totals *totals = &collection->totals;
    char freed[TEXT_SHORT];

    if (json)
        return json_print(json_pack(
            "{s:o, s:o, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:f}", "alone",
            samples_json(&bench->quiet), "beside", samples_json(&bench->beside), "median_ratio",
            ratio(bench, 0.5), "p99_ratio", ratio(bench, 0.99), "longest_ratio", ratio(bench, 1),
            "collection_seconds", (double)collection->took / 1e9, "removed",
            (json_int_t)totals->removed, "reachable", (json_int_t)totals->reachable, "freed_bytes",
            (json_int_t)totals->freed_bytes, "longest_transaction_us",
            (double)totals->longest_ns / 1000));
    samples_print_title();
    samples_print("commit alone", &bench->quiet);
    samples_print("commit beside it", &bench->beside);
    printf("The collection removed %" PRIu64 " of %" PRIu64
           " objects in %.1f s and handed back %s; its longest\n"
           "transaction took %.1f ms. Beside it a commit took %.2f times as long in the median, "
           "%.2f times\nat p99, and the longest %.2f times.\n",
           totals->removed, totals->removed + totals->reachable, (double)collection->took / 1e9,
           text_size(totals->freed_bytes, freed), (double)totals->longest_ns / 1e6,
           ratio(bench, 0.5), ratio(bench, 0.99), ratio(bench, 1));
    return HF_OK;
}

/* --- the store --------------------------------------------------------------------------------------------- */

static int open_bench(struct bench *bench, const char *path, struct hf_error *err)
{
    const struct store_create_options create = {.chunker = {64, CHUNK_AVG, 4 * CHUNK_AVG}};
    char url[PATH_MAX + 16];
    int rc;

    snprintf(url, sizeof url, "sqlite:%s", path);
    rc = store_open(url, STORE_CREATE, &create, NULL, &bench->store, err);
    if (rc == HF_OK)
        rc = presence_begin(bench->store, "holdfast bench gc", &bench->presence, err);
    if (rc == HF_OK && !(bench->cache = blob_cache_new(bench->store, CACHE_BYTES)))
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    return rc;
}

static void remove_store(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-bell"};
    char file[PATH_MAX + 8];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(file, sizeof file, "%s%s", path, suffixes[i]);
        unlink(file);
    }
}

static int run(int argc, char **argv)
{
    struct bench_options options = {.objects = OBJECTS_DEFAULT};
    struct bench bench = {.random = 1};
    struct collection collection = {0};
    struct hf_error err;
    char path[PATH_MAX];
    int exit_code, status;

    if (!options_parse(&command_bench_gc, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (options.objects < 1 || options.objects > OBJECTS_MAX || options.percent > 100)
        return command_failf(
            HF_USAGE, "bench gc: --objects must be 1 to %d, and --percent 1 to 100", OBJECTS_MAX);
    snprintf(path, sizeof path, "%s/holdfast-bench-%d.db", argv[0], (int)getpid());
    status = open_bench(&bench, path, &err);
    if (status == HF_OK)
        status = fill_store(&bench, options.objects, &err);
    if (status == HF_OK) {
        collection.store = bench.store;
        collection.options.percent = (uint32_t)options.percent;
        status = measure(&bench, &collection, &err);
    }
    if (status == HF_OK)
        status = report(&bench, &collection, options.json);
    presence_end(bench.presence);
    blob_cache_free(bench.cache);
    store_close(bench.store);
    remove_store(path);
    samples_free(&bench.quiet);
    samples_free(&bench.beside);
    return status ? command_fail(&err) : EX_OK;
}
