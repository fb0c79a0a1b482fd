/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/entry.h"

#include "tree/table.h"

/**
 * Within one system call the kernel asks for the attributes of what it has just looked up, to check permissions: over
 * a network each of these would be a round trip. So they hold for a moment. Names do not: whatever is opened is looked
 * up anew, with its attributes. The top directory is not looked up; what it is checked for changes hardly ever.
 */
#define MOMENT_S 0.01
#define TOP_MOMENT_S 1.0

double entry_top_moment(const struct session *shared)
{
    double age = (double)(timer_now() - shared->asked_at) / 1e9;

    return shared->tree->distant && !shared->unsure && age < TOP_MOMENT_S ? TOP_MOMENT_S - age
                                                                          : 0.0;
}

static double moment(const struct session *session, const struct tree_entry *entry)
{
    if (entry->inode == TREE_ROOT)
        return entry_top_moment(session);
    return session->tree->distant ? MOMENT_S : 0.0;
}

void entry_fill(struct session *session, const struct inode *inode, struct tree_entry *ret_entry)
{
    double timeout = table_timeout(session);

    *ret_entry = (struct tree_entry){
        .inode = session_number(session, inode->ino),
        .answer = atomic_load(&session->tree->forgotten),
        .attr_timeout = timeout,
        .entry_timeout = timeout,
    };
    if (timeout > 0)
        session->vouched = true;
    else
        ret_entry->attr_timeout = moment(session, ret_entry);
    if (inode->linked) /* its names are not known when they have to be forgotten */
        ret_entry->entry_timeout = 0.0;
    if (inode->pseudo) /* each commit adds to what is in it */
        ret_entry->attr_timeout = 0.0;
    inode_stat(session, inode, &ret_entry->attr);
    if (ret_entry->inode == TREE_ROOT)
        ret_entry->attr.st_nlink =
            1; /* its sessions are not counted: "not known", as find(1) takes it */
}

void entry_grant(struct session *session, struct inode *inode, struct tree_entry *ret_entry)
{
    entry_fill(session, inode, ret_entry);
    inode->lookups++;
    session->lookups++;
}

void entry_negative(struct session *session, const struct inode *dir, const char *name,
                    struct tree_entry *ret_entry)
{
    double timeout = table_timeout(session);

    if (timeout > 0 &&
        !negatives_note(&session->negatives, session_number(session, dir->ino), name))
        timeout = 0;
    *ret_entry = (struct tree_entry){.entry_timeout = timeout,
                                     .answer = atomic_load(&session->tree->forgotten)};
}

bool tree_still_holds(const struct tree *tree, const struct tree_entry *entry)
{
    return entry->answer == atomic_load(&tree->forgotten);
}
