/* SPDX-License-Identifier: Apache-2.0 */
#include "archive_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/htable.h"
#include "secrets.h"

#define READ_BYTES ((size_t)256 << 10)
#define NS_PER_SECOND 1000000000LL

/* --- a file's content as it is written ----------------------------------------------------------------- */

/* Takes the next bytes of a file. */
typedef int (*take_fn)(struct slice bytes, void *arg, struct hf_error *err);

struct finding {
    struct archive_out *out;
    const char *path; /* NULL: said before */
};

static void note_secret(const char *kind, uint64_t offset, void *arg)
{
    struct finding *finding = arg;

    if (!finding->path)
        return;
    finding->out->secrets++;
    if (finding->out->found)
        finding->out->found(kind, finding->path, offset, finding->out->arg);
}

/* Reads a file from first to last byte, through the search for credentials. `say`: what is found is told. */
static int read_through(struct archive_out *out, const struct view_node *node, const char *path,
                        bool say, take_fn take, void *arg, struct hf_error *err)
{
    struct finding finding = {out, say ? path : NULL};
    struct secrets secrets = {.visit = note_secret, .arg = &finding, .redact = out->redact};
    uint8_t *data = malloc(READ_BYTES);
    BUF_AUTO passed = {0};
    uint64_t offset = 0;
    size_t len = 1;
    int rc = data ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    while (rc == HF_OK && len > 0) {
        rc = view_read(out->view, node, offset, READ_BYTES, data, &len, err);
        if (rc != HF_OK)
            break;
        offset += len;
        passed.len = 0;
        rc = secrets_pass(&secrets, slice_of(data, len), len == 0, &passed);
        rc = rc == HF_OK ? take(buf_slice(&passed), arg, err) : hf_fail(err, rc, "out of memory");
        progress_add(&out->progress, 0, len);
    }
    secrets_free(&secrets);
    free(data);
    return rc;
}

/* --- surveying ----------------------------------------------------------------------------------------- */

/* The first name of an inode that has several. */
struct first_name {
    struct hnode hnode;
    uint64_t ino;
    size_t file; /* in the manifest */
};

struct survey {
    struct archive_out *out;
    struct htable names;
    struct hf_error *err;
};

static struct first_name *find_name(struct survey *survey, uint64_t ino)
{
    struct hnode *node = htable_find(&survey->names, htable_hash_u64(ino));

    while (node && HTABLE_ENTRY(node, struct first_name, hnode)->ino != ino)
        node = htable_next(node);
    return node ? HTABLE_ENTRY(node, struct first_name, hnode) : NULL;
}

static void free_name(struct hnode *node, void *arg)
{
    (void)arg;
    free(HTABLE_ENTRY(node, struct first_name, hnode));
}

/* A regular file with several names is written under the first one; the others are links to that. */
static int survey_link(struct survey *survey, struct manifest_file *file, uint64_t ino)
{
    struct manifest *manifest = &survey->out->manifest;
    struct first_name *name = find_name(survey, ino);

    if (name) {
        file->hard_link = true;
        file->target = strdup(manifest->files[name->file].path);
        return file->target ? HF_OK : HF_NOMEM;
    }
    name = malloc(sizeof *name);
    if (!name)
        return HF_NOMEM;
    name->ino = ino;
    name->file = manifest->count - 1;
    if (htable_insert(&survey->names, &name->hnode, htable_hash_u64(ino)) != HF_OK) {
        free(name);
        return HF_NOMEM;
    }
    return HF_OK;
}

static int survey_entry(const char *path, const struct inode_record *record, void *arg)
{
    struct survey *survey = arg;
    struct archive_out *out = survey->out;
    struct manifest_file *file;

    if (!S_ISREG(record->mode) && !S_ISDIR(record->mode) && !S_ISLNK(record->mode)) {
        out->skipped++;
        if (out->found)
            out->found(NULL, path, 0, out->arg);
        return HF_OK;
    }
    file = manifest_add(&out->manifest, path);
    if (!file)
        return hf_fail(survey->err, HF_NOMEM, "out of memory");
    file->mode = record->mode;
    file->mtime = record->mtime;
    file->size = S_ISREG(record->mode) ? record->size : 0;
    if (S_ISREG(record->mode) && record->nlink > 1 &&
        survey_link(survey, file, record->ino) != HF_OK)
        return hf_fail(survey->err, HF_NOMEM, "out of memory");
    return HF_OK;
}

