/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/build.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tree/dirpath.h"
#include "tree/linktable.h"
#include "tree/meta_index.h"
#include "tree/namespace.h"
#include "tree/versions.h"

/** What is new moves to the store when it is more than this, or so many objects. */
#define SINK_BYTES_MAX ((size_t)4 << 20)
#define SINK_COUNT_MAX 4096
/** A file that is put is cut into chunks when so much of it was read. */
#define FOLD_BYTES ((size_t)4 << 20)
#define READ_BYTES ((size_t)256 << 10)

struct build {
    struct blob_cache *cache;
    uint64_t host;
    struct blob_sink sink;
    bool has_base;
    struct object_id base;
    uint64_t next_ino;
    struct dirpath dirs;
    struct dirmap *links;
    uint64_t bytes, files; /* more than in the base, modulo 2^64 */
    /* Lent to the commit. */
    struct object *objects;
    struct meta_strings strings;
};

/** What has a name. Its slices are valid until the next change. */
struct found {
    bool exists, linked;
    struct inode_record record;
};

/* --- opening ------------------------------------------------------------------------------------ */

static int make_xattrs(struct build *build, struct slice block, struct inode_record *record,
                       struct hf_error *err)
{
    struct slice rest = block, last = {0}, name, value;
    int rc;

    while ((rc = xattr_block_next(&rest, &last, &name, &value)) == 1)
        ;
    if (rc != HF_OK || block.len > NODE_XATTR_MAX)
        return hf_fail(err, HF_INVAL, "the extended attributes are no valid block");
    if (block.len > NODE_XATTR_INLINE_MAX) {
        record->xattr_kind = XATTR_CHUNK;
        return blob_sink_add(&build->sink, OBJECT_CHUNK, block, NULL, &record->xattr_id, err);
    }
    record->xattr_kind = block.len > 0 ? XATTR_INLINE : XATTR_NONE;
    record->xattr_block = block;
    return HF_OK;
}

/** A record without content, whose slices are those of `attr`. */
static int make_record(struct build *build, const struct build_attr *attr,
                       struct inode_record *ret_record, struct hf_error *err)
{
    bool device = S_ISCHR(attr->mode) || S_ISBLK(attr->mode);
    struct inode_record record = {
        .ino = build->next_ino,
        .mode = attr->mode,
        .uid = attr->uid,
        .gid = attr->gid,
        .nlink = S_ISDIR(attr->mode) ? 2 : 1,
        .atime = attr->atime,
        .mtime = attr->mtime,
        .ctime = attr->ctime,
        .rdev_major = device ? attr->rdev_major : 0,
        .rdev_minor = device ? attr->rdev_minor : 0,
    };
    int rc;

    if ((attr->mode & ~(uint32_t)(S_IFMT | 07777)) != 0)
        return hf_fail(err, HF_INVAL, "%#" PRIo32 " is no mode", attr->mode);
    if (build->next_ino > LEASE_INO - 1)
        return hf_fail(err, HF_NOSPC, "the session has no inode numbers left");
    rc = make_xattrs(build, attr->xattrs, &record, err);
    if (rc != HF_OK)
        return rc;
    build->next_ino++;
    *ret_record = record;
    return HF_OK;
}

static int open_new(struct build *build, const struct build_attr *top, struct hf_error *err)
{
    struct inode_record record;
    int rc;

    build->next_ino = NODE_ROOT_INO;
    if (!S_ISDIR(top->mode))
        return hf_fail(err, HF_INVAL, "the top of a session is a directory");
    rc = make_record(build, top, &record, err);
    if (rc == HF_OK)
        rc = dirpath_open(&build->dirs, build->cache, &build->sink, &record, err);
    return rc == HF_OK ? dirmap_open(build->cache, NULL, &build->links, err) : rc;
}

static int open_base(struct build *build, struct hf_error *err)
{
    struct root_node root;
    struct blob *blob;
    int rc = blob_get(build->cache, &build->base, &blob, err);

    if (rc != HF_OK)
        return rc;
    rc = root_node_decode(blob_content(blob), &root);
    if (rc != HF_OK) {
        hf_fail(err, rc, "the root of the version: %s", hf_status_text(rc));
    } else {
        build->next_ino = root.next_ino;
        rc = dirpath_open(&build->dirs, build->cache, &build->sink, &root.dir, err);
        if (rc == HF_OK)
            rc = dirmap_open(build->cache, &root.links, &build->links, err);
    }
    blob_unref(build->cache, blob);
    return rc;
}

