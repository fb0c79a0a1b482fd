/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "json.h"
#include "object/node.h"

#define PATH_BYTES_MAX 4095
#define NS_PER_SECOND 1000000000LL

static const struct {
    const char *name;
    uint32_t type;
    bool hard_link;
} types[] = {
    {"file", S_IFREG, false},
    {"hardlink", S_IFREG, true},
    {"directory", S_IFDIR, false},
    {"symlink", S_IFLNK, false},
};

/* --- in memory --------------------------------------------------------------------------------------- */

void manifest_free(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++) {
        free(manifest->files[i].path);
        free(manifest->files[i].target);
        buf_free(&manifest->files[i].xattrs);
    }
    free(manifest->files);
    free(manifest->producer);
    free(manifest->client_version);
    free(manifest->session);
    free(manifest->root);
    *manifest = (struct manifest){0};
}

struct manifest_file *manifest_add(struct manifest *manifest, const char *path)
{
    struct manifest_file *file;

    if (manifest->count == manifest->cap) {
        size_t cap = manifest->cap ? 2 * manifest->cap : 64;

        file = reallocarray(manifest->files, cap, sizeof *file);
        if (!file)
            return NULL;
        manifest->files = file;
        manifest->cap = cap;
    }
    file = &manifest->files[manifest->count];
    *file = (struct manifest_file){.path = strdup(path)};
    if (!file->path)
        return NULL;
    manifest->count++;
    return file;
}

/* --- writing ----------------------------------------------------------------------------------------- */

static void hex_of(const uint8_t *bytes, size_t len, char *ret_hex)
{
    for (size_t i = 0; i < len; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", bytes[i]);
}

static json_t *mode_json(uint32_t mode)
{
    char text[16];

    snprintf(text, sizeof text, "0%03o", mode & 07777);
    return json_string(text);
}

static json_t *xattrs_json(const struct buf *block)
{
    struct slice rest = buf_slice(block), last = {0}, name, value;
    json_t *list = json_array();
    char *hex;

    while (list && xattr_block_next(&rest, &last, &name, &value) == 1) {
        hex = malloc(2 * value.len + 1);
        if (hex) {
            hex[0] = '\0';
            hex_of(value.data, value.len, hex);
        }
        json_array_append_new(list, json_pack("[s%o]", (const char *)name.data, name.len,
                                              json_string(hex ? hex : "")));
        free(hex);
    }
    return list;
}

static json_t *file_json(const struct manifest_file *file)
{
    char hash[2 * MANIFEST_HASH_SIZE + 1];
    json_t *object = json_object();

    json_object_set_new(object, "path", json_string(file->path));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].type == (file->mode & S_IFMT) && types[i].hard_link == file->hard_link)
            json_object_set_new(object, "type", json_string(types[i].name));
    if (file->target)
        json_object_set_new(object, "target", json_string(file->target));
    if (!file->hard_link) {
        json_object_set_new(object, "mode", mode_json(file->mode));
        json_object_set_new(object, "mtime", json_time(file->mtime));
    }
    if (file->xattrs.len > 0)
        json_object_set_new(object, "xattrs", xattrs_json(&file->xattrs));
    if (S_ISREG(file->mode) && !file->hard_link) {
        hex_of(file->sha256, sizeof file->sha256, hash);
        json_object_set_new(object, "size", json_u64(file->size));
        json_object_set_new(object, "sha256", json_string(hash));
    }
    return object;
}

static json_t *session_json_of(const struct manifest *manifest)
{
    json_t *object = json_object();

    json_object_set_new(object, "name", json_string(manifest->session));
    json_object_set_new(object, "version", json_u64(manifest->version));
    json_object_set_new(object, "root", json_string(manifest->root));
    json_object_set_new(object, "time", json_time(manifest->time));
    json_object_set_new(object, "mode", mode_json(manifest->mode));
    json_object_set_new(object, "mtime", json_time(manifest->mtime));
    return object;
}

/* jansson takes no string that is not UTF-8, and forgets the key. */
static int check_names(const struct manifest *manifest, struct hf_error *err)
{
    for (size_t i = 0; i < manifest->count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        json_t *path = json_string(file->path);
        json_t *target = json_string(file->target ? file->target : "");
        bool good = path && target;

        json_decref(path);
        json_decref(target);
        if (!good)
            return hf_fail(err, HF_INVAL,
                           "the name '%s' is not UTF-8, and an archive that every system reads "
                           "cannot hold it: rename it, or remove it, first",
                           file->path);
    }
    return HF_OK;
}

