/* SPDX-License-Identifier: Apache-2.0 */
/* What store.h tells of sessions, hosts, leases and the store as a whole. */
#include "wire/convert.h"

#include "store/name.h"
#include "wire/value.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- sessions ---------------------------------------------------------------------------------- */

int wire_fill_head(const struct session_head *head, struct wire_arena *arena,
                   Holdfast__Wire__Head **ret_message, struct hf_error *err)
{
    Holdfast__Wire__Head *message = VALUE_NEW(arena, message, holdfast__wire__head__init);

    if (!message)
        return value_no_memory(err);
    message->sid = head->sid;
    message->version = head->version;
    message->root = value_fill_root(&head->root);
    message->time = head->time;
    message->bytes = head->bytes;
    message->files = head->files;
    *ret_message = message;
    return HF_OK;
}

int wire_read_head(const Holdfast__Wire__Head *message, struct session_head *ret_head,
                   struct hf_error *err)
{
    struct object_id root;
    int rc = message ? HF_OK : value_absent("head", err);

    if (rc == HF_OK)
        rc = value_read_root(message->root, "root", &root, err);
    if (rc == HF_OK)
        *ret_head = (struct session_head){.sid = message->sid,
                                          .version = message->version,
                                          .root = root,
                                          .time = message->time,
                                          .bytes = message->bytes,
                                          .files = message->files};
    return rc;
}

int wire_fill_lease(const struct lease *lease, struct wire_arena *arena,
                    Holdfast__Wire__Lease **ret_message, struct hf_error *err)
{
    Holdfast__Wire__Lease *message = VALUE_NEW(arena, message, holdfast__wire__lease__init);
    int rc = message ? HF_OK : value_no_memory(err);

    if (rc == HF_OK)
        rc = wire_fill_head(&lease->head, arena, &message->head, err);
    if (rc != HF_OK)
        return rc;
    message->sid = lease->sid;
    message->token = lease->token;
    *ret_message = message;
    return HF_OK;
}

int wire_read_lease(const Holdfast__Wire__Lease *message, struct lease *ret_lease,
                    struct hf_error *err)
{
    struct session_head head;
    int rc = message ? HF_OK : value_absent("lease", err);

    if (rc == HF_OK)
        rc = wire_read_head(message->head, &head, err);
    if (rc == HF_OK)
        *ret_lease = (struct lease){message->sid, message->token, head};
    return rc;
}

int value_fill_meta(const struct session_meta *meta, struct wire_arena *arena,
                    Holdfast__Wire__SessionMeta **ret_message, struct hf_error *err)
{
    Holdfast__Wire__SessionMeta *message =
        VALUE_NEW(arena, message, holdfast__wire__session_meta__init);

    if (!message)
        return value_no_memory(err);
    message->known = value_fill_known(
        (const char *const[]){meta->cwd, meta->git_root, meta->repository, meta->branch, meta->name,
                              meta->created_at, meta->updated_at},
        (ProtobufCBinaryData *const[]){&message->cwd, &message->git_root, &message->repository,
                                       &message->branch, &message->name, &message->created_at,
                                       &message->updated_at},
        7);
    message->bytes = meta->bytes;
    message->files = meta->files;
    *ret_message = message;
    return HF_OK;
}

int value_read_meta(const Holdfast__Wire__SessionMeta *message, struct wire_arena *arena,
                    struct session_meta *ret_meta, struct hf_error *err)
{
    static const char *const fields[] = {
        "meta.cwd",  "meta.git_root",   "meta.repository", "meta.branch",
        "meta.name", "meta.created_at", "meta.updated_at",
    };
    const char *texts[COUNT(fields)];
    int rc = message ? HF_OK : value_absent("meta", err);