int build_open(struct blob_cache *cache, uint64_t host, const struct object_id *base,
               const struct build_attr *top, struct build **ret_build, struct hf_error *err)
{
    struct build *build = calloc(1, sizeof *build);
    int rc;

    if (!build)
        return hf_fail(err, HF_NOMEM, "out of memory for a new version");
    build->cache = build->sink.cache = cache;
    build->host = host;
    if (base) {
        build->has_base = true;
        build->base = *base;
    }
    rc = base ? open_base(build, err) : open_new(build, top, err);
    if (rc != HF_OK) {
        build_free(build);
        return rc;
    }
    *ret_build = build;
    return HF_OK;
}

void build_free(struct build *build)
{
    if (!build)
        return;
    free(build->objects);
    meta_strings_free(&build->strings);
    dirpath_clear(&build->dirs);
    dirmap_free(build->links);
    blob_sink_clear(&build->sink);
    free(build);
}

/* --- names -------------------------------------------------------------------------------------- */

static int check_part(struct slice part, bool top, struct hf_error *err)
{
    const char *name = (const char *)part.data;

    if (part.len > NODE_NAME_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "a name has more than %d bytes", NODE_NAME_MAX);
    if (part.len == 0 || (part.len == 1 && name[0] == '.') ||
        (part.len == 2 && memcmp(name, "..", 2) == 0))
        return hf_fail(err, HF_INVAL, "a part of the path is empty, '.' or '..'");
    if (top && part.len == strlen(VERSIONS_NAME) && memcmp(name, VERSIONS_NAME, part.len) == 0)
        return hf_fail(err, HF_INVAL, "at the top of a session, '%s' stands for its versions",
                       VERSIONS_NAME);
    return HF_OK;
}

static int check_path(const char *path, struct hf_error *err)
{
    const char *at = path;
    size_t len;
    int rc;

    for (;;) {
        len = strcspn(at, "/");
        rc = check_part(slice_of(at, len), at == path, err);
        if (rc != HF_OK)
            return rc;
        if (at[len] == '\0')
            return HF_OK;
        at += len + 1;
    }
}

/** Goes to the parent directory of `path`. */
static int go(struct build *build, const char *path, struct slice *ret_name, struct hf_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    int rc = check_path(path, err);

    if (rc == HF_OK)
        rc = dirpath_go(&build->dirs, slice_of(path, slash ? (size_t)(slash - path) : 0), err);
    if (rc == HF_OK)
        *ret_name = slice_of(name, strlen(name));
    return rc;
}

/** Looks a name up in the directory where we are. */
static int find(struct build *build, struct slice name, struct found *ret_found,
                struct hf_error *err)
{
    struct found found = {0};
    struct dir_entry entry;
    int rc = dirmap_find(dirpath_here(&build->dirs)->map, name, &entry, err);

    if (rc == HF_NOENT) {
        *ret_found = found;
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    found.exists = true;
    found.linked = entry.record.len == 0;
    if (found.linked)
        rc = linktable_find(build->links, entry.ino, &found.record, err);
    else if ((rc = inode_record_decode(entry.record, &found.record)) != HF_OK)
        hf_fail(err, rc, "inode %" PRIu64 ": %s", entry.ino, hf_status_text(rc));
    if (found.linked && rc == HF_NOENT)
        rc = hf_fail(err, HF_CORRUPT, "inode %" PRIu64 " is not in the link table", entry.ino);
    if (rc == HF_OK)
        *ret_found = found;
    return rc;
}

static int find_existing(struct build *build, struct slice name, struct found *ret_found,
                         struct hf_error *err)
{
    int rc = find(build, name, ret_found, err);

    if (rc == HF_OK && !ret_found->exists)
        return hf_fail(err, HF_NOENT, "there is no such file");
    return rc;
}

/** Goes to where `path` is to be, which must not be a directory. */
static int go_free(struct build *build, const char *path, struct slice *ret_name,
                   struct found *ret_found, struct hf_error *err)
{
    int rc = go(build, path, ret_name, err);

