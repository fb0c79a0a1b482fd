/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/log_vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define FRAME_HEADER 24
/* SQLite gives no VFS more than 128 KiB at once, and its own one relies on that. */
#define HELD_MAX (1 << 16)

/* A file of the connection. `below` lies behind it, in the same allocation. */
struct log_file {
    sqlite3_file base;
    sqlite3_file *below;
    bool is_log;
    bool after_header; /* the next write is the page of the frame whose header came last */
    bool ends;         /* that frame ends a transaction */
    struct buf held;   /* bytes that are to be written ... */
    sqlite3_int64 at;  /* ... from here on */
};

static struct log_file *log_of(sqlite3_file *file)
{
    return (struct log_file *)file;
}

static sqlite3_file *below(sqlite3_file *file)
{
    return log_of(file)->below;
}

/* --- gathering ---------------------------------------------------------------------------------- */

static int flush(struct log_file *file)
{
    int len = (int)file->held.len;

    file->held.len = 0;
    file->after_header = false;
    return len == 0 ? SQLITE_OK
                    : file->below->pMethods->xWrite(file->below, file->held.data, len, file->at);
}

static bool continues(const struct log_file *file, sqlite3_int64 at)
{
    return file->held.len > 0 && at == file->at + (sqlite3_int64)file->held.len;
}

/* The second word of a frame's header is the size of the database after a commit, and 0 before it. */
static bool ends_transaction(const uint8_t *header)
{
    return (header[4] | header[5] | header[6] | header[7]) != 0;
}

static int hold(struct log_file *file, const void *data, int len)
{
    return buf_append(&file->held, data, (size_t)len) == HF_OK ? SQLITE_OK : SQLITE_IOERR_NOMEM;
}

/* The transaction has failed: written later, its frames could lie over those of another process. */
static void drop_held(struct log_file *file)
{
    file->held.len = 0;
    file->after_header = false;
}

static int write_header(struct log_file *file, const void *data, sqlite3_int64 at)
{
    int code = SQLITE_OK;

    if (file->after_header || !continues(file, at)) {
        code = flush(file);
        file->at = at;
    }
    if (code == SQLITE_OK)
        code = hold(file, data, FRAME_HEADER);
    if (code != SQLITE_OK) {
        drop_held(file);
        return code;
    }
    file->after_header = true;
    file->ends = ends_transaction(data);
    return code;
}

static int write_page(struct log_file *file, const void *data, int len)
{
    int code = hold(file, data, len);

    file->after_header = false;
    if (code != SQLITE_OK)
        drop_held(file);
    else if (file->ends || file->held.len >= HELD_MAX)
        code = flush(file);
    return code;
}

static int log_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 at)
{
    struct log_file *file = log_of(base);
    int code;

    if (file->is_log && len == FRAME_HEADER)
        return write_header(file, data, at);
    if (file->is_log && file->after_header && continues(file, at))
        return write_page(file, data, len);
    code = flush(file);
    return code == SQLITE_OK ? below(base)->pMethods->xWrite(below(base), data, len, at) : code;
}

static int log_read(sqlite3_file *base, void *data, int len, sqlite3_int64 at)
{
    int code = flush(log_of(base));

    return code == SQLITE_OK ? below(base)->pMethods->xRead(below(base), data, len, at) : code;
}

static int log_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int code = flush(log_of(base));

    return code == SQLITE_OK ? below(base)->pMethods->xTruncate(below(base), size) : code;
}

static int log_sync(sqlite3_file *base, int flags)
{
    int code = flush(log_of(base));

    return code == SQLITE_OK ? below(base)->pMethods->xSync(below(base), flags) : code;
}

static int log_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    int code = flush(log_of(base));

    return code == SQLITE_OK ? below(base)->pMethods->xFileSize(below(base), ret_size) : code;
}