int manifest_write(const struct manifest *manifest, struct buf *out, struct hf_error *err)
{
    json_t *object, *files;
    char *text;
    int rc = check_names(manifest, err);

    if (rc != HF_OK)
        return rc;
    object = json_object();
    files = json_array();
    json_object_set_new(object, "format", json_string(MANIFEST_FORMAT));
    json_object_set_new(object, "producer", json_string(manifest->producer));
    json_object_set_new(object, "client_version",
                        manifest->client_version ? json_string(manifest->client_version)
                                                 : json_null());
    json_object_set_new(object, "session", session_json_of(manifest));
    json_object_set_new(object, "redacted", json_u64(manifest->redacted));
    json_object_set_new(object, "bytes", json_u64(manifest->bytes));
    for (size_t i = 0; i < manifest->count; i++)
        json_array_append_new(files, file_json(&manifest->files[i]));
    rc = json_array_size(files) == manifest->count ? HF_OK : HF_NOMEM;
    json_object_set_new(object, "files", files);
    text = json_dumps(object, JSON_INDENT(1));
    if (rc == HF_OK)
        rc = text ? buf_append(out, text, strlen(text)) : HF_NOMEM;
    free(text);
    json_decref(object);
    return rc == HF_OK ? rc : hf_fail(err, rc, "out of memory");
}

/* --- reading ----------------------------------------------------------------------------------------- */

static int bad(struct hf_error *err, const char *path, const char *what)
{
    return hf_fail(err, HF_INVAL, "the archive's manifest is not valid: %s%s%s", path ? path : "",
                   path ? ": " : "", what);
}

/* How deep the end of a relative path lies below its beginning, `depth` below the top; negative: outside. */
static int depth_after(const char *path, int depth)
{
    while (*path && depth >= 0) {
        size_t len = strcspn(path, "/");

        if (len == 2 && path[0] == '.' && path[1] == '.')
            depth--;
        else if (len > 0 && !(len == 1 && path[0] == '.'))
            depth++;
        path += len;
        path += *path == '/';
    }
    return depth;
}

static bool is_good_path(const char *path)
{
    if (strlen(path) > PATH_BYTES_MAX || *path == '\0')
        return false;
    for (;;) {
        size_t len = strcspn(path, "/");

        if (len == 0 || len > NODE_NAME_MAX || (len == 1 && path[0] == '.') ||
            (len == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += len;
        if (*path == '\0')
            return true;
        path++;
    }
}

/* "2026-01-31T09:00:00.123456789Z". */
static bool parse_time(const char *text, int64_t *ret_time)
{
    struct tm tm = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t ns = 0, unit = NS_PER_SECOND;

    if (!rest)
        return false;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9' && unit > 1; rest++)
            ns += (*rest - '0') * (unit /= 10);
    return strcmp(rest, "Z") == 0 &&
           !__builtin_mul_overflow((int64_t)timegm(&tm), NS_PER_SECOND, ret_time) &&
           !__builtin_add_overflow(*ret_time, ns, ret_time);
}

static bool parse_mode(const char *text, uint32_t *ret_mode)
{
    char *end;
    unsigned long mode = text ? strtoul(text, &end, 8) : ULONG_MAX;

    if (mode > 07777 || *text < '0' || *text > '7' || *end)
        return false;
    *ret_mode = (uint32_t)mode;
    return true;
}

static bool parse_hex(const char *hex, uint8_t *ret_bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned byte;

        if (!hex[2 * i] || strspn(hex + 2 * i, "0123456789abcdef") < 2 ||
            sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        ret_bytes[i] = (uint8_t)byte;
    }
    return hex[2 * len] == '\0';
}

static const char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    /* A NUL inside would make another name of it. */
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return NULL;
    return json_string_value(value);
}

static bool number_of(const json_t *object, const char *key, uint64_t *ret_number)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret_number = (uint64_t)json_integer_value(value);
    return true;
}