    if (rc == HF_OK)
        rc = find(build, *ret_name, ret_found, err);
    if (rc == HF_OK && ret_found->exists && S_ISDIR(ret_found->record.mode))
        rc = hf_fail(err, HF_EXIST, "there is a directory of this name");
    return rc;
}

/** Whether something that is no directory may be put at `path`: what is refused has changed nothing. */
static int check_free(struct build *build, const char *path, struct hf_error *err)
{
    struct slice name;
    struct found found;

    return go_free(build, path, &name, &found, err);
}

/** Takes a name off an inode, and with the last one the inode. The entry is the caller's to replace or remove. */
static int unlink_inode(struct build *build, struct found *found, struct hf_error *err)
{
    struct inode_record *record = &found->record;

    if (!found->exists)
        return HF_OK;
    if (found->linked && record->nlink > 1) {
        record->nlink--;
        return linktable_put(build->links, record, err);
    }
    if (S_ISREG(record->mode)) {
        build->bytes -= record->size;
        build->files--;
    }
    return found->linked ? linktable_remove(build->links, record->ino, err) : HF_OK;
}

/** Keeps memory in bounds. */
static int spill(struct build *build, struct hf_error *err)
{
    if (build->sink.bytes <= SINK_BYTES_MAX && build->sink.count <= SINK_COUNT_MAX)
        return HF_OK;
    return blob_sink_flush(&build->sink, build->host, err);
}

/** Gives a new inode its name, in the place of what had it. */
static int enter(struct build *build, const char *path, const struct inode_record *record,
                 struct hf_error *err)
{
    struct slice name;
    struct found found;
    int rc = go_free(build, path, &name, &found, err);

    if (rc == HF_OK)
        rc = unlink_inode(build, &found, err);
    if (rc == HF_OK)
        rc = dirpath_put_record(&build->dirs, name, record, err);
    if (rc == HF_OK && S_ISREG(record->mode)) {
        build->bytes += record->size;
        build->files++;
    }
    return rc == HF_OK ? spill(build, err) : rc;
}

/* --- making ------------------------------------------------------------------------------------- */

static int wrong_type(struct hf_error *err)
{
    return hf_fail(err, HF_INVAL, "the mode is of another type of file");
}

int build_mkdir(struct build *build, const char *path, const struct build_attr *attr,
                struct hf_error *err)
{
    struct dirpath_step *here;
    struct inode_record record;
    struct found found;
    struct slice name;
    int rc = S_ISDIR(attr->mode) ? go(build, path, &name, err) : wrong_type(err);

    if (rc == HF_OK)
        rc = find(build, name, &found, err);
    if (rc != HF_OK)
        return rc;
    if (found.exists)
        return hf_fail(err, HF_EXIST, "there is something of this name");
    here = dirpath_here(&build->dirs);
    if (here->record.nlink >= LINKS_MAX)
        return hf_fail(err, HF_MLINK, "a directory has too many directories in it");
    rc = make_record(build, attr, &record, err);
    if (rc == HF_OK)
        rc = dirpath_put_record(&build->dirs, name, &record, err);
    if (rc != HF_OK)
        return rc;
    here->record.nlink++;
    here->changed = true;
    return spill(build, err);
}

/** Reads a file to its end into `map`. */
static int read_file(struct build *build, struct filemap *map, build_read_fn read, void *arg,
                     struct hf_error *err)
{
    uint8_t *data = malloc(READ_BYTES);
    uint64_t size = 0;
    size_t len = 0;
    int rc = HF_OK;

    if (!data)
        return hf_fail(err, HF_NOMEM, "no memory to read a file");
    do {
        rc = read(arg, data, READ_BYTES, &len, err);
        if (rc == HF_OK && len > 0)
            rc = filemap_write(map, size, data, len, err);
        size += len;
        if (rc == HF_OK && filemap_dirty_bytes(map) >= FOLD_BYTES) {
            rc = filemap_fold(map, &build->sink, err);
            if (rc == HF_OK)
                rc = spill(build, err);
        }
    } while (rc == HF_OK && len > 0);
    free(data);
    return rc;
}

/** Saves `map` as the content of a record. Valid until the map changes. */
static int save_file(struct build *build, struct filemap *map, struct inode_record *record,
                     struct hf_error *err)
{
    int rc = filemap_save(map, &build->sink, &record->content, err);

    record->size = filemap_size(map);
    record->allocated = filemap_allocated(map);
    return rc;
}

int build_put(struct build *build, const char *path, const struct build_attr *attr,
              build_read_fn read, void *arg, struct hf_error *err)
{
    struct filemap *map = NULL;
    struct inode_record record;
    int rc = S_ISREG(attr->mode) ? check_free(build, path, err) : wrong_type(err);

    if (rc == HF_OK)
        rc = make_record(build, attr, &record, err);
    if (rc == HF_OK)
        rc = filemap_open(build->cache, NULL, 0, 0, &map, err);
    if (rc == HF_OK)
        rc = read_file(build, map, read, arg, err);
    if (rc == HF_OK)
        rc = save_file(build, map, &record, err);
    if (rc == HF_OK)
        rc = enter(build, path, &record, err);
    filemap_free(map);
    return rc;
}

int build_symlink(struct build *build, const char *path, const char *target,
                  const struct build_attr *attr, struct hf_error *err)
{
    size_t len = strlen(target);
    struct inode_record record;
    int rc;

    if (!S_ISLNK(attr->mode))
        return wrong_type(err);
    if (len == 0 || len > NODE_SYMLINK_MAX)
        return hf_fail(err, HF_INVAL, "the target of a symbolic link has 1 to %d bytes",
                       NODE_SYMLINK_MAX);
    rc = check_free(build, path, err);
    if (rc == HF_OK)
        rc = make_record(build, attr, &record, err);
    if (rc != HF_OK)
        return rc;
    record.size = len;
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(target, len)};
    return enter(build, path, &record, err);
}

