/* SPDX-License-Identifier: Apache-2.0 */
#include "store/transfer.h"

#include <stdlib.h>

#include "object/node.h"

#define GROUP 16               /* nodes that are read at once */
#define READ_CHUNKS 64         /* chunks that are read at once */
#define BATCH 256              /* objects that are sent at once */
#define BATCH_BYTES (2u << 20) /* and their bytes, about */
#define ASK 1024               /* ids in a question */
#define SEEN_MAX                                                                                   \
    (1u << 19) /* what is remembered beyond it costs memory, and saves a question only */
#define HELD_MAX (64u << 20) /* nodes in memory; others are read twice */

/* An object that the target lacks. */
struct item {
    struct object_id id;
    enum object_kind kind;
    bool has_former;
    struct object_id former; /* what it replaces, maybe */
};

struct items {
    struct item *items;
    size_t n, cap;
};

struct transfer_level {
    struct items nodes;
    size_t next, end; /* the group: those below it are done */
    bool open;        /* the group's children are on their way, or sent */
    struct buf contents[GROUP];
};

int transfer_init(struct transfer *transfer, struct store *source, struct store *target,
                  uint64_t host, struct hf_error *err)
{
    *transfer = (struct transfer){.source = source, .target = target, .host = host};
    transfer->batch = calloc(BATCH, sizeof *transfer->batch);
    transfer->contents = calloc(BATCH, sizeof *transfer->contents);
    if (transfer->batch && transfer->contents)
        return HF_OK;
    transfer_free(transfer);
    return hf_fail(err, HF_NOMEM, "out of memory");
}

/* Forgets the group's contents; they can be read again. */
static void drop_contents(struct transfer *transfer, struct transfer_level *level)
{
    for (size_t i = 0; i < GROUP; i++) {
        transfer->held -= level->contents[i].len;
        buf_free(&level->contents[i]);
    }
}

static void pop(struct transfer *transfer)
{
    struct transfer_level *level = &transfer->levels[--transfer->nlevels];

    drop_contents(transfer, level);
    free(level->nodes.items);
}

void transfer_free(struct transfer *transfer)
{
    while (transfer->nlevels > 0)
        pop(transfer);
    for (size_t i = 0; i < transfer->nbatch; i++)
        buf_free(&transfer->contents[i]);
    free(transfer->levels);
    free(transfer->batch);
    free(transfer->contents);
    idmap_free(&transfer->seen);
    *transfer = (struct transfer){0};
}

/* --- what the target has ------------------------------------------------------------------------------------ */

static bool is_seen(const struct transfer *transfer, const struct object_id *id)
{
    return idmap_find(&transfer->seen, id) != NULL;
}

static int see(struct transfer *transfer, const struct object_id *id, struct hf_error *err)
{
    uint32_t *value;

    if (transfer->seen.count >= SEEN_MAX)
        idmap_free(&transfer->seen);
    if (idmap_add(&transfer->seen, id, 1, &value) < 0)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return HF_OK;
}

int transfer_look(struct transfer *transfer, const struct object_id *roots, size_t n,
                  struct hf_error *err)
{
    bool missing[ASK];
    int rc = HF_OK;

    transfer->unreadable = false;
    for (size_t at = 0; at < n && rc == HF_OK; at += ASK) {
        size_t part = n - at < ASK ? n - at : ASK;

        rc = store_missing(transfer->target, transfer->host, roots + at, part, missing, err);
        for (size_t i = 0; i < part && rc == HF_OK; i++)
            if (!missing[i])
                rc = see(transfer, &roots[at + i], err);
    }
    return rc;
}

/* Takes out of the list what the target has. */
static int keep_missing(struct transfer *transfer, struct items *items, struct hf_error *err)
{
    struct object_id ids[ASK];
    bool missing[ASK];
    size_t kept = 0;

    for (size_t at = 0; at < items->n;) {
        size_t part = 0, start = at;
        int rc;

        for (; at < items->n && part < ASK; at++)
            ids[part++] = items->items[at].id;
        rc = store_missing(transfer->target, transfer->host, ids, part, missing, err);
        for (size_t i = 0; i < part && rc == HF_OK; i++) {
            if (missing[i])
                items->items[kept++] = items->items[start + i];
            else
                rc = see(transfer, &ids[i], err);
        }
        if (rc != HF_OK)
            return rc;
    }
    items->n = kept;
    return HF_OK;
}

/* --- sending ------------------------------------------------------------------------------------------------- */

int transfer_flush(struct transfer *transfer, struct hf_error *err)
{
    int rc;

    transfer->unreadable = false;
    if (transfer->nbatch == 0)
        return HF_OK;
    rc = store_put(transfer->target, transfer->host, transfer->batch, transfer->nbatch, err);
    if (rc != HF_OK)
        return rc;
    transfer->objects += transfer->nbatch;
    transfer->bytes += transfer->batch_bytes;
    for (size_t i = 0; i < transfer->nbatch; i++)
        buf_free(&transfer->contents[i]);
    transfer->nbatch = 0;
    transfer->batch_bytes = 0;
    rc = transfer->sent ? transfer->sent(transfer->arg) : HF_OK;
    return rc == HF_OK ? rc : hf_fail(err, HF_INTR, "the copy was interrupted");
}

