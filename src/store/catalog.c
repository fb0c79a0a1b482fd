/* SPDX-License-Identifier: Apache-2.0 */
#include "store/catalog.h"

#include <stdlib.h>
#include <string.h>

void catalog_entry_clear(struct catalog_entry *entry)
{
    free(entry->name);
    meta_strings_free(&entry->meta);
    *entry = (struct catalog_entry){0};
}

void catalog_free(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        catalog_entry_clear(&catalog->entries[i]);
    free(catalog->entries);
    *catalog = (struct catalog){0};
}

static int keep_string(const char *text, char **ret_copy)
{
    if (!text)
        return HF_OK;
    *ret_copy = strdup(text);
    return *ret_copy ? HF_OK : HF_NOMEM;
}

static int keep_strings(const struct session_info *info, struct catalog_entry *entry)
{
    const struct session_meta *meta = &info->meta;
    struct meta_strings *kept = &entry->meta;

    if (keep_string(info->name, &entry->name) != HF_OK ||
        keep_string(meta->cwd, &kept->cwd) != HF_OK ||
        keep_string(meta->git_root, &kept->git_root) != HF_OK ||
        keep_string(meta->repository, &kept->repository) != HF_OK ||
        keep_string(meta->branch, &kept->branch) != HF_OK ||
        keep_string(meta->name, &kept->name) != HF_OK ||
        keep_string(meta->created_at, &kept->created_at) != HF_OK ||
        keep_string(meta->updated_at, &kept->updated_at) != HF_OK)
        return HF_NOMEM;
    entry->info = *info;
    entry->info.name = entry->name;
    entry->info.holder_name = NULL;
    meta_strings_lend(kept, &entry->info.meta);
    return HF_OK;
}

int catalog_add(struct catalog *catalog, const struct session_info *info)
{
    struct catalog_entry entry = {0};

    if (catalog->count == catalog->cap) {
        size_t cap = catalog->cap ? catalog->cap * 2 : 64;
        struct catalog_entry *entries = reallocarray(catalog->entries, cap, sizeof *entries);

        if (!entries)
            return HF_NOMEM;
        catalog->entries = entries;
        catalog->cap = cap;
    }
    if (keep_strings(info, &entry) != HF_OK) {
        catalog_entry_clear(&entry);
        return HF_NOMEM;
    }
    catalog->entries[catalog->count++] = entry;
    return HF_OK;
}

struct listing {
    struct catalog *catalog;
    struct hf_error *err;
};

static int take_session(const struct session_info *info, void *arg)
{
    struct listing *listing = arg;
    int rc = catalog_add(listing->catalog, info);

    return rc == HF_OK ? rc : hf_fail(listing->err, rc, "out of memory");
}

static int list(struct store *store, uint64_t sid, bool trashed, struct catalog *catalog,
                struct hf_error *err)
{
    struct session_filter filter = {.sid = sid, .trashed = trashed};
    struct listing listing = {catalog, err};

    return store_session_list(store, &filter, take_session, &listing, err);
}

static int add_shared(struct store *store, struct catalog *catalog, struct hf_error *err)
{
    struct session_info info = {.name = "", .state = SESSION_LIVE};
    int rc = store_session_head(store, SHARED_SID, &info.head, err);

    if (rc != HF_OK || info.head.version == 0)
        return rc;
    info.meta.bytes = info.head.bytes;
    info.meta.files = info.head.files;
    return take_session(&info, &(struct listing){catalog, err});
}

static int compare(const void *a, const void *b)
{
    const struct catalog_entry *left = a, *right = b;

    if (left->info.head.sid != right->info.head.sid)
        return left->info.head.sid < right->info.head.sid ? -1 : 1;
    return (int)left->info.state - (int)right->info.state;
}

/* Of a session that was listed twice the live one counts: it was read first. */
static void sort(struct catalog *catalog)
{
    size_t kept = 0;

    if (catalog->count > 0)
        qsort(catalog->entries, catalog->count, sizeof *catalog->entries, compare);
    for (size_t i = 0; i < catalog->count; i++) {
        if (kept > 0 &&
            catalog->entries[kept - 1].info.head.sid == catalog->entries[i].info.head.sid)
            catalog_entry_clear(&catalog->entries[i]);
        else
            catalog->entries[kept++] = catalog->entries[i];
    }
    catalog->count = kept;
}

int catalog_load(struct store *store, struct catalog *ret_catalog, struct hf_error *err)
{
    struct catalog catalog = {0};
    int rc = list(store, 0, false, &catalog, err);

    if (rc == HF_OK)
        rc = list(store, 0, true, &catalog, err);
    if (rc == HF_OK)
        rc = add_shared(store, &catalog, err);
    if (rc != HF_OK) {
        catalog_free(&catalog);
        return rc;
    }
    sort(&catalog);
    *ret_catalog = catalog;
    return HF_OK;
}

int catalog_read(struct store *store, uint64_t sid, struct catalog_entry *ret_entry,
                 struct hf_error *err)
{
    /* It may leave the trash between two looks. */
    static const bool trashed[] = {false, true, false};
    struct catalog catalog = {0};
    int rc = HF_OK;

    if (sid == SHARED_SID)
        rc = add_shared(store, &catalog, err);
    for (size_t i = 0; sid != SHARED_SID && rc == HF_OK && catalog.count == 0 && i < 3; i++)
        rc = list(store, sid, trashed[i], &catalog, err);
    if (rc == HF_OK && catalog.count == 0)
        rc = hf_fail(err, HF_NOENT, "there is no session number %llu", (unsigned long long)sid);
    if (rc == HF_OK) {
        *ret_entry = catalog.entries[0];
        catalog.entries[0] = (struct catalog_entry){0};
    }
    catalog_free(&catalog);
    return rc;
}

struct catalog_entry *catalog_find(const struct catalog *catalog, uint64_t sid)
{
    size_t low = 0, high = catalog->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t there = catalog->entries[middle].info.head.sid;

        if (there == sid)
            return &catalog->entries[middle];
        if (there < sid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
