/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "tree/table.h"

/** For so long one thread waits for another that tells the kernel. */
#define TELLER_NS 1000000000LL

struct known {
    uint64_t inode, parent;
    int64_t from; /* of the content; -1: the attributes alone */
    char *name;
};

struct known_list {
    struct session *session;
    struct known *list;
    size_t n;
    bool data, failed;
};

bool kernel_is_told(struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;

    return kernel->inval_entry && kernel->expire_entry && kernel->inval_inode &&
           !atomic_load(&tree->closing);
}

static void note_known(struct hnode *node, void *arg)
{
    struct known_list *known = arg;
    struct inode *inode = HTABLE_ENTRY(node, struct inode, node);
    struct known *k = &known->list[known->n];

    if (inode->lookups == 0)
        return;
    *k = (struct known){.inode = session_number(known->session, inode->ino)};
    k->from = known->data || inode_is_dir(inode) ? 0 : -1;
    if (inode->parent && inode->name) {
        k->parent = session_number(known->session, inode->parent->ino);
        k->name = strdup(inode->name);
        known->failed |= !k->name;
    }
    known->n++;
}

/** The same of a session at rest. */
static void note_resting(const struct rest_known *resting, void *arg)
{
    struct known_list *known = arg;
    struct known *k = &known->list[known->n];

    if (resting->lookups == 0)
        return;
    *k = (struct known){.inode = session_number(known->session, resting->ino)};
    k->from = known->data || resting->is_dir ? 0 : -1;
    if (resting->parent) {
        k->parent = session_number(known->session, resting->parent);
        k->name = strdup(resting->name);
        known->failed |= !k->name;
    }
    known->n++;
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

        kernel->inval_inode(kernel->arg, k->inode, k->from);
        if (k->name)
            kernel->expire_entry(kernel->arg, k->parent, k->name);
        free(k->name);
    }
    free(known->list);
}

/** While another thread tells, or gives content: waits for it, though not for ever. All threads that serve the kernel
 *  might, while what it is told waits for a page that one of them has to read. */
static void wait_for_teller(struct session *session)
{
    int64_t until = timer_now() + TELLER_NS;
    const struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};

    while ((session->telling || session->giving != 0) && timer_now() < until)
        pthread_cond_clockwait(&session->cond, &session->lock, CLOCK_MONOTONIC, &time);
    session->overtaken |= session->giving != 0;
}

bool kernel_forget_session(struct session *session, bool data)
{
    const struct tree_kernel *kernel = &session->tree->options.kernel;
    struct known_list known = {.session = session, .data = data};
    struct negative *negatives;
    char *name = NULL;

    if (!kernel_is_told(session->tree))
        return true;
    atomic_fetch_add(&session->tree->forgotten, 1);
    pthread_mutex_lock(&session->lock);
    wait_for_teller(session);
    if (session->vouched || data) {
        known.list =
            calloc(session->inodes.count + rest_count(session->rest) + 1, sizeof(struct known));
        known.failed = !known.list;
        if (known.list) {
            htable_each(&session->inodes, note_known, &known);
            rest_each(session->rest, note_resting, &known);
        }
        if (session->name)
            name = strdup(session->name);
        session->vouched = known.failed;
    }
    negatives = negatives_take(&session->negatives);
    pthread_mutex_unlock(&session->lock);
    expire_negatives(kernel, negatives);
    forget_known(kernel, &known);
    if (name)
        kernel->expire_entry(kernel->arg, TREE_ROOT, name);
    free(name);
    return !known.failed;
}

/* --- what a new version has changed ------------------------------------------------------------- */

static void note_news(struct hnode *node, void *arg)
{
    struct known_list *known = arg;
    struct inode *inode = HTABLE_ENTRY(node, struct inode, node);

    if (!inode->news)
        return;
    inode->news = false;
    known->list[known->n++] = (struct known){.inode = session_number(known->session, inode->ino),
                                             .from = (int64_t)inode->news_from};
}

void kernel_tell_news(struct session *session)
{
    struct known_list known = {.session = session};

    if (session->telling || session->news) /* what is given must not come after it */
        wait_for_teller(session);
    if (!session->news || session->telling)
        return;
    known.list = calloc(session->inodes.count + 1, sizeof(struct known));
    if (!known.list) /* it stays noted */
        return;
    htable_each(&session->inodes, note_news, &known);
    session->news = false;
    session->telling = true;
    pthread_mutex_unlock(&session->lock);
    forget_known(&session->tree->options.kernel, &known);
    pthread_mutex_lock(&session->lock);
    session->telling = false;
    pthread_cond_broadcast(&session->cond);
}

void kernel_give(struct session *session, const struct inode *inode, uint64_t offset,
                 const void *data, size_t len)
{
    const struct tree_kernel *kernel = &session->tree->options.kernel;
    uint64_t number = session_number(session, inode->ino);

    if (!kernel->store_content)
        return;
    session->giving = inode->ino;
    session->overtaken = false;
    pthread_mutex_unlock(&session->lock);
    kernel->store_content(kernel->arg, number, offset, data, len);
    pthread_mutex_lock(&session->lock);
    if (session->overtaken) { /* it may have put old bytes over new ones */
        pthread_mutex_unlock(&session->lock);
        kernel->inval_inode(kernel->arg, number, (int64_t)offset);
        pthread_mutex_lock(&session->lock);
    }
    session->giving = 0;
    pthread_cond_broadcast(&session->cond);
}

void kernel_await_gift(struct session *session, const struct inode *inode)
{
    if (session->giving == inode->ino)
        wait_for_teller(session);
}

void kernel_forget_top(struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;
    struct negative *negatives;

    if (!kernel_is_told(tree))
        return;
    atomic_fetch_add(&tree->forgotten, 1);
    pthread_mutex_lock(&tree->lock);
    negatives = negatives_take(&tree->negatives);
    pthread_mutex_unlock(&tree->lock);
    expire_negatives(kernel, negatives);
    kernel->inval_inode(kernel->arg, TREE_ROOT, 0);
}
