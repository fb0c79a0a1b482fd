/* SPDX-License-Identifier: Apache-2.0 */
#include "dump.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dump {
    struct buf *text;
    uint64_t sids[256];
    size_t nsids;
    char snapshots[32][64];
    size_t nsnapshots;
};

static int add(struct dump *dump, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int add(struct dump *dump, const char *format, ...)
{
    char line[4096];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    return n < 0 || (size_t)n >= sizeof line ? HF_TOOBIG : buf_append(dump->text, line, (size_t)n);
}

static unsigned long long ull(uint64_t value)
{
    return value;
}

static const char *hex_of(const struct object_id *id, char hex[OBJECT_ID_HEX_SIZE])
{
    object_id_hex(id, hex);
    return hex;
}

static const char *text_of(const char *text)
{
    return text ? text : "(null)";
}

static int add_head(struct dump *dump, const struct session_head *head)
{
    char hex[OBJECT_ID_HEX_SIZE];

    return add(dump, "head %llu v%llu %s t%lld %llu in %llu\n", ull(head->sid), ull(head->version),
               hex_of(&head->root, hex), (long long)head->time, ull(head->bytes), ull(head->files));
}

static int add_session(const struct session_info *info, void *arg)
{
    struct dump *dump = arg;
    int rc = add(dump, "session %s state %d created %lld trashed %lld holder %llu %s\n", info->name,
                 (int)info->state, (long long)info->created, (long long)info->trashed,
                 ull(info->holder), text_of(info->holder_name));

    if (rc == HF_OK)
        rc = add(dump, " cwd %s git_root %s repository %s branch %s name %s %s %s %llu %llu\n",
                 text_of(info->meta.cwd), text_of(info->meta.git_root),
                 text_of(info->meta.repository), text_of(info->meta.branch),
                 text_of(info->meta.name), text_of(info->meta.created_at),
                 text_of(info->meta.updated_at), ull(info->meta.bytes), ull(info->meta.files));
    if (rc == HF_OK)
        rc = add_head(dump, &info->head);
    if (dump->nsids < sizeof dump->sids / sizeof dump->sids[0])
        dump->sids[dump->nsids++] = info->head.sid;
    return rc;
}

static int add_version(const struct history_entry *entry, void *arg)
{
    char hex[OBJECT_ID_HEX_SIZE];

    return add(arg, "version %llu of %llu %s t%lld host %llu %s token %llu %llu in %llu\n",
               ull(entry->version), ull(entry->sid), hex_of(&entry->root, hex),
               (long long)entry->time, ull(entry->host), text_of(entry->host_name),
               ull(entry->token), ull(entry->bytes), ull(entry->files));
}

static int add_host(const struct host_info *info, void *arg)
{
    return add(arg, "host %llu %.16s %.16s %.16s %llu pid %u %s %s alive %d t%lld\n",
               ull(info->host), (const char *)info->identity.host_id,
               (const char *)info->identity.boot_id, (const char *)info->identity.mount_id,
               ull(info->identity.incarnation), info->identity.pid, info->identity.host_name,
               text_of(info->identity.mount_point), info->alive, (long long)info->registered);
}

static int add_lease(const struct lease_info *info, void *arg)
{
    return add(arg, "lease %llu %s state %d token %llu host %llu %s %s %u since %lld %s alive %d\n",
               ull(info->sid), text_of(info->session_name), (int)info->state, ull(info->token),
               ull(info->host), text_of(info->host_name), text_of(info->mount_point), info->pid,
               (long long)info->since, text_of(info->pinned_by), info->holder_alive);
}

static int add_audit(const struct audit_entry *entry, void *arg)
{
    return add(arg, "audit %llu t%lld %d of %llu host %llu token %llu %s\n", ull(entry->id),
               (long long)entry->time, (int)entry->event, ull(entry->sid), ull(entry->host),
               ull(entry->token), text_of(entry->detail));
}

/* What each pins is asked for later: a visit must not call the store. */
static int add_snapshot(const struct snapshot_info *info, void *arg)
{
    struct dump *dump = arg;

    if (dump->nsnapshots < sizeof dump->snapshots / sizeof dump->snapshots[0])
        snprintf(dump->snapshots[dump->nsnapshots++], sizeof dump->snapshots[0], "%s", info->name);
    return add(dump, "snapshot %s t%lld %llu\n", info->name, (long long)info->time,
               ull(info->sessions));
}

static int add_pin(const struct pin_info *pin, void *arg)
{
    char hex[OBJECT_ID_HEX_SIZE];

    return add(arg, "pin %llu %s v%llu %s t%lld %llu in %llu\n", ull(pin->sid), pin->session_name,
               ull(pin->version), hex_of(&pin->root, hex), (long long)pin->time, ull(pin->bytes),
               ull(pin->files));
}

static int add_snapshots(struct dump *dump, struct store *store, struct hf_error *err)
{
    int rc = store_snapshot_list(store, add_snapshot, dump, err);

    for (size_t i = 0; rc == HF_OK && i < dump->nsnapshots; i++)
        rc = store_snapshot_pins(store, dump->snapshots[i], add_pin, dump, err);
    return rc;
}

static int add_rescue(const struct rescue_info *info, void *arg)
{
    char hex[OBJECT_ID_HEX_SIZE];

    return add(
        arg, "rescue %llu of %llu %s %d v%llu %s t%lld host %llu %s token %llu %llu in %llu %s\n",
        ull(info->id), ull(info->sid), info->session_name, info->trashed, ull(info->version),
        hex_of(&info->root, hex), (long long)info->time, ull(info->host), text_of(info->host_name),
        ull(info->token), ull(info->bytes), ull(info->files), info->reason);
}

static int add_setting(struct dump *dump, struct store *store, const char *name,
                       struct hf_error *err)
{
    BUF_AUTO text = {0};
    int rc = store_setting_get(store, name, &text, err);

    if (rc == HF_NOENT)
        return add(dump, "setting %s is not set\n", name);
    return rc != HF_OK ? rc
                       : add(dump, "setting %s is %.*s\n", name, (int)text.len,
                             text.len > 0 ? (const char *)text.data : "");
}

static int add_root(const struct root_info *root, void *arg)
{
    char hex[OBJECT_ID_HEX_SIZE];

    return add(arg, "root %d of %llu %s %d v%llu %s t%lld %llu in %llu %s %llu\n", (int)root->kind,
               ull(root->sid), text_of(root->session_name), root->trashed, ull(root->version),
               hex_of(&root->root, hex), (long long)root->time, ull(root->bytes), ull(root->files),
               text_of(root->label), ull(root->rescue));
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the lines of the text from `start` on. */
static int sort_lines(struct buf *text, size_t start)
{
    struct buf sorted = {0};
    size_t n = 0, count = 0;
    char **lines;
    int rc = buf_append(text, "", 1);

    for (size_t i = start; rc == HF_OK && i < text->len; i++)
        count += text->data[i] == '\n';
    lines = calloc(count + 1, sizeof(*lines));
    if (rc != HF_OK || !lines) {
        free(lines);
        return HF_NOMEM;
    }
    for (char *line = (char *)text->data + start; n < count; n++) {
        lines[n] = line;
        line = strchr(line, '\n');
        *line++ = '\0';
    }
    qsort(lines, count, sizeof(*lines), compare_lines);
    for (size_t i = 0; rc == HF_OK && i < count; i++) {
        rc = buf_append(&sorted, lines[i], strlen(lines[i]));
        if (rc == HF_OK)
            rc = buf_append(&sorted, "\n", 1);
    }
    text->len--;
    if (rc == HF_OK && sorted.len > 0)
        memcpy(text->data + start, sorted.data, sorted.len);
    buf_free(&sorted);
    free(lines);
    return rc;
}

/* Roots come in no particular order. */
static int add_roots(struct dump *dump, struct store *store, struct hf_error *err)
{
    size_t start = dump->text->len;
    int rc = store_roots(store, add_root, dump, err);

    return rc == HF_OK ? sort_lines(dump->text, start) : rc;
}

static int add_info(struct dump *dump, const struct store_info *info)
{
    int rc =
        add(dump, "store chunks %u %u %u close %d keyed %d\n", info->chunker.min, info->chunker.avg,
            info->chunker.max, (int)info->close_durability, info->hasher.keyed);

    if (rc == HF_OK)
        rc = buf_append(dump->text, info->uuid, sizeof info->uuid);
    return rc == HF_OK ? buf_append(dump->text, info->hasher.key, sizeof info->hasher.key) : rc;
}

static int add_sessions(struct dump *dump, struct store *store, struct hf_error *err)
{
    struct session_filter trash = {.trashed = true};
    struct session_head shared;
    int rc = store_session_list(store, NULL, add_session, dump, err);

    if (rc == HF_OK)
        rc = store_session_list(store, &trash, add_session, dump, err);
    if (rc == HF_OK)
        rc = store_session_head(store, SHARED_SID, &shared, err);
    if (rc == HF_OK)
        rc = add_head(dump, &shared);
    if (rc == HF_OK)
        rc = store_history(store, SHARED_SID, UINT64_MAX, 0, add_version, dump, err);
    for (size_t i = 0; rc == HF_OK && i < dump->nsids; i++)
        rc = store_history(store, dump->sids[i], UINT64_MAX, 0, add_version, dump, err);
    return rc;
}

static int add_name(const struct session_info *info, void *arg)
{
    return add(arg, "listed %s\n", info->name);
}

/* The same sessions by other ways to them: an engine may keep an index for each. */
static int add_lists(struct dump *dump, struct store *store, struct hf_error *err)
{
    const struct session_filter filters[] = {
        {.repository = "org/project"},
        {.branch = "main"},
        {.cwd = "/src/project"},
        {.git_root = "/src"},
        {.name_glob = "*-issue-1*"},
        {.changed_since = 1},
        {.after = "squadron-issue-10", .limit = 3},
    };
    struct session_head head;
    char name[40];
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < sizeof filters / sizeof filters[0]; i++)
        rc = store_session_list(store, &filters[i], add_name, dump, err);
    for (int i = 0; (rc == HF_OK || rc == HF_NOENT) && i < 12; i++) {
        snprintf(name, sizeof name, "squadron-issue-%d", i);
        rc = store_session_find(store, name, &head, err);
        if (rc == HF_OK)
            rc = add_head(dump, &head);
    }
    for (size_t i = 0; (rc == HF_OK || rc == HF_NOENT) && i < dump->nsids; i++)
        rc = store_audit(store, dump->sids[i], 0, add_audit, dump, err);
    return rc == HF_NOENT ? HF_OK : rc;
}

static int add_stats(struct dump *dump, struct store *store, struct hf_error *err)
{
    struct store_stats stats;
    int rc = store_stats(store, &stats, err);

    return rc != HF_OK ? rc
                       : add(dump, "stats %llu %llu %llu %llu %llu %llu\n", ull(stats.sessions),
                             ull(stats.trashed), ull(stats.versions), ull(stats.objects),
                             ull(stats.logical_bytes), ull(stats.unique_bytes));
}

static int add_objects(struct dump *dump, struct store *store, const struct object_id *ids,
                       size_t n, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < n; i++) {
        BUF_AUTO content = {0};
        bool missing = false;

        rc = store_missing(store, 0, &ids[i], 1, &missing, err);
        if (rc == HF_OK && missing)
            rc = hf_fail(err, HF_MISSING, "an object is missing");
        if (rc == HF_OK)
            rc = store_get(store, &ids[i], 1, &content, err);
        if (rc == HF_OK)
            rc = buf_append(dump->text, content.data, content.len);
    }
    return rc;
}

