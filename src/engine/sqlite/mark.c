/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/mark.h"

#include <stdlib.h>

#include "engine/sqlite/incoming.h"
#include "object/node.h"

/* What the references of one node are added to. */
struct adding {
    struct mark *mark;
    struct hf_error *err;
};

int mark_add(struct mark *mark, const struct object_id *id, enum object_kind kind,
             struct hf_error *err)
{
    if (mark->n == mark->cap) {
        size_t cap = mark->cap ? mark->cap * 2 : 1024;
        struct mark_item *stack = reallocarray(mark->stack, cap, sizeof *stack);

        if (!stack)
            return hf_fail(err, HF_NOMEM, "out of memory");
        mark->stack = stack;
        mark->cap = cap;
    }
    mark->stack[mark->n++] = (struct mark_item){*id, kind};
    return HF_OK;
}

static int add_reference(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct adding *adding = arg;

    if (known_find(&adding->mark->seen, id) == (int)kind)
        return HF_OK;
    return mark_add(adding->mark, id, kind, adding->err);
}

static int read_node(struct mark *mark, const struct object_row *row, struct hf_error *err)
{
    BUF_AUTO content = {0};
    struct adding adding = {mark, err};
    int rc = object_read_row(mark->db, mark->hasher, row, &content, err);

    if (rc != HF_OK)
        return rc;
    rc = node_refs(row->kind, buf_slice(&content), add_reference, &adding);
    if (rc == HF_CORRUPT || rc == HF_NEWER)
        return hf_fail(err, rc, "a node that a root leads to cannot be read");
    return rc;
}

/* Marks the object whose row the statement is on, and adds what it refers to. */
static int mark_row(struct mark *mark, sqlite3_stmt *statement, struct object_row *row,
                    struct hf_error *err)
{
    int rc = db_verify(statement, "object", 1, 7, err);

    if (rc != HF_OK || row->seq > mark->collection.newest)
        return rc;
    rc = marks_set(mark->marks, row->seq, MARK_REACHED, err);
    if (rc != 1)
        return rc;
    rc = HF_OK;
    if (row->encoding == OBJECT_LZ4_BASE)
        rc = marks_set(mark->marks, row->base, MARK_LEANED, err);
    if (rc < 0 || row->kind == OBJECT_CHUNK)
        return rc < 0 ? rc : HF_OK;
    row->packed = db_column_blob(statement, OBJECT_ROW_PACKED);
    return read_node(mark, row, err);
}

static int mark_item(struct mark *mark, const struct mark_item *item, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    char hex[OBJECT_ID_HEX_SIZE];
    struct object_row row;
    int rc;

    if (known_find(&mark->seen, &item->id) == (int)item->kind)
        return HF_OK;
    rc = object_row_find(mark->db, &mark->collection, &item->id, &statement, &row, err);
    if (rc < 0)
        return rc;
    object_id_hex(&item->id, hex);
    if (rc == 0)
        return hf_fail(err, HF_MISSING, "the object %s, which a root leads to, is missing", hex);
    if (row.kind != item->kind)
        return hf_fail(err, HF_CORRUPT, "the object %s is of another kind than its reference says",
                       hex);
    known_add(&mark->seen, &item->id, item->kind);
    return mark_row(mark, statement, &row, err);
}

int mark_add_row(struct mark *mark, uint64_t seq, bool base, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row;
    int rc;

    if (seq > mark->collection.newest)
        return HF_OK;
    if (base) {
        rc = marks_set(mark->marks, seq, MARK_LEANED, err);
        return rc < 0 ? rc : HF_OK;
    }
    if (marks_has(mark->marks, seq, MARK_REACHED))
        return HF_OK;
    rc = db_start(mark->db, QUERY_OBJECT_OF_ROOT, DB_VALUES(db_uint(seq)), &statement, err);
    if (rc == HF_OK)
        rc = db_next(mark->db, statement, err);
    if (rc <= 0)
        return rc;
    rc = object_row_take_head(statement, &row, err);
    return rc == HF_OK && !row.hidden ? mark_row(mark, statement, &row, err) : rc;
}

int mark_run(struct mark *mark, struct hf_error *err)
{
    int rc = HF_OK;

    while (mark->n > 0 && rc == HF_OK) {
        struct mark_item item = mark->stack[--mark->n];

        rc = mark_item(mark, &item, err);
        if (rc == HF_OK)
            rc = pace_step(mark->pace, mark->marks->reached, err);
    }
    return rc;
}

void mark_free(struct mark *mark)
{
    known_free(&mark->seen);
    free(mark->stack);
    mark->stack = NULL;
    mark->n = mark->cap = 0;
}