int build_mknod(struct build *build, const char *path, const struct build_attr *attr,
                struct hf_error *err)
{
    struct inode_record record;
    int rc;

    if (!S_ISFIFO(attr->mode) && !S_ISSOCK(attr->mode) && !S_ISCHR(attr->mode) &&
        !S_ISBLK(attr->mode))
        return wrong_type(err);
    rc = check_free(build, path, err);
    if (rc == HF_OK)
        rc = make_record(build, attr, &record, err);
    return rc == HF_OK ? enter(build, path, &record, err) : rc;
}

/* --- links -------------------------------------------------------------------------------------- */

static int put_link(struct build *build, struct slice name, const struct inode_record *record,
                    struct hf_error *err)
{
    struct dir_entry entry = {.name = name, .ino = record->ino, .mode = record->mode & S_IFMT};

    return dirpath_put(&build->dirs, &entry, err);
}

/** Sees to it that the inode at `path` lives in the link table. */
static int move_to_links(struct build *build, const char *path, uint64_t *ret_ino,
                         struct hf_error *err)
{
    struct found found;
    struct slice name;
    int rc = go(build, path, &name, err);

    if (rc == HF_OK)
        rc = find_existing(build, name, &found, err);
    if (rc != HF_OK)
        return rc;
    if (S_ISDIR(found.record.mode))
        return hf_fail(err, HF_PERM, "a directory has one name only");
    if (found.record.nlink >= LINKS_MAX)
        return hf_fail(err, HF_MLINK, "a file has too many names");
    if (!found.linked) {
        rc = linktable_put(build->links, &found.record, err);
        if (rc == HF_OK)
            rc = put_link(build, name, &found.record, err);
    }
    *ret_ino = found.record.ino;
    return rc;
}

int build_link(struct build *build, const char *path, const char *target, struct hf_error *err)
{
    struct inode_record record;
    struct found found;
    struct slice name;
    uint64_t ino = 0;
    int rc = check_free(build, path, err);

    if (rc == HF_OK)
        rc = move_to_links(build, target, &ino, err);
    if (rc == HF_OK)
        rc = go_free(build, path, &name, &found, err);
    if (rc != HF_OK || (found.exists && found.record.ino == ino))
        return rc;
    rc = unlink_inode(build, &found, err);
    if (rc == HF_OK)
        rc = linktable_find(build->links, ino, &record, err);
    if (rc != HF_OK)
        return rc;
    record.nlink++;
    rc = linktable_put(build->links, &record, err);
    if (rc == HF_OK)
        rc = put_link(build, name, &record, err);
    return rc == HF_OK ? spill(build, err) : rc;
}

/* --- changing ----------------------------------------------------------------------------------- */

static int save_record(struct build *build, struct slice name, bool linked,
                       const struct inode_record *record, struct hf_error *err)
{
    return linked ? linktable_put(build->links, record, err)
                  : dirpath_put_record(&build->dirs, name, record, err);
}

/** Goes to a regular file and opens its content. */
static int open_file(struct build *build, const char *path, struct slice *ret_name,
                     struct found *ret_found, struct filemap **ret_map, struct hf_error *err)
{
    const struct inode_record *record = &ret_found->record;
    int rc = go(build, path, ret_name, err);

    if (rc == HF_OK)
        rc = find_existing(build, *ret_name, ret_found, err);
    if (rc == HF_OK && !S_ISREG(record->mode))
        rc = hf_fail(err, HF_INVAL, "it is no regular file");
    if (rc != HF_OK)
        return rc;
    return filemap_open(build->cache, &record->content, record->size, record->allocated, ret_map,
                        err);
}

int build_read(struct build *build, const char *path, uint64_t offset, size_t size,
               uint8_t *ret_data, size_t *ret_len, struct hf_error *err)
{
    struct filemap *map;
    struct found found;
    struct slice name;
    int rc = open_file(build, path, &name, &found, &map, err);

    if (rc != HF_OK)
        return rc;
    rc = filemap_read(map, offset, size, ret_data, ret_len, err);
    filemap_free(map);
    return rc;
}

