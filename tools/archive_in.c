/* SPDX-License-Identifier: Apache-2.0 */
#include "archive_in.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)

/* An archive being read from its beginning. */
struct archive_in {
    struct archive *archive;
    struct archive_entry *entry; /* libarchive's */
    EVP_MD_CTX *hash;            /* of the file that it is at */
    uint64_t size;               /* bytes of it so far */
    struct progress progress;
};

static int read_failed(struct archive_in *in, struct hf_error *err)
{
    const char *text = archive_error_string(in->archive);

    return hf_fail(err, archive_errno(in->archive) == ENOMEM ? HF_NOMEM : HF_INVAL,
                   "cannot read the archive: %s", text ? text : "no reason is known");
}

static int differs(const char *path, const char *how, struct hf_error *err)
{
    return hf_fail(err, HF_CORRUPT, "the archive is damaged: %s %s", path, how);
}

static void in_close(struct archive_in *in)
{
    archive_read_free(in->archive);
    EVP_MD_CTX_free(in->hash);
}

static int in_open(struct archive_in *in, int fd, struct hf_error *err)
{
    *in = (struct archive_in){.archive = archive_read_new(), .hash = EVP_MD_CTX_new()};
    if (!in->archive || !in->hash)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (lseek(fd, 0, SEEK_SET) != 0)
        return hf_fail(err, HF_IO, "cannot read the archive: %s", strerror(errno));
    archive_read_support_filter_zstd(in->archive);
    archive_read_support_filter_gzip(in->archive);
    archive_read_support_format_tar(in->archive);
    return archive_read_open_fd(in->archive, fd, READ_BYTES) == ARCHIVE_OK ? HF_OK
                                                                           : read_failed(in, err);
}

/* 1: it is at the next entry; 0: there is none. */
static int in_next(struct archive_in *in, struct hf_error *err)
{
    int code = archive_read_next_header(in->archive, &in->entry);

    in->size = 0;
    if (code == ARCHIVE_EOF)
        return 0;
    return code == ARCHIVE_OK || code == ARCHIVE_WARN ? 1 : read_failed(in, err);
}

/* The next bytes of the entry: a build_read_fn. */
static int in_read(void *arg, uint8_t *ret_data, size_t size, size_t *ret_len, struct hf_error *err)
{
    struct archive_in *in = arg;
    la_ssize_t n = archive_read_data(in->archive, ret_data, size);

    if (n < 0)
        return read_failed(in, err);
    if (n > 0 && EVP_DigestUpdate(in->hash, ret_data, (size_t)n) != 1)
        return hf_fail(err, HF_NOMEM, "out of memory");
    in->size += (uint64_t)n;
    *ret_len = (size_t)n;
    progress_add(&in->progress, 0, (uint64_t)n);
    return HF_OK;
}

/* --- the manifest -------------------------------------------------------------------------------------- */

static int read_whole(struct archive_in *in, struct buf *text, struct hf_error *err)
{
    la_ssize_t n;

    for (;;) {
        if (buf_reserve(text, READ_BYTES) != HF_OK)
            return hf_fail(err, HF_NOMEM, "out of memory");
        n = archive_read_data(in->archive, text->data + text->len, READ_BYTES);
        if (n < 0)
            return read_failed(in, err);
        if (n == 0)
            return HF_OK;
        text->len += (size_t)n;
        if (text->len > MANIFEST_MAX)
            return hf_fail(err, HF_TOOBIG, "the archive's manifest is larger than %zu MiB",
                           MANIFEST_MAX >> 20);
    }
}

/* Reads the first entry. `ret_manifest` NULL: it was read before. */
static int in_manifest(struct archive_in *in, struct manifest *ret_manifest, struct hf_error *err)
{
    BUF_AUTO text = {0};
    const char *path;
    int rc = in_next(in, err);

    if (rc < 0)
        return rc;
    path = rc == 1 ? archive_entry_pathname(in->entry) : NULL;
    if (!path || strcmp(path, MANIFEST_NAME) != 0)
        return hf_fail(err, HF_INVAL,
                       "the archive does not begin with " MANIFEST_NAME
                       ": it is not one that 'holdfast session export' made");
    rc = read_whole(in, &text, err);
    return rc == HF_OK && ret_manifest ? manifest_read(buf_slice(&text), ret_manifest, err) : rc;
}

/* --- the files ------------------------------------------------------------------------------------------ */

/* What is done with each; reads its content by in_read(). */
typedef int (*file_fn)(struct archive_in *in, const struct manifest_file *file, void *arg,
                       struct hf_error *err);

static bool is_at(const struct archive_in *in, const struct manifest_file *file)
{
    const char *path = archive_entry_pathname(in->entry);
    size_t prefix = sizeof MANIFEST_PREFIX - 1, len = strlen(file->path);

    if (!path || strncmp(path, MANIFEST_PREFIX, prefix) != 0 ||
        strncmp(path + prefix, file->path, len) != 0)
        return false;
    /* A directory's name may end in a slash. */
    path += prefix + len;
    return *path == '\0' || (S_ISDIR(file->mode) && strcmp(path, "/") == 0);
}

static bool has_type(const struct archive_in *in, const struct manifest_file *file)
{
    if (archive_entry_hardlink(in->entry))
        return file->hard_link;
    return !file->hard_link && archive_entry_filetype(in->entry) == (file->mode & S_IFMT);
}