    if (rc == HF_OK)
        rc = value_read_known((const ProtobufCBinaryData[]){message->cwd, message->git_root,
                                                            message->repository, message->branch,
                                                            message->name, message->created_at,
                                                            message->updated_at},
                              fields, COUNT(fields), message->known, arena, texts, err);
    if (rc == HF_OK)
        *ret_meta = (struct session_meta){.cwd = texts[0],
                                          .git_root = texts[1],
                                          .repository = texts[2],
                                          .branch = texts[3],
                                          .name = texts[4],
                                          .created_at = texts[5],
                                          .updated_at = texts[6],
                                          .bytes = message->bytes,
                                          .files = message->files};
    return rc;
}

int wire_fill_session_info(const struct session_info *info, struct wire_arena *arena,
                           Holdfast__Wire__SessionInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__SessionInfo *message =
        VALUE_NEW(arena, message, holdfast__wire__session_info__init);
    int rc = message ? HF_OK : value_no_memory(err);

    if (rc == HF_OK)
        rc = wire_fill_head(&info->head, arena, &message->head, err);
    if (rc == HF_OK)
        rc = value_fill_meta(&info->meta, arena, &message->meta, err);
    if (rc != HF_OK)
        return rc;
    message->name = wire_fill_text(info->name);
    message->state = info->state;
    message->created = info->created;
    message->trashed = info->trashed;
    message->holder = info->holder;
    message->holder_name = wire_fill_text(info->holder_name);
    *ret_message = message;
    return HF_OK;
}

static int read_session_name(ProtobufCBinaryData bytes, struct wire_arena *arena,
                             const char **ret_name, struct hf_error *err)
{
    const char *name;
    int rc = wire_read_text(bytes, "name", arena, &name, err);

    if (rc == HF_OK && session_name_check(name, err) != HF_OK)
        rc = hf_fail_prefix(err, HF_INVAL, "name");
    if (rc == HF_OK)
        *ret_name = name;
    return rc;
}

int wire_read_session_info(const Holdfast__Wire__SessionInfo *message, struct wire_arena *arena,
                           struct session_info *ret_info, struct hf_error *err)
{
    struct session_info info = {0};
    int rc =
        message ? wire_read_head(message->head, &info.head, err) : value_absent("session", err);

    if (rc == HF_OK)
        rc = read_session_name(message->name, arena, &info.name, err);
    if (rc == HF_OK)
        rc = value_check_range(message->state, SESSION_LIVE, SESSION_TRASHED, "state", err);
    if (rc == HF_OK)
        rc = value_read_meta(message->meta, arena, &info.meta, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->holder_name, "holder_name", arena, &info.holder_name,
                                    err);
    if (rc != HF_OK)
        return rc;
    info.state = (enum session_state)message->state;
    info.created = message->created;
    info.trashed = message->trashed;
    info.holder = message->holder;
    *ret_info = info;
    return HF_OK;
}

int wire_fill_filter(const struct session_filter *filter, struct wire_arena *arena,
                     Holdfast__Wire__SessionListRequest **ret_message, struct hf_error *err)
{
    Holdfast__Wire__SessionListRequest *message =
        VALUE_NEW(arena, message, holdfast__wire__session_list_request__init);

    if (!message)
        return value_no_memory(err);
    message->given = value_fill_known(
        (const char *const[]){filter->name_glob, filter->repository, filter->branch, filter->cwd,
                              filter->git_root},
        (ProtobufCBinaryData *const[]){&message->name_glob, &message->repository, &message->branch,
                                       &message->cwd, &message->git_root},
        5);
    message->changed_since = filter->changed_since;
    message->trashed = filter->trashed;
    message->after = wire_fill_text(filter->after);
    message->limit = filter->limit;
    message->sid = filter->sid;
    *ret_message = message;
    return HF_OK;
}

int wire_read_filter(const Holdfast__Wire__SessionListRequest *message, struct wire_arena *arena,
                     struct session_filter *ret_filter, struct hf_error *err)
{
    static const char *const fields[] = {"name_glob", "repository", "branch", "cwd", "git_root"};
    const char *texts[COUNT(fields)], *after;
    int rc = message ? HF_OK : value_absent("filter", err);