static int read_xattrs(const json_t *list, struct manifest_file *file, struct hf_error *err)
{
    const char *path = file->path;
    size_t i;
    json_t *pair;

    json_array_foreach(list, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *hex = json_string_value(json_array_get(pair, 1));
        size_t len = hex ? strlen(hex) / 2 : 0;
        uint8_t *value;
        int rc = HF_OK;

        if (!name || !hex || *name == '\0' || strlen(name) > NODE_NAME_MAX || len > NODE_XATTR_MAX)
            return bad(err, path, "an extended attribute has no valid name or value");
        value = malloc(len + 1);
        if (!value)
            return hf_fail(err, HF_NOMEM, "out of memory");
        if (!parse_hex(hex, value, len))
            rc = bad(err, path, "the value of an extended attribute is not hexadecimal");
        else if (xattr_block_append(&file->xattrs, slice_of(name, strlen(name)),
                                    slice_of(value, len)) != HF_OK)
            rc = bad(err, path, "it has too many extended attributes");
        free(value);
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

static int check_symlink(const struct manifest_file *file, struct hf_error *err)
{
    int depth = -1; /* of the directory that it is in */

    for (const char *slash = file->path; slash; slash = strchr(slash + 1, '/'))
        depth++;
    if (file->target[0] == '/' || file->target[0] == '\0' || depth_after(file->target, depth) < 0)
        return bad(err, file->path, "it is a link out of the session");
    if (strlen(file->target) > NODE_SYMLINK_MAX)
        return bad(err, file->path, "its target is too long");
    return HF_OK;
}

static int read_type(const json_t *object, struct manifest_file *file, struct hf_error *err)
{
    const char *type = text_of(object, "type"), *target = text_of(object, "target");
    size_t i = 0;

    while (i < sizeof types / sizeof types[0] && (!type || strcmp(types[i].name, type) != 0))
        i++;
    if (i == sizeof types / sizeof types[0])
        return bad(err, file->path, "its type is not known");
    file->hard_link = types[i].hard_link;
    file->mode = types[i].type;
    if (!file->hard_link && types[i].type != S_IFLNK)
        return HF_OK;
    if (!target)
        return bad(err, file->path, "it is a link without a target");
    file->target = strdup(target);
    return file->target ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

static int read_attributes(const json_t *object, struct manifest_file *file, struct hf_error *err)
{
    const char *hash = text_of(object, "sha256");
    uint32_t mode;

    if (file->hard_link)
        return HF_OK;
    if (!parse_mode(text_of(object, "mode"), &mode))
        return bad(err, file->path, "its mode is not an octal number");
    file->mode |= mode;
    if (!parse_time(text_of(object, "mtime"), &file->mtime))
        return bad(err, file->path, "its mtime is not a time");
    if (!S_ISREG(file->mode))
        return HF_OK;
    if (!number_of(object, "size", &file->size) || file->size > NODE_FILE_SIZE_MAX)
        return bad(err, file->path, "its size is not valid");
    if (!hash || !parse_hex(hash, file->sha256, sizeof file->sha256))
        return bad(err, file->path, "it has no SHA-256");
    return HF_OK;
}

static int read_file(const json_t *object, struct manifest *manifest, struct hf_error *err)
{
    const char *path = text_of(object, "path");
    struct manifest_file *file;
    int rc;

    if (!path || !is_good_path(path))
        return bad(err, path, "it is not the path of a file in a session");
    file = manifest_add(manifest, path);
    if (!file)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = read_type(object, file, err);
    if (rc == HF_OK)
        rc = read_attributes(object, file, err);
    if (rc == HF_OK && S_ISLNK(file->mode))
        rc = check_symlink(file, err);
    if (rc == HF_OK)
        rc = read_xattrs(json_object_get(object, "xattrs"), file, err);
    if (rc == HF_OK && __builtin_add_overflow(manifest->bytes, file->size, &manifest->bytes))
        rc = bad(err, path, "the files are too large together");
    return rc;
}

struct sorted {
    const struct manifest_file **files; /* by path */
    size_t count;
};

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const struct manifest_file *const *)a)->path,
                  (*(const struct manifest_file *const *)b)->path);
}

static const struct manifest_file *find_file(const struct sorted *sorted, const char *path)
{
    const struct manifest_file wanted = {.path = (char *)path}, *key = &wanted;
    const struct manifest_file **found =
        bsearch(&key, sorted->files, sorted->count, sizeof *sorted->files, by_path);

    return found ? *found : NULL;
}

static int check_parent(const struct sorted *sorted, const struct manifest_file *file,
                        struct hf_error *err)
{
    const char *slash = strrchr(file->path, '/');
    const struct manifest_file *parent;
    char path[PATH_BYTES_MAX + 1];

