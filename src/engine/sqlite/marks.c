/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/marks.h"

#include <stdlib.h>
#include <string.h>

/* So that no number in a damaged file makes us ask for more memory than there can be. */
#define PAGES_MAX (1ULL << 36)

struct marks_page {
    bool dirty;
    uint8_t reached[MARKS_PAGE_BYTES];
    uint8_t leaned[MARKS_PAGE_BYTES];
};

static size_t byte_of(uint64_t seq)
{
    return (size_t)(seq % MARKS_PAGE_BITS / 8);
}

static uint8_t bit_of(uint64_t seq)
{
    return (uint8_t)(1U << (seq % 8));
}

void marks_free(struct marks *marks)
{
    for (size_t i = 0; i < marks->npages; i++)
        free(marks->pages[i]);
    free(marks->pages);
    *marks = (struct marks){0};
}

/* --- in memory ---------------------------------------------------------------------------------- */

static struct marks_page *page_at(const struct marks *marks, uint64_t seq)
{
    uint64_t at = seq / MARKS_PAGE_BITS;

    return at < marks->npages ? marks->pages[at] : NULL;
}

/* Makes room for page `at` in the list of them. */
static int grow(struct marks *marks, uint64_t at)
{
    size_t npages = marks->npages ? marks->npages : 16;
    struct marks_page **pages;

    if (at >= PAGES_MAX)
        return HF_NOMEM;
    while (npages <= at)
        npages *= 2;
    pages = reallocarray(marks->pages, npages, sizeof *pages);
    if (!pages)
        return HF_NOMEM;
    memset(pages + marks->npages, 0, (npages - marks->npages) * sizeof *pages);
    marks->pages = pages;
    marks->npages = npages;
    return HF_OK;
}

static int make_page(struct marks *marks, uint64_t seq, struct marks_page **ret_page,
                     struct hf_error *err)
{
    uint64_t at = seq / MARKS_PAGE_BITS;

    if (at >= marks->npages && grow(marks, at) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!marks->pages[at])
        marks->pages[at] = calloc(1, sizeof *marks->pages[at]);
    if (!marks->pages[at])
        return hf_fail(err, HF_NOMEM, "out of memory");
    *ret_page = marks->pages[at];
    return HF_OK;
}

int marks_set(struct marks *marks, uint64_t seq, enum mark_plane plane, struct hf_error *err)
{
    struct marks_page *page;
    uint8_t *byte;
    int rc = make_page(marks, seq, &page, err);

    if (rc != HF_OK)
        return rc;
    byte = plane == MARK_REACHED ? &page->reached[byte_of(seq)] : &page->leaned[byte_of(seq)];
    if (*byte & bit_of(seq))
        return 0;
    *byte |= bit_of(seq);
    marks->reached += plane == MARK_REACHED;
    marks->dirty += !page->dirty;
    page->dirty = true;
    return 1;
}

static bool page_has(const uint8_t *reached, const uint8_t *leaned, uint64_t seq, unsigned planes)
{
    uint8_t bits = 0;

    if (planes & MARK_REACHED)
        bits |= reached[byte_of(seq)];
    if (planes & MARK_LEANED)
        bits |= leaned[byte_of(seq)];
    return bits & bit_of(seq);
}

bool marks_has(const struct marks *marks, uint64_t seq, unsigned planes)
{
    const struct marks_page *page = page_at(marks, seq);

    return page && page_has(page->reached, page->leaned, seq, planes);
}

void marks_soil(struct marks *marks)
{
    marks->dirty = 0;
    for (size_t i = 0; i < marks->npages; i++) {
        if (!marks->pages[i])
            continue;
        marks->pages[i]->dirty = true;
        marks->dirty++;
    }
}

/* --- in the table --------------------------------------------------------------------------------- */

int marks_write(struct marks *marks, struct db *db, size_t limit, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < marks->npages && limit > 0 && marks->dirty > 0 && rc == HF_OK; i++) {
        struct marks_page *page = marks->pages[i];

        if (!page || !page->dirty)
            continue;
        rc = db_run_summed(db, QUERY_MARK_WRITE, "mark",
                           DB_VALUES(db_uint(i), db_blob(page->reached, MARKS_PAGE_BYTES),
                                     db_blob(page->leaned, MARKS_PAGE_BYTES)),
                           err);
        page->dirty = false;
        marks->dirty--;
        limit--;
    }
    return rc;
}

/* Verifies the row that a statement is on; its bits are the statement's. */
static int take_row(sqlite3_stmt *statement, struct slice *ret_reached, struct slice *ret_leaned,
                    struct hf_error *err)
{
    int rc = db_verify(statement, "mark", 0, 3, err);
    struct slice reached, leaned;

    if (rc != HF_OK)
        return rc;
    reached = db_column_blob(statement, 1);
    leaned = db_column_blob(statement, 2);
    if (reached.len != MARKS_PAGE_BYTES || leaned.len != MARKS_PAGE_BYTES)
        return hf_fail(err, HF_CORRUPT, "a row of the table mark has no whole page");
    *ret_reached = reached;
    *ret_leaned = leaned;
    return HF_OK;
}

static unsigned bits_in(const uint8_t *bytes)
{
    unsigned n = 0;

    for (size_t i = 0; i < MARKS_PAGE_BYTES; i++)
        n += (unsigned)__builtin_popcount(bytes[i]);
    return n;
}

static int read_page(struct marks *marks, sqlite3_stmt *statement, struct hf_error *err)
{
    struct slice reached, leaned;
    struct marks_page *page;
    uint64_t at = db_column_uint(statement, 0);
    int rc = take_row(statement, &reached, &leaned, err);

    if (rc == HF_OK && at >= PAGES_MAX)
        rc = hf_fail(err, HF_CORRUPT, "a row of the table mark is of no object");
    if (rc == HF_OK)
        rc = make_page(marks, at * MARKS_PAGE_BITS, &page, err);
    if (rc != HF_OK)
        return rc;
    memcpy(page->reached, reached.data, MARKS_PAGE_BYTES);
    memcpy(page->leaned, leaned.data, MARKS_PAGE_BYTES);
    marks->reached += bits_in(page->reached);
    return HF_OK;
}

int marks_read(struct marks *marks, struct db *db, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_MARK_ALL, DB_NO_VALUES, &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1)
        rc = read_page(marks, statement, err);
    return rc;
}

int marks_look_up(struct db *db, uint64_t seq, unsigned planes, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct slice reached, leaned;
    int rc =
        db_start(db, QUERY_MARK_READ, DB_VALUES(db_uint(seq / MARKS_PAGE_BITS)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc <= 0)
        return rc;
    rc = take_row(statement, &reached, &leaned, err);
    return rc == HF_OK ? page_has(reached.data, leaned.data, seq, planes) : rc;
}