struct hashing {
    EVP_MD_CTX *context;
    uint64_t size;
};

static int hash_bytes(struct slice bytes, void *arg, struct hf_error *err)
{
    struct hashing *hashing = arg;

    hashing->size += bytes.len;
    if (EVP_DigestUpdate(hashing->context, bytes.data, bytes.len) != 1)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return HF_OK;
}

static int hash_file(struct archive_out *out, const struct view_node *node,
                     struct manifest_file *file, struct hf_error *err)
{
    struct hashing hashing = {.context = EVP_MD_CTX_new()};
    int rc;

    if (!hashing.context || EVP_DigestInit_ex(hashing.context, EVP_sha256(), NULL) != 1)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    else
        rc = read_through(out, node, file->path, true, hash_bytes, &hashing, err);
    if (rc == HF_OK && EVP_DigestFinal_ex(hashing.context, file->sha256, NULL) != 1)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    EVP_MD_CTX_free(hashing.context);
    file->size = hashing.size;
    return rc;
}

static int read_target(struct archive_out *out, const struct view_node *node,
                       struct manifest_file *file, struct hf_error *err)
{
    size_t len = 0;

    file->target = calloc(1, NODE_SYMLINK_MAX + 1);
    if (!file->target)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return view_read(out->view, node, 0, NODE_SYMLINK_MAX, (uint8_t *)file->target, &len, err);
}

static int survey_content(struct archive_out *out, struct manifest_file *file, struct hf_error *err)
{
    struct view_node node = {0};
    int rc;

    if (file->hard_link)
        return HF_OK;
    rc = view_lookup(out->view, file->path, &node, err);
    if (rc == HF_OK)
        rc = view_xattrs(out->view, &node, &file->xattrs, err);
    if (rc == HF_OK && S_ISLNK(file->mode))
        rc = read_target(out, &node, file, err);
    if (rc == HF_OK && S_ISREG(file->mode))
        rc = hash_file(out, &node, file, err);
    view_node_clear(&node);
    if (rc == HF_OK && S_ISREG(file->mode))
        out->manifest.bytes += file->size;
    return rc;
}

static int survey_top(struct archive_out *out, struct hf_error *err)
{
    struct view_node top = {0};
    int rc = view_lookup(out->view, "", &top, err);

    if (rc == HF_OK) {
        out->manifest.mode = top.record.mode & 07777;
        out->manifest.mtime = top.record.mtime;
    }
    view_node_clear(&top);
    return rc;
}

int archive_out_survey(struct archive_out *out, struct hf_error *err)
{
    struct survey survey = {.out = out, .err = err};
    struct manifest *manifest = &out->manifest;
    uint64_t bytes = 0;
    int rc = survey_top(out, err);

    if (rc == HF_OK)
        rc = view_walk(out->view, survey_entry, &survey, err);
    htable_each(&survey.names, free_name, NULL);
    htable_free(&survey.names);
    for (size_t i = 0; i < manifest->count; i++)
        bytes += manifest->files[i].hard_link ? 0 : manifest->files[i].size;
    progress_start(&out->progress, "Reading", "files", manifest->count, bytes);
    for (size_t i = 0; i < manifest->count && rc == HF_OK; i++) {
        rc = survey_content(out, &manifest->files[i], err);
        progress_add(&out->progress, 1, 0);
    }
    progress_end(&out->progress);
    if (out->redact)
        manifest->redacted = out->secrets;
    return rc;
}

/* --- writing ------------------------------------------------------------------------------------------- */

struct writing {
    struct archive *archive;
    struct archive_entry *entry;
};

static int write_failed(struct writing *writing, struct hf_error *err)
{
    const char *text = archive_error_string(writing->archive);

    return hf_fail(err, HF_IO, "cannot write the archive: %s", text ? text : "no reason is known");
}

static int write_bytes(struct slice bytes, void *arg, struct hf_error *err)
{
    struct writing *writing = arg;

    if (bytes.len == 0)
        return HF_OK;
    if (archive_write_data(writing->archive, bytes.data, bytes.len) != (la_ssize_t)bytes.len)
        return write_failed(writing, err);
    return HF_OK;
}

static void set_time(struct archive_entry *entry, int64_t time)
{
    int64_t ns = time % NS_PER_SECOND;

    if (ns < 0)
        ns += NS_PER_SECOND;
    archive_entry_set_mtime(entry, (time_t)((time - ns) / NS_PER_SECOND), (long)ns);
}

