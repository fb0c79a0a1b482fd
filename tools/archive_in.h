/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reads an archive that 'holdfast session export' wrote, or that anybody made. It is read twice: once to check
 * everything, and once to build from it.
 */
#ifndef TOOLS_ARCHIVE_IN_H
#define TOOLS_ARCHIVE_IN_H

#include "manifest.h"
#include "progress.h"
#include "tree/build.h"

/** Makes a file that can be read twice of one that may be a pipe: returns it as it is, or a copy in a temporary file
 *  without a name; the descriptor is the caller's to close, besides his own. A negative status. */
int archive_in_seekable(int fd, struct hf_error *err);

/** Checks the archive: its manifest, and that it holds every file of it, with its size and hash, and nothing else.
 *  `ret_manifest` is ended with manifest_free(). HF_INVAL, HF_NEWER, HF_CORRUPT, HF_IO, HF_NOMEM. */
int archive_in_check(int fd, struct manifest *ret_manifest, struct hf_error *err);

/** Adds everything to `build`, owned by `uid` and `gid`. It must still be what was checked. `now` in ns. */
int archive_in_build(int fd, const struct manifest *manifest, struct build *build, uint32_t uid,
                     uint32_t gid, int64_t now, struct hf_error *err);

#endif
