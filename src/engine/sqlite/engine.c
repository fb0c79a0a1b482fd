/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/sqlite/schema.h"
#include "engine/sqlite/sqlite.h"

/* Not in linux/magic.h of every version. */
#define CIFS_MAGIC 0xff534d42
#define SMB2_MAGIC 0xfe534d42

#define TENANT_MAX 63
#define TENANT_DEFAULT "default"

static void sqlite_close(struct store *base);

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .close = sqlite_close,
    .put = sqlite_put,
    .get = sqlite_get,
    .missing = sqlite_missing,
    .session_list = sqlite_session_list,
    .session_find = sqlite_session_find,
    .session_head = sqlite_session_head,
    .session_create = sqlite_session_create,
    .session_rename = sqlite_session_rename,
    .session_delete = sqlite_session_delete,
    .session_undelete = sqlite_session_undelete,
    .session_purge = sqlite_session_purge,
    .commit = sqlite_commit,
    .sync = sqlite_sync,
    .history = sqlite_history,
    .history_drop = sqlite_history_drop,
    .rescue = sqlite_rescue,
    .rescue_list = sqlite_rescue_list,
    .rescue_drop = sqlite_rescue_drop,
    .host_register = sqlite_host_register,
    .host_heartbeat = sqlite_host_heartbeat,
    .host_detach = sqlite_host_detach,
    .host_end = sqlite_host_end,
    .host_deadline = sqlite_host_deadline,
    .host_list = sqlite_host_list,
    .lease_acquire = sqlite_lease_acquire,
    .lease_ask = sqlite_lease_ask,
    .lease_withdraw = sqlite_lease_withdraw,
    .lease_release = sqlite_lease_release,
    .lease_refuse = sqlite_lease_refuse,
    .lease_break = sqlite_lease_break,
    .lease_list = sqlite_lease_list,
    .audit = sqlite_audit,
    .lock_set = sqlite_lock_set,
    .lock_test = sqlite_lock_test,
    .snapshot_create = sqlite_snapshot_create,
    .snapshot_list = sqlite_snapshot_list,
    .snapshot_delete = sqlite_snapshot_delete,
    .snapshot_pins = sqlite_snapshot_pins,
    .roots = sqlite_roots,
    .session_receive = sqlite_session_receive,
    .rescue_receive = sqlite_rescue_receive,
    .snapshot_receive = sqlite_snapshot_receive,
    .setting_get = sqlite_setting_get,
    .setting_set = sqlite_setting_set,
    .mend = sqlite_mend,
    .collect = sqlite_collect,
    .stats = sqlite_stats,
    .check = sqlite_check,
};

/* --- the path ------------------------------------------------------------------------------------- */

struct location {
    char path[1024];
    char vfs[64];
    char tenant[TENANT_MAX + 1]; /* empty: the file itself */
    bool unsafe_network;
};

