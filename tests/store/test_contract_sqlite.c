/* SPDX-License-Identifier: Apache-2.0 */
/* The contract over the sqlite engine: plain, below both decorators, and with the other options of a new store. */
#include <endian.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract.h"
#include "engine/decorator/trace.h"
#include "engine/open.h"

static void new_url(char *ret_url, size_t size)
{
    char folder[] = "/tmp/holdfast-contract-XXXXXX";

    assert_non_null(mkdtemp(folder));
    snprintf(ret_url, size, "sqlite:%s/store.db", folder);
}

static void remove_store(const char *url)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    const char *path = url + strlen("sqlite:");
    char name[600];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    snprintf(name, sizeof name, "%s", path);
    *strrchr(name, '/') = '\0';
    assert_int_equal(rmdir(name), 0);
}

static int open_plain(const char *url, unsigned flags, struct store **ret_store,
                      struct hf_error *err)
{
    return store_open(url, flags, NULL, &contract_clock, ret_store, err);
}

static int open_decorated(const char *url, unsigned flags, struct store **ret_store,
                          struct hf_error *err)
{
    struct store *below;
    char faulty[600];
    int rc;

    snprintf(faulty, sizeof faulty, "faulty()+%s", url);
    rc = open_plain(faulty, flags, &below, err);
    return rc == HF_OK ? trace_store_new(below, &contract_clock, -1, ret_store, err) : rc;
}

static int open_keyed(const char *url, unsigned flags, struct store **ret_store,
                      struct hf_error *err)
{
    struct store_create_options options = {.strict = true, .keyed = true};

    return store_open(url, flags, &options, &contract_clock, ret_store, err);
}

/* As another program would write over it. */
static void damage(struct store *store, const char *url, const struct object_id *id)
{
    static const char sql[] = "UPDATE object SET packed = zeroblob(length(packed))"
                              " WHERE key = ?1 AND rest = ?2";
    sqlite3_stmt *statement;
    uint64_t key;
    sqlite3 *db;

    (void)store;
    memcpy(&key, id->bytes, sizeof key);
    assert_int_equal(sqlite3_open(url + strlen("sqlite:"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    sqlite3_bind_int64(statement, 1, (int64_t)be64toh(key));
    sqlite3_bind_blob(statement, 2, id->bytes + sizeof key, OBJECT_ID_SIZE - sizeof key,
                      SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    static const struct contract_engine engines[] = {
        {.name = "sqlite",
         .new_url = new_url,
         .open = open_plain,
         .remove = remove_store,
         .damage = damage,
         .durable = true,
         .hosts = true,
         .ttl = true,
         .turn = contract_clock_turn},
        {.name = "trace+faulty+sqlite",
         .new_url = new_url,
         .open = open_decorated,
         .remove = remove_store,
         .damage = damage,
         .durable = true,
         .hosts = true,
         .ttl = true,
         .turn = contract_clock_turn},
        {.name = "keyed strict sqlite",
         .new_url = new_url,
         .open = open_keyed,
         .remove = remove_store,
         .damage = damage,
         .durable = true,
         .hosts = true,
         .ttl = true,
         .turn = contract_clock_turn},
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        failed |= contract_main(argc, argv, &engines[i]);
    return failed;
}
