/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/collect.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/sqlite/loose.h"
#include "engine/sqlite/session_row.h"

/* So long a transaction of ours aims to hold up writers at most. */
#define AIM_NS 8000000
#define SIZE_MIN 8
/* Not more: what is cheap for a while, such as to cut free pages off the end, may become dear from one to the next. */
#define SIZE_MAX_STEP 256
#define SIZE_FIRST 64
#define ITEMS_MAX 4096
#define FOUND_AT_ONCE 2048
/* After a transaction that took so long, other processes get so much time to come in: they look for it every 2 ms
 * (wait_while_busy() in db.c), and nobody queues for them. */
#define GAP_FROM_NS 1000000
#define GAP_NS 2500000
/* What of the marks may be left for the switch to write, and of what was found to look through. */
#define SWITCH_PAGES 32
#define SWITCH_FOUND 8192
/* Pages of marks that go with a slice of the sweep. */
#define TRIM_PAGES 64

int collect_do(struct collect_write *step,
               int (*run)(struct write *, struct transaction *, struct hf_error *),
               struct hf_error *err)
{
    struct medium *medium = &step->collector->store->medium;
    int rc;

    step->write.run = run;
    step->began = 0;
    rc = writer_do(&step->collector->store->writer, &step->write, err);
    if (step->began != 0 && pace_note(&step->collector->pace, step->began) > GAP_FROM_NS)
        pace_leave_gap(GAP_NS);
    /* We wait until they are copied, well before others would have to. */
    medium_tidy(medium, medium->checkpoint_pages / 4);
    return rc;
}

size_t collect_next_size(size_t n, int64_t took)
{
    if (took > AIM_NS)
        n /= 2;
    else if (took < AIM_NS / 2)
        n *= 2;
    if (n < SIZE_MIN)
        return SIZE_MIN;
    return n > SIZE_MAX_STEP ? SIZE_MAX_STEP : n;
}

/* Does `step` over and over, in sizes that fit, until it says that there is no more. */
static int repeat(struct collector *collector, struct collect_write *step,
                  int (*run)(struct write *, struct transaction *, struct hf_error *),
                  struct hf_error *err)
{
    int rc;

    step->n = SIZE_FIRST;
    do {
        int64_t began;

        rc = collect_do(step, run, err);
        began = step->began;
        step->n = collect_next_size(step->n, pace_now() - began);
        if (rc == HF_OK)
            rc = pace_step(&collector->pace, collector->pace.done, err);
    } while (rc == HF_OK && step->again);
    return rc;
}

/* One number that a query with one parameter gives. */
static int number(struct db *db, enum query query, uint64_t value, int64_t *ret_number,
                  struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, query, DB_VALUES(db_uint(value)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc == 1)
        *ret_number = db_column_int(statement, 0);
    return rc < 0 ? rc : HF_OK;
}

/* --- the tables of a collection -------------------------------------------------------------------- */

/* Drops the last `limit` pages of marks, of those behind page `last`. `ret_page` (or NULL): which is the last now, or
 * -1. */
static int trim_marks(struct db *db, uint64_t limit, int64_t last, int64_t *ret_page,
                      struct hf_error *err)
{
    int64_t page = -1;
    int rc = number(db, QUERY_MARK_LAST, limit, &page, err);

    if (page < last)
        page = last;
    if (rc == HF_OK)
        rc = db_run(db, QUERY_MARK_TRIM, DB_VALUES(db_int(page)), err);
    if (rc == HF_OK && ret_page)
        *ret_page = page;
    return rc;
}

/* Whether nobody looks at marks any more, or yet. */
static bool marks_are_idle(const struct collection *collection)
{
    return collection->phase != COLLECTION_SWEEPING || collection->unswept == 0;
}

/* Empties some of `found` and `mark`, as far as nobody looks into them in this phase. */
static int run_clear(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    struct db *db = transaction->db;
    int64_t found = 0, page = -1;
    int rc;

    step->began = pace_now();
    rc = db_run(db, QUERY_FOUND_TRIM, DB_VALUES(db_uint(step->n)), err);
    if (rc == HF_OK)
        rc = number(db, QUERY_FOUND_COUNT, 1, &found, err);
    if (rc == HF_OK && marks_are_idle(&transaction->writer->collection))
        rc = trim_marks(db, step->n / 8, -1, &page, err);
    step->again = found > 0 || page >= 0;
    return rc;
}

