/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/incoming.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIZE 8
#define REST_SIZE (OBJECT_ID_SIZE - KEY_SIZE)

/* --- ids ---------------------------------------------------------------------------------------- */

static int64_t key_of(const struct object_id *id)
{
    uint64_t key;

    memcpy(&key, id->bytes, KEY_SIZE);
    return (int64_t)be64toh(key);
}

static bool join_id(int64_t key, struct slice rest, struct object_id *ret_id)
{
    uint64_t big = htobe64((uint64_t)key);

    if (rest.len != REST_SIZE)
        return false;
    memcpy(ret_id->bytes, &big, KEY_SIZE);
    memcpy(ret_id->bytes + KEY_SIZE, rest.data, REST_SIZE);
    return true;
}

static bool rest_equal(const struct object_id *id, struct slice rest)
{
    return rest.len == REST_SIZE && memcmp(rest.data, id->bytes + KEY_SIZE, REST_SIZE) == 0;
}

static int missing(const struct object_id *id, struct hf_error *err)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    return hf_fail(err, HF_MISSING, "the object %s is not in the store", hex);
}

static int damaged(const struct object_id *id, struct hf_error *err)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    return hf_fail(err, HF_CORRUPT, "the object %s is damaged", hex);
}

/* --- rows --------------------------------------------------------------------------------------- */

int object_seek(struct db *db, const struct object_id *id, uint64_t *ret_seq,
                enum object_kind *ret_kind, uint64_t *ret_generation, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_OBJECT_SEEK, DB_VALUES(db_int(key_of(id))), &statement, err);

    if (rc != HF_OK)
        return rc;
    while ((rc = db_next(db, statement, err)) == 1) {
        if (!rest_equal(id, db_column_blob(statement, 1)))
            continue;
        *ret_seq = db_column_uint(statement, 0);
        *ret_kind = (enum object_kind)db_column_int(statement, 2);
        *ret_generation = db_column_uint(statement, 3);
        return 1;
    }
    return rc;
}

int object_row_take(sqlite3_stmt *statement, struct object_row *ret_row, struct hf_error *err)
{
    struct object_row row = {.seq = db_column_uint(statement, 0)};
    int64_t size = db_column_int(statement, 5);

    if (!join_id(db_column_int(statement, 1), db_column_blob(statement, 2), &row.id) || size < 0 ||
        size > OBJECT_MAX_SIZE)
        return hf_fail(err, HF_CORRUPT, "the row %llu of an object is damaged",
                       (unsigned long long)row.seq);
    row.kind = (enum object_kind)db_column_int(statement, 3);
    row.encoding = (enum object_encoding)db_column_int(statement, 4);
    row.size = (size_t)size;
    row.base = db_column_uint(statement, 6);
    row.packed = db_column_blob(statement, 9);
    *ret_row = row;
    return HF_OK;
}

static int verify(const struct object_hasher *hasher, const struct object_row *row,
                  struct slice content, struct hf_error *err)
{
    struct object_id id;
    int rc = HF_CORRUPT;

    if (row->kind >= OBJECT_CHUNK && row->kind <= OBJECT_ROOT)
        rc = object_id_compute(hasher, row->kind, content.data, content.len, &id);
    if (rc == HF_NOMEM)
        return hf_fail(err, rc, "out of memory");
    return rc == HF_OK && object_id_equal(&id, &row->id) ? HF_OK : damaged(&row->id, err);
}

