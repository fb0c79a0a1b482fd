/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Status codes and error details.
 *
 * A call that can fail returns 0 or a negative `enum hf_status`. Where a caller wants the detail it
 * passes a `struct hf_error`; every function that takes one accepts NULL. One table (src/base/error.c)
 * maps each status to its errno, its code on the wire, its sysexits code and its text.
 *
 * Thread safety: all functions here are pure or write only to their arguments.
 */
#ifndef HOLDFAST_ERROR_H
#define HOLDFAST_ERROR_H

#include <stddef.h>

enum hf_status {
    HF_OK = 0,
    /* Failures of the store's promises. */
    HF_FENCED = -1,   /**< the fencing token is not the session's current one */
    HF_CONFLICT = -2, /**< the base version is not the head's version */
    HF_MISSING = -3,  /**< an object that is referred to is not in the store */
    HF_CORRUPT = -4,  /**< what was read is not what was written */
    HF_BUSY = -5,     /**< the session is in use elsewhere, or a claim is held */
    HF_NEWER = -6,    /**< written by a newer version of the program */
    HF_FAILED = -7,   /**< refused since an earlier sync failed; reload from the store */
    HF_PENDING = -8,  /**< not an error: the answer comes later through a completion */
    /* Resources. */
    HF_IO = -20,
    HF_NOMEM = -21,
    HF_NOSPC = -22,
    HF_QUOTA = -23,
    HF_TIMEOUT = -24,
    HF_AGAIN = -25,
    HF_INTR = -26,
    HF_MFILE = -27,
    /* Bad requests. */
    HF_INVAL = -40,
    HF_UNSUPPORTED = -41,
    HF_USAGE = -42,  /**< wrong command line (exit code 64) */
    HF_CONFIG = -43, /**< wrong configuration (exit code 78) */
    HF_PERM = -44,   /**< EPERM */
    HF_ACCESS = -45, /**< EACCES */
    HF_TOOBIG = -46, /**< E2BIG: larger than a stated limit */
    /* POSIX. */
    HF_NOENT = -60,
    HF_EXIST = -61,
    HF_NOTDIR = -62,
    HF_ISDIR = -63,
    HF_NOTEMPTY = -64,
    HF_NAMETOOLONG = -65,
    HF_XDEV = -66,
    HF_MLINK = -67,
    HF_ROFS = -68,
    HF_NODATA = -69, /**< no such extended attribute */
    HF_RANGE = -70,
    HF_DEADLK = -71,
    HF_FBIG = -72,
    HF_NXIO = -73,
    HF_BADF = -74,
    HF_STALE = -75,
    HF_LOOP = -76,
};

/** What went wrong, as a sentence for people. Filled by hf_fail(); never freed. */
struct hf_error {
    int status; /**< an enum hf_status */
    char message[480];
};

/** Fills `err` (if not NULL) with `status` and a formatted sentence. Returns `status`. */
int hf_fail(struct hf_error *err, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __GNUC__
/* The compiler sees one file at a time; this tells it that what fails does not return HF_OK, so that it
 * does not warn of ret_ arguments which are unset then. */
#define hf_fail(err, status, ...)                                                                  \
    __extension__({                                                                                \
        int hf_fail_status_ = (status);                                                            \
        (void)hf_fail((err), hf_fail_status_, __VA_ARGS__);                                        \
        hf_fail_status_;                                                                           \
    })
#endif

/** Puts "prefix: " before the message already in `err` (if not NULL). Returns `status`. */
int hf_fail_prefix(struct hf_error *err, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The positive errno for a status; EIO for one that is not in the table. */
int hf_status_errno(int status);
/** The status for a positive errno; HF_IO for one that is not in the table. */
int hf_status_from_errno(int error);
/** The process exit code (sysexits.h) for a status; 0 for HF_OK. */
int hf_status_exit(int status);
/** The code on the wire, stable for ever; 0 for HF_OK. */
unsigned hf_status_wire(int status);
/** The status for a wire code; HF_IO for an unknown one. */
int hf_status_from_wire(unsigned wire);
/** A short English text, static. */
const char *hf_status_text(int status);

#endif