/* Adds an object to the batch, all below it being there or on their way. Takes the content over. */
static int send(struct transfer *transfer, const struct item *item, struct buf *content,
                struct hf_error *err)
{
    int rc = HF_OK;

    if (is_seen(transfer, &item->id))
        return HF_OK;
    if (transfer->nbatch == BATCH || transfer->batch_bytes + content->len > BATCH_BYTES)
        rc = transfer_flush(transfer, err);
    if (rc == HF_OK)
        rc = see(transfer, &item->id, err);
    if (rc != HF_OK)
        return rc;
    transfer->batch[transfer->nbatch] = (struct object){.id = item->id,
                                                        .kind = item->kind,
                                                        .has_base = item->has_former,
                                                        .base = item->former,
                                                        .content = buf_slice(content)};
    transfer->contents[transfer->nbatch++] = *content;
    transfer->batch_bytes += content->len;
    *content = (struct buf){0};
    return HF_OK;
}

/* --- reading ------------------------------------------------------------------------------------------------- */

static int read_items(struct transfer *transfer, const struct item *items, size_t n,
                      struct buf *ret_contents, struct hf_error *err)
{
    struct object_id ids[READ_CHUNKS];
    int rc;

    for (size_t i = 0; i < n; i++)
        ids[i] = items[i].id;
    rc = store_get(transfer->source, ids, n, ret_contents, err);
    transfer->unreadable = rc != HF_OK;
    return rc;
}

static int send_chunks(struct transfer *transfer, const struct items *chunks, struct hf_error *err)
{
    struct buf contents[READ_CHUNKS] = {0};
    int rc = HF_OK;

    for (size_t at = 0; at < chunks->n && rc == HF_OK; at += READ_CHUNKS) {
        size_t n = chunks->n - at < READ_CHUNKS ? chunks->n - at : READ_CHUNKS;

        rc = read_items(transfer, chunks->items + at, n, contents, err);
        for (size_t i = 0; i < n && rc == HF_OK; i++)
            rc = send(transfer, &chunks->items[at + i], &contents[i], err);
        for (size_t i = 0; i < n; i++)
            buf_free(&contents[i]);
    }
    return rc;
}

/* --- references ---------------------------------------------------------------------------------------------- */

static int add_item(struct items *items, const struct item *item)
{
    if (items->n == items->cap) {
        size_t cap = items->cap ? items->cap * 2 : 32;
        struct item *grown = reallocarray(items->items, cap, sizeof *grown);

        if (!grown)
            return HF_NOMEM;
        items->items = grown;
        items->cap = cap;
    }
    items->items[items->n++] = *item;
    return HF_OK;
}

static int take_ref(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct item item = {.id = *id, .kind = kind};

    return add_item(arg, &item);
}

static int list_refs(enum object_kind kind, struct slice content, struct items *ret_refs,
                     struct hf_error *err)
{
    int rc = node_refs(kind, content, take_ref, ret_refs);

    return rc == HF_OK ? rc : hf_fail(err, rc, "%s", hf_status_text(rc));
}

/* Two nodes refer to the same but for a stretch in the middle, mostly: what stands there at the same place replaces what
 * stood there. */
static void pair(struct items *refs, const struct items *former)
{
    size_t start = 0, end = 0;
    size_t least = refs->n < former->n ? refs->n : former->n;

    while (start < least && object_id_equal(&refs->items[start].id, &former->items[start].id))
        start++;
    while (end < least - start && object_id_equal(&refs->items[refs->n - 1 - end].id,
                                                  &former->items[former->n - 1 - end].id))
        end++;
    for (size_t i = start; i < least - end; i++) {
        if (refs->items[i].kind != former->items[i].kind)
            continue;
        refs->items[i].has_former = true;
        refs->items[i].former = former->items[i].id;
    }
}

/* Without it the copy takes more room, and is as good: no failure to read it matters. */
static void pair_with_former(struct transfer *transfer, const struct item *node, struct items *refs)
{
    struct items former = {0};
    BUF_AUTO content = {0};

    if (store_get(transfer->source, &node->former, 1, &content, NULL) == HF_OK &&
        list_refs(node->kind, buf_slice(&content), &former, NULL) == HF_OK)
        pair(refs, &former);
    free(former.items);
}

/* What a group refers to, each once, without what the target is known to have. */
struct below {
    struct items all;
    struct idmap listed;
};

static int add_below(struct transfer *transfer, const struct item *item, struct below *below)
{
    uint32_t *value;
    int rc;

    if (is_seen(transfer, &item->id))
        return HF_OK;
    rc = idmap_add(&below->listed, &item->id, 1, &value);
    return rc == 1 ? add_item(&below->all, item) : rc;
}

static int gather(struct transfer *transfer, const struct item *node, struct slice content,
                  struct below *below, struct hf_error *err)
{
    struct items refs = {0};
    int rc = list_refs(node->kind, content, &refs, err);

