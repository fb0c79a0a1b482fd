/* SPDX-License-Identifier: Apache-2.0 */
#include "power_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "load.h"

#define SECTOR 512

/** A write or (data NULL) a truncation that was not synced. */
struct change {
    uint64_t number; /* in the order of all files' */
    uint64_t offset;
    uint8_t *data;
    size_t len;
};

/** A file, by name, whoever has it open. */
struct medium_file {
    struct medium_file *next;
    char path[500];
    struct buf synced;
    struct change *changes;
    size_t count, cap;
    bool deleted; /* and the folder not synced */
};

/** What a survivor keeps of the changes that were not synced. */
enum keep { KEEP_NONE, KEEP_ALL, KEEP_SOME, KEEP_SECTORS, KEEP_FIRST, KEEP_GARBAGE, KEEP_COUNT };

static struct {
    pthread_mutex_t lock; /* guards all below */
    struct medium_file *files;
    uint64_t random, calls;
    uint64_t cut_at; /* 0: never */
    void (*at_cut)(void *arg);
    void *arg;
    bool cut;
    uint64_t syncs, fail_from, fail_to;
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

/** An open file of SQLite's; the default VFS's follows it in memory. */
struct power_file {
    sqlite3_file base;
    struct medium_file *medium; /* NULL: of no interest */
};

static sqlite3_vfs *below;
static sqlite3_vfs vfs;

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)(void *)((char *)file + sizeof(struct power_file));
}

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* --- the medium; all with the lock held --------------------------------------------------------- */

static void clear_changes(struct medium_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        free(file->changes[i].data);
    file->count = 0;
}

static struct medium_file *find_file(const char *path)
{
    struct medium_file *file = power.files;

    while (file && strcmp(file->path, path) != 0)
        file = file->next;
    return file;
}

static struct medium_file *open_file(const char *path)
{
    struct medium_file *file = find_file(path);

    if (!file) {
        file = need(calloc(1, sizeof *file));
        snprintf(file->path, sizeof file->path, "%s", path);
        file->next = power.files;
        power.files = file;
    }
    if (file->deleted) {
        clear_changes(file);
        file->synced.len = 0;
        file->deleted = false;
    }
    return file;
}

static void add_change(struct medium_file *file, uint64_t offset, const void *data, size_t len)
{
    struct change change = {.number = power.calls, .offset = offset, .len = len};

    if (file->count == file->cap) {
        file->cap = file->cap ? file->cap * 2 : 64;
        file->changes = need(reallocarray(file->changes, file->cap, sizeof *file->changes));
    }
    if (data) {
        change.data = need(malloc(len));
        memcpy(change.data, data, len);
    }
    file->changes[file->count++] = change;
}

static void write_image(struct buf *image, uint64_t offset, const uint8_t *data, size_t len)
{
    if (offset + len > image->len)
        need(buf_append_zeros(image, offset + len - image->len) == 0 ? image : NULL);
    memcpy(image->data + offset, data, len);
}

static void apply_change(struct buf *image, const struct change *change)
{
    if (change->data)
        write_image(image, change->offset, change->data, change->len);
    else if (change->offset < image->len)
        image->len = change->offset;
}

static void sync_file(struct medium_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        apply_change(&file->synced, &file->changes[i]);
    clear_changes(file);
}

/** Applies the sectors of a write that were lucky; the others are left alone, or made garbage. */
static void apply_sectors(struct buf *image, const struct change *change, bool garbage)
{
    uint8_t junk[SECTOR];

    for (size_t at = 0; at < change->len;) {
        size_t n = SECTOR - (change->offset + at) % SECTOR;
        const uint8_t *data = change->data + at;

        n = n < change->len - at ? n : change->len - at;
        if (random_below(&power.random, 2) == 0) {
            write_image(image, change->offset + at, data, n);
        } else if (garbage && change->offset + at >= image->len) {
            for (size_t i = 0; i < n; i++)
                junk[i] = (uint8_t)random_next(&power.random);
            write_image(image, change->offset + at, junk, n);
        }
        at += n;
    }
}

/** What is left of a file, in its `synced`. `first`: of KEEP_FIRST, the change at which the power went. */
static void survive(struct medium_file *file, enum keep keep, uint64_t first)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct change *change = &file->changes[i];
        bool lucky = random_below(&power.random, 2) == 0;

        if (keep == KEEP_ALL || (keep == KEEP_FIRST && change->number < first))
            lucky = true;
        else if (keep == KEEP_NONE || (keep == KEEP_FIRST && change->number > first))
            lucky = false;
        else if (keep != KEEP_SOME && change->data) {
            apply_sectors(&file->synced, change, keep == KEEP_GARBAGE);
            continue;
        }
        if (lucky)
            apply_change(&file->synced, change);
    }
    clear_changes(file);
}

static void cut(void)
{
    enum keep keep = (enum keep)random_below(&power.random, KEEP_COUNT);
    uint64_t first = random_below(&power.random, power.calls + 1);

    power.cut = true;
    for (struct medium_file *file = power.files; file; file = file->next)
        survive(file, keep, first);
    if (power.at_cut)
        power.at_cut(power.arg);
}

/** Counts a call that changes something; whether there is power for it. */
static bool powered(void)
{
    if (!power.cut && power.cut_at && power.calls + 1 >= power.cut_at)
        cut();
    power.calls++;
    return !power.cut;
}

/* --- files of SQLite's -------------------------------------------------------------------------- */

static int file_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 offset)
{
    return real(file)->pMethods->xRead(real(file), data, len, offset);
}