    if (rc == HF_OK)
        rc = value_read_known((const ProtobufCBinaryData[]){message->name_glob, message->repository,
                                                            message->branch, message->cwd,
                                                            message->git_root},
                              fields, COUNT(fields), message->given, arena, texts, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->after, "after", arena, &after, err);
    if (rc == HF_OK)
        *ret_filter = (struct session_filter){.sid = message->sid,
                                              .name_glob = texts[0],
                                              .repository = texts[1],
                                              .branch = texts[2],
                                              .cwd = texts[3],
                                              .git_root = texts[4],
                                              .changed_since = message->changed_since,
                                              .trashed = message->trashed,
                                              .after = after,
                                              .limit = message->limit};
    return rc;
}

int wire_fill_history(const struct history_entry *entry, struct wire_arena *arena,
                      Holdfast__Wire__HistoryEntry **ret_message, struct hf_error *err)
{
    Holdfast__Wire__HistoryEntry *message =
        VALUE_NEW(arena, message, holdfast__wire__history_entry__init);

    if (!message)
        return value_no_memory(err);
    message->sid = entry->sid;
    message->version = entry->version;
    message->root = value_fill_root(&entry->root);
    message->time = entry->time;
    message->host = entry->host;
    message->host_name = wire_fill_text(entry->host_name);
    message->token = entry->token;
    message->bytes = entry->bytes;
    message->files = entry->files;
    *ret_message = message;
    return HF_OK;
}

int wire_read_history(const Holdfast__Wire__HistoryEntry *message, struct wire_arena *arena,
                      struct history_entry *ret_entry, struct hf_error *err)
{
    struct object_id root;
    const char *host_name;
    int rc = message ? HF_OK : value_absent("version", err);

    if (rc == HF_OK)
        rc = value_read_root(message->root, "root", &root, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->host_name, "host_name", arena, &host_name, err);
    if (rc == HF_OK)
        *ret_entry = (struct history_entry){.sid = message->sid,
                                            .version = message->version,
                                            .root = root,
                                            .time = message->time,
                                            .host = message->host,
                                            .host_name = host_name,
                                            .token = message->token,
                                            .bytes = message->bytes,
                                            .files = message->files};
    return rc;
}

/* --- hosts and leases --------------------------------------------------------------------------- */

int wire_fill_identity(const struct host_identity *identity, struct wire_arena *arena,
                       Holdfast__Wire__HostIdentity **ret_message, struct hf_error *err)
{
    Holdfast__Wire__HostIdentity *message =
        VALUE_NEW(arena, message, holdfast__wire__host_identity__init);

    if (!message)
        return value_no_memory(err);
    message->host_id = value_fill_bytes(identity->host_id, UUID_SIZE);
    message->boot_id = value_fill_bytes(identity->boot_id, UUID_SIZE);
    message->mount_id = value_fill_bytes(identity->mount_id, UUID_SIZE);
    message->incarnation = identity->incarnation;
    message->pid = identity->pid;
    message->host_name = wire_fill_text(identity->host_name);
    message->mount_point = wire_fill_text(identity->mount_point);
    message->principal = wire_fill_text(identity->principal);
    message->ttl_ms = identity->ttl_ms;
    *ret_message = message;
    return HF_OK;
}

static int read_uuids(const Holdfast__Wire__HostIdentity *message, struct host_identity *identity,
                      struct hf_error *err)
{
    int rc = value_read_bytes(message->host_id, "host_id", identity->host_id, UUID_SIZE, err);

    if (rc == HF_OK)
        rc = value_read_bytes(message->boot_id, "boot_id", identity->boot_id, UUID_SIZE, err);
    if (rc == HF_OK)
        rc = value_read_bytes(message->mount_id, "mount_id", identity->mount_id, UUID_SIZE, err);
    return rc;
}

int wire_read_identity(const Holdfast__Wire__HostIdentity *message, struct wire_arena *arena,
                       struct host_identity *ret_identity, struct hf_error *err)
{
    struct host_identity identity = {0};
    int rc = message ? read_uuids(message, &identity, err) : value_absent("identity", err);

