/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/fresh.h"

#include <stdlib.h>

#define SLOTS_FIRST 1024

void fresh_init(struct fresh *fresh)
{
    *fresh = (struct fresh){0};
    pthread_mutex_init(&fresh->lock, NULL);
}

void fresh_release(struct fresh *fresh)
{
    free(fresh->slots);
    pthread_mutex_destroy(&fresh->lock);
}

/* --- the table; all with the lock held ---------------------------------------------------------- */

/* Keys are the first bytes of ids, and even already. Several rows may have the same. */
static size_t slot_of(const struct fresh *fresh, int64_t key)
{
    return (size_t)key & (fresh->nslots - 1);
}

static void put(struct fresh *fresh, struct fresh_entry entry)
{
    size_t i = slot_of(fresh, entry.key);

    while (fresh->slots[i].seq != 0)
        i = (i + 1) & (fresh->nslots - 1);
    fresh->slots[i] = entry;
    fresh->count++;
}

/* Makes it anew for so many entries, with those past `floor`. */
static bool remake(struct fresh *fresh, size_t nslots, uint64_t floor)
{
    struct fresh_entry *old = fresh->slots;
    size_t n = fresh->nslots;

    fresh->slots = calloc(nslots, sizeof *fresh->slots);
    if (!fresh->slots) {
        fresh->slots = old;
        return false;
    }
    fresh->nslots = nslots;
    fresh->count = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i].seq > floor)
            put(fresh, old[i]);
    free(old);
    return true;
}

static void forget(struct fresh *fresh)
{
    free(fresh->slots);
    fresh->slots = NULL;
    fresh->nslots = fresh->count = 0;
    fresh->valid = false;
}

static void begin_at(struct fresh *fresh, uint64_t indexed)
{
    fresh->valid = true;
    fresh->floor = fresh->ceiling = fresh->indexed = indexed;
}

/* object_key is complete up to `indexed` now. Keeps what the snapshots just before do not find there, if it has all of
 * that: it does not if it has heard of nothing for long. */
static void advance(struct fresh *fresh, uint64_t indexed)
{
    uint64_t floor = fresh->indexed;
    size_t nslots = SLOTS_FIRST, kept = 0;

    if (fresh->ceiling < indexed)
        floor = fresh->ceiling = indexed;
    for (size_t i = 0; i < fresh->nslots; i++)
        kept += fresh->slots[i].seq > floor;
    while (nslots < 4 * kept)
        nslots *= 2;
    fresh->floor = floor;
    fresh->indexed = indexed;
    if (!remake(fresh, nslots, floor))
        forget(fresh);
}

static void add(struct fresh *fresh, int64_t key, uint64_t seq)
{
    bool fits = fresh->count < fresh->nslots / 2 ||
                remake(fresh, fresh->nslots ? 2 * fresh->nslots : SLOTS_FIRST, 0);

    if (!fits) {
        forget(fresh);
        return;
    }
    put(fresh, (struct fresh_entry){key, seq});
    fresh->ceiling = seq;
}

/* --- what the writer and the readers do ---------------------------------------------------------- */

int fresh_find(struct fresh *fresh, int64_t key, const struct fresh_range *range,
               uint64_t ret_seqs[FRESH_CANDIDATES])
{
    int n = 0;

    pthread_mutex_lock(&fresh->lock);
    if (!fresh->valid ||
        (range && (fresh->floor > range->indexed || fresh->ceiling < range->newest)))
        n = -1;
    if (n == 0 && fresh->nslots > 0) {
        for (size_t i = slot_of(fresh, key); fresh->slots[i].seq != 0 && n >= 0;
             i = (i + 1) & (fresh->nslots - 1)) {
            if (fresh->slots[i].key != key)
                continue;
            if (n < FRESH_CANDIDATES)
                ret_seqs[n] = fresh->slots[i].seq;
            n = n < FRESH_CANDIDATES ? n + 1 : -1;
        }
    }
    pthread_mutex_unlock(&fresh->lock);
    return n;
}

