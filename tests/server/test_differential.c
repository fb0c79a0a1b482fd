/* SPDX-License-Identifier: Apache-2.0 */
/* A store in memory, and one that is reached over the network, answer alike. */
#include "differential.h"

#include <stdio.h>

#include "rig.h"

static struct rig rig;

static void make(char *ret_url, size_t size)
{
    rig_open(&rig);
    snprintf(rig.url, sizeof rig.url, "memory:differential-served");
    test_pki_host(&rig.pki, "differential", "holdfast:admin");
    rig.options.relaxed = true;
    rig_start(&rig);
    snprintf(ret_url, size, "holdfast://127.0.0.1:%u?cert=%s", rig.port,
             test_pki_path(&rig.pki, "differential.pem"));
}

static void close_rig(void)
{
    rig_close(&rig);
}

int main(void)
{
    static const struct differential remote = {
        .name = "remote", .steps = 1500, .own_clock = true, .make = make, .remove = close_rig};

    return differential_main(&remote);
}
