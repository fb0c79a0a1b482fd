/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/incoming.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/loose.h"

/* Of a larger batch nothing is remembered: it is not what is about to be replaced. */
#define REMEMBERED_MAX 16
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

/* Starts a query for the rows that have an object's key. Unless `surely`, it may overlook the newest ones. */
static int start_seek(struct db *db, bool whole, const struct object_id *id, bool surely,
                      sqlite3_stmt **ret_statement, struct hf_error *err)
{
    const struct fresh_range *range = db->range;
    uint64_t seqs[FRESH_CANDIDATES] = {0};
    struct fresh_range read = {0};
    int rc = HF_OK, n = -1;

    if (surely && !range) {
        rc = fresh_read_range(db, &read, err);
        if (rc == HF_OK && db->fresh)
            rc = fresh_extend(db->fresh, db, &read, err);
        range = &read;
    }
    if (rc != HF_OK)
        return rc;
    if (db->fresh)
        n = fresh_find(db->fresh, key_of(id), range, seqs);
    if (n < 0 && range)
        return db_start(db, whole ? QUERY_OBJECT_GET_SLOWLY : QUERY_OBJECT_SEEK_SLOWLY,
                        DB_VALUES(db_int(key_of(id)), db_uint(range->indexed)), ret_statement, err);
    return db_start(db, whole ? QUERY_OBJECT_GET : QUERY_OBJECT_SEEK,
                    DB_VALUES(db_int(key_of(id)), db_uint(seqs[0]), db_uint(seqs[1])),
                    ret_statement, err);
}

/* Looks for something: with what is remembered first and, when that leads nowhere, surely. Both in one snapshot. */
typedef int (*look_fn)(struct db *db, bool surely, void *arg, struct hf_error *err);

static int look(struct db *db, look_fn pass, void *arg, struct hf_error *err)
{
    bool alone = sqlite3_get_autocommit(db->handle) != 0;
    int rc = pass(db, db->range != NULL, arg, err);

    if (rc != 0 || db->range)
        return rc;
    if (alone && (rc = db_run(db, QUERY_BEGIN_READ, DB_NO_VALUES, err)) != HF_OK)
        return rc;
    rc = pass(db, true, arg, err);
    /* A statement that is on a row keeps its snapshot. */
    if (alone && db_run(db, QUERY_COMMIT, DB_NO_VALUES, NULL) != HF_OK)
        db_end(db);
    return rc;
}

struct seeking {
    const struct collection *collection;
    const struct object_id *id;
    uint64_t seq;
    enum object_kind kind;
};

static int seek(struct db *db, bool surely, void *arg, struct hf_error *err)
{
    struct seeking *seeking = arg;
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = start_seek(db, false, seeking->id, surely, &statement, err);

    if (rc != HF_OK)
        return rc;
    while ((rc = db_next(db, statement, err)) == 1) {
        int64_t kind = db_column_int(statement, 2);
        uint64_t seq = db_column_uint(statement, 0);

        if (kind < 0 || !rest_equal(seeking->id, db_column_blob(statement, 1)))
            continue;
        rc = collection_shows(seeking->collection, db, seq, err);
        if (rc == 0)
            continue;
        seeking->seq = seq;
        seeking->kind = (enum object_kind)kind;
        return rc;
    }
    return rc;
}

int object_seek(struct db *db, const struct collection *collection, const struct object_id *id,
                uint64_t *ret_seq, enum object_kind *ret_kind, struct hf_error *err)
{
    struct seeking seeking = {.collection = collection, .id = id};
    int rc = look(db, seek, &seeking, err);

    if (rc == 1) {
        *ret_seq = seeking.seq;
        *ret_kind = seeking.kind;
    }
    return rc;
}

int object_rely(struct transaction *transaction, const struct object_id *id, uint64_t *ret_seq,
                enum object_kind *ret_kind, struct hf_error *err)
{
    const struct collection *collection = &transaction->writer->collection;
    struct known *known = &transaction->writer->known_objects;
    int rc = object_seek(transaction->db, collection, id, ret_seq, ret_kind, err);

    if (rc != 1 || collection->phase != COLLECTION_MARKING || known_find(known, id) != 0)
        return rc; /* what is known has been noted, or came later */
    rc = collection_note(collection, transaction->db, *ret_seq, false, err);
    if (rc != HF_OK)
        return rc;
    known_add(known, id, *ret_kind);
    return 1;
}