    if (rc == HF_OK)
        rc = wire_read_text(message->host_name, "host_name", arena, &identity.host_name, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->mount_point, "mount_point", arena,
                                    &identity.mount_point, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->principal, "principal", arena, &identity.principal,
                                    err);
    if (rc != HF_OK)
        return rc;
    identity.incarnation = message->incarnation;
    identity.pid = message->pid;
    identity.ttl_ms = message->ttl_ms;
    *ret_identity = identity;
    return HF_OK;
}

int wire_fill_host_info(const struct host_info *info, struct wire_arena *arena,
                        Holdfast__Wire__HostInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__HostInfo *message = VALUE_NEW(arena, message, holdfast__wire__host_info__init);
    int rc = message ? HF_OK : value_no_memory(err);

    if (rc == HF_OK)
        rc = wire_fill_identity(&info->identity, arena, &message->identity, err);
    if (rc != HF_OK)
        return rc;
    message->host = info->host;
    message->alive = info->alive;
    message->registered = info->registered;
    message->expires = info->expires;
    *ret_message = message;
    return HF_OK;
}

int wire_read_host_info(const Holdfast__Wire__HostInfo *message, struct wire_arena *arena,
                        struct host_info *ret_info, struct hf_error *err)
{
    struct host_identity identity;
    int rc = message ? HF_OK : value_absent("host", err);

    if (rc == HF_OK)
        rc = wire_read_identity(message->identity, arena, &identity, err);
    if (rc == HF_OK)
        *ret_info = (struct host_info){.host = message->host,
                                       .identity = identity,
                                       .alive = message->alive,
                                       .registered = message->registered,
                                       .expires = message->expires};
    return rc;
}

int wire_fill_lease_info(const struct lease_info *info, struct wire_arena *arena,
                         Holdfast__Wire__LeaseInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__LeaseInfo *message =
        VALUE_NEW(arena, message, holdfast__wire__lease_info__init);
    int rc = message ? HF_OK : value_no_memory(err);

    if (rc == HF_OK)
        rc = wire_fill_texts(info->waiting, info->nwaiting, arena, &message->waiting, err);
    if (rc != HF_OK)
        return rc;
    message->n_waiting = info->nwaiting;
    message->sid = info->sid;
    message->session_name = wire_fill_text(info->session_name);
    message->state = info->state;
    message->token = info->token;
    message->host = info->host;
    message->host_name = wire_fill_text(info->host_name);
    message->mount_point = wire_fill_text(info->mount_point);
    message->pid = info->pid;
    message->since = info->since;
    message->pinned_by = wire_fill_text(info->pinned_by);
    message->holder_alive = info->holder_alive;
    message->expires = info->expires;
    *ret_message = message;
    return HF_OK;
}

static int read_lease_texts(const Holdfast__Wire__LeaseInfo *message, struct wire_arena *arena,
                            struct lease_info *info, struct hf_error *err)
{
    const char **waiting = NULL;
    int rc = wire_read_text(message->session_name, "session_name", arena, &info->session_name, err);

    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->host_name, "host_name", arena, &info->host_name, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->mount_point, "mount_point", arena, &info->mount_point,
                                    err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->pinned_by, "pinned_by", arena, &info->pinned_by, err);
    if (rc == HF_OK)
        rc = wire_read_texts(message->waiting, message->n_waiting, "waiting", arena, &waiting, err);
    info->waiting = waiting;
    info->nwaiting = message->n_waiting;
    return rc;
}

int wire_read_lease_info(const Holdfast__Wire__LeaseInfo *message, struct wire_arena *arena,
                         struct lease_info *ret_info, struct hf_error *err)
{
    struct lease_info info = {0};
    int rc = message ? read_lease_texts(message, arena, &info, err) : value_absent("lease", err);

