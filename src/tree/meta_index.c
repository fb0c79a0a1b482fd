/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/meta_index.h"

#include <stdlib.h>

#include "tree/directory.h"

static int read_file(struct session *session, struct inode *inode, struct buf *text)
{
    struct filemap *file;
    size_t len;
    int rc;

    if (!S_ISREG(inode->mode))
        return HF_OK;
    rc = inode_file(session, inode, &file);
    if (rc == HF_OK)
        rc = buf_reserve(text, META_YAML_MAX);
    if (rc == HF_OK)
        rc = filemap_read(file, 0, META_YAML_MAX, text->data, &len, NULL);
    if (rc == HF_OK)
        text->len = len;
    return rc;
}

void meta_index_read(struct session *session, struct meta_strings *ret_strings,
                     struct commit *commit)
{
    struct meta_strings strings = {0};
    BUF_AUTO text = {0};
    struct inode *inode;
    int rc;

    rc = directory_child(session, session->top,
                         slice_of(META_INDEX_FILE, sizeof META_INDEX_FILE - 1), &inode);
    if (rc == HF_OK) {
        rc = read_file(session, inode, &text);
        inode_unref(session, inode);
    } else if (rc == HF_NOENT) {
        rc = HF_OK;
    }
    if (rc == HF_OK)
        rc = meta_parse(buf_slice(&text), &strings);
    if (rc != HF_OK)
        return;
    meta_strings_lend(&strings, &commit->meta);
    commit->meta_strings_valid = true;
    *ret_strings = strings;
}