static int check_hash(struct archive_in *in, const struct manifest_file *file, struct hf_error *err)
{
    uint8_t hash[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(in->hash, hash, NULL) != 1)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (in->size != file->size)
        return differs(file->path, "does not have the size that the manifest says", err);
    if (memcmp(hash, file->sha256, MANIFEST_HASH_SIZE) != 0)
        return differs(file->path, "does not have the SHA-256 that the manifest says", err);
    return HF_OK;
}

static int in_file(struct archive_in *in, const struct manifest_file *file, file_fn visit,
                   void *arg, struct hf_error *err)
{
    int rc = in_next(in, err);

    if (rc < 0)
        return rc;
    if (rc == 0 || !is_at(in, file))
        return differs(file->path, "is not where the manifest has it", err);
    if (!has_type(in, file))
        return differs(file->path, "is not of the type that the manifest says", err);
    if (EVP_DigestInit_ex(in->hash, EVP_sha256(), NULL) != 1)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = visit(in, file, arg, err);
    if (rc == HF_OK && S_ISREG(file->mode) && !file->hard_link)
        rc = check_hash(in, file, err);
    progress_add(&in->progress, 1, 0);
    return rc;
}

static int in_files(struct archive_in *in, const struct manifest *manifest, const char *verb,
                    file_fn visit, void *arg, struct hf_error *err)
{
    int rc = HF_OK;

    progress_start(&in->progress, verb, "files", manifest->count, manifest->bytes);
    for (size_t i = 0; i < manifest->count && rc == HF_OK; i++)
        rc = in_file(in, &manifest->files[i], visit, arg, err);
    progress_end(&in->progress);
    if (rc != HF_OK)
        return rc;
    rc = in_next(in, err);
    if (rc == 1)
        return hf_fail(err, HF_INVAL, "the archive has more in it than its manifest lists: %s",
                       archive_entry_pathname(in->entry));
    return rc;
}

static int read_only(struct archive_in *in, const struct manifest_file *file, void *arg,
                     struct hf_error *err)
{
    uint8_t *data = arg;
    size_t len;
    int rc;

    if (!S_ISREG(file->mode) || file->hard_link)
        return HF_OK;
    do
        rc = in_read(in, data, READ_BYTES, &len, err);
    while (rc == HF_OK && len > 0 && in->size <= file->size); /* one that goes on is not followed */
    return rc;
}

int archive_in_check(int fd, struct manifest *ret_manifest, struct hf_error *err)
{
    struct manifest manifest = {0};
    uint8_t *data = malloc(READ_BYTES);
    struct archive_in in;
    int rc = in_open(&in, fd, err);

    if (rc == HF_OK && !data)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = in_manifest(&in, &manifest, err);
    if (rc == HF_OK)
        rc = in_files(&in, &manifest, "Checking", read_only, data, err);
    in_close(&in);
    free(data);
    if (rc == HF_OK)
        *ret_manifest = manifest;
    else
        manifest_free(&manifest);
    return rc;
}

/* --- building ------------------------------------------------------------------------------------------- */

struct building {
    struct build *build;
    uint32_t uid, gid;
    int64_t now;
};

static int build_file(struct archive_in *in, const struct manifest_file *file, void *arg,
                      struct hf_error *err)
{
    const struct building *building = arg;
    const struct build_attr attr = {.mode = file->mode,
                                    .uid = building->uid,
                                    .gid = building->gid,
                                    .atime = file->mtime,
                                    .mtime = file->mtime,
                                    .ctime = building->now,
                                    .xattrs = buf_slice(&file->xattrs)};

    if (file->hard_link)
        return build_link(building->build, file->path, file->target, err);
    switch (file->mode & S_IFMT) {
    case S_IFDIR:
        return build_mkdir(building->build, file->path, &attr, err);
    case S_IFLNK:
        return build_symlink(building->build, file->path, file->target, &attr, err);
    default:
        return build_put(building->build, file->path, &attr, in_read, in, err);
    }
}

int archive_in_build(int fd, const struct manifest *manifest, struct build *build, uint32_t uid,
                     uint32_t gid, int64_t now, struct hf_error *err)
{
    struct building building = {build, uid, gid, now};
    struct archive_in in;
    int rc = in_open(&in, fd, err);

    if (rc == HF_OK)
        rc = in_manifest(&in, NULL, err);
    if (rc == HF_OK)
        rc = in_files(&in, manifest, "Importing", build_file, &building, err);
    in_close(&in);
    return rc;
}

/* --- pipes ----------------------------------------------------------------------------------------------- */

static int copy_fd(int from, int to, struct hf_error *err)
{
    char data[65536];
    ssize_t n;

    while ((n = read(from, data, sizeof data)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hf_fail(err, HF_IO, "cannot read the archive: %s", strerror(errno));
        for (ssize_t done = 0, written; done < n; done += written) {
            written = write(to, data + done, (size_t)(n - done));
            if (written < 0 && errno == EINTR)
                written = 0;
            if (written < 0)
                return hf_fail(err, hf_status_from_errno(errno),
                               "cannot keep the archive in a temporary file: %s", strerror(errno));
        }
    }
    return HF_OK;
}

int archive_in_seekable(int fd, struct hf_error *err)
{
    const char *place = getenv("TMPDIR");
    int copy, rc;

    if (lseek(fd, 0, SEEK_SET) == 0)
        return dup(fd);
    if (!place || !*place)
        place = "/tmp";
    copy = open(place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (copy < 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot make a temporary file in %s: %s",
                       place, strerror(errno));
    rc = copy_fd(fd, copy, err);
    if (rc == HF_OK)
        return copy;
    close(copy);
    return rc;
}