    if (rc == HF_OK)
        rc = value_check_range(message->state, LEASE_FREE, LEASE_RECALLED, "state", err);
    if (rc != HF_OK)
        return rc;
    info.sid = message->sid;
    info.state = (enum lease_state)message->state;
    info.token = message->token;
    info.host = message->host;
    info.pid = message->pid;
    info.since = message->since;
    info.holder_alive = message->holder_alive;
    info.expires = message->expires;
    *ret_info = info;
    return HF_OK;
}

int wire_fill_audit(const struct audit_entry *entry, struct wire_arena *arena,
                    Holdfast__Wire__AuditEntry **ret_message, struct hf_error *err)
{
    Holdfast__Wire__AuditEntry *message =
        VALUE_NEW(arena, message, holdfast__wire__audit_entry__init);

    if (!message)
        return value_no_memory(err);
    message->id = entry->id;
    message->time = entry->time;
    message->event = entry->event;
    message->sid = entry->sid;
    message->host = entry->host;
    message->token = entry->token;
    message->detail = wire_fill_text(entry->detail);
    *ret_message = message;
    return HF_OK;
}

int wire_read_audit(const Holdfast__Wire__AuditEntry *message, struct wire_arena *arena,
                    struct audit_entry *ret_entry, struct hf_error *err)
{
    const char *detail;
    int rc = message ? HF_OK : value_absent("audit entry", err);

    if (rc == HF_OK)
        rc = value_check_range(message->event, AUDIT_GRANT, AUDIT_PURGE, "event", err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->detail, "detail", arena, &detail, err);
    if (rc == HF_OK)
        *ret_entry = (struct audit_entry){.id = message->id,
                                          .time = message->time,
                                          .event = (enum audit_event)message->event,
                                          .sid = message->sid,
                                          .host = message->host,
                                          .token = message->token,
                                          .detail = detail};
    return rc;
}

int wire_fill_lock(const struct store_lock *lock, struct wire_arena *arena,
                   Holdfast__Wire__Lock **ret_message, struct hf_error *err)
{
    Holdfast__Wire__Lock *message = VALUE_NEW(arena, message, holdfast__wire__lock__init);

    if (!message)
        return value_no_memory(err);
    message->ino = lock->ino;
    message->kind = lock->kind;
    message->type = lock->type;
    message->start = lock->start;
    message->end = lock->end;
    message->owner = lock->owner;
    message->pid = lock->pid;
    message->host = lock->host;
    *ret_message = message;
    return HF_OK;
}

int wire_read_lock(const Holdfast__Wire__Lock *message, struct store_lock *ret_lock,
                   struct hf_error *err)
{
    int rc = message ? HF_OK : value_absent("lock", err);

    if (rc == HF_OK)
        rc = value_check_range(message->kind, LOCK_POSIX, LOCK_FLOCK, "kind", err);
    if (rc == HF_OK)
        rc = value_check_range(message->type, LOCK_TYPE_NONE, LOCK_TYPE_WRITE, "type", err);
    if (rc == HF_OK)
        rc = value_check_range(message->end, message->start, UINT64_MAX, "end", err);
    if (rc == HF_OK)
        *ret_lock = (struct store_lock){.ino = message->ino,
                                        .kind = (enum lock_kind)message->kind,
                                        .type = (enum lock_type)message->type,
                                        .start = message->start,
                                        .end = message->end,
                                        .owner = message->owner,
                                        .pid = message->pid,
                                        .host = message->host};
    return rc;
}

/* --- the store ---------------------------------------------------------------------------------- */

int wire_fill_snapshot(const struct snapshot_info *info, struct wire_arena *arena,
                       Holdfast__Wire__SnapshotInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__SnapshotInfo *message =
        VALUE_NEW(arena, message, holdfast__wire__snapshot_info__init);

    if (!message)
        return value_no_memory(err);
    message->name = wire_fill_text(info->name);
    message->time = info->time;
    message->sessions = info->sessions;
    *ret_message = message;
    return HF_OK;
}