    if (!slash)
        return HF_OK;
    snprintf(path, sizeof path, "%.*s", (int)(slash - file->path), file->path);
    parent = find_file(sorted, path);
    if (!parent || parent > file || !S_ISDIR(parent->mode))
        return bad(err, file->path, "the directory that it is in does not come before it");
    return HF_OK;
}

static int check_hard_link(const struct sorted *sorted, const struct manifest_file *file,
                           struct hf_error *err)
{
    const struct manifest_file *target;

    if (!file->hard_link)
        return HF_OK;
    target = find_file(sorted, file->target);
    if (!target || target > file || !S_ISREG(target->mode) || target->hard_link)
        return bad(err, file->path, "it is another name of a file that does not come before it");
    return HF_OK;
}

static int check_tree(const struct manifest *manifest, struct hf_error *err)
{
    struct sorted sorted = {reallocarray(NULL, manifest->count + 1, sizeof *sorted.files),
                            manifest->count};
    int rc = HF_OK;

    if (!sorted.files)
        return hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < manifest->count; i++)
        sorted.files[i] = &manifest->files[i];
    qsort(sorted.files, sorted.count, sizeof *sorted.files, by_path);
    for (size_t i = 1; i < sorted.count && rc == HF_OK; i++)
        if (by_path(&sorted.files[i - 1], &sorted.files[i]) == 0)
            rc = bad(err, sorted.files[i]->path, "it is there twice");
    for (size_t i = 0; i < manifest->count && rc == HF_OK; i++) {
        rc = check_parent(&sorted, &manifest->files[i], err);
        if (rc == HF_OK)
            rc = check_hard_link(&sorted, &manifest->files[i], err);
    }
    free(sorted.files);
    return rc;
}

static int copy_text(const char *text, char **ret_copy, struct hf_error *err)
{
    if (!text)
        return HF_OK;
    *ret_copy = strdup(text);
    return *ret_copy ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

static int read_head(const json_t *object, struct manifest *manifest, struct hf_error *err)
{
    const json_t *session = json_object_get(object, "session");
    int rc;

    if (!text_of(session, "name"))
        return bad(err, NULL, "it does not name the session");
    (void)number_of(session, "version", &manifest->version);
    (void)number_of(object, "redacted", &manifest->redacted);
    if (!parse_mode(text_of(session, "mode"), &manifest->mode))
        manifest->mode = 0700;
    (void)parse_time(text_of(session, "time"), &manifest->time);
    (void)parse_time(text_of(session, "mtime"), &manifest->mtime);
    rc = copy_text(text_of(session, "name"), &manifest->session, err);
    if (rc == HF_OK)
        rc = copy_text(text_of(session, "root"), &manifest->root, err);
    if (rc == HF_OK)
        rc = copy_text(text_of(object, "producer"), &manifest->producer, err);
    if (rc == HF_OK)
        rc = copy_text(text_of(object, "client_version"), &manifest->client_version, err);
    return rc;
}

static int check_format(const json_t *object, struct hf_error *err)
{
    const char *format = text_of(object, "format");

    if (!format || strncmp(format, "holdfast-session/", 17) != 0)
        return hf_fail(err, HF_INVAL, "the archive is not one that 'holdfast session export' made");
    if (strcmp(format, MANIFEST_FORMAT) != 0)
        return hf_fail(err, HF_NEWER,
                       "the archive has the format %s, and this program knows " MANIFEST_FORMAT
                       ": a newer holdfast made it",
                       format);
    return HF_OK;
}

int manifest_read(struct slice json, struct manifest *ret_manifest, struct hf_error *err)
{
    struct manifest manifest = {0};
    json_error_t error;
    json_t *object = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    json_t *files, *file;
    size_t i;
    int rc;

    if (!object)
        return hf_fail(err, HF_INVAL, "the archive's manifest is not JSON: %s", error.text);
    rc = check_format(object, err);
    if (rc == HF_OK)
        rc = read_head(object, &manifest, err);
    files = json_object_get(object, "files");
    if (rc == HF_OK && !json_is_array(files))
        rc = bad(err, NULL, "it has no list of files");
    json_array_foreach(files, i, file)
    {
        if (rc == HF_OK)
            rc = read_file(file, &manifest, err);
    }
    if (rc == HF_OK)
        rc = check_tree(&manifest, err);
    json_decref(object);
    if (rc == HF_OK)
        *ret_manifest = manifest;
    else
        manifest_free(&manifest);
    return rc;
}