int object_row_take_head(sqlite3_stmt *statement, struct object_row *ret_row, struct hf_error *err)
{
    struct object_row row = {.seq = db_column_uint(statement, 0)};
    int64_t kind = db_column_int(statement, 3), size = db_column_int(statement, 5);

    if (!join_id(db_column_int(statement, 1), db_column_blob(statement, 2), &row.id) || size < 0 ||
        size > OBJECT_MAX_SIZE)
        return hf_fail(err, HF_CORRUPT, "the row %llu of an object is damaged",
                       (unsigned long long)row.seq);
    row.hidden = kind < 0 && kind >= -OBJECT_ROOT;
    row.kind = (enum object_kind)(row.hidden ? -kind : kind);
    row.encoding = (enum object_encoding)db_column_int(statement, 4);
    row.size = (size_t)size;
    row.base = db_column_uint(statement, 6);
    row.generation = db_column_uint(statement, 7);
    *ret_row = row;
    return HF_OK;
}

int object_row_take(sqlite3_stmt *statement, struct object_row *ret_row, struct hf_error *err)
{
    int rc = object_row_take_head(statement, ret_row, err);

    if (rc == HF_OK)
        ret_row->packed = db_column_blob(statement, OBJECT_ROW_PACKED);
    return rc;
}

/* Writes all of a row but what it packs. */
static int write_head(struct db *db, enum query query, const struct object_row *row,
                      struct hf_error *err)
{
    int64_t kind = (int64_t)row->kind;
    const struct db_value columns[] = {
        db_int(key_of(&row->id)),
        db_blob(row->id.bytes + KEY_SIZE, REST_SIZE),
        db_int(row->hidden ? -kind : kind),
        db_int(row->encoding),
        db_uint(row->size),
        row->base != 0 ? db_uint(row->base) : db_text(NULL),
        db_uint(row->generation),
    };

    return db_run_summed_with(db, query, "object", columns, 7, DB_VALUES(db_uint(row->seq)), err);
}

int object_row_hide(struct db *db, const struct object_row *row, struct hf_error *err)
{
    struct object_row hidden = *row;

    hidden.hidden = true;
    return write_head(db, QUERY_OBJECT_HIDE, &hidden, err);
}

int object_row_rewrite(struct db *db, const struct object_row *row, struct hf_error *err)
{
    int rc = write_head(db, QUERY_OBJECT_REWRITE, row, err);

    if (rc == HF_OK)
        rc = db_run(db, QUERY_OBJECT_REPACK,
                    DB_VALUES(db_uint(row->seq), db_blob(row->packed.data, row->packed.len)), err);
    return rc;
}

int object_rows_of(struct db *db, const struct object_id *id, uint64_t *ret_seqs, int max,
                   struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int n = 0;
    int rc = start_seek(db, false, id, true, &statement, err);

    while (rc == HF_OK && n < max && (rc = db_next(db, statement, err)) == 1) {
        if (rest_equal(id, db_column_blob(statement, 1)))
            ret_seqs[n++] = db_column_uint(statement, 0);
        rc = HF_OK;
    }
    return rc < 0 ? rc : n;
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
                     struct buf *content, struct object_id *ret_id, size_t *ret_packed,
                     struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row = {0};
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
    if (rc != HF_OK)
        return rc;
    *ret_id = row.id;
    *ret_packed = row.packed.len;
    return HF_OK;
}

int object_read_row(struct db *db, const struct object_hasher *hasher, const struct object_row *row,
                    struct buf *content, struct hf_error *err)
{
    BUF_AUTO base = {0};
    struct object_id base_id;
    size_t start = content->len, packed;
    int rc = HF_OK;