int build_splice(struct build *build, const char *path, uint64_t start, uint64_t end,
                 struct slice data, int64_t time, struct hf_error *err)
{
    struct filemap *map;
    struct found found;
    struct slice name;
    uint64_t size;
    int rc = open_file(build, path, &name, &found, &map, err);

    if (rc != HF_OK)
        return rc;
    size = found.record.size;
    rc = filemap_splice(map, start, end, data, &build->sink, err);
    if (rc == HF_OK)
        rc = save_file(build, map, &found.record, err);
    if (rc == HF_OK) {
        found.record.mtime = found.record.ctime = time;
        rc = save_record(build, name, found.linked, &found.record, err);
    }
    if (rc == HF_OK)
        build->bytes += found.record.size - size;
    filemap_free(map);
    return rc == HF_OK ? spill(build, err) : rc;
}

int build_remove(struct build *build, const char *path, struct hf_error *err)
{
    struct dirpath_step *here;
    struct found found;
    struct slice name;
    bool is_dir;
    int rc = go(build, path, &name, err);

    if (rc == HF_OK)
        rc = find_existing(build, name, &found, err);
    if (rc != HF_OK)
        return rc;
    is_dir = S_ISDIR(found.record.mode);
    if (is_dir && found.record.content.kind != CONTENT_NONE)
        return hf_fail(err, HF_NOTEMPTY, "the directory is not empty");
    rc = unlink_inode(build, &found, err);
    if (rc == HF_OK)
        rc = dirmap_remove(dirpath_here(&build->dirs)->map, name, err);
    if (rc != HF_OK || !is_dir)
        return rc;
    here = dirpath_here(&build->dirs);
    here->record.nlink -= here->record.nlink > 1 ? 1 : 0;
    here->changed = true;
    return HF_OK;
}

/* --- finishing ---------------------------------------------------------------------------------- */

static int save_root(struct build *build, struct object_id *ret_root, struct hf_error *err)
{
    struct root_node root = {.next_ino = build->next_ino};
    struct dirpath_step *top;
    BUF_AUTO bytes = {0};
    int rc = dirpath_go(&build->dirs, (struct slice){0}, err);

    top = dirpath_here(&build->dirs);
    root.dir = top->record;
    if (rc == HF_OK)
        rc = dirmap_save(top->map, &build->sink, true, &root.dir.content, err);
    if (rc == HF_OK)
        rc = dirmap_save(build->links, &build->sink, true, &root.links, err);
    if (rc != HF_OK)
        return rc;
    rc = root_node_encode(&root, &bytes);
    if (rc != HF_OK)
        return hf_fail(err, rc, "the new version: %s", hf_status_text(rc));
    return blob_sink_add(&build->sink, OBJECT_ROOT, buf_slice(&bytes),
                         build->has_base ? &build->base : NULL, ret_root, err);
}

/** What workspace.yaml says; one that is missing or no file says nothing. */
static int read_strings(struct build *build, struct meta_strings *ret_strings, struct hf_error *err)
{
    struct filemap *map;
    struct found found;
    int rc = find(build, slice_of(META_INDEX_FILE, sizeof META_INDEX_FILE - 1), &found, err);

    if (rc != HF_OK || !found.exists || !S_ISREG(found.record.mode))
        return rc;
    rc = filemap_open(build->cache, &found.record.content, found.record.size,
                      found.record.allocated, &map, err);
    if (rc != HF_OK)
        return rc;
    rc = meta_index_parse(map, ret_strings);
    filemap_free(map);
    return rc == HF_OK ? rc : hf_fail(err, rc, "%s: %s", META_INDEX_FILE, hf_status_text(rc));
}

int build_finish(struct build *build, struct commit *commit, struct hf_error *err)
{
    struct object_id root;
    int rc;

    assert(!build->objects);
    rc = save_root(build, &root, err);
    if (rc == HF_OK)
        rc = read_strings(build, &build->strings, err);
    if (rc != HF_OK)
        return rc;
    build->objects = blob_sink_objects(&build->sink);
    if (!build->objects)
        return hf_fail(err, HF_NOMEM, "out of memory for a new version");
    commit->root = root;
    commit->objects = build->objects;
    commit->nobjects = build->sink.count;
    commit->meta.bytes += build->bytes;
    commit->meta.files += build->files;
    meta_strings_lend(&build->strings, &commit->meta);
    commit->meta_strings_valid = true;
    return HF_OK;
}
