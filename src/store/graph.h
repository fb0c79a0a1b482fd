/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The graph of objects below the roots of a store, as fsck walks it: depth first, each object once, however
 * many roots lead to it. Of every object it knows then
 *
 *     ROOT, DIR   how many regular files are below it, and their bytes
 *     DIR         how many entries its directory has, and the first name
 *     FILE        how many bytes of file it stands for, and how many of them are no holes
 *     CHUNK       its length
 *     all         whether it, or something below it, is missing or damaged
 *
 * and compares that with what the nodes above say about it. Used by one thread at a time.
 */
#ifndef STORE_GRAPH_H
#define STORE_GRAPH_H

#include "object/node.h"
#include "store/idmap.h"
#include "store/store.h"

/** Told of each object that is missing or damaged, or belies what refers to it, once. Not 0: stops. */
typedef int (*graph_report_fn)(int status, const struct object_id *id, const char *message,
                               void *arg);

struct graph_node; /* all but chunks */

/** Filled by graph_init(). */
struct graph {
    struct store *store;
    graph_report_fn report;
    void *arg;
    struct idmap seen; /**< what is known of an object, or where it stands in `nodes` */
    struct graph_node *nodes;
    size_t nnodes, nodes_cap;
    struct object_id *damaged; /**< objects that something is wrong with */
    size_t ndamaged, damaged_cap;
};

/** Starts with nothing seen; the store is borrowed. Ended with graph_free(). */
void graph_init(struct graph *graph, struct store *store, graph_report_fn report, void *arg);
void graph_free(struct graph *graph);

/** What is below one root. */
struct graph_totals {
    uint64_t bytes, files;          /**< of regular files; meaningless when something is damaged */
    const struct object_id *damage; /**< an object at or below the root that is damaged, or NULL */
};

/** Walks what hangs from a root and was not walked before. Returns 0, what `report` returned, or a failure
 *  that is no finding, such as HF_NOMEM. */
int graph_walk(struct graph *graph, const struct object_id *root, struct graph_totals *ret_totals,
               struct hf_error *err);

/** Objects seen so far. */
static inline uint64_t graph_count(const struct graph *graph)
{
    return graph->seen.count;
}

#endif