    if (row->encoding == OBJECT_LZ4_BASE)
        rc = read_base(db, hasher, row->base, &base, &base_id, &packed, err);
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

struct finding {
    const struct collection *collection;
    const struct object_id *id;
    bool hidden;
    sqlite3_stmt *statement; /* on the row, once it was found */
    struct object_row row;
};

static int find(struct db *db, bool surely, void *arg, struct hf_error *err)
{
    struct finding *finding = arg;
    struct object_row *row = &finding->row;
    int rc;

    db_done(finding->statement);
    finding->statement = NULL;
    rc = start_seek(db, true, finding->id, surely, &finding->statement, err);
    if (rc != HF_OK)
        return rc;
    while ((rc = db_next(db, finding->statement, err)) == 1) {
        if (!rest_equal(finding->id, db_column_blob(finding->statement, 2)))
            continue;
        rc = object_row_take_head(finding->statement, row, err);
        if (rc != HF_OK)
            return rc;
        if (row->hidden && !finding->hidden)
            continue;
        rc = finding->collection ? collection_shows(finding->collection, db, row->seq, err) : 1;
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* Finds the row of an object, or with `hidden` whatever row has its content: 1 and `*ret_statement` is on it, 0,
 * or a failure. */
static int find_row(struct db *db, const struct collection *collection, const struct object_id *id,
                    bool hidden, sqlite3_stmt **ret_statement, struct object_row *ret_row,
                    struct hf_error *err)
{
    struct finding finding = {.collection = collection, .id = id, .hidden = hidden};
    int rc = look(db, find, &finding, err);

    *ret_statement = finding.statement;
    if (rc == 1)
        *ret_row = finding.row;
    return rc;
}

int object_row_find(struct db *db, const struct collection *collection, const struct object_id *id,
                    sqlite3_stmt **ret_statement, struct object_row *ret_row, struct hf_error *err)
{
    return find_row(db, collection, id, false, ret_statement, ret_row, err);
}

int object_read(struct db *db, const struct object_hasher *hasher, const struct object_id *id,
                struct buf *content, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_row row = {0};
    int rc = find_row(db, NULL, id, false, &statement, &row, err);

    if (rc <= 0)
        return rc < 0 ? rc : missing(id, err);
    row.packed = db_column_blob(statement, OBJECT_ROW_PACKED);
    return object_read_row(db, hasher, &row, content, err);
}

/* --- preparing ------------------------------------------------------------------------------------ */

struct preparation {
    struct sqlite_store *store;
    struct incoming *incoming;
};

/* Reads the base that `hint` leads to: itself, or what it leans on. NULL: there is none that is sound. */
static struct base *read_hint(struct db *reader, const struct object_hasher *hasher,
                              const struct object_id *hint)
{
    DB_STATEMENT_AUTO *statement = NULL;
    BUF_AUTO content = {0};
    struct object_row row = {0};
    struct object_id id;
    uint64_t seq;
    size_t packed;
    int rc;

    if (find_row(reader, NULL, hint, true, &statement, &row, NULL) != 1)
        return NULL;
    row.packed = db_column_blob(statement, OBJECT_ROW_PACKED);
    packed = row.packed.len;
    id = row.id;
    seq = row.encoding == OBJECT_LZ4_BASE ? row.base : row.seq;
    if (row.encoding == OBJECT_LZ4_BASE)
        rc = read_base(reader, hasher, seq, &content, &id, &packed, NULL);
    else
        rc = object_read_row(reader, hasher, &row, &content, NULL);
    return rc == HF_OK ? base_new(&id, seq, UINT64_MAX, buf_slice(&content), packed) : NULL;
}

/* A reader is held for this alone: several lanes that kept theirs could wait for each other's. */
static struct base *load_base(struct sqlite_store *store, const struct object_id *hint)
{
    struct db *reader;
    struct base *base;

    if (readers_take(&store->readers, &reader, NULL) != HF_OK)
        return NULL;
    base = read_hint(reader, &store->base.info.hasher, hint);
    readers_give(&store->readers, reader);
    return base;
}

static struct base *find_base(struct sqlite_store *store, const struct object *object)
{
    struct base *base;

    if (!object->has_base || object_id_equal(&object->base, &object->id))
        return NULL;
    base = bases_find(&store->bases, &object->base);
    atomic_fetch_add_explicit(base ? &store->base_hits : &store->base_misses, 1,
                              memory_order_relaxed);
    return base ? base : load_base(store, &object->base);
}

static int pack_against(struct slice content, const struct base *base, struct buf *packed,
                        enum object_encoding *ret_encoding)
{
    if (!base)
        return object_pack(content, slice_of(NULL, 0), packed, ret_encoding);
    return object_pack_like(content, slice_of(base->content, base->len),
                            base->len > 0 ? content.len * base->packed / base->len : 0,
                            base_most(base), packed, ret_encoding);
}

/* A chunk that the store is said to have had is most probably there: it is packed in the transaction when it is not. */
static bool is_put_off(const struct object *object)
{
    return object->stored && object->kind == OBJECT_CHUNK;
}

static int pack_one(void *arg, size_t i, unsigned lane)
{
    struct preparation *preparation = arg;
    struct incoming *incoming = preparation->incoming;
    const struct object *object = &incoming->objects[i];
    struct incoming_object *packing = &incoming->packing[i];
    struct buf *packed = &incoming->lanes[lane];
    int rc;

    if (is_put_off(object))
        return HF_OK;
    packing->base = find_base(preparation->store, object);
    packing->lane = lane;
    packing->packed_at = packed->len;
    rc = pack_against(object->content, packing->base, packed, &packing->encoding);
    if (rc != HF_OK)
        return rc;
    packing->packed_len = packed->len - packing->packed_at;
    packing->packed = true;
    if (packing->encoding == OBJECT_LZ4_BASE)
        base_lean(packing->base, packing->packed_len);
    return HF_OK;
}

static int pack_all(struct preparation *preparation, struct hf_error *err)
{
    struct incoming *incoming = preparation->incoming;
    size_t bytes = 0;
    int rc;

    for (size_t i = 0; i < incoming->n; i++)
        bytes += is_put_off(&incoming->objects[i]) ? 0 : incoming->objects[i].content.len;
    rc = parallel_each(incoming->n, bytes, pack_one, preparation);
    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    for (int lane = 0; lane < PARALLEL_LANES; lane++)
        incoming->packed_len += incoming->lanes[lane].len;
    return HF_OK;
}

int incoming_prepare(struct incoming *incoming, struct sqlite_store *store,
                     const struct object *objects, size_t n, const struct object_id *root,
                     struct hf_error *err)
{
    struct preparation preparation = {.store = store, .incoming = incoming};
    int rc;

    *incoming = (struct incoming){.objects = objects, .n = n};
    rc = closure_build(&store->base.info.hasher, objects, n, root, &incoming->closure, err);
    if (rc != HF_OK || n == 0)
        return rc;
    incoming->packing = calloc(n, sizeof *incoming->packing);
    if (!incoming->packing)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return pack_all(&preparation, err);
}

void incoming_remember(struct incoming *incoming, struct sqlite_store *store)
{
    if (incoming->n > REMEMBERED_MAX)
        return;
    for (size_t i = 0; i < incoming->n; i++) {
        const struct object *object = &incoming->objects[i];
        struct incoming_object *packing = &incoming->packing[i];

        if (packing->seq == 0 || !packing->packed)
            continue;
        if (packing->encoding != OBJECT_LZ4_BASE) {
            base_unref(packing->base);
            packing->base = base_new(&object->id, packing->seq, incoming->sweeps, object->content,
                                     packing->packed_len);
        }
        if (packing->base)
            bases_add(&store->bases, &object->id, object->has_base ? &object->base : NULL,
                      packing->base);
    }
}

void incoming_free(struct incoming *incoming)
{
    for (size_t i = 0; incoming->packing && i < incoming->n; i++)
        base_unref(incoming->packing[i].base);
    closure_free(&incoming->closure);
    for (int lane = 0; lane < PARALLEL_LANES; lane++)
        buf_free(&incoming->lanes[lane]);
    free(incoming->packing);
    *incoming = (struct incoming){0};
}

/* --- in the transaction ----------------------------------------------------------------------------- */

/* Looks for an object, and remembers that it is there: its kind, 0, or a failure. What is remembered came after
 * the collection that is under way began, or was noted in it, or is marked by it. */
static int seek_kind(struct transaction *transaction, const struct object_id *id,
                     struct hf_error *err)
{
    struct known *known = &transaction->writer->known_objects;
    enum object_kind kind = 0;
    uint64_t seq = 0;
    struct sqlite_store *store = sqlite_store_at(transaction);
    int rc = known_find(known, id);

    atomic_fetch_add_explicit(rc != 0 ? &store->known_hits : &store->known_misses, 1,
                              memory_order_relaxed);
    if (rc != 0)
        return rc;
    rc = object_rely(transaction, id, &seq, &kind, err);
    if (rc != 1)
        return rc;
    known_add(known, id, kind);
    return (int)kind;
}

static int kind_of(const struct object_id *id, int *ret_kind, void *arg, struct hf_error *err)
{
    int rc = seek_kind(arg, id, err);

    if (rc < 0)
        return rc;
    *ret_kind = rc;
    return HF_OK;
}

int incoming_check(struct incoming *incoming, struct transaction *transaction, struct hf_error *err)
{
    return closure_check(&incoming->closure, kind_of, transaction, err);
}

int incoming_check_root(struct transaction *transaction, const struct object_id *root,
                        struct hf_error *err)
{
    struct closure_need need = {.id = *root, .kind = OBJECT_ROOT};
    struct closure closure = {.needs = &need, .count = 1};

    return closure_check(&closure, kind_of, transaction, err);
}

/* Whether the row that was found as the base before the transaction is still that object's, and stays. One that
 * was put since the last sweep, or since a collection began, does. */
static int base_is_there(struct transaction *transaction, const struct base *base,
                         struct hf_error *err)
{
    const struct collection *collection = &transaction->writer->collection;
    DB_STATEMENT_AUTO *statement = NULL;
    struct object_id id;
    int rc;

    if (base->sweeps == transaction->writer->sweeps)
        return 1;
    rc = db_start(transaction->db, QUERY_OBJECT_AT, DB_VALUES(db_uint(base->seq)), &statement, err);
    if (rc == HF_OK)
        rc = db_next(transaction->db, statement, err);
    if (rc <= 0)
        return rc;
    if (!join_id(db_column_int(statement, 0), db_column_blob(statement, 1), &id) ||
        !object_id_equal(&id, &base->id))
        return 0;
    rc = collection_keeps(collection, transaction->db, base->seq, err);
    if (rc != 1)
        return rc;
    rc = collection_note(collection, transaction->db, base->seq, true, err);
    return rc == HF_OK ? 1 : rc;
}

static int insert_row(struct transaction *transaction, const struct object *object,
                      enum object_encoding encoding, uint64_t base_seq, struct slice packed,
                      uint64_t *ret_seq, struct hf_error *err)
{
    struct db *db = transaction->db;
    uint64_t seq = transaction->writer->range.newest + 1;
    int rc;
    const struct db_value columns[] = {
        db_int(key_of(&object->id)),
        db_blob(object->id.bytes + KEY_SIZE, REST_SIZE),
        db_int(object->kind),
        db_int(encoding),
        db_uint(object->content.len),
        encoding == OBJECT_LZ4_BASE ? db_uint(base_seq) : db_text(NULL),
        db_uint(transaction->writer->generation),
    };

    rc = db_run_summed_with(db, QUERY_OBJECT_INSERT, "object", columns, 7,
                            DB_VALUES(db_blob(packed.data, packed.len), db_uint(seq)), err);
    if (rc != HF_OK)
        return rc;
    writer_note_row(transaction->writer, key_of(&object->id), seq);
    *ret_seq = seq;
    return HF_OK;
}

static int insert_plain(struct transaction *transaction, const struct object *object,
                        uint64_t *ret_seq, struct hf_error *err)
{
    BUF_AUTO packed = {0};
    enum object_encoding encoding;

    if (object_pack(object->content, slice_of(NULL, 0), &packed, &encoding) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return insert_row(transaction, object, encoding, 0, buf_slice(&packed), ret_seq, err);
}

static int insert_packed(const struct incoming *incoming, struct transaction *transaction, size_t i,
                         uint64_t *ret_seq, struct hf_error *err)
{
    const struct incoming_object *packing = &incoming->packing[i];
    struct slice packed = {incoming->lanes[packing->lane].data + packing->packed_at,
                           packing->packed_len};
    uint64_t base_seq = packing->base ? packing->base->seq : 0;

    return insert_row(transaction, &incoming->objects[i], packing->encoding, base_seq, packed,
                      ret_seq, err);
}

static int insert_new(struct incoming *incoming, struct transaction *transaction, size_t i,
                      uint64_t *ret_seq, struct hf_error *err)
{
    const struct object *object = &incoming->objects[i];
    struct incoming_object *packing = &incoming->packing[i];
    int rc = 1;

    if (packing->packed && packing->encoding == OBJECT_LZ4_BASE)
        rc = base_is_there(transaction, packing->base, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        packing->packed = false; /* its base has gone */
    if (packing->packed)
        rc = insert_packed(incoming, transaction, i, ret_seq, err);
    else
        rc = insert_plain(transaction, object, ret_seq, err);
    if (rc == HF_OK)
        packing->seq = *ret_seq;
    return rc;
}

static int insert_one(struct incoming *incoming, struct transaction *transaction, size_t i,
                      struct hf_error *err)
{
    const struct object_id *id = &incoming->objects[i].id;
    enum object_kind kind = 0;
    uint64_t seq = 0;
    int rc;

    incoming->packing[i].seq = 0;
    if (incoming->host != 0) /* the number is wanted, too */
        rc = object_rely(transaction, id, &seq, &kind, err);
    else
        rc = seek_kind(transaction, id, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        rc = insert_new(incoming, transaction, i, &seq, err);
    else
        rc = HF_OK;
    if (rc == HF_OK && incoming->host != 0)
        rc = loose_note(transaction, incoming->host, seq, err);
    return rc;
}

int incoming_insert(struct incoming *incoming, struct transaction *transaction,
                    struct hf_error *err)
{
    int rc = HF_OK;

    incoming->sweeps = transaction->writer->sweeps;
    for (size_t i = 0; i < incoming->n && rc == HF_OK; i++) {
        rc = insert_one(incoming, transaction, i, err);
        if (rc == HF_OK)
            known_add(&transaction->writer->known_objects, &incoming->objects[i].id,
                      incoming->objects[i].kind);
    }
    return rc;
}
