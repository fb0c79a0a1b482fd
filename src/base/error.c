/* SPDX-License-Identifier: Apache-2.0 */
#include "holdfast/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct status_row {
    int status;
    int error;
    unsigned wire;
    int exit;
    const char *text;
};

/* Wire codes are append-only. The first row with an errno is the one that errno maps back to. */
static const struct status_row table[] = {
    {HF_OK, 0, 0, EX_OK, "success"},
    {HF_IO, EIO, 8, EX_IOERR, "input/output error"},
    {HF_FENCED, EIO, 1, EX_TEMPFAIL, "the lease was lost: the fencing token is no longer current"},
    {HF_CONFLICT, EIO, 2, EX_TEMPFAIL, "the session has moved on from the base version"},
    {HF_MISSING, EIO, 3, EX_DATAERR, "an object is missing from the store"},
    {HF_CORRUPT, EIO, 4, EX_DATAERR, "the stored data is damaged"},
    {HF_BUSY, EBUSY, 5, EX_TEMPFAIL, "in use elsewhere"},
    {HF_NEWER, EIO, 6, EX_CONFIG, "written by a newer version of holdfast"},
    {HF_FAILED, EIO, 7, EX_IOERR, "an earlier sync failed; reload from the store"},
    {HF_PENDING, EINPROGRESS, 9, EX_SOFTWARE, "the answer comes later"},
    {HF_NOMEM, ENOMEM, 10, EX_OSERR, "out of memory"},
    {HF_NOSPC, ENOSPC, 11, EX_CANTCREAT, "no space left"},
    {HF_QUOTA, EDQUOT, 12, EX_CANTCREAT, "quota exceeded"},
    {HF_TIMEOUT, ETIMEDOUT, 13, EX_TEMPFAIL, "timed out"},
    {HF_AGAIN, EAGAIN, 14, EX_TEMPFAIL, "try again"},
    {HF_INTR, EINTR, 15, EX_TEMPFAIL, "interrupted"},
    {HF_MFILE, EMFILE, 16, EX_OSERR, "too many open files"},
    {HF_INVAL, EINVAL, 20, EX_DATAERR, "invalid argument"},
    {HF_UNSUPPORTED, EOPNOTSUPP, 21, EX_UNAVAILABLE, "not supported"},
    {HF_USAGE, EINVAL, 22, EX_USAGE, "wrong usage"},
    {HF_CONFIG, EINVAL, 23, EX_CONFIG, "wrong configuration"},
    {HF_PERM, EPERM, 24, EX_NOPERM, "operation not permitted"},
    {HF_ACCESS, EACCES, 25, EX_NOPERM, "permission denied"},
    {HF_TOOBIG, E2BIG, 26, EX_DATAERR, "too large"},
    {HF_NOENT, ENOENT, 30, EX_NOINPUT, "no such file or session"},
    {HF_EXIST, EEXIST, 31, EX_CANTCREAT, "exists already"},
    {HF_NOTDIR, ENOTDIR, 32, EX_NOINPUT, "not a directory"},
    {HF_ISDIR, EISDIR, 33, EX_NOINPUT, "is a directory"},
    {HF_NOTEMPTY, ENOTEMPTY, 34, EX_CANTCREAT, "directory not empty"},
    {HF_NAMETOOLONG, ENAMETOOLONG, 35, EX_DATAERR, "name too long"},
    {HF_XDEV, EXDEV, 36, EX_UNAVAILABLE, "crosses from one session to another"},
    {HF_MLINK, EMLINK, 37, EX_UNAVAILABLE, "too many links"},
    {HF_ROFS, EROFS, 38, EX_NOPERM, "read-only"},
    {HF_NODATA, ENODATA, 39, EX_NOINPUT, "no such attribute"},
    {HF_RANGE, ERANGE, 40, EX_DATAERR, "result too large"},
    {HF_DEADLK, EDEADLK, 41, EX_TEMPFAIL, "would deadlock"},
    {HF_FBIG, EFBIG, 42, EX_DATAERR, "file too large"},
    {HF_NXIO, ENXIO, 43, EX_NOINPUT, "no data or hole there"},
    {HF_BADF, EBADF, 44, EX_SOFTWARE, "bad file handle"},
    {HF_STALE, ESTALE, 45, EX_TEMPFAIL, "stale handle"},
    {HF_LOOP, ELOOP, 46, EX_DATAERR, "too many symbolic links"},
};

#define ROWS (sizeof table / sizeof table[0])

static const struct status_row *row_of(int status)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].status == status)
            return &table[i];
    return &table[1];
}

int hf_status_errno(int status)
{
    return row_of(status)->error;
}

int hf_status_from_errno(int error)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].error == error)
            return table[i].status;
    return HF_IO;
}

int hf_status_exit(int status)
{
    return row_of(status)->exit;
}

unsigned hf_status_wire(int status)
{
    return row_of(status)->wire;
}

int hf_status_from_wire(unsigned wire)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].wire == wire)
            return table[i].status;
    return HF_IO;
}

const char *hf_status_text(int status)
{
    return row_of(status)->text;
}

int(hf_fail)(struct hf_error *err, int status, const char *format, ...)
{
    va_list args;

    if (err) {
        err->status = status;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

int hf_fail_prefix(struct hf_error *err, int status, const char *format, ...)
{
    char joined[sizeof err->message];
    va_list args;
    int n;

    if (!err)
        return status;
    va_start(args, format);
    n = vsnprintf(joined, sizeof joined, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof joined)
        snprintf(joined + n, sizeof joined - (size_t)n, ": %s", err->message);
    err->status = status;
    memcpy(err->message, joined, sizeof joined);
    return status;
}