/* The name of a folder's file, so a narrow choice. */
static int parse_tenant(const char *name, size_t len, struct location *location,
                        struct hf_error *err)
{
    if (len == 0 || len > TENANT_MAX || name[0] == '-' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") < len)
        return hf_fail(err, HF_INVAL,
                       "not a tenant: '%.*s' (1 to %d of a-z, 0-9 and '-', which is not the first)",
                       len > TENANT_MAX ? TENANT_MAX : (int)len, name, TENANT_MAX);
    if (len == strlen(TENANT_DEFAULT) && memcmp(name, TENANT_DEFAULT, len) == 0)
        len = 0;
    memcpy(location->tenant, name, len);
    location->tenant[len] = '\0';
    return HF_OK;
}

static int parse_option(const char *option, size_t len, struct location *location,
                        struct hf_error *err)
{
    if (len > 4 && strncmp(option, "vfs=", 4) == 0 && len - 4 < sizeof location->vfs) {
        memcpy(location->vfs, option + 4, len - 4);
        location->vfs[len - 4] = '\0';
    } else if (len == strlen("unsafe-network=1") && strncmp(option, "unsafe-network=1", len) == 0) {
        location->unsafe_network = true;
    } else if (len >= 7 && strncmp(option, "tenant=", 7) == 0) {
        return parse_tenant(option + 7, len - 7, location, err);
    } else {
        return hf_fail(err, HF_INVAL, "not an option of a sqlite store: %.*s", (int)len, option);
    }
    return HF_OK;
}

/* PATH[?OPTION[&OPTION]...] */
static int parse_location(const char *text, struct location *ret_location, struct hf_error *err)
{
    const char *question = strrchr(text, '?');
    size_t len = question ? (size_t)(question - text) : strlen(text);
    struct location location = {0};

    if (len == 0 || len >= sizeof location.path)
        return hf_fail(err, HF_INVAL, "not the path of a store: %s", text);
    memcpy(location.path, text, len);
    for (const char *option = question; option; option = strchr(option, '&')) {
        int rc = parse_option(option + 1, strcspn(option + 1, "&"), &location, err);

        if (rc != HF_OK)
            return rc;
        option++;
    }
    *ret_location = location;
    return HF_OK;
}

/* The folder that `path` is in. */
static void folder_of(const char *path, char *ret_folder, size_t size)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(ret_folder, size, ".");
    else
        snprintf(ret_folder, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* Makes a folder, private, whose entry outlives a loss of power. */
static int make_folder(const char *path, struct hf_error *err)
{
    char parent[sizeof((struct location){0}.path)];
    int fd, rc = HF_OK;

    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? HF_OK
                               : hf_fail(err, hf_status_from_errno(errno),
                                         "cannot make the directory %s: %s", path, strerror(errno));
    folder_of(path, parent, sizeof parent);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = hf_fail(err, hf_status_from_errno(errno), "cannot sync the directory %s: %s", parent,
                     strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The store of a tenant is a file of its own, beside that of the default one. */
static int go_to_tenant(struct location *location, bool make, struct hf_error *err)
{
    char folder[sizeof location->path];
    int n = snprintf(folder, sizeof folder, "%s.tenants", location->path);
    int rc = HF_OK;

    if (location->tenant[0] == '\0')
        return HF_OK;
    if (n < 0 || (size_t)n + strlen(location->tenant) + sizeof "/.db" > sizeof location->path)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the tenant's store is too long");
    if (make)
        rc = make_folder(folder, err);
    snprintf(location->path, sizeof location->path, "%.*s/%s.db", n, folder, location->tenant);
    return rc;
}

static const char *network_name(unsigned long type)
{
    switch (type) {
    case NFS_SUPER_MAGIC:
        return "NFS";
    case SMB_SUPER_MAGIC:
    case CIFS_MAGIC:
    case SMB2_MAGIC:
        return "SMB";
    case AFS_SUPER_MAGIC:
        return "AFS";
    case CODA_SUPER_MAGIC:
        return "Coda";
    default:
        return NULL;
    }
}

static int check_filesystem(const struct location *location, struct hf_error *err)
{
    char folder[sizeof location->path];
    struct statfs fs;
    const char *network;

    folder_of(location->path, folder, sizeof folder);
    if (location->unsafe_network || statfs(folder, &fs) != 0)
        return HF_OK;
    network = network_name((unsigned long)fs.f_type & 0xffffffffUL);
    if (!network)
        return HF_OK;
    return hf_fail(err, HF_UNSUPPORTED,
                   "%s is on %s, where file locks do not protect a store; keep it on a local disk "
                   "(or add ?unsafe-network=1 if no other host ever opens it)",
                   location->path, network);
}

/* --- opening -------------------------------------------------------------------------------------- */

/* Makes the file, private, before SQLite would. Nobody can have it open: it is new. */
static int make_file(const char *path, struct hf_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno != EEXIST)
        return hf_fail(err, hf_status_from_errno(errno), "cannot make the store %s: %s", path,
                       strerror(errno));
    if (fd >= 0)
        close(fd);
    return HF_OK;
}

/* A store has a rollback journal only while it is made, before it goes over to its log. */
static bool has_journal(const struct sqlite_store *store)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(store->vfs);
    char path[PATH_MAX + 16];
    int exists = 0;

    snprintf(path, sizeof path, "%s-journal", store->path);
    return vfs && vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &exists) == SQLITE_OK && exists;
}

/* Like schema_identify(). Where the maker was killed, or the power went, its half-made store is undone
 * first: until then the file may hold anything. */
static int identify(struct sqlite_store *store, unsigned flags, enum schema_file *ret_file,
                    struct hf_error *err)
{
    struct db db = {0};
    struct stat st;
    int64_t version;
    int undone, rc;

    if (stat(store->path, &st) == 0 && !S_ISREG(st.st_mode))
        return hf_fail(err, HF_INVAL, "%s is not a file", store->path);
    rc = schema_identify(store->path, store->vfs, ret_file, err);
    if ((rc != HF_OK && rc != HF_INVAL) || (rc == HF_OK && *ret_file != SCHEMA_STORE) ||
        !has_journal(store))
        return rc;
    if (flags & STORE_READ_ONLY)
        return hf_fail(err, HF_NOENT, "the store %s is not made yet", store->path);
    undone = db_open(store->path, SQLITE_OPEN_READWRITE, store->vfs, &db, NULL);
    if (undone == HF_OK)
        undone = db_number(&db, "PRAGMA user_version", &version, NULL); /* reading rolls back */
    db_close(&db);
    if (rc == HF_OK && undone != HF_OK)
        return hf_fail(err, undone, "the half-made store %s cannot be undone", store->path);
    return undone == HF_OK ? schema_identify(store->path, store->vfs, ret_file, err) : rc;
}

/* Finds out what the file is, and makes a store of it if that is wanted. */
static int make_store(struct sqlite_store *store, unsigned flags,
                      const struct store_create_options *create, struct hf_error *err)
{
    bool may_make = (flags & STORE_CREATE) && !(flags & STORE_READ_ONLY);
    enum schema_file file;
    struct db db = {0};
    int rc = identify(store, flags, &file, err);

    if (rc != HF_OK || file == SCHEMA_STORE)
        return rc;
    if (!may_make && file == SCHEMA_ABSENT)
        return hf_fail(err, HF_NOENT, "there is no store %s", store->path);
    if (!may_make)
        return hf_fail(err, HF_INVAL, "%s holds nothing, and is not a store yet", store->path);
    if (file == SCHEMA_ABSENT)
        rc = make_file(store->path, err);
    if (rc == HF_OK)
        rc = db_open(store->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, store->vfs, &db, err);
    if (rc == HF_OK)
        rc = schema_create(&db, create, clock_realtime(store->clock), err);
    db_close(&db);
    return rc;
}

static int read_info(struct sqlite_store *store, struct db *db, unsigned flags,
                     struct hf_error *err)
{
    struct store_info *info = &store->base.info;
    struct store_row row;
    int rc = store_row_load(db, &row, err);

