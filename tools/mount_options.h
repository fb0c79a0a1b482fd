/* SPDX-License-Identifier: Apache-2.0 */
/** What stands after -o: options of ours, options for the kernel, and those that only fstab(5) knows. */
#ifndef TOOLS_MOUNT_OPTIONS_H
#define TOOLS_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "holdfast/error.h"

/** All zero but `kernel` is the default. */
struct mount_options {
    bool read_only;
    bool strict;              /**< a store that is made waits for its medium at every close(2) */
    uint64_t memory;          /**< bytes; 0: the default */
    uint32_t wait_ms;         /**< for a session that another host has pinned */
    uint32_t commit_delay_ms; /**< 0: the default */
    uint32_t maintenance_ms;  /**< between two; 0: the default */
    bool no_maintenance;
    const char *metrics; /**< ADDR:PORT, or NULL. Points into the parsed text */
    const char *claims;  /**< patterns; NULL: the default. Points into the parsed text */
    struct buf kernel;   /**< comma-separated, NUL-terminated when not empty; the caller frees it */
};

/** Adds the options of `text` ("ro,memory=64M"; it is taken apart in place). HF_USAGE. */
int mount_options_parse(char *text, struct mount_options *options, struct hf_error *err);

#endif
