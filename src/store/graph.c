/* SPDX-License-Identifier: Apache-2.0 */
#include "store/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CHUNKS_AT_ONCE 32

/*
 * What graph.seen holds of an object: a node's index in graph.nodes + 1; or of a chunk its length; or of a
 * chunk that cannot be read, where it stands in graph.damaged.
 */
#define SEEN_CHUNK 0x40000000U
#define SEEN_BAD_CHUNK 0x80000000U
#define NODES_MAX 0x3fffffffU

struct graph_node {
    enum object_kind kind;
    uint8_t height;
    bool done;             /* else it is on the stack */
    uint32_t damage;       /* index in graph.damaged + 1 of an object at or below it; 0: none */
    uint64_t measure;      /* DIR: entries; FILE: bytes */
    uint64_t allocated;    /* FILE: bytes that are no holes */
    uint64_t first;        /* DIR: hash of the first name */
    uint64_t bytes, files; /* DIR, ROOT */
};

/* Why one object refers to another. */
enum edge_role {
    EDGE_XATTRS,  /* a chunk with an inode's xattrs */
    EDGE_EXTENT,  /* a chunk with file data */
    EDGE_FILE,    /* the top node of a file's extents */
    EDGE_DIR,     /* the top node of a directory */
    EDGE_SUBTREE, /* a child of an interior node */
};

/* A reference, and what it says about the object that it leads to. */
struct edge {
    struct object_id id;
    enum object_kind kind;
    enum edge_role role;
    uint8_t height;
    uint64_t measure, allocated, first;
};

/* A node that is being walked. */
struct frame {
    struct object_id id;
    uint32_t index; /* in graph.nodes */
    struct edge *edges;
    size_t nedges, cap, next;
};

struct walk {
    struct graph *graph;
    struct frame *frames; /* a stack */
    size_t depth, cap;
    struct hf_error *err;
};

/* --- findings ------------------------------------------------------------------------------------------ */

static const char *kind_name(enum object_kind kind)
{
    static const char *const names[] = {"object", "chunk", "directory node", "file node", "root"};

    return kind >= OBJECT_CHUNK && kind <= OBJECT_ROOT ? names[kind] : names[0];
}

static int out_of_memory(struct hf_error *err)
{
    return hf_fail(err, HF_NOMEM, "out of memory");
}

/* Remembers a damaged object and tells of it; *ret_damage is its number. */
static int add_damage(struct graph *graph, const struct object_id *id, int status,
                      const char *message, uint32_t *ret_damage, struct hf_error *err)
{
    if (graph->ndamaged == graph->damaged_cap) {
        size_t cap = graph->damaged_cap ? graph->damaged_cap * 2 : 16;
        struct object_id *damaged = reallocarray(graph->damaged, cap, sizeof *damaged);

        if (!damaged)
            return out_of_memory(err);
        graph->damaged = damaged;
        graph->damaged_cap = cap;
    }
    graph->damaged[graph->ndamaged++] = *id;
    *ret_damage = (uint32_t)graph->ndamaged;
    return graph->report(status, id, message, graph->arg);
}

static int add_unreadable(struct graph *graph, const struct object_id *id, enum object_kind kind,
                          int status, uint32_t *ret_damage, struct hf_error *err)
{
    char hex[OBJECT_ID_HEX_SIZE], message[160];

    object_id_hex(id, hex);
    snprintf(message, sizeof message, "%s %s: %s", kind_name(kind), hex, hf_status_text(status));
    return add_damage(graph, id, status, message, ret_damage, err);
}

/* A status of a read that says something about the object, not about this process. */
static bool is_finding(int status)
{
    return status != HF_OK && status != HF_NOMEM && status != HF_MFILE && status != HF_INTR;
}

/* --- what a node refers to --------------------------------------------------------------------------------- */

