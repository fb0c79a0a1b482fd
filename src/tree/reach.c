/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/reach.h"

#include <time.h>

#include "base/clock.h"

bool reach_store(struct store *store)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int64_t since;

    while ((since = store_away_since(store)) != 0) {
        if (clock_boottime(&clock_system) - since >= REACH_PATIENCE_NS)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}