    if (rc != HF_OK)
        return rc;
    memcpy(info->uuid, row.uuid, UUID_SIZE);
    info->chunker = row.chunker;
    info->hasher.keyed = row.keyed;
    memcpy(info->hasher.key, row.key, sizeof row.key);
    info->close_durability = row.strict ? DURABILITY_SYNC : DURABILITY_RELAXED;
    info->read_only = flags & STORE_READ_ONLY;
    snprintf(info->location, sizeof info->location, "sqlite:%.1000s", store->path);
    return HF_OK;
}

/* Those of this handle are woken at once; the file need not be rung for them. */
static void ring(void *arg, unsigned hosts)
{
    struct sqlite_store *store = arg;

    bell_wake(&store->bell);
    if (hosts > roster_count(&store->roster))
        bell_ring(&store->bell);
}

static int open_for_writing(struct sqlite_store *store, struct hf_error *err)
{
    int rc = writer_open(&store->writer, store->path, store->vfs, &store->medium, &store->fresh,
                         store->clock, err);

    if (rc == HF_OK)
        rc = schema_upgrade(&store->writer.db, false, err);
    if (rc == HF_OK)
        rc = medium_open(&store->medium, store->path, store->vfs, err);
    if (rc == HF_OK) /* the folder's entry of a new log, too */
        rc = medium_sync_all(&store->medium, err);
    if (rc == HF_OK)
        rc = bell_open(&store->bell, store->path, true, err);
    store->writer.ring = ring;
    store->writer.ring_arg = store;
    return rc;
}

static int open_all(struct sqlite_store *store, unsigned flags,
                    const struct store_create_options *create, struct hf_error *err)
{
    struct db *reader;
    bool read_only = flags & STORE_READ_ONLY;
    int rc = make_store(store, flags, create, err);

    if (rc == HF_OK && !read_only)
        rc = open_for_writing(store, err);
    if (rc != HF_OK)
        return rc;
    if (read_only)
        bell_open(&store->bell, store->path, false, NULL);
    rc = readers_take(&store->readers, &reader, err);
    if (rc != HF_OK)
        return rc;
    if (read_only)
        rc = schema_upgrade(reader, true, err);
    if (rc == HF_OK)
        rc = read_info(store, reader, flags, err);
    readers_give(&store->readers, reader);
    if (rc == HF_OK && !read_only)
        sqlite_hosts_meet(store);
    return rc;
}

int sqlite_store_open(const char *path, unsigned flags, const struct store_create_options *create,
                      const struct clock *clock, struct store **ret_store, struct hf_error *err)
{
    struct location location;
    struct sqlite_store *store;
    int rc = parse_location(path, &location, err);

    if (rc == HF_OK)
        rc = check_filesystem(&location, err);
    if (rc == HF_OK)
        rc = go_to_tenant(&location, (flags & STORE_CREATE) && !(flags & STORE_READ_ONLY), err);
    if (rc != HF_OK)
        return rc;
    store = calloc(1, sizeof *store);
    if (!store)
        return hf_fail(err, HF_NOMEM, "out of memory");
    store->base.ops = &sqlite_ops;
    store->clock = clock ? clock : &clock_system;
    memcpy(store->path, location.path, sizeof store->path);
    memcpy(store->vfs_name, location.vfs, sizeof store->vfs_name);
    store->vfs = store->vfs_name[0] ? store->vfs_name : NULL;
    writer_init(&store->writer);
    medium_init(&store->medium);
    fresh_init(&store->fresh);
    readers_init(&store->readers, store->path, store->vfs, &store->fresh);
    bases_init(&store->bases);
    bell_init(&store->bell);
    roster_init(&store->roster, store->clock);
    events_init(&store->events, store);
    rc = open_all(store, flags, create, err);
    if (rc != HF_OK) {
        sqlite_close(&store->base);
        return rc;
    }
    *ret_store = &store->base;
    return HF_OK;
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = sqlite_store_of(base);

    sqlite_hosts_dissolve(store);
    events_release(&store->events);
    roster_release(&store->roster);
    bell_release(&store->bell);
    readers_release(&store->readers);
    bases_release(&store->bases);
    writer_close(&store->writer);
    fresh_release(&store->fresh);
    limits_free(&store->limits);
    medium_close(&store->medium);
    free(store);
}
