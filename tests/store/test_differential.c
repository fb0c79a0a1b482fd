/* SPDX-License-Identifier: Apache-2.0 */
/* The memory engine and the sqlite engine answer alike. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "differential.h"

static char folder[] = "/tmp/holdfast-differ-XXXXXX";

static void make(char *ret_url, size_t size)
{
    assert(mkdtemp(folder));
    snprintf(ret_url, size, "sqlite:%s/store.db", folder);
}

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    char name[128];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s/store.db%s", folder, ends[i]);
        unlink(name);
    }
    rmdir(folder);
}

int main(void)
{
    static const struct differential sqlite = {
        .name = "sqlite", .steps = 1500, .make = make, .remove = remove_files};

    return differential_main(&sqlite);
}