static int clear_tables(struct collector *collector, struct hf_error *err)
{
    struct collect_write step = {.collector = collector};

    return repeat(collector, &step, run_clear, err);
}

/* Ends a collection: what little came since the tables were emptied goes with it. */
static int run_end(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    struct collection next = transaction->writer->collection;
    struct db *db = transaction->db;
    int rc;

    step->began = pace_now();
    next.phase = COLLECTION_IDLE;
    next.unswept = 0;
    rc = db_run(db, QUERY_FOUND_TRIM, DB_VALUES(db_int(-1)), err);
    if (rc == HF_OK)
        rc = db_run(db, QUERY_MARK_TRIM, DB_VALUES(db_int(-1)), err);
    return rc == HF_OK ? writer_move_collection(transaction->writer, &next, false, err) : rc;
}

static int end(struct collector *collector, struct hf_error *err)
{
    struct collect_write step = {.collector = collector};

    return collect_do(&step, run_end, err);
}

/* Nothing was removed, and nothing will be. If this fails, too, the next collection does it. */
static void give_up(struct collector *collector)
{
    static const struct collect_options plain;

    collector->pace.options = &plain;
    if (clear_tables(collector, NULL) == HF_OK)
        end(collector, NULL);
}

/* --- marking ---------------------------------------------------------------------------------------- */

static int run_begin(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    struct collection next = {.phase = COLLECTION_MARKING};
    int rc;

    step->began = pace_now();
    rc = loose_review_hosts(transaction, err);
    if (rc == HF_OK)
        rc = query_number(transaction->db, QUERY_OBJECT_NEWEST, &next.newest, err);
    if (rc != HF_OK)
        return rc;
    if (next.newest < transaction->writer->collection.newest)
        next.newest = transaction->writer->collection.newest;
    rc = writer_move_collection(transaction->writer, &next, true, err);
    step->collector->mark.collection = next;
    return rc;
}

static int run_forget(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    int rc = HF_OK;

    step->began = pace_now();
    for (size_t i = 0; i < step->n && rc == HF_OK; i++)
        rc = db_run(transaction->db, QUERY_FOUND_DELETE,
                    DB_VALUES(db_uint(step->items[i].seq), db_int(step->items[i].hide)), err);
    return rc;
}

/* Reads what was found; `hide` says that it was found as a base alone. */
static int read_found(struct db *db, struct sweep_item *ret_items, size_t max, size_t *ret_n,
                      struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    size_t n = 0;
    int rc = db_start(db, QUERY_FOUND_SOME, DB_VALUES(db_uint(max)), &statement, err);

    while (rc == HF_OK && n < max) {
        rc = db_next(db, statement, err);
        if (rc <= 0)
            break;
        rc = db_verify(statement, "found", 0, 2, err);
        ret_items[n++] = (struct sweep_item){.seq = db_column_uint(statement, 0),
                                             .hide = db_column_int(statement, 1) != 0};
    }
    if (rc == HF_OK)
        *ret_n = n;
    return rc;
}

/* Marks what others have found, until little of it is left. Some always is while they are busy: the switch looks
 * through that. */
static int mark_found(struct collector *collector, struct hf_error *err)
{
    struct sweep_item items[FOUND_AT_ONCE];
    struct collect_write step = {.collector = collector, .items = items};
    int rc;

    do {
        rc = read_found(&collector->db, items, FOUND_AT_ONCE, &step.n, err);
        for (size_t i = 0; i < step.n && rc == HF_OK; i++) {
            rc = mark_add_row(&collector->mark, items[i].seq, items[i].hide, err);
            if (rc == HF_OK)
                rc = mark_run(&collector->mark, err);
        }
        if (rc == HF_OK && step.n > 0)
            rc = collect_do(&step, run_forget, err);
        if (rc == HF_OK)
            rc = pace_step(&collector->pace, collector->marks.reached, err);
    } while (rc == HF_OK && step.n == FOUND_AT_ONCE);
    return rc;
}