int wire_read_snapshot(const Holdfast__Wire__SnapshotInfo *message, struct wire_arena *arena,
                       struct snapshot_info *ret_info, struct hf_error *err)
{
    const char *name;
    int rc = message ? HF_OK : value_absent("snapshot", err);

    if (rc == HF_OK)
        rc = wire_read_text(message->name, "name", arena, &name, err);
    if (rc == HF_OK)
        *ret_info = (struct snapshot_info){name, message->time, message->sessions};
    return rc;
}

int wire_fill_root(const struct root_info *info, struct wire_arena *arena,
                   Holdfast__Wire__RootInfo **ret_message, struct hf_error *err)
{
    Holdfast__Wire__RootInfo *message = VALUE_NEW(arena, message, holdfast__wire__root_info__init);

    if (!message)
        return value_no_memory(err);
    message->kind = info->kind;
    message->sid = info->sid;
    message->session_name = wire_fill_text(info->session_name);
    message->trashed = info->trashed;
    message->version = info->version;
    message->root = value_fill_root(&info->root);
    message->time = info->time;
    message->bytes = info->bytes;
    message->files = info->files;
    message->label = wire_fill_text(info->label);
    message->rescue = info->rescue;
    *ret_message = message;
    return HF_OK;
}

int wire_read_root(const Holdfast__Wire__RootInfo *message, struct wire_arena *arena,
                   struct root_info *ret_info, struct hf_error *err)
{
    struct root_info info = {0};
    int rc = message ? HF_OK : value_absent("root", err);

    if (rc == HF_OK)
        rc = value_check_range(message->kind, ROOT_HEAD, ROOT_RESCUE, "kind", err);
    if (rc == HF_OK)
        rc = wire_read_text(message->session_name, "session_name", arena, &info.session_name, err);
    if (rc == HF_OK)
        rc = value_read_root(message->root, "root", &info.root, err);
    if (rc == HF_OK)
        rc = wire_read_text_or_null(message->label, "label", arena, &info.label, err);
    if (rc != HF_OK)
        return rc;
    info.kind = (enum root_kind)message->kind;
    info.sid = message->sid;
    info.trashed = message->trashed;
    info.version = message->version;
    info.time = message->time;
    info.bytes = message->bytes;
    info.files = message->files;
    info.rescue = message->rescue;
    *ret_info = info;
    return HF_OK;
}

static void fill_activity(const struct store_activity *activity, Holdfast__Wire__Stats *message)
{
    message->transactions = activity->transactions;
    message->syncs = activity->syncs;
    message->gets = activity->gets;
    message->got_bytes = activity->got_bytes;
    message->puts = activity->puts;
    message->put_bytes = activity->put_bytes;
    message->known_hits = activity->known_hits;
    message->known_misses = activity->known_misses;
    message->base_hits = activity->base_hits;
    message->base_misses = activity->base_misses;
    message->requests = activity->requests;
}

static struct store_activity read_activity(const Holdfast__Wire__Stats *message)
{
    return (struct store_activity){.transactions = message->transactions,
                                   .syncs = message->syncs,
                                   .gets = message->gets,
                                   .got_bytes = message->got_bytes,
                                   .puts = message->puts,
                                   .put_bytes = message->put_bytes,
                                   .known_hits = message->known_hits,
                                   .known_misses = message->known_misses,
                                   .base_hits = message->base_hits,
                                   .base_misses = message->base_misses,
                                   .requests = message->requests};
}

int wire_fill_stats(const struct store_stats *stats, struct wire_arena *arena,
                    Holdfast__Wire__Stats **ret_message, struct hf_error *err)
{
    Holdfast__Wire__Stats *message = VALUE_NEW(arena, message, holdfast__wire__stats__init);

    if (!message)
        return value_no_memory(err);
    message->sessions = stats->sessions;
    message->trashed = stats->trashed;
    message->versions = stats->versions;
    message->objects = stats->objects;
    message->logical_bytes = stats->logical_bytes;
    message->unique_bytes = stats->unique_bytes;
    message->stored_bytes = stats->stored_bytes;
    message->file_bytes = stats->file_bytes;
    message->commits = stats->commits;
    message->leases = stats->leases;
    message->waiting = stats->waiting;
    message->connections = stats->connections;
    fill_activity(&stats->activity, message);
    *ret_message = message;
    return HF_OK;
}

