/* SPDX-License-Identifier: Apache-2.0 */
/** Builds trees of objects for tests of stores, without a working tree. Failures fail the test. */
#ifndef TESTS_STORE_SCENE_H
#define TESTS_STORE_SCENE_H

#include "object/node.h"
#include "store/store.h"

/** Objects made so far, children first. Copies everything. */
struct scene {
    struct object_hasher hasher;
    struct object *objects;
    size_t n, cap;
    uint64_t next_ino;
    uint64_t bytes, files; /**< of the tree under the last root made */
};

/** A file, or a directory when it has `children`. Names in byte order. */
struct scene_node {
    const char *name;
    const void *data;
    size_t len;
    const struct scene_node *children;
    size_t nchildren;
    bool directory;
    const char *xattr; /**< value of user.note, kept in a chunk; or NULL */
};

void scene_init(struct scene *scene, const struct store *store);
void scene_clear(struct scene *scene);

/** Adds one object, whatever its content. */
struct object_id scene_add(struct scene *scene, enum object_kind kind, const void *data,
                           size_t len);
/** Adds a root with these nodes in its top directory, and everything below it. */
struct object_id scene_root(struct scene *scene, const struct scene_node *nodes, size_t n);
/** A root with one file "note" of this text. */
struct object_id scene_note(struct scene *scene, const char *text);
/** A root that refers to one chunk which is not in the scene. */
struct object_id scene_dangling(struct scene *scene, struct object_id *ret_missing);

/** Text that nobody else has: a number, drawn out to `len` bytes that do not compress well. */
void scene_fill(uint64_t seed, void *ret_data, size_t len);

/** The commit of everything in the scene. */
struct commit scene_commit(const struct scene *scene, uint64_t sid, uint64_t token,
                           uint64_t base_version, struct object_id root);

#endif