void fresh_add(struct fresh *fresh, int64_t key, uint64_t before, uint64_t seq)
{
    pthread_mutex_lock(&fresh->lock);
    if (fresh->valid && fresh->ceiling >= before)
        add(fresh, key, seq);
    else
        forget(fresh);
    pthread_mutex_unlock(&fresh->lock);
}

void fresh_clear(struct fresh *fresh)
{
    pthread_mutex_lock(&fresh->lock);
    forget(fresh);
    pthread_mutex_unlock(&fresh->lock);
}

int fresh_read_range(struct db *db, struct fresh_range *ret_range, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    uint64_t newest;
    int rc = db_start(db, QUERY_INDEXED_READ, DB_NO_VALUES, &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc == 0)
        return hf_fail(err, HF_CORRUPT, "the row of the table indexed is missing");
    if (rc == 1)
        rc = db_verify(statement, "indexed", 0, 2, err);
    if (rc != HF_OK)
        return rc;
    ret_range->indexed = db_column_uint(statement, 1);
    newest = db_column_uint(statement, 3);
    ret_range->newest = newest > ret_range->indexed ? newest : ret_range->indexed;
    return HF_OK;
}

/* From where on rows are to be taken in; false: an older snapshot than it goes back to. */
static bool begin_extending(struct fresh *fresh, const struct fresh_range *range,
                            uint64_t *ret_after)
{
    bool possible;

    pthread_mutex_lock(&fresh->lock);
    if (fresh->valid && range->indexed > fresh->indexed) /* another process has settled */
        advance(fresh, range->indexed);
    if (!fresh->valid)
        begin_at(fresh, range->indexed);
    possible = fresh->floor <= range->indexed;
    *ret_after = fresh->ceiling;
    pthread_mutex_unlock(&fresh->lock);
    return possible;
}

int fresh_extend(struct fresh *fresh, struct db *db, const struct fresh_range *range,
                 struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    uint64_t after;
    int rc;

    if (!begin_extending(fresh, range, &after) || after >= range->newest)
        return HF_OK;
    rc = db_start(db, QUERY_OBJECT_KEYS, DB_VALUES(db_uint(after)), &statement, err);
    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        uint64_t seq = db_column_uint(statement, 0);

        pthread_mutex_lock(&fresh->lock);
        /* Somebody else may have taken it in meanwhile, or cleared everything. */
        if (fresh->valid && fresh->ceiling == after)
            add(fresh, db_column_int(statement, 1), seq);
        after = seq;
        pthread_mutex_unlock(&fresh->lock);
        rc = HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    /* What comes after the newest row has gone, or never was. */
    pthread_mutex_lock(&fresh->lock);
    if (fresh->valid && fresh->ceiling == after && after < range->newest)
        fresh->ceiling = range->newest;
    pthread_mutex_unlock(&fresh->lock);
    return HF_OK;
}

static void note_settled(struct fresh *fresh, uint64_t indexed)
{
    pthread_mutex_lock(&fresh->lock);
    if (!fresh->valid)
        begin_at(fresh, indexed);
    else if (indexed > fresh->indexed)
        advance(fresh, indexed);
    pthread_mutex_unlock(&fresh->lock);
}

int fresh_settle(struct fresh *fresh, struct db *db, struct fresh_range *range,
                 struct hf_error *err)
{
    int rc = db_run(db, QUERY_OBJECT_KEY_SETTLE, DB_VALUES(db_uint(range->indexed)), err);

    if (rc == HF_OK)
        rc = db_run_summed(db, QUERY_INDEXED_WRITE, "indexed",
                           DB_VALUES(db_int(1), db_uint(range->newest)), err);
    if (rc != HF_OK)
        return rc;
    range->indexed = range->newest;
    note_settled(fresh, range->indexed);
    return HF_OK;
}