    transfer->unreadable = rc != HF_OK;
    if (rc == HF_OK && node->has_former)
        pair_with_former(transfer, node, &refs);
    for (size_t i = 0; i < refs.n && rc == HF_OK; i++)
        if (add_below(transfer, &refs.items[i], below) != HF_OK)
            rc = hf_fail(err, HF_NOMEM, "out of memory");
    free(refs.items);
    return rc;
}

/* Splits a list into chunks and nodes. */
static int sort_out(const struct items *all, struct items *chunks, struct items *nodes)
{
    int rc = HF_OK;

    for (size_t i = 0; i < all->n && rc == HF_OK; i++)
        rc = add_item(all->items[i].kind == OBJECT_CHUNK ? chunks : nodes, &all->items[i]);
    return rc;
}

/* --- the walk -------------------------------------------------------------------------------------------------- */

/* Takes the nodes over, also when it fails. */
static int push(struct transfer *transfer, struct items *nodes, struct hf_error *err)
{
    if (transfer->nlevels == transfer->cap) {
        size_t cap = transfer->cap ? transfer->cap * 2 : 16;
        struct transfer_level *levels = reallocarray(transfer->levels, cap, sizeof *levels);

        if (!levels) {
            free(nodes->items);
            return hf_fail(err, HF_NOMEM, "out of memory");
        }
        transfer->levels = levels;
        transfer->cap = cap;
    }
    transfer->levels[transfer->nlevels++] = (struct transfer_level){.nodes = *nodes};
    return HF_OK;
}

static int read_group(struct transfer *transfer, struct transfer_level *level, struct hf_error *err)
{
    size_t n = level->end - level->next;
    int rc = read_items(transfer, level->nodes.items + level->next, n, level->contents, err);

    for (size_t i = 0; i < n; i++)
        transfer->held += level->contents[i].len;
    return rc;
}

/* Finds and sends the chunks of the group's nodes, and pushes the nodes below them. */
static int descend(struct transfer *transfer, struct transfer_level *level, struct hf_error *err)
{
    struct below below = {0};
    struct items chunks = {0}, nodes = {0};
    int rc = HF_OK;

    for (size_t i = level->next; i < level->end && rc == HF_OK; i++)
        rc = gather(transfer, &level->nodes.items[i], buf_slice(&level->contents[i - level->next]),
                    &below, err);
    if (rc == HF_OK)
        rc = keep_missing(transfer, &below.all, err);
    if (rc == HF_OK && sort_out(&below.all, &chunks, &nodes) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = send_chunks(transfer, &chunks, err);
    if (rc == HF_OK && transfer->held > HELD_MAX)
        drop_contents(transfer, level);
    if (rc == HF_OK && nodes.n > 0)
        rc = push(transfer, &nodes, err);
    else
        free(nodes.items);
    free(chunks.items);
    free(below.all.items);
    idmap_free(&below.listed);
    return rc;
}

static int open_group(struct transfer *transfer, struct transfer_level *level, struct hf_error *err)
{
    size_t left = level->nodes.n - level->next;
    int rc;

    level->end = level->next + (left < GROUP ? left : GROUP);
    level->open = true;
    rc = read_group(transfer, level, err);
    return rc == HF_OK ? descend(transfer, level, err) : rc;
}

/* All below the group's nodes is sent: now they. */
static int close_group(struct transfer *transfer, struct transfer_level *level,
                       struct hf_error *err)
{
    int rc = HF_OK;

    if (level->contents[0].len == 0) /* dropped: no node is empty */
        rc = read_group(transfer, level, err);
    for (size_t i = level->next; i < level->end && rc == HF_OK; i++) {
        struct buf *content = &level->contents[i - level->next];
        size_t len = content->len;

        rc = send(transfer, &level->nodes.items[i], content, err);
        transfer->held -= len - content->len;
    }
    drop_contents(transfer, level);
    level->next = level->end;
    level->open = false;
    return rc;
}

int transfer_root(struct transfer *transfer, const struct object_id *root,
                  const struct object_id *former, struct hf_error *err)
{
    struct item item = {.id = *root, .kind = OBJECT_ROOT, .has_former = former != NULL};
    struct items nodes = {0};
    int rc;

    transfer->unreadable = false;
    if (former)
        item.former = *former;
    if (is_seen(transfer, root))
        return HF_OK;
    if (add_item(&nodes, &item) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = keep_missing(transfer, &nodes, err);
    if (rc != HF_OK || nodes.n == 0) {
        free(nodes.items);
        return rc;
    }
    rc = push(transfer, &nodes, err);
    while (rc == HF_OK && transfer->nlevels > 0) {
        struct transfer_level *level = &transfer->levels[transfer->nlevels - 1];

        if (level->open)
            rc = close_group(transfer, level, err);
        else if (level->next < level->nodes.n)
            rc = open_group(transfer, level, err);
        else
            pop(transfer);
    }
    while (transfer->nlevels > 0)
        pop(transfer);
    return rc;
}
