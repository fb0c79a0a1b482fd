/* SPDX-License-Identifier: Apache-2.0 */
/** What a filesystem is good for, told from its type. */
#ifndef TOOLS_FILESYSTEM_H
#define TOOLS_FILESYSTEM_H

enum filesystem_kind {
    FILESYSTEM_LOCAL,
    FILESYSTEM_NETWORK,  /**< several hosts may use it, and their locks do not meet */
    FILESYSTEM_VOLATILE, /**< gone with the boot, or with the container */
    FILESYSTEM_FUSE,     /**< anything may be behind it */
};

/** `type` is statfs(2)'s f_type; `ret_name` (static) may be NULL. */
enum filesystem_kind filesystem_kind(long type, const char **ret_name);

#endif