/* --- the switch ------------------------------------------------------------------------------------- */

/* Writes marks ahead of the switch, when nobody looks at them yet. */
static int run_publish(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    struct marks *marks = &step->collector->marks;
    int rc;

    if (step->began != 0) /* the first try was rolled back */
        marks_soil(marks);
    step->began = pace_now();
    rc = marks_write(marks, transaction->db, step->n / 8 + 1, err);
    step->again = marks->dirty > SWITCH_PAGES;
    return rc;
}

/* Whether all that was found is marked: 1, 0, or a failure. */
static int all_is_marked(struct collector *collector, struct db *db, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    size_t n = 0;
    int rc = db_start(db, QUERY_FOUND_SOME, DB_VALUES(db_uint(SWITCH_FOUND)), &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        unsigned planes = MARK_REACHED | (db_column_int(statement, 1) != 0 ? MARK_LEANED : 0U);

        n++;
        rc = db_verify(statement, "found", 0, 2, err);
        if (rc == HF_OK && !marks_has(&collector->marks, db_column_uint(statement, 0), planes))
            return 0;
    }
    return rc == HF_OK ? n < SWITCH_FOUND : rc;
}

static int run_switch(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    struct collector *collector = step->collector;
    struct collection next = transaction->writer->collection;
    bool first = step->began == 0;
    int rc;

    step->began = pace_now();
    rc = all_is_marked(collector, transaction->db, err);
    step->again = rc == 0;
    if (rc != 1)
        return rc;
    if (!first)
        marks_soil(&collector->marks);
    rc = marks_write(&collector->marks, transaction->db, SIZE_MAX, err);
    if (rc != HF_OK)
        return rc;
    next.phase = COLLECTION_SWEEPING;
    next.unswept = next.newest;
    return writer_move_collection(transaction->writer, &next, true, err);
}

static int switch_over(struct collector *collector, struct hf_error *err)
{
    struct collect_write step = {.collector = collector};
    int rc;

    do {
        rc = mark_found(collector, err);
        if (rc == HF_OK && collector->marks.dirty > SWITCH_PAGES)
            rc = repeat(collector, &step, run_publish, err);
        if (rc == HF_OK)
            rc = collect_do(&step, run_switch, err);
    } while (rc == HF_OK && step.again);
    return rc;
}

static int mark_all(struct collector *collector, struct hf_error *err)
{
    struct collect_write step = {.collector = collector};
    uint64_t objects;
    int rc = query_number(&collector->db, QUERY_OBJECT_COUNT, &objects, err);

    sqlite_hosts_bury(collector->store);
    if (rc == HF_OK)
        rc = clear_tables(collector, err); /* what a crash has left */
    if (rc == HF_OK)
        rc = collect_do(&step, run_begin, err);
    if (rc != HF_OK)
        return rc;
    rc = pace_phase(&collector->pace, "marking", objects, err);
    if (rc == HF_OK)
        rc = collect_mark_roots(collector, err);
    if (rc == HF_OK)
        rc = pace_tell(&collector->pace, collector->marks.reached, err);
    if (rc == HF_OK)
        rc = switch_over(collector, err);
    if (rc != HF_OK)
        give_up(collector);
    collector->totals.reachable = collector->marks.reached;
    return rc;
}

/* --- sweeping --------------------------------------------------------------------------------------- */

static int run_sweep(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    struct collection next = transaction->writer->collection;
    int rc = HF_OK;

    step->began = pace_now();
    for (size_t i = 0; i < step->n && rc == HF_OK; i++)
        rc = sweep_apply(transaction->db, &step->items[i], err);
    next.unswept = step->unswept;
    if (rc == HF_OK)
        rc = trim_marks(transaction->db, TRIM_PAGES, (int64_t)(next.unswept / MARKS_PAGE_BITS),
                        NULL, err);
    return rc == HF_OK ? writer_move_collection(transaction->writer, &next, false, err) : rc;
}

static void count(struct collector *collector, const struct sweep_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i].hide)
            continue;
        collector->totals.removed++;
        collector->totals.removed_bytes += items[i].bytes;
    }
}

