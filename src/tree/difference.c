/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/difference.h"

#include <string.h>

static bool same_content(const struct content *a, const struct content *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == CONTENT_FILE || a->kind == CONTENT_DIR)
        return a->ref.height == b->ref.height && object_id_equal(&a->ref.id, &b->ref.id);
    return a->bytes.len == b->bytes.len &&
           (a->bytes.len == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.len) == 0);
}

static uint64_t same_bytes(struct slice a, struct slice b)
{
    uint64_t n = 0;

    while (n < a.len && n < b.len && a.data[n] == b.data[n])
        n++;
    return n;
}

static bool same_extent(const struct extent *a, const struct extent *b)
{
    return a->len == b->len && a->hole == b->hole && (a->hole || object_id_equal(&a->id, &b->id));
}

/** Bytes of the extents that two lists begin with alike. */
static uint64_t same_extents(struct node_reader *a, struct node_reader *b)
{
    struct extent x, y;
    uint64_t bytes = 0;

    while (node_reader_extent(a, &x) == 1 && node_reader_extent(b, &y) == 1 && same_extent(&x, &y))
        bytes += x.len;
    return bytes;
}

static uint64_t same_nodes(struct blob_cache *cache, const struct node_ref *a,
                           const struct node_ref *b);

/** Of two interior nodes of one height. */
static uint64_t same_children(struct blob_cache *cache, struct node_reader *a,
                              struct node_reader *b)
{
    struct file_child x, y;
    uint64_t bytes = 0;
    uint8_t below = (uint8_t)(a->height - 1);

    while (node_reader_file_child(a, &x) == 1 && node_reader_file_child(b, &y) == 1) {
        const struct node_ref p = {below, x.id}, q = {below, y.id};

        if (!object_id_equal(&x.id, &y.id))
            return bytes + same_nodes(cache, &p, &q);
        bytes += x.len;
    }
    return bytes;
}

/** Of a node and one that is not as high: what its first child begins with alike. */
static uint64_t same_first(struct blob_cache *cache, struct node_reader *higher,
                           const struct node_ref *lower)
{
    struct file_child child;
    struct node_ref first = {.height = (uint8_t)(higher->height - 1)};

    if (node_reader_file_child(higher, &child) != 1)
        return 0;
    first.id = child.id;
    return object_id_equal(&first.id, &lower->id) ? child.len : same_nodes(cache, &first, lower);
}

static uint64_t same_items(struct blob_cache *cache, const struct node_ref *a,
                           struct node_reader *in_a, const struct node_ref *b,
                           struct node_reader *in_b)
{
    if (in_a->height > in_b->height)
        return same_first(cache, in_a, b);
    if (in_b->height > in_a->height)
        return same_first(cache, in_b, a);
    return in_a->height == 0 ? same_extents(in_a, in_b) : same_children(cache, in_a, in_b);
}

/** Bytes that two nodes begin with alike: at least so many. Heights shrink with every step. */
static uint64_t same_nodes(struct blob_cache *cache, const struct node_ref *a,
                           const struct node_ref *b)
{
    struct node_reader in_a, in_b;
    struct blob *x, *y;
    uint64_t bytes = 0;

    if (blob_get(cache, &a->id, &x, NULL) != HF_OK)
        return 0;
    if (blob_get(cache, &b->id, &y, NULL) == HF_OK) {
        if (node_reader_start(&in_a, OBJECT_FILE, blob_content(x)) == HF_OK &&
            node_reader_start(&in_b, OBJECT_FILE, blob_content(y)) == HF_OK &&
            in_a.height <= a->height && in_b.height <= b->height)
            bytes = same_items(cache, a, &in_a, b, &in_b);
        blob_unref(cache, y);
    }
    blob_unref(cache, x);
    return bytes;
}

uint64_t difference_start(struct blob_cache *cache, const struct content *a,
                          const struct content *b)
{
    struct node_reader in_a, in_b;

    if (same_content(a, b))
        return DIFFERENCE_NONE;
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case CONTENT_INLINE:
        return same_bytes(a->bytes, b->bytes);
    case CONTENT_EXTENTS:
        if (content_extents_start(&in_a, a) != HF_OK || content_extents_start(&in_b, b) != HF_OK)
            return 0;
        return same_extents(&in_a, &in_b);
    case CONTENT_FILE:
        return same_nodes(cache, &a->ref, &b->ref);
    default:
        return 0;
    }
}