static int add_edge(struct frame *frame, const struct edge *edge)
{
    if (frame->nedges == frame->cap) {
        size_t cap = frame->cap ? frame->cap * 2 : 16;
        struct edge *edges = reallocarray(frame->edges, cap, sizeof *edges);

        if (!edges)
            return HF_NOMEM;
        frame->edges = edges;
        frame->cap = cap;
    }
    frame->edges[frame->nedges++] = *edge;
    return HF_OK;
}

static int add_extents(struct frame *frame, struct node_reader *reader, struct graph_node *node)
{
    struct extent extent;
    int rc;

    while ((rc = node_reader_extent(reader, &extent)) == 1) {
        struct edge edge = {
            .id = extent.id, .kind = OBJECT_CHUNK, .role = EDGE_EXTENT, .measure = extent.len};

        if (node) {
            node->measure += extent.len;
            node->allocated += extent.hole ? 0 : extent.len;
        }
        rc = extent.hole ? HF_OK : add_edge(frame, &edge);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

static int add_leaf(struct frame *frame, struct node_reader *reader, struct graph_node *node);

/* What the content of an inode, or the link table, refers to. `node` gets what lies in it in place. */
static int add_content(struct frame *frame, const struct content *content, uint64_t size,
                       uint64_t allocated, struct graph_node *node)
{
    struct node_reader reader;
    struct edge edge = {.id = content->ref.id, .height = content->ref.height};
    int rc;

    switch (content->kind) {
    case CONTENT_EXTENTS:
        rc = content_extents_start(&reader, content);
        return rc == HF_OK ? add_extents(frame, &reader, NULL) : rc;
    case CONTENT_FILE:
        edge.kind = OBJECT_FILE;
        edge.role = EDGE_FILE;
        edge.measure = size;
        edge.allocated = allocated;
        return add_edge(frame, &edge);
    case CONTENT_DIR:
        edge.kind = OBJECT_DIR;
        edge.role = EDGE_DIR;
        edge.measure = content->count;
        return add_edge(frame, &edge);
    case CONTENT_LEAF:
        rc = node_reader_start(&reader, OBJECT_DIR, content->bytes);
        return rc == HF_OK ? add_leaf(frame, &reader, node) : rc;
    case CONTENT_NONE:
    case CONTENT_INLINE:
        break;
    }
    return HF_OK;
}

static int add_record(struct frame *frame, const struct inode_record *record,
                      struct graph_node *node)
{
    struct edge xattrs = {.id = record->xattr_id, .kind = OBJECT_CHUNK, .role = EDGE_XATTRS};
    int rc = HF_OK;

    if (S_ISREG(record->mode)) {
        node->bytes += record->size;
        node->files++;
    }
    if (record->xattr_kind == XATTR_CHUNK)
        rc = add_edge(frame, &xattrs);
    return rc == HF_OK ? add_content(frame, &record->content, record->size, record->allocated, node)
                       : rc;
}

/* FNV-1a (G. Fowler, L. C. Noll, P. Vo). */
static uint64_t hash_name(struct slice name)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.data[i]) * 0x100000001b3ULL;
    return hash;
}