static int log_close(sqlite3_file *base)
{
    int flushed = flush(log_of(base));
    int code = below(base)->pMethods->xClose(below(base));

    buf_free(&log_of(base)->held);
    return flushed != SQLITE_OK ? flushed : code;
}

/* --- the rest passes through ---------------------------------------------------------------------- */

static int log_lock(sqlite3_file *base, int lock)
{
    return below(base)->pMethods->xLock(below(base), lock);
}

static int log_unlock(sqlite3_file *base, int lock)
{
    return below(base)->pMethods->xUnlock(below(base), lock);
}

static int log_check_reserved(sqlite3_file *base, int *ret_reserved)
{
    return below(base)->pMethods->xCheckReservedLock(below(base), ret_reserved);
}

static int log_control(sqlite3_file *base, int op, void *arg)
{
    return below(base)->pMethods->xFileControl(below(base), op, arg);
}

static int log_sector_size(sqlite3_file *base)
{
    return below(base)->pMethods->xSectorSize(below(base));
}

static int log_characteristics(sqlite3_file *base)
{
    return below(base)->pMethods->xDeviceCharacteristics(below(base));
}

static int log_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **ret_map)
{
    return below(base)->pMethods->xShmMap(below(base), page, size, extend, ret_map);
}

static int log_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    return below(base)->pMethods->xShmLock(below(base), offset, n, flags);
}

static void log_shm_barrier(sqlite3_file *base)
{
    below(base)->pMethods->xShmBarrier(below(base));
}

static int log_shm_unmap(sqlite3_file *base, int remove)
{
    return below(base)->pMethods->xShmUnmap(below(base), remove);
}

/* Version 2: without memory-mapped reads, in which damage would be a signal. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
    .xShmMap = log_shm_map,
    .xShmLock = log_shm_lock,
    .xShmBarrier = log_shm_barrier,
    .xShmUnmap = log_shm_unmap,
};

static int log_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    sqlite3_vfs *real = ((struct log_vfs *)vfs)->below;
    struct log_file *file = log_of(base);
    int code;

    *file =
        (struct log_file){.below = (sqlite3_file *)(file + 1), .is_log = flags & SQLITE_OPEN_WAL};
    code = real->xOpen(real, name, file->below, flags, ret_flags);
    file->base.pMethods = file->below->pMethods ? &methods : NULL;
    return code;
}

/* Calls that name no file go to the VFS below, which must be given itself. */
static int log_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    sqlite3_vfs *real = ((struct log_vfs *)vfs)->below;

    return real->xDelete(real, name, sync_folder);
}

static int log_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_result)
{
    sqlite3_vfs *real = ((struct log_vfs *)vfs)->below;

    return real->xAccess(real, name, flags, ret_result);
}

static int log_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *ret_name)
{
    sqlite3_vfs *real = ((struct log_vfs *)vfs)->below;

    return real->xFullPathname(real, name, size, ret_name);
}

int log_vfs_register(struct log_vfs *vfs, const char *below_name, struct hf_error *err)
{
    vfs->below = sqlite3_vfs_find(below_name);
    if (!vfs->below)
        return hf_fail(err, HF_INVAL, "there is no VFS named %s", below_name ? below_name : "");
    snprintf(vfs->name, sizeof vfs->name, "holdfast-%p", (void *)vfs);
    vfs->vfs = *vfs->below;
    vfs->vfs.pNext = NULL;
    vfs->vfs.zName = vfs->name;
    vfs->vfs.szOsFile += (int)sizeof(struct log_file);
    vfs->vfs.xOpen = log_open;
    vfs->vfs.xDelete = log_delete;
    vfs->vfs.xAccess = log_access;
    vfs->vfs.xFullPathname = log_full_pathname;
    vfs->registered = sqlite3_vfs_register(&vfs->vfs, 0) == SQLITE_OK;
    return vfs->registered ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

void log_vfs_unregister(struct log_vfs *vfs)
{
    if (vfs->registered)
        sqlite3_vfs_unregister(&vfs->vfs);
    vfs->registered = false;
}