/* Appends the content of the object with the number `seq`, which must not lean on another. */
static int read_base(struct db *db, const struct object_hasher *hasher, uint64_t seq,
                     struct buf *content, struct object_id *ret_id, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row;
    int rc = db_start(db, QUERY_OBJECT_GET_SEQ, DB_VALUES(db_uint(seq)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc <= 0)
        return rc < 0 ? rc : hf_fail(err, HF_CORRUPT, "the base of an object is missing");
    rc = object_row_take(statement, &row, err);
    if (rc == HF_OK && row.encoding == OBJECT_LZ4_BASE)
        rc = hf_fail(err, HF_CORRUPT, "the base of an object has a base of its own");
    if (rc == HF_OK)
        rc = object_read_row(db, hasher, &row, content, err);
    if (rc == HF_OK)
        *ret_id = row.id;
    return rc;
}

int object_read_row(struct db *db, const struct object_hasher *hasher, const struct object_row *row,
                    struct buf *content, struct hf_error *err)
{
    BUF_AUTO base = {0};
    struct object_id base_id;
    size_t start = content->len;
    int rc = HF_OK;

    if (row->encoding == OBJECT_LZ4_BASE)
        rc = read_base(db, hasher, row->base, &base, &base_id, err);
    if (rc != HF_OK)
        return rc;
    rc = object_unpack(row->encoding, row->packed, buf_slice(&base), row->size, content);
    if (rc == HF_NOMEM)
        return hf_fail(err, rc, "out of memory");
    if (rc != HF_OK)
        return damaged(&row->id, err);
    rc = verify(hasher, row, slice_of(content->data + start, content->len - start), err);
    if (rc != HF_OK)
        content->len = start;
    return rc;
}

/* Finds the row of an object: 1 and `*ret_statement` is on it, 0, or a failure. */
static int find_row(struct db *db, const struct object_id *id, sqlite3_stmt **ret_statement,
                    struct object_row *ret_row, struct hf_error *err)
{
    int rc = db_start(db, QUERY_OBJECT_GET, DB_VALUES(db_int(key_of(id))), ret_statement, err);

    if (rc != HF_OK)
        return rc;
    while ((rc = db_next(db, *ret_statement, err)) == 1) {
        if (!rest_equal(id, db_column_blob(*ret_statement, 2)))
            continue;
        rc = object_row_take(*ret_statement, ret_row, err);
        return rc == HF_OK ? 1 : rc;
    }
    return rc;
}

int object_read(struct db *db, const struct object_hasher *hasher, const struct object_id *id,
                struct buf *content, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row;
    int rc = find_row(db, id, &statement, &row, err);

    if (rc <= 0)
        return rc < 0 ? rc : missing(id, err);
    return object_read_row(db, hasher, &row, content, err);
}

/* --- preparing ------------------------------------------------------------------------------------ */

/* Reads the base that `hint` leads to: itself, or what it leans on. False: there is none that is sound. */
static bool find_base(struct db *reader, const struct object_hasher *hasher,
                      const struct object_id *hint, struct incoming_object *object,
                      struct buf *content)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row;

    if (find_row(reader, hint, &statement, &row, NULL) != 1)
        return false;
    object->base_seq = row.encoding == OBJECT_LZ4_BASE ? row.base : row.seq;
    object->base_id = row.id;
    if (row.encoding == OBJECT_LZ4_BASE)
        return read_base(reader, hasher, row.base, content, &object->base_id, NULL) == HF_OK;
    return object_read_row(reader, hasher, &row, content, NULL) == HF_OK;
}

static int pack_one(struct incoming *incoming, struct db *reader,
                    const struct object_hasher *hasher, size_t i, struct buf *base,
                    struct hf_error *err)
{
    const struct object *object = &incoming->objects[i];
    struct incoming_object *packing = &incoming->packing[i];
    int rc;

    base->len = 0;
    if (object->has_base && !object_id_equal(&object->base, &object->id) &&
        !find_base(reader, hasher, &object->base, packing, base))
        base->len = 0;
    packing->packed_at = incoming->packed.len;
    rc = object_pack(object->content, buf_slice(base), &incoming->packed, &packing->encoding);
    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    packing->packed_len = incoming->packed.len - packing->packed_at;
    return HF_OK;
}

