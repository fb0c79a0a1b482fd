/* SPDX-License-Identifier: Apache-2.0 */
#include "backup.h"

#include <fnmatch.h>
#include <string.h>

#include "store/catalog.h"
#include "store/retention.h"

/* Where a backup keeps the policy of the store that it is of. */
#define POLICY_SETTING "source-" RETENTION_SETTING

int backup_open(const char *url, unsigned flags, const struct store *like, struct store **ret_store,
                struct hf_error *err)
{
    struct store_create_options create = {0};
    int status;

    if (like) {
        const struct store_info *info = store_info(like);

        create.chunker = info->chunker;
        create.keyed = info->hasher.keyed;
        create.key = info->hasher.keyed ? info->hasher.key : NULL;
        create.strict = info->close_durability == DURABILITY_SYNC;
        flags |= STORE_CREATE;
    }
    status = store_open(url, flags, &create, NULL, ret_store, err);
    if (status == HF_NOENT)
        return hf_fail(err, status, "there is no store at %s; 'holdfast backup --create' makes one",
                       url);
    return status;
}

static int stop_at_pin(const struct pin_info *pin, void *arg)
{
    (void)pin;
    (void)arg;
    return 1;
}

int backup_check_snapshot(struct store *store, const char *snapshot, struct hf_error *err)
{
    int status = snapshot ? store_snapshot_pins(store, snapshot, stop_at_pin, NULL, err) : HF_OK;

    return status < 0 ? status : HF_OK;
}

int backup_split_globs(char *list, const char *ret_globs[BACKUP_GLOBS_MAX], size_t *ret_n,
                       struct hf_error *err)
{
    size_t n = 0;
    char *rest = list, *glob;

    while (rest && (glob = strsep(&rest, ",")) != NULL) {
        if (n == BACKUP_GLOBS_MAX)
            return hf_fail(err, HF_USAGE, "at most %d patterns of sessions can be given",
                           BACKUP_GLOBS_MAX);
        if (*glob)
            ret_globs[n++] = glob;
    }
    *ret_n = n;
    return HF_OK;
}

/* --- the policy --------------------------------------------------------------------------------------- */

static int move_setting(struct store *source, const char *from, struct store *target,
                        const char *to, struct hf_error *err)
{
    BUF_AUTO text = {0}, there = {0};
    int status = store_setting_get(source, from, &text, err);

    if (status == HF_NOENT)
        return HF_OK;
    if (status == HF_OK)
        status = store_setting_get(target, to, &there, err);
    if (status == HF_OK && slice_compare(buf_slice(&text), buf_slice(&there)) == 0)
        return HF_OK;
    if (status == HF_OK || status == HF_NOENT)
        status = store_setting_set(target, to, buf_slice(&text), err);
    return status;
}

int backup_keep_policy(struct store *source, struct store *backup, struct hf_error *err)
{
    return move_setting(source, RETENTION_SETTING, backup, POLICY_SETTING, err);
}

int backup_restore_policy(struct store *backup, struct store *target, struct hf_error *err)
{
    return move_setting(backup, POLICY_SETTING, target, RETENTION_SETTING, err);
}

/* --- comparing ------------------------------------------------------------------------------------------ */

struct comparison {
    struct findings *findings;
    uint64_t behind, different;
};

static const char *name_of(const struct catalog_entry *entry)
{
    return entry->info.head.sid == SHARED_SID ? "the shared tree" : entry->name;
}

static int compare_one(struct comparison *comparison, const struct catalog_entry *entry,
                       const struct catalog_entry *had)
{
    const struct session_head *head = &entry->info.head;
    unsigned long long version = head->version;

    if (!had) {
        comparison->behind++;
        return findings_add(comparison->findings, HF_MISSING, "session",
                            "%s is not in the backup (version %llu)", name_of(entry), version);
    }
    if (had->info.head.version == head->version) {
        if (object_id_equal(&had->info.head.root, &head->root))
            return HF_OK;
        comparison->different++;
        return findings_add(comparison->findings, HF_CORRUPT, "session",
                            "version %llu of %s is another one in the backup", version,
                            name_of(entry));
    }
    comparison->behind += had->info.head.version < head->version;
    comparison->different += had->info.head.version > head->version;
    return findings_add(comparison->findings, HF_CONFLICT, "session",
                        "%s is at version %llu, and in the backup at %llu", name_of(entry), version,
                        (unsigned long long)had->info.head.version);
}

static bool is_chosen(const struct copy_options *copy, const struct catalog_entry *entry)
{
    for (size_t i = 0; copy && i < copy->nglobs; i++)
        if (entry->info.head.sid != SHARED_SID && fnmatch(copy->globs[i], entry->name, 0) == 0)
            return true;
    return !copy || copy->nglobs == 0;
}

int backup_compare(struct store *source, struct store *backup, const struct copy_options *copy,
                   struct findings *findings, uint64_t *ret_behind, uint64_t *ret_different,
                   struct hf_error *err)
{
    struct comparison comparison = {.findings = findings};
    struct catalog there = {0}, here = {0};
    int status = catalog_load(backup, &here, err);

    if (status == HF_OK)
        status = catalog_load(source, &there, err);
    for (size_t i = 0; status == HF_OK && i < there.count; i++) {
        const struct catalog_entry *entry = &there.entries[i];

        if (is_chosen(copy, entry))
            status = compare_one(&comparison, entry, catalog_find(&here, entry->info.head.sid));
    }
    catalog_free(&here);
    catalog_free(&there);
    if (status != HF_OK)
        return status;
    *ret_behind = comparison.behind;
    *ret_different = comparison.different;
    return HF_OK;
}