/* Does what there is to do about items[0..n), below which `at` is to be looked at next. */
static int apply(struct collector *collector, struct sweep_item *items, size_t n, uint64_t at,
                 size_t *size, struct hf_error *err)
{
    struct collect_write step = {.collector = collector};
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i += step.n) {
        step.items = items + i;
        step.n = n - i < *size ? n - i : *size;
        step.unswept = i + step.n < n ? items[i + step.n].seq : at;
        rc = collect_do(&step, run_sweep, err);
        if (rc != HF_OK)
            break;
        count(collector, step.items, step.n);
        *size = collect_next_size(*size, pace_now() - step.began);
        rc = pace_step(&collector->pace, collector->pace.done, err);
    }
    return rc;
}

static int sweep_all(struct collector *collector, uint64_t unswept, struct hf_error *err)
{
    struct sweep sweep = {.db = &collector->db, .marks = &collector->marks, .at = unswept};
    struct sweep_item *items = calloc(ITEMS_MAX, sizeof *items);
    size_t n, size = SIZE_FIRST;
    int rc = items ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    while (rc == HF_OK && sweep.at > 0) {
        rc = sweep_look(&sweep, items, ITEMS_MAX, &n, err);
        if (rc != HF_OK)
            break;
        if (collector->options->dry_run)
            count(collector, items, n);
        else
            rc = apply(collector, items, n, sweep.at, &size, err);
        if (rc == HF_OK)
            rc = pace_step(&collector->pace, sweep.looked, err);
    }
    collector->totals.hidden += sweep.hidden;
    free(items);
    return rc;
}

/* Nothing is left to sweep: the marks can go. */
static int sweep_end(struct collector *collector, struct hf_error *err)
{
    struct collect_write step = {.collector = collector};

    return collect_do(&step, run_sweep, err);
}

static int sweep(struct collector *collector, uint64_t unswept, struct hf_error *err)
{
    int rc = pace_phase(&collector->pace, "sweeping", collector->pace.all, err);

    if (rc == HF_OK)
        rc = sweep_all(collector, unswept, err);
    if (rc == HF_OK)
        rc = sweep_end(collector, err);
    if (rc == HF_OK)
        rc = clear_tables(collector, err);
    return rc == HF_OK ? end(collector, err) : rc;
}

/* Goes on with the sweep that a crash or an interruption has left, if there is one. */
static int finish_sweep(struct collector *collector, struct hf_error *err)
{
    struct collection collection;
    uint64_t objects = 0;
    int rc = collection_load(&collector->db, &collection, err);

    if (rc != HF_OK || collection.phase != COLLECTION_SWEEPING)
        return rc;
    rc = query_number(&collector->db, QUERY_OBJECT_COUNT, &objects, err);
    collector->pace.all = objects;
    if (rc == HF_OK)
        rc = marks_read(&collector->marks, &collector->db, err);
    if (rc == HF_OK)
        rc = sweep(collector, collection.unswept, err);
    marks_free(&collector->marks);
    collector->totals.hidden = 0; /* counted by the collection that follows */
    return rc;
}

/* --- returning space ---------------------------------------------------------------------------------- */

static int space(struct db *db, uint64_t *ret_free, uint64_t *ret_page_size, bool *ret_can,
                 struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_SPACE, DB_NO_VALUES, &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc < 0 ? rc : hf_fail(err, HF_CORRUPT, "the pages of the store cannot be counted");
    *ret_free = db_column_uint(statement, 0);
    *ret_page_size = db_column_uint(statement, 1);
    *ret_can = db_column_int(statement, 2) == 2;
    return HF_OK;
}

static int run_return(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    uint64_t before, after, page_size;
    char sql[64];
    bool can;
    int rc;

    step->began = pace_now();
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%zu)", step->n);
    rc = space(transaction->db, &before, &page_size, &can, err);
    if (rc == HF_OK)
        rc = db_script(transaction->db, sql, err);
    if (rc == HF_OK)
        rc = space(transaction->db, &after, &page_size, &can, err);
    if (rc != HF_OK)
        return rc;
    step->unswept = (before - after) * page_size; /* freed just now */
    step->again = after > 0 && after < before;
    return HF_OK;
}

