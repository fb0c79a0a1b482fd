/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "tree/table.h"

struct known {
    uint64_t inode, parent;
    char *name;
};

struct known_list {
    struct session *session;
    struct known *list;
    size_t n;
};

static void note_known(struct hnode *node, void *arg)
{
    struct known_list *known = arg;
    struct inode *inode = HTABLE_ENTRY(node, struct inode, node);
    struct known *k = &known->list[known->n];

    if (inode->lookups == 0)
        return;
    *k = (struct known){.inode = session_number(known->session, inode->ino)};
    if (inode->parent && inode->name) {
        k->parent = session_number(known->session, inode->parent->ino);
        k->name = strdup(inode->name);
    }
    known->n++;
}

/** Whether the kernel is to be told anything. */
static bool is_told(struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;

    return kernel->inval_entry && kernel->expire_entry && kernel->inval_inode &&
           !atomic_load(&tree->closing);
}

static void expire_negatives(const struct tree_kernel *kernel, struct negative *negatives)
{
    for (const struct negative *n = negatives; n; n = n->next)
        kernel->expire_entry(kernel->arg, n->dir, n->name);
    negatives_free(negatives);
}

static void forget_known(const struct tree_kernel *kernel, struct known_list *known)
{
    for (size_t i = 0; i < known->n; i++) {
        struct known *k = &known->list[i];

        kernel->inval_inode(kernel->arg, k->inode, true);
        if (k->name)
            kernel->expire_entry(kernel->arg, k->parent, k->name);
        free(k->name);
    }
    free(known->list);
}

void kernel_forget_session(struct session *session)
{
    const struct tree_kernel *kernel = &session->tree->options.kernel;
    struct known_list known = {.session = session};
    struct negative *negatives;
    char *name = NULL;

    if (!is_told(session->tree))
        return;
    pthread_mutex_lock(&session->lock);
    known.list = calloc(session->inodes.count + 1, sizeof(struct known));
    if (known.list)
        htable_each(&session->inodes, note_known, &known);
    negatives = negatives_take(&session->negatives);
    if (session->name)
        name = strdup(session->name);
    pthread_mutex_unlock(&session->lock);
    expire_negatives(kernel, negatives);
    forget_known(kernel, &known);
    if (name)
        kernel->expire_entry(kernel->arg, TREE_ROOT, name);
    free(name);
}

void kernel_forget_top(struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;
    struct negative *negatives;

    if (!is_told(tree))
        return;
    pthread_mutex_lock(&tree->lock);
    negatives = negatives_take(&tree->negatives);
    pthread_mutex_unlock(&tree->lock);
    expire_negatives(kernel, negatives);
    kernel->inval_inode(kernel->arg, TREE_ROOT, true);
}