static int add_leaf(struct frame *frame, struct node_reader *reader, struct graph_node *node)
{
    struct inode_record record;
    struct dir_entry entry;
    int rc;

    while ((rc = node_reader_dir_entry(reader, &entry)) == 1) {
        if (node->measure++ == 0)
            node->first = hash_name(entry.name);
        rc = HF_OK;
        if (entry.record.len > 0)
            rc = inode_record_decode(entry.record, &record);
        if (rc == HF_OK && entry.record.len > 0)
            rc = add_record(frame, &record, node);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

static int add_dir_children(struct frame *frame, struct node_reader *reader,
                            struct graph_node *node)
{
    struct dir_child child;
    int rc;

    while ((rc = node_reader_dir_child(reader, &child)) == 1) {
        struct edge edge = {.id = child.id,
                            .kind = OBJECT_DIR,
                            .role = EDGE_SUBTREE,
                            .height = (uint8_t)(node->height - 1),
                            .measure = child.count,
                            .first = hash_name(child.first)};

        if (frame->nedges == 0)
            node->first = edge.first;
        rc = add_edge(frame, &edge);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

static int add_file_children(struct frame *frame, struct node_reader *reader,
                             const struct graph_node *node)
{
    struct file_child child;
    int rc;

    while ((rc = node_reader_file_child(reader, &child)) == 1) {
        struct edge edge = {.id = child.id,
                            .kind = OBJECT_FILE,
                            .role = EDGE_SUBTREE,
                            .height = (uint8_t)(node->height - 1),
                            .measure = child.len};

        rc = add_edge(frame, &edge);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

static int read_root(struct frame *frame, struct slice bytes, struct graph_node *node)
{
    struct root_node root;
    int rc = root_node_decode(bytes, &root);

    if (rc == HF_OK)
        rc = add_record(frame, &root.dir, node);
    return rc == HF_OK ? add_content(frame, &root.links, 0, 0, node) : rc;
}

/* Fills the node and the frame's edges from the object's content. */
static int read_node(struct frame *frame, struct slice bytes, struct graph_node *node)
{
    struct node_reader reader;
    int rc;

    if (node->kind == OBJECT_ROOT)
        return read_root(frame, bytes, node);
    rc = node_reader_start(&reader, node->kind, bytes);
    if (rc != HF_OK)
        return rc;
    node->height = reader.height;
    if (node->kind == OBJECT_DIR)
        return reader.height == 0 ? add_leaf(frame, &reader, node)
                                  : add_dir_children(frame, &reader, node);
    return reader.height == 0 ? add_extents(frame, &reader, node)
                              : add_file_children(frame, &reader, node);
}

/* --- chunks -------------------------------------------------------------------------------------------------- */

static int see_chunk(struct graph *graph, const struct object_id *id, int status, size_t len,
                     struct hf_error *err)
{
    uint32_t damage, value = SEEN_CHUNK | (uint32_t)len, *seen;
    int rc = HF_OK;

    if (status != HF_OK) {
        rc = add_unreadable(graph, id, OBJECT_CHUNK, status, &damage, err);
        value = SEEN_BAD_CHUNK | damage;
    }
    if (rc == HF_OK && idmap_add(&graph->seen, id, value, &seen) < 0)
        rc = out_of_memory(err);
    return rc;
}

/* Reads chunks that are not known yet. When one of them cannot be read, each is read by itself. */
static int read_chunks(struct graph *graph, const struct object_id *ids, size_t n,
                       struct hf_error *err)
{
    struct buf contents[CHUNKS_AT_ONCE] = {0};
    int status = store_get(graph->store, ids, n, contents, err);
    int rc = status == HF_OK || is_finding(status) ? HF_OK : status;

    for (size_t i = 0; rc == HF_OK && i < n; i++) {
        if (status != HF_OK && n > 1)
            rc = read_chunks(graph, &ids[i], 1, err);
        else
            rc = see_chunk(graph, &ids[i], status, contents[i].len, err);
    }
    for (size_t i = 0; i < n; i++)
        buf_free(&contents[i]);
    return rc;
}

static bool among(const struct object_id *ids, size_t n, const struct object_id *id)
{
    for (size_t i = 0; i < n; i++)
        if (object_id_equal(&ids[i], id))
            return true;
    return false;
}

/* Reads all chunks that the frame refers to. */
static int read_chunks_of(struct graph *graph, const struct frame *frame, struct hf_error *err)
{
    struct object_id ids[CHUNKS_AT_ONCE];
    size_t n = 0;
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < frame->nedges; i++) {
        const struct edge *edge = &frame->edges[i];

        if (edge->kind != OBJECT_CHUNK || idmap_find(&graph->seen, &edge->id) ||
            among(ids, n, &edge->id))
            continue;
        ids[n++] = edge->id;
        if (n == CHUNKS_AT_ONCE) {
            rc = read_chunks(graph, ids, n, err);
            n = 0;
        }
    }
    return rc == HF_OK && n > 0 ? read_chunks(graph, ids, n, err) : rc;
}

/* --- one node ------------------------------------------------------------------------------------------------ */

/* Adds a node to the graph and puts it on the stack. */
static int push(struct walk *walk, const struct object_id *id, enum object_kind kind)
{
    struct graph *graph = walk->graph;
    uint32_t *seen;

    if (graph->nnodes == graph->nodes_cap) {
        size_t cap = graph->nodes_cap ? graph->nodes_cap * 2 : 256;
        struct graph_node *nodes = reallocarray(graph->nodes, cap, sizeof *nodes);

        if (!nodes || cap > NODES_MAX) {
            graph->nodes = nodes ? nodes : graph->nodes;
            return out_of_memory(walk->err);
        }
        graph->nodes = nodes;
        graph->nodes_cap = cap;
    }
    if (walk->depth == walk->cap) {
        size_t cap = walk->cap ? walk->cap * 2 : 64;
        struct frame *frames = reallocarray(walk->frames, cap, sizeof *frames);

        if (!frames)
            return out_of_memory(walk->err);
        walk->frames = frames;
        walk->cap = cap;
    }
    if (idmap_add(&graph->seen, id, (uint32_t)graph->nnodes + 1, &seen) < 0)
        return out_of_memory(walk->err);
    walk->frames[walk->depth++] = (struct frame){.id = *id, .index = (uint32_t)graph->nnodes};
    graph->nodes[graph->nnodes++] = (struct graph_node){.kind = kind};
    return HF_OK;
}

/* Reads the node on top of the stack. One that cannot be read has no edges, and is damaged. */
static int load(struct walk *walk)
{
    struct graph *graph = walk->graph;
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct graph_node *node = &graph->nodes[frame->index];
    BUF_AUTO bytes = {0};
    int rc = store_get(graph->store, &frame->id, 1, &bytes, walk->err);

    if (rc == HF_OK)
        rc = read_node(frame, buf_slice(&bytes), node);
    if (is_finding(rc)) {
        frame->nedges = 0;
        return add_unreadable(graph, &frame->id, node->kind, rc, &node->damage, walk->err);
    }
    return rc == HF_OK ? read_chunks_of(graph, frame, walk->err) : rc;
}

/* What the edge says about its object, against what the object is; NULL: they agree. */
static const char *compare(const struct edge *edge, const struct graph_node *child)
{
    if (child->kind != edge->kind)
        return "is of another kind than its reference says";
    if (child->height != edge->height)
        return "is of another height than its reference says";
    if (child->measure != edge->measure)
        return edge->kind == OBJECT_DIR ? "has another number of entries than its reference says"
                                        : "stands for another length than its reference says";
    if (edge->role == EDGE_FILE && child->allocated != edge->allocated)
        return "has other holes than its reference says";
    if (edge->kind == OBJECT_DIR && edge->role == EDGE_SUBTREE && child->first != edge->first)
        return "has another first name than its reference says";
    return NULL;
}

static int tell_mismatch(struct walk *walk, const struct frame *frame, const struct edge *edge,
                         const char *what, uint32_t *ret_damage)
{
    char hex[OBJECT_ID_HEX_SIZE], parent[OBJECT_ID_HEX_SIZE], message[280];

    object_id_hex(&edge->id, hex);
    object_id_hex(&frame->id, parent);
    snprintf(message, sizeof message, "%s %s %s, in %s", kind_name(edge->kind), hex, what, parent);
    return add_damage(walk->graph, &edge->id, HF_CORRUPT, message, ret_damage, walk->err);
}

/* Takes what is known of an object into account in the node above it. */
static int settle_edge(struct walk *walk, const struct frame *frame, const struct edge *edge,
                       struct graph_node *node)
{
    uint32_t seen = *idmap_find(&walk->graph->seen, &edge->id), damage = 0;
    const struct graph_node *child;
    const char *what = NULL;
    int rc = HF_OK;

    if (seen & SEEN_BAD_CHUNK) {
        damage = seen & ~SEEN_BAD_CHUNK;
    } else if (seen & SEEN_CHUNK) {
        if (edge->kind != OBJECT_CHUNK)
            what = "is a chunk, but its reference says otherwise";
        else if (edge->role == EDGE_EXTENT && (seen & ~SEEN_CHUNK) != edge->measure)
            what = "is of another length than its reference says";
    } else {
        child = &walk->graph->nodes[seen - 1];
        damage = child->damage;
        if (damage == 0)
            what = child->done ? compare(edge, child) : "contains itself";
        if (edge->role == EDGE_SUBTREE) {
            node->measure += child->measure;
            node->allocated += child->allocated;
        }
        node->bytes += child->bytes;
        node->files += child->files;
    }
    if (what)
        rc = tell_mismatch(walk, frame, edge, what, &damage);
    if (node->damage == 0)
        node->damage = damage;
    return rc;
}

/* The frame on top has no children left: takes it off. */
static int pop(struct walk *walk)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct graph_node *node = &walk->graph->nodes[frame->index];
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < frame->nedges; i++)
        rc = settle_edge(walk, frame, &frame->edges[i], node);
    node->done = true;
    free(frame->edges);
    walk->depth--;
    return rc;
}

/* --- the walk -------------------------------------------------------------------------------------------------- */

static int descend(struct walk *walk)
{
    int rc = HF_OK;

    while (rc == HF_OK && walk->depth > 0) {
        struct frame *frame = &walk->frames[walk->depth - 1];
        const struct edge *edge;

        if (frame->next == frame->nedges) {
            rc = pop(walk);
            continue;
        }
        edge = &frame->edges[frame->next++];
        if (idmap_find(&walk->graph->seen, &edge->id))
            continue;
        rc = push(walk, &edge->id, edge->kind);
        if (rc == HF_OK)
            rc = load(walk);
    }
    return rc;
}

/* A root that is known already as something else: a chunk, say. */
static struct graph_totals not_a_root(const struct object_id *root)
{
    return (struct graph_totals){.damage = root};
}

static struct graph_totals totals_of(const struct graph *graph, const struct object_id *root)
{
    uint32_t seen = *idmap_find(&graph->seen, root);
    const struct graph_node *node;

    if (seen & (SEEN_CHUNK | SEEN_BAD_CHUNK) || graph->nodes[seen - 1].kind != OBJECT_ROOT)
        return not_a_root(root);
    node = &graph->nodes[seen - 1];
    return (struct graph_totals){
        .bytes = node->bytes,
        .files = node->files,
        .damage = node->damage ? &graph->damaged[node->damage - 1] : NULL,
    };
}

int graph_walk(struct graph *graph, const struct object_id *root, struct graph_totals *ret_totals,
               struct hf_error *err)
{
    struct walk walk = {.graph = graph, .err = err};
    int rc = HF_OK;

    if (!idmap_find(&graph->seen, root)) {
        rc = push(&walk, root, OBJECT_ROOT);
        if (rc == HF_OK)
            rc = load(&walk);
        if (rc == HF_OK)
            rc = descend(&walk);
    }
    while (walk.depth > 0)
        free(walk.frames[--walk.depth].edges);
    free(walk.frames);
    if (rc == HF_OK)
        *ret_totals = totals_of(graph, root);
    return rc;
}

void graph_init(struct graph *graph, struct store *store, graph_report_fn report, void *arg)
{
    *graph = (struct graph){.store = store, .report = report, .arg = arg};
}

void graph_free(struct graph *graph)
{
    idmap_free(&graph->seen);
    free(graph->nodes);
    free(graph->damaged);
    *graph = (struct graph){0};
}