static int change_file(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    struct medium_file *medium = ((struct power_file *)file)->medium;
    bool on = true;

    pthread_mutex_lock(&power.lock);
    if (medium) {
        on = powered();
        if (on)
            add_change(medium, (uint64_t)offset, data, (size_t)len);
    }
    pthread_mutex_unlock(&power.lock);
    if (!on)
        return SQLITE_IOERR_WRITE;
    if (!data)
        return real(file)->pMethods->xTruncate(real(file), offset);
    return real(file)->pMethods->xWrite(real(file), data, len, offset);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    return change_file(file, data, len, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return change_file(file, NULL, 0, size);
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct medium_file *medium = ((struct power_file *)file)->medium;
    int rc = SQLITE_OK;

    (void)flags; /* nothing here has to reach a real medium */
    pthread_mutex_lock(&power.lock);
    if (medium && !powered()) {
        rc = SQLITE_IOERR_FSYNC;
    } else if (medium) {
        power.syncs++;
        if (power.syncs >= power.fail_from && power.syncs < power.fail_to) {
            rc = SQLITE_IOERR_FSYNC;
            clear_changes(medium);
        } else {
            sync_file(medium);
        }
    }
    pthread_mutex_unlock(&power.lock);
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return real(file)->pMethods->xFileSize(real(file), ret_size);
}

static int file_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int file_check_lock(sqlite3_file *file, int *ret_locked)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret_locked);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

/* Version 2: no memory-mapped reads. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* --- the VFS ------------------------------------------------------------------------------------ */

static int vfs_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    const int kinds = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
    struct power_file *opened = (struct power_file *)file;
    int rc;

    (void)self;
    *opened = (struct power_file){0};
    pthread_mutex_lock(&power.lock);
    rc = power.cut ? SQLITE_CANTOPEN : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = below->xOpen(below, path, real(file), flags, ret_flags);
    if (rc == SQLITE_OK && path && flags & kinds)
        opened->medium = open_file(path);
    pthread_mutex_unlock(&power.lock);
    if (rc == SQLITE_OK)
        opened->base.pMethods = &methods;
    return rc;
}

static int vfs_delete(sqlite3_vfs *self, const char *path, int sync_folder)
{
    struct medium_file *file;
    bool on;

    (void)self;
    pthread_mutex_lock(&power.lock);
    on = powered();
    file = on ? find_file(path) : NULL;
    if (file && sync_folder) {
        clear_changes(file);
        file->synced.len = 0;
    }
    if (file)
        file->deleted = true;
    pthread_mutex_unlock(&power.lock);
    return on ? below->xDelete(below, path, sync_folder) : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *self, const char *path, int flags, int *ret)
{
    (void)self;
    return below->xAccess(below, path, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *self, const char *path, int size, char *ret_path)
{
    (void)self;
    return below->xFullPathname(below, path, size, ret_path);
}

void power_on(uint64_t seed)
{
    below = sqlite3_vfs_find(NULL);
    vfs = *below;
    vfs.pNext = NULL;
    vfs.zName = POWER_VFS_NAME;
    vfs.szOsFile = (int)sizeof(struct power_file) + below->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    vfs.xAccess = vfs_access;
    vfs.xFullPathname = vfs_full_path;
    sqlite3_vfs_register(&vfs, 0);
    power.random = seed;
    power.calls = power.cut_at = power.syncs = power.fail_from = power.fail_to = 0;
    power.cut = false;
    power.at_cut = NULL;
}

void power_off(void)
{
    sqlite3_vfs_unregister(&vfs);
    for (struct medium_file *file = power.files, *next; file; file = next) {
        next = file->next;
        clear_changes(file);
        free(file->changes);
        buf_free(&file->synced);
        free(file);
    }
    power.files = NULL;
}

void power_cut_after(uint64_t n, void (*at_cut)(void *arg), void *arg)
{
    pthread_mutex_lock(&power.lock);
    power.cut_at = power.calls + n;
    power.at_cut = at_cut;
    power.arg = arg;
    pthread_mutex_unlock(&power.lock);
}

void power_cut_now(void)
{
    pthread_mutex_lock(&power.lock);
    if (!power.cut)
        cut();
    pthread_mutex_unlock(&power.lock);
}

bool power_is_cut(void)
{
    bool is_cut;

    pthread_mutex_lock(&power.lock);
    is_cut = power.cut;
    pthread_mutex_unlock(&power.lock);
    return is_cut;
}

uint64_t power_calls(void)
{
    uint64_t calls;

    pthread_mutex_lock(&power.lock);
    calls = power.calls;
    pthread_mutex_unlock(&power.lock);
    return calls;
}

void power_fail_syncs(uint64_t n, uint64_t count)
{
    pthread_mutex_lock(&power.lock);
    power.fail_from = n ? power.syncs + n : 0;
    power.fail_to = n ? power.syncs + n + count : 0;
    pthread_mutex_unlock(&power.lock);
}

static bool write_file(const char *path, const struct buf *content)
{
    FILE *file = fopen(path, "w");
    bool ok =
        file && (content->len == 0 || fwrite(content->data, 1, content->len, file) == content->len);

    return file && fclose(file) == 0 && ok;
}

bool power_survivor(const char *path, const char *to)
{
    static const char *const tails[] = {"", "-wal", "-journal"};
    char from[520], target[520];
    bool ok = true;

    pthread_mutex_lock(&power.lock);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        const struct medium_file *file;

        snprintf(from, sizeof from, "%s%s", path, tails[i]);
        snprintf(target, sizeof target, "%s%s", to, tails[i]);
        unlink(target);
        file = find_file(from);
        if (!file || (file->deleted && random_below(&power.random, 2) == 0) ||
            (file->deleted && file->synced.len == 0))
            continue;
        ok = ok && write_file(target, &file->synced);
    }
    pthread_mutex_unlock(&power.lock);
    return ok;
}