static int return_space(struct collector *collector, struct hf_error *err)
{
    struct collect_write step = {.collector = collector, .n = SIZE_FIRST};
    uint64_t pages, page_size;
    bool can;
    int rc = space(&collector->db, &pages, &page_size, &can, err);

    if (rc == HF_OK)
        rc = pace_phase(&collector->pace, "returning space", pages, err);
    if (rc != HF_OK || !can || pages == 0)
        return rc;
    do {
        rc = collect_do(&step, run_return, err);
        if (rc != HF_OK)
            return rc;
        collector->totals.freed_bytes += step.unswept;
        step.n = collect_next_size(step.n, pace_now() - step.began);
        rc = pace_step(&collector->pace, collector->totals.freed_bytes / page_size, err);
    } while (rc == HF_OK && step.again);
    medium_tidy(&collector->store->medium, 0);
    return rc;
}

/* --- the whole ---------------------------------------------------------------------------------------- */

static int collect(struct collector *collector, struct hf_error *err)
{
    int rc = finish_sweep(collector, err);

    if (rc == HF_OK)
        rc = mark_all(collector, err);
    if (rc == HF_OK)
        rc = sweep(collector, collector->mark.collection.newest, err);
    return rc == HF_OK ? return_space(collector, err) : rc;
}

/* Nobody notes what he finds for this one: beside writers it is an estimate. */
static int look(struct collector *collector, struct hf_error *err)
{
    struct mark *mark = &collector->mark;
    uint64_t objects;
    int rc = collection_load(&collector->db, &mark->collection, err);

    if (rc == HF_OK)
        rc = query_number(&collector->db, QUERY_OBJECT_NEWEST, &mark->collection.newest, err);
    if (rc == HF_OK)
        rc = query_number(&collector->db, QUERY_OBJECT_COUNT, &objects, err);
    if (rc == HF_OK)
        rc = pace_phase(&collector->pace, "marking", objects, err);
    if (rc == HF_OK)
        rc = collect_mark_roots(collector, err);
    if (rc == HF_OK)
        rc = pace_phase(&collector->pace, "sweeping", objects, err);
    collector->totals.reachable = collector->marks.reached;
    return rc == HF_OK ? sweep_all(collector, mark->collection.newest, err) : rc;
}

static int open_reader(struct collector *collector, struct hf_error *err)
{
    struct sqlite_store *store = collector->store;
    int rc = db_open(store->path, SQLITE_OPEN_READONLY, store->vfs, &collector->db, err);

    if (rc == HF_OK)
        rc = db_script(&collector->db,
                       "PRAGMA query_only=1; PRAGMA cache_size=-8192; PRAGMA cell_size_check=1;"
                       "PRAGMA temp_store=MEMORY",
                       err);
    collector->db.fresh = &store->fresh;
    return rc;
}

static int run_collector(struct collector *collector, struct hf_error *err)
{
    struct sqlite_store *store = collector->store;
    int rc;

    pace_start(&collector->pace, collector->options);
    collector->mark = (struct mark){.db = &collector->db,
                                    .hasher = &store->base.info.hasher,
                                    .marks = &collector->marks,
                                    .pace = &collector->pace};
    collector->now = clock_realtime(store->clock);
    rc = open_reader(collector, err);
    if (rc == HF_OK)
        rc = collector->options->dry_run ? look(collector, err) : collect(collector, err);
    collector->totals.longest_ns = (uint64_t)collector->pace.longest;
    mark_free(&collector->mark);
    marks_free(&collector->marks);
    db_close(&collector->db);
    return rc;
}

int sqlite_collect(struct store *base, const struct collect_options *options,
                   struct collect_totals *ret_totals, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct collector collector = {.store = store, .options = options};
    bool lock = !base->info.read_only; /* else it changes nothing, and cannot lock */
    int rc = HF_OK;

    if (atomic_exchange(&store->collecting, true))
        return hf_fail(err, HF_BUSY, "another collection of this store is under way");
    if (lock)
        rc = bell_claim_collection(&store->bell, err);
    if (rc == HF_OK) {
        rc = run_collector(&collector, err);
        if (lock)
            bell_disclaim_collection(&store->bell);
    }
    atomic_store(&store->collecting, false);
    if (rc == HF_OK)
        *ret_totals = collector.totals;
    return rc;
}