int incoming_prepare(struct incoming *incoming, struct db *reader,
                     const struct object_hasher *hasher, const struct object *objects, size_t n,
                     const struct object_id *root, struct hf_error *err)
{
    BUF_AUTO base = {0};
    int rc;

    *incoming = (struct incoming){.objects = objects, .n = n};
    rc = closure_build(hasher, objects, n, root, &incoming->closure, err);
    if (rc != HF_OK || n == 0)
        return rc;
    incoming->packing = calloc(n, sizeof *incoming->packing);
    if (!incoming->packing)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = pack_one(incoming, reader, hasher, i, &base, err);
    return rc;
}

void incoming_free(struct incoming *incoming)
{
    closure_free(&incoming->closure);
    buf_free(&incoming->packed);
    free(incoming->packing);
    *incoming = (struct incoming){0};
}

/* --- in the transaction ----------------------------------------------------------------------------- */

static int kind_of(const struct object_id *id, int *ret_kind, void *arg, struct hf_error *err)
{
    struct transaction *transaction = arg;
    enum object_kind kind;
    uint64_t seq, generation;
    int rc = object_seek(transaction->db, id, &seq, &kind, &generation, err);

    if (rc >= 0)
        *ret_kind = rc == 1 ? (int)kind : 0;
    return rc < 0 ? rc : HF_OK;
}

int incoming_check(struct incoming *incoming, struct transaction *transaction, struct hf_error *err)
{
    return closure_check(&incoming->closure, kind_of, transaction, err);
}

/* Whether the row that was found as the base before the transaction is still that object's. */
static int base_is_there(struct db *db, const struct incoming_object *object, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_id id;
    int rc = db_start(db, QUERY_OBJECT_AT, DB_VALUES(db_uint(object->base_seq)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc <= 0)
        return rc;
    return join_id(db_column_int(statement, 0), db_column_blob(statement, 1), &id) &&
           object_id_equal(&id, &object->base_id);
}

static int insert_row(struct transaction *transaction, const struct object *object,
                      enum object_encoding encoding, uint64_t base_seq, struct slice packed,
                      struct hf_error *err)
{
    struct db *db = transaction->db;
    const struct db_value columns[] = {
        db_int(key_of(&object->id)),
        db_blob(object->id.bytes + KEY_SIZE, REST_SIZE),
        db_int(object->kind),
        db_int(encoding),
        db_uint(object->content.len),
        encoding == OBJECT_LZ4_BASE ? db_uint(base_seq) : db_text(NULL),
        db_uint(transaction->writer->generation),
    };

    return db_run_summed_with(db, QUERY_OBJECT_INSERT, "object", columns, 7,
                              db_blob(packed.data, packed.len), err);
}

static int insert_plain(struct transaction *transaction, const struct object *object,
                        struct hf_error *err)
{
    BUF_AUTO packed = {0};
    enum object_encoding encoding;

    if (object_pack(object->content, slice_of(NULL, 0), &packed, &encoding) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return insert_row(transaction, object, encoding, 0, buf_slice(&packed), err);
}

static int insert_one(struct incoming *incoming, struct transaction *transaction, size_t i,
                      struct hf_error *err)
{
    const struct object *object = &incoming->objects[i];
    const struct incoming_object *packing = &incoming->packing[i];
    enum object_kind kind;
    uint64_t seq, generation;
    int rc = object_seek(transaction->db, &object->id, &seq, &kind, &generation, err);

    if (rc != 0)
        return rc < 0 ? rc : HF_OK;
    if (packing->encoding == OBJECT_LZ4_BASE) {
        rc = base_is_there(transaction->db, packing, err);
        if (rc <= 0)
            return rc < 0 ? rc : insert_plain(transaction, object, err);
    }
    return insert_row(transaction, object, packing->encoding, packing->base_seq,
                      slice_of(incoming->packed.data + packing->packed_at, packing->packed_len),
                      err);
}

int incoming_insert(struct incoming *incoming, struct transaction *transaction,
                    struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < incoming->n && rc == HF_OK; i++)
        rc = insert_one(incoming, transaction, i, err);
    return rc;
}
