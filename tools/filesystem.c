/* SPDX-License-Identifier: Apache-2.0 */
#include "filesystem.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>

enum filesystem_kind filesystem_kind(long type, const char **ret_name)
{
    /* Those that linux/magic.h does not have are from statfs(2) and the filesystems' sources. */
    static const struct {
        uint32_t type;
        enum filesystem_kind kind;
        const char *name;
    } kinds[] = {{NFS_SUPER_MAGIC, FILESYSTEM_NETWORK, "NFS"},
                 {SMB_SUPER_MAGIC, FILESYSTEM_NETWORK, "SMB"},
                 {0xff534d42U, FILESYSTEM_NETWORK, "CIFS"},
                 {0xfe534d42U, FILESYSTEM_NETWORK, "SMB"},
                 {AFS_SUPER_MAGIC, FILESYSTEM_NETWORK, "AFS"},
                 {CODA_SUPER_MAGIC, FILESYSTEM_NETWORK, "Coda"},
                 {NCP_SUPER_MAGIC, FILESYSTEM_NETWORK, "NCP"},
                 {V9FS_MAGIC, FILESYSTEM_NETWORK, "9p"},
                 {0x00c36400U, FILESYSTEM_NETWORK, "Ceph"},
                 {0x0bd00bd0U, FILESYSTEM_NETWORK, "Lustre"},
                 {0x47504653U, FILESYSTEM_NETWORK, "GPFS"},
                 {0x01161970U, FILESYSTEM_NETWORK, "GFS2"},
                 {0x7461636fU, FILESYSTEM_NETWORK, "OCFS2"},
                 {FUSE_SUPER_MAGIC, FILESYSTEM_FUSE, "FUSE"},
                 {TMPFS_MAGIC, FILESYSTEM_VOLATILE, "tmpfs"},
                 {RAMFS_MAGIC, FILESYSTEM_VOLATILE, "ramfs"},
                 {OVERLAYFS_SUPER_MAGIC, FILESYSTEM_VOLATILE, "overlayfs"}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].type == (uint32_t)type) {
            if (ret_name)
                *ret_name = kinds[i].name;
            return kinds[i].kind;
        }
    if (ret_name)
        *ret_name = "local";
    return FILESYSTEM_LOCAL;
}
