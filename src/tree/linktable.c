/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/linktable.h"

#include <inttypes.h>
#include <stdio.h>

#define KEY_LEN 16

static struct slice key_of(uint64_t ino, char key[KEY_LEN + 1])
{
    snprintf(key, KEY_LEN + 1, "%016" PRIx64, ino);
    return slice_of(key, KEY_LEN);
}

int linktable_entry(struct dirmap *links, uint64_t ino, struct dir_entry *ret_entry,
                    struct hf_error *err)
{
    char key[KEY_LEN + 1];

    return dirmap_find(links, key_of(ino, key), ret_entry, err);
}

int linktable_find(struct dirmap *links, uint64_t ino, struct inode_record *ret_record,
                   struct hf_error *err)
{
    struct dir_entry entry;
    int rc = linktable_entry(links, ino, &entry, err);

    if (rc == HF_OK && (rc = inode_record_decode(entry.record, ret_record)) != HF_OK)
        hf_fail(err, rc, "inode %" PRIu64 ": %s", ino, hf_status_text(rc));
    return rc;
}

int linktable_put(struct dirmap *links, const struct inode_record *record, struct hf_error *err)
{
    char key[KEY_LEN + 1];
    BUF_AUTO bytes = {0};
    struct dir_entry entry = {
        .name = key_of(record->ino, key), .ino = record->ino, .mode = record->mode};

    if (inode_record_encode(record, &bytes) != HF_OK)
        return dirmap_no_memory(err);
    entry.record = buf_slice(&bytes);
    return dirmap_put(links, &entry, err);
}

int linktable_remove(struct dirmap *links, uint64_t ino, struct hf_error *err)
{
    char key[KEY_LEN + 1];

    return dirmap_remove(links, key_of(ino, key), err);
}
