/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>

#include "engine/sqlite/engine.h"

/* The bytes that the store's files take on the disk. */
static uint64_t disk_bytes(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-bell"};
    char name[1100];
    struct stat st;
    uint64_t bytes = 0;

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (stat(name, &st) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    return bytes;
}

/* The one row of a query; its first columns go to `ret_numbers`. */
static int count(struct db *db, enum query query, uint64_t *ret_numbers, int n,
                 struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, query, DB_NO_VALUES, &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc < 0 ? rc : hf_fail(err, HF_CORRUPT, "the store cannot be counted");
    for (int i = 0; i < n; i++)
        ret_numbers[i] = db_column_uint(statement, i);
    return HF_OK;
}

static struct store_activity activity_of(struct sqlite_store *store)
{
    struct store_activity activity = {
        .transactions = atomic_load(&store->writer.transactions),
        .syncs = medium_syncs(&store->medium),
        .known_hits = atomic_load(&store->known_hits),
        .known_misses = atomic_load(&store->known_misses),
        .base_hits = atomic_load(&store->base_hits),
        .base_misses = atomic_load(&store->base_misses),
    };

    tally_tell(&store->base.tally, &activity);
    return activity;
}

int sqlite_stats(struct store *base, struct store_stats *ret_stats, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    uint64_t sessions[7] = {0}, objects[3] = {0};
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = count(reader, QUERY_SESSION_COUNTS, sessions, 7, err);
    if (rc == HF_OK)
        rc = count(reader, QUERY_OBJECT_TOTALS, objects, 3, err);
    readers_give(&store->readers, reader);
    if (rc == HF_OK)
        *ret_stats = (struct store_stats){.sessions = sessions[0],
                                          .trashed = sessions[1],
                                          .versions = sessions[2],
                                          .logical_bytes = sessions[3],
                                          .objects = objects[0],
                                          .unique_bytes = objects[1],
                                          .stored_bytes = objects[2],
                                          .file_bytes = disk_bytes(store->path),
                                          .commits = sessions[4],
                                          .leases = sessions[5],
                                          .waiting = sessions[6],
                                          .activity = activity_of(store)};
    return rc;
}
