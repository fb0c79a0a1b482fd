/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/walk.h"

#include "tree/session.h"
#include "tree/table.h"

static uint64_t caller_of(const struct session *session)
{
    const struct tree_kernel *kernel = &session->tree->options.kernel;

    return kernel->caller ? kernel->caller(kernel->arg) : 0;
}

void walk_begin(struct session *session)
{
    uint64_t caller = caller_of(session);

    if (caller != 0) /* else it is no walk, and ends none */
        session->walk = (struct walk){.caller = caller, .until = timer_now() + WALK_NS};
}

void walk_to(struct session *session, uint64_t ino)
{
    if (session->walk.caller == caller_of(session))
        session->walk.ino = ino;
}

bool walk_covers(const struct session *session, uint64_t ino)
{
    const struct walk *walk = &session->walk;

    return walk->caller != 0 && walk->ino == ino && !session->unsure && timer_now() < walk->until &&
           walk->caller == caller_of(session);
}
