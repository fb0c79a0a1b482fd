/* SPDX-License-Identifier: Apache-2.0 */
/** Writes a version of a session as an archive: a tar file, compressed with zstd, that begins with its manifest. */
#ifndef TOOLS_ARCHIVE_OUT_H
#define TOOLS_ARCHIVE_OUT_H

#include "manifest.h"
#include "progress.h"
#include "tree/view.h"

struct archive_out {
    struct view *view; /**< of the version; borrowed */
    struct manifest
        manifest;     /**< session, root, version, time are the caller's; the rest is filled in */
    bool redact;      /**< leaves out what looks like a credential */
    uint64_t secrets; /**< that were found */
    uint64_t skipped; /**< FIFOs, sockets and devices, which are not written */
    /** Told of each credential, with what it looks like, the file and the byte where it begins; and of each file that
     *  is skipped (kind NULL). Or NULL. */
    void (*found)(const char *kind, const char *path, uint64_t offset, void *arg);
    void *arg;
    struct progress progress;
};

/** Reads the whole version once: fills the manifest with every file, its size and its hash, as they will be
 *  written. */
int archive_out_survey(struct archive_out *out, struct hf_error *err);
/** Writes it to an open file or pipe. What is read must be what was surveyed. */
int archive_out_write(struct archive_out *out, int fd, struct hf_error *err);

#endif
