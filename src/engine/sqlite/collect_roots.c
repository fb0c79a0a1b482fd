/* SPDX-License-Identifier: Apache-2.0 */
/* Where a collection begins to mark: at the roots of the store, and at what is loose. */
#include "engine/sqlite/collect.h"
#include "engine/sqlite/loose.h"

#define READ_AT_ONCE 256

/* --- roots ---------------------------------------------------------------------------------------- */

struct gathering {
    struct collector *collector;
    struct hf_error *err;
};

static int gather(const struct root_info *root, void *arg)
{
    struct gathering *gathering = arg;

    gathering->collector->totals.roots++;
    return mark_add(&gathering->collector->mark, &root->root, OBJECT_ROOT, gathering->err);
}

static int mark_roots(struct collector *collector, struct hf_error *err)
{
    struct gathering gathering = {collector, err};
    int rc = sqlite_roots(&collector->store->base, gather, &gathering, err);

    return rc == HF_OK ? mark_run(&collector->mark, err) : rc;
}

/* --- loose objects -------------------------------------------------------------------------------- */

static int run_drop(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct collect_write *step = (struct collect_write *)write;
    int rc = HF_OK;

    step->began = pace_now();
    for (size_t i = 0; i < step->n && rc == HF_OK; i++)
        rc = loose_drop(transaction->db, &step->loose[i], err);
    return rc;
}

static int drop(struct collector *collector, struct loose *loose, size_t n, struct hf_error *err)
{
    struct collect_write step = {.collector = collector, .loose = loose, .n = n};

    return n == 0 || collector->options->dry_run ? HF_OK : collect_do(&step, run_drop, err);
}

/* Whether a loose object may go: 1, 0, or a failure. Called with the loose ones in order. */
typedef int (*judge_fn)(struct collector *collector, const struct loose *loose,
                        struct hf_error *err);

/* Its host has been gone for long enough. */
static int is_over(struct collector *collector, const struct loose *loose, struct hf_error *err)
{
    return loose_is_over(&collector->db, loose->host, collector->now, err);
}

/* The roots reach it, and have had time to. */
static int is_rooted(struct collector *collector, const struct loose *loose, struct hf_error *err)
{
    (void)err;
    return loose->time <= collector->now - LOOSE_GRACE_NS &&
           marks_has(&collector->marks, loose->seq, MARK_REACHED);
}

/* Drops those of which `judge` says so. */
static int drop_each(struct collector *collector, judge_fn judge, struct hf_error *err)
{
    struct loose loose[READ_AT_ONCE], gone[READ_AT_ONCE], last = {0};
    size_t n, ngone;
    int rc;

    do {
        ngone = 0;
        rc = loose_read(&collector->db, &last, loose, READ_AT_ONCE, &n, err);
        if (rc != HF_OK)
            return rc;
        for (size_t i = 0; i < n; i++) {
            last = loose[i];
            rc = judge(collector, &loose[i], err);
            if (rc < 0)
                return rc;
            if (rc == 1)
                gone[ngone++] = loose[i];
        }
        rc = drop(collector, gone, ngone, err);
        if (rc == HF_OK)
            rc = pace_step(&collector->pace, collector->marks.reached, err);
    } while (rc == HF_OK && n == READ_AT_ONCE);
    return rc;
}

static int mark_one(struct collector *collector, const struct loose *loose, struct hf_error *err)
{
    int rc = is_over(collector, loose, err);

    if (rc != 0)
        return rc < 0 ? rc : HF_OK;
    rc = mark_add_row(&collector->mark, loose->seq, false, err);
    return rc == HF_OK ? mark_run(&collector->mark, err) : rc;
}

static int mark_loose(struct collector *collector, struct hf_error *err)
{
    struct loose loose[READ_AT_ONCE], last = {0};
    size_t n;
    int rc;

    do {
        rc = loose_read(&collector->db, &last, loose, READ_AT_ONCE, &n, err);
        for (size_t i = 0; rc == HF_OK && i < n; i++) {
            last = loose[i];
            rc = mark_one(collector, &last, err);
        }
        if (rc == HF_OK)
            rc = pace_step(&collector->pace, collector->marks.reached, err);
    } while (rc == HF_OK && n == READ_AT_ONCE);
    return rc;
}

int collect_mark_roots(struct collector *collector, struct hf_error *err)
{
    int rc = mark_roots(collector, err);

    if (rc == HF_OK && !collector->options->dry_run)
        rc = drop_each(collector, is_over, err);
    if (rc == HF_OK && !collector->options->dry_run)
        rc = drop_each(collector, is_rooted, err);
    return rc == HF_OK ? mark_loose(collector, err) : rc;
}
