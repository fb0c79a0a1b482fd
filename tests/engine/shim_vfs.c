/* SPDX-License-Identifier: Apache-2.0 */
#include "shim_vfs.h"

#include <sqlite3.h>
#include <string.h>

struct shim_file {
    sqlite3_file base;
    bool log;
    sqlite3_file *below; /* behind this struct, in the same allocation */
};

atomic_uint shim_log_syncs;
static _Atomic(shim_hook) hook;
static _Atomic(void *) hook_arg;

static sqlite3_file *below(sqlite3_file *file)
{
    return ((struct shim_file *)file)->below;
}

static int ask(sqlite3_file *file, enum shim_call call)
{
    shim_hook now = atomic_load(&hook);

    return now ? now(call, ((struct shim_file *)file)->log, atomic_load(&hook_arg)) : SQLITE_OK;
}

static int shim_close(sqlite3_file *file)
{
    return below(file)->pMethods->xClose(below(file));
}

static int shim_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    int code = ask(file, SHIM_READ);

    return code ? code : below(file)->pMethods->xRead(below(file), data, len, at);
}

static int shim_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int code = ask(file, SHIM_WRITE);

    return code ? code : below(file)->pMethods->xWrite(below(file), data, len, at);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return below(file)->pMethods->xTruncate(below(file), size);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    int code;

    if (((struct shim_file *)file)->log)
        atomic_fetch_add(&shim_log_syncs, 1);
    code = ask(file, SHIM_SYNC);
    return code ? code : below(file)->pMethods->xSync(below(file), flags);
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return below(file)->pMethods->xFileSize(below(file), size);
}

static int shim_lock(sqlite3_file *file, int lock)
{
    return below(file)->pMethods->xLock(below(file), lock);
}

static int shim_unlock(sqlite3_file *file, int lock)
{
    return below(file)->pMethods->xUnlock(below(file), lock);
}

static int shim_check_reserved(sqlite3_file *file, int *out)
{
    return below(file)->pMethods->xCheckReservedLock(below(file), out);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
    return below(file)->pMethods->xFileControl(below(file), op, arg);
}

static int shim_sector(sqlite3_file *file)
{
    return below(file)->pMethods->xSectorSize(below(file));
}

static int shim_characteristics(sqlite3_file *file)
{
    return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return below(file)->pMethods->xShmMap(below(file), page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return below(file)->pMethods->xShmLock(below(file), offset, n, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    below(file)->pMethods->xShmBarrier(below(file));
}

static int shim_shm_unmap(sqlite3_file *file, int delete)
{
    return below(file)->pMethods->xShmUnmap(below(file), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct shim_file *shim = (struct shim_file *)file;
    int code;

    shim->log = flags & SQLITE_OPEN_WAL;
    shim->below = (sqlite3_file *)(shim + 1);
    code = real->xOpen(real, name, shim->below, flags, out_flags);
    shim->base.pMethods = shim->below->pMethods ? &methods : NULL;
    return code;
}

void shim_register(void)
{
    static sqlite3_vfs vfs;

    vfs = *sqlite3_vfs_find(NULL);
    vfs.pAppData = sqlite3_vfs_find(NULL);
    vfs.szOsFile += (int)sizeof(struct shim_file);
    vfs.zName = SHIM_VFS_NAME;
    vfs.xOpen = shim_open;
    sqlite3_vfs_register(&vfs, 0);
}

void shim_set_hook(shim_hook new_hook, void *arg)
{
    atomic_store(&hook_arg, arg);
    atomic_store(&hook, new_hook);
}