static int write_header(struct writing *writing, struct hf_error *err)
{
    if (archive_write_header(writing->archive, writing->entry) != ARCHIVE_OK)
        return write_failed(writing, err);
    return HF_OK;
}

static int write_manifest(struct archive_out *out, struct writing *writing, struct hf_error *err)
{
    BUF_AUTO text = {0};
    int rc = manifest_write(&out->manifest, &text, err);

    if (rc != HF_OK)
        return rc;
    archive_entry_set_pathname(writing->entry, MANIFEST_NAME);
    archive_entry_set_filetype(writing->entry, AE_IFREG);
    archive_entry_set_perm(writing->entry, 0600);
    archive_entry_set_size(writing->entry, (int64_t)text.len);
    set_time(writing->entry, out->manifest.time);
    rc = write_header(writing, err);
    return rc == HF_OK ? write_bytes(buf_slice(&text), writing, err) : rc;
}

static int set_names(struct archive_entry *entry, const struct manifest_file *file,
                     struct hf_error *err)
{
    BUF_AUTO name = {0};
    int rc = buf_append(&name, MANIFEST_PREFIX, sizeof MANIFEST_PREFIX - 1);

    if (rc == HF_OK)
        rc = buf_append(&name, file->path, strlen(file->path) + 1);
    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    archive_entry_set_pathname(entry, (const char *)name.data);
    if (!file->target)
        return HF_OK;
    if (!file->hard_link) {
        archive_entry_set_symlink(entry, file->target);
        return HF_OK;
    }
    name.len = sizeof MANIFEST_PREFIX - 1;
    if (buf_append(&name, file->target, strlen(file->target) + 1) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    archive_entry_set_hardlink(entry, (const char *)name.data);
    return HF_OK;
}

static int write_file(struct archive_out *out, struct writing *writing,
                      const struct manifest_file *file, struct hf_error *err)
{
    bool has_content = S_ISREG(file->mode) && !file->hard_link;
    struct view_node node = {0};
    int rc;

    archive_entry_clear(writing->entry);
    rc = set_names(writing->entry, file, err);
    if (rc != HF_OK)
        return rc;
    archive_entry_set_mode(writing->entry, file->mode);
    archive_entry_set_size(writing->entry, has_content ? (int64_t)file->size : 0);
    set_time(writing->entry, file->mtime);
    rc = write_header(writing, err);
    if (rc != HF_OK || !has_content)
        return rc;
    rc = view_lookup(out->view, file->path, &node, err);
    if (rc == HF_OK)
        rc = read_through(out, &node, file->path, false, write_bytes, writing, err);
    view_node_clear(&node);
    return rc;
}

static int open_archive(struct writing *writing, int fd, struct hf_error *err)
{
    writing->archive = archive_write_new();
    writing->entry = archive_entry_new();
    if (!writing->archive || !writing->entry)
        return hf_fail(err, HF_NOMEM, "out of memory");
    /* What goes into a pipe would be filled up to whole blocks with zeros, which zstd takes for damage. */
    if (archive_write_set_bytes_in_last_block(writing->archive, 1) != ARCHIVE_OK ||
        archive_write_set_format_pax_restricted(writing->archive) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(writing->archive) != ARCHIVE_OK ||
        archive_write_open_fd(writing->archive, fd) != ARCHIVE_OK)
        return write_failed(writing, err);
    return HF_OK;
}

int archive_out_write(struct archive_out *out, int fd, struct hf_error *err)
{
    const struct manifest *manifest = &out->manifest;
    struct writing writing = {0};
    int rc = open_archive(&writing, fd, err);

    progress_start(&out->progress, "Writing", "files", manifest->count, manifest->bytes);
    if (rc == HF_OK)
        rc = write_manifest(out, &writing, err);
    for (size_t i = 0; i < manifest->count && rc == HF_OK; i++) {
        rc = write_file(out, &writing, &manifest->files[i], err);
        progress_add(&out->progress, 1, 0);
    }
    progress_end(&out->progress);
    if (rc == HF_OK && archive_write_close(writing.archive) != ARCHIVE_OK)
        rc = write_failed(&writing, err);
    archive_entry_free(writing.entry);
    archive_write_free(writing.archive);
    return rc;
}
