/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/meta_index.h"

#include <stdlib.h>

#include "tree/directory.h"

int meta_index_parse(struct filemap *file, struct meta_strings *ret_strings)
{
    BUF_AUTO text = {0};
    int rc = buf_reserve(&text, META_YAML_MAX);

    if (rc == HF_OK)
        rc = filemap_read(file, 0, META_YAML_MAX, text.data, &text.len, NULL);
    return rc == HF_OK ? meta_parse(buf_slice(&text), ret_strings) : rc;
}

static int parse_inode(struct session *session, struct inode *inode,
                       struct meta_strings *ret_strings)
{
    struct filemap *file;
    int rc;

    if (!S_ISREG(inode->mode))
        return HF_OK;
    rc = inode_file(session, inode, &file);
    return rc == HF_OK ? meta_index_parse(file, ret_strings) : rc;
}

void meta_index_read(struct session *session, struct meta_strings *ret_strings,
                     struct commit *commit)
{
    struct meta_strings strings = {0};
    struct inode *inode;
    int rc;

    rc = directory_child(session, session->top,
                         slice_of(META_INDEX_FILE, sizeof META_INDEX_FILE - 1), &inode);
    if (rc == HF_OK) {
        rc = parse_inode(session, inode, &strings);
        inode_unref(session, inode);
    } else if (rc == HF_NOENT) {
        rc = HF_OK;
    }
    if (rc != HF_OK)
        return;
    meta_strings_lend(&strings, &commit->meta);
    commit->meta_strings_valid = true;
    *ret_strings = strings;
}