int wire_read_stats(const Holdfast__Wire__Stats *message, struct store_stats *ret_stats,
                    struct hf_error *err)
{
    if (!message)
        return value_absent("stats", err);
    *ret_stats = (struct store_stats){.sessions = message->sessions,
                                      .trashed = message->trashed,
                                      .versions = message->versions,
                                      .objects = message->objects,
                                      .logical_bytes = message->logical_bytes,
                                      .unique_bytes = message->unique_bytes,
                                      .stored_bytes = message->stored_bytes,
                                      .file_bytes = message->file_bytes,
                                      .commits = message->commits,
                                      .leases = message->leases,
                                      .waiting = message->waiting,
                                      .connections = message->connections,
                                      .activity = read_activity(message)};
    return HF_OK;
}

int wire_fill_finding(const struct check_finding *finding, struct wire_arena *arena,
                      Holdfast__Wire__Finding **ret_message, struct hf_error *err)
{
    Holdfast__Wire__Finding *message = VALUE_NEW(arena, message, holdfast__wire__finding__init);

    if (!message)
        return value_no_memory(err);
    message->status = hf_status_wire(finding->status);
    message->what = wire_fill_text(finding->what);
    message->message = wire_fill_text(finding->message);
    message->object = value_fill_id(finding->has_object, &finding->object);
    message->has_session = finding->has_session;
    message->sid = finding->sid;
    message->version = finding->version;
    *ret_message = message;
    return HF_OK;
}

int wire_read_finding(const Holdfast__Wire__Finding *message, struct wire_arena *arena,
                      struct check_finding *ret_finding, struct hf_error *err)
{
    struct check_finding finding = {0};
    int rc = message ? HF_OK : value_absent("finding", err);

    if (rc == HF_OK)
        rc = wire_read_text(message->what, "what", arena, &finding.what, err);
    if (rc == HF_OK)
        rc = wire_read_text(message->message, "message", arena, &finding.message, err);
    if (rc == HF_OK)
        rc = value_read_id(message->object, "object", &finding.has_object, &finding.object, err);
    if (rc != HF_OK)
        return rc;
    finding.status = hf_status_from_wire(message->status);
    finding.has_session = message->has_session;
    finding.sid = message->sid;
    finding.version = message->version;
    *ret_finding = finding;
    return HF_OK;
}

int wire_fill_event(const struct store_event *event, uint64_t host, struct wire_arena *arena,
                    Holdfast__Wire__Event **ret_message, struct hf_error *err)
{
    Holdfast__Wire__Event *message = VALUE_NEW(arena, message, holdfast__wire__event__init);

    if (!message)
        return value_no_memory(err);
    message->kind = event->kind;
    message->host = host;
    message->sid = event->sid;
    message->version = event->version;
    message->token = event->token;
    message->other_hosts = event->other_hosts;
    *ret_message = message;
    return HF_OK;
}

int wire_read_event(const Holdfast__Wire__Event *message, struct store_event *ret_event,
                    uint64_t *ret_host, struct hf_error *err)
{
    if (!message)
        return value_absent("event", err);
    if (message->kind < EVENT_HEAD_MOVED || message->kind > EVENT_HOST_LOST)
        return hf_fail(err, HF_UNSUPPORTED, "there is no event of kind %u", message->kind);
    *ret_event = (struct store_event){.kind = (enum event_kind)message->kind,
                                      .sid = message->sid,
                                      .version = message->version,
                                      .token = message->token,
                                      .other_hosts = message->other_hosts};
    *ret_host = message->host;
    return HF_OK;
}