/* What lies in the way on the shared tree's first inodes. */
static int add_locks(struct dump *dump, struct store *store, struct hf_error *err)
{
    for (uint64_t ino = 1; ino < 20; ino++) {
        struct store_lock probe = {.ino = ino,
                                   .kind = LOCK_POSIX,
                                   .type = LOCK_TYPE_WRITE,
                                   .end = UINT64_MAX,
                                   .owner = 4711};
        struct store_lock found;
        int rc = store_lock_test(store, 0, &probe, &found, err);

        if (rc == HF_OK)
            rc = add(dump, "lock %llu %d %d %llu-%llu %llu %u %llu\n", ull(found.ino),
                     (int)found.kind, (int)found.type, ull(found.start), ull(found.end),
                     ull(found.owner), found.pid, ull(found.host));
        if (rc != HF_OK && rc != HF_NOENT)
            return rc;
    }
    return HF_OK;
}

int store_dump(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_text,
               struct hf_error *err)
{
    struct dump dump = {.text = ret_text};
    int rc = add_info(&dump, store_info(store));

    if (rc == HF_OK)
        rc = add_sessions(&dump, store, err);
    if (rc == HF_OK)
        rc = store_host_list(store, add_host, &dump, err);
    if (rc == HF_OK)
        rc = store_lease_list(store, add_lease, &dump, err);
    if (rc == HF_OK)
        rc = store_audit(store, UINT64_MAX, 0, add_audit, &dump, err);
    if (rc == HF_OK)
        rc = add_snapshots(&dump, store, err);
    if (rc == HF_OK)
        rc = store_rescue_list(store, UINT64_MAX, add_rescue, &dump, err);
    if (rc == HF_OK)
        rc = add_setting(&dump, store, "one", err);
    if (rc == HF_OK)
        rc = add_setting(&dump, store, "two", err);
    if (rc == HF_OK)
        rc = add_roots(&dump, store, err);
    if (rc == HF_OK)
        rc = add_locks(&dump, store, err);
    if (rc == HF_OK)
        rc = add_lists(&dump, store, err);
    if (rc == HF_OK)
        rc = add_stats(&dump, store, err);
    return rc == HF_OK ? add_objects(&dump, store, ids, n, err) : rc;
}
