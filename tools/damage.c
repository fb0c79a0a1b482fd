/* SPDX-License-Identifier: Apache-2.0 */
#include "damage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tree/view.h"

#define CACHE_BYTES ((size_t)16 << 20)
#define READ_BYTES ((size_t)256 << 10)

/* A damaged version, found among the roots. */
struct damaged {
    const struct findings_version *wanted;
    struct object_id root;
    char name[SESSION_NAME_MAX + 1]; /* of the session; "" until it is found */
};

/* One version whose files are read. */
struct reading {
    struct view *view;
    struct findings *findings;
    const char *session;
    uint64_t version;
    uint8_t *bytes;
    int status; /* of adding a finding */
};

static int tell(struct reading *reading, const char *path, const struct hf_error *err)
{
    reading->status =
        findings_add(reading->findings, err->status, "path", "%s@%" PRIu64 ":%s cannot be read: %s",
                     reading->session, reading->version, path, err->message);
    return reading->status;
}

static int read_file(struct reading *reading, const struct view_node *file, struct hf_error *err)
{
    uint64_t at = 0;
    size_t len = 1;
    int status = HF_OK;

    while (status == HF_OK && len > 0) {
        status = view_read(reading->view, file, at, READ_BYTES, reading->bytes, &len, err);
        at += len;
    }
    return status;
}

static int visit(const char *path, const struct inode_record *record, void *arg)
{
    struct reading *reading = arg;
    struct view_node file = {.record = *record};
    BUF_AUTO xattrs = {0};
    struct hf_error err = {0};
    int status = view_xattrs(reading->view, &file, &xattrs, &err);

    if (status == HF_OK && S_ISREG(record->mode))
        status = read_file(reading, &file, &err);
    return status == HF_OK ? HF_OK : tell(reading, path, &err);
}

/* A directory that cannot be read ends the walk: what is below it has no names. */
static int read_version(struct store *store, struct findings *findings,
                        const struct damaged *damaged, struct hf_error *err)
{
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    struct reading reading = {.findings = findings,
                              .session = damaged->name,
                              .version = damaged->wanted->version,
                              .bytes = malloc(READ_BYTES)};
    struct hf_error error = {0};
    int status = cache && reading.bytes ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    if (status == HF_OK) {
        status = view_open(cache, &damaged->root, &reading.view, &error);
        if (status == HF_OK)
            status = view_walk(reading.view, visit, &reading, &error);
        if (status != HF_OK && reading.status == HF_OK)
            status = tell(&reading, "", &error);
        else
            status = reading.status;
    }
    view_free(reading.view);
    blob_cache_free(cache);
    free(reading.bytes);
    return status;
}

static int match(const struct root_info *root, void *arg)
{
    struct damaged *damaged = arg;

    if (root->sid != damaged->wanted->sid || root->version != damaged->wanted->version ||
        damaged->name[0])
        return HF_OK;
    damaged->root = root->root;
    snprintf(damaged->name, sizeof damaged->name, "%s",
             root->sid == SHARED_SID ? "." : root->session_name);
    return HF_OK;
}

int damage_name_paths(struct store *store, struct findings *findings, struct hf_error *err)
{
    size_t n = findings->nversions; /* those that are added name no version */
    int status = HF_OK;

    for (size_t i = 0; status == HF_OK && i < n; i++) {
        struct damaged damaged = {.wanted = &findings->versions[i]};

        status = store_roots(store, match, &damaged, err);
        if (status == HF_OK && damaged.name[0])
            status = read_version(store, findings, &damaged, err);
    }
    return status;
}
