/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of store.h over the network: the remote engine, and a server of its own for each test. The server's
 * store is in memory, which is quick to make; with HOLDFAST_CONTRACT_FILES=1 in a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"
#include "engine/memory/memory.h"
#include "engine/open.h"
#include "rig.h"

/* One for each store. */
struct served {
    struct served *next;
    struct rig rig;
    char url[512];
};

static struct served *all;

static void new_url(char *ret_url, size_t size)
{
    struct served *served = calloc(1, sizeof *served);

    assert_non_null(served);
    rig_open(&served->rig);
    if (!getenv("HOLDFAST_CONTRACT_FILES"))
        snprintf(served->rig.url, sizeof served->rig.url, "memory:served-%p", (void *)served);
    test_pki_host(&served->rig.pki, "contract", "holdfast:admin");
    served->rig.options.max_connections_per_host = 100;
    served->rig.options.relaxed = true;
    rig_start(&served->rig);
    snprintf(served->url, sizeof served->url, "holdfast://127.0.0.1:%u?cert=%s", served->rig.port,
             test_pki_path(&served->rig.pki, "contract.pem"));
    snprintf(ret_url, size, "%s", served->url);
    served->next = all;
    all = served;
}

static void remove_store(const char *url)
{
    struct served **link = &all, *served;

    while (*link && strcmp((*link)->url, url) != 0)
        link = &(*link)->next;
    served = *link;
    assert_non_null(served);
    *link = served->next;
    rig_close(&served->rig);
    free(served);
}

static int open_remote(const char *url, unsigned flags, struct store **ret_store,
                       struct hf_error *err)
{
    return store_open(url, flags, NULL, NULL, ret_store, err);
}

/* The server's store, through a handle of this process beside it. */
static void damage(struct store *store, const char *url, const struct object_id *id)
{
    struct served *served = all;
    struct store *beside;

    (void)store;
    while (served && strcmp(served->url, url) != 0)
        served = served->next;
    assert_non_null(served);
    assert_int_equal(store_open(served->rig.url, 0, NULL, NULL, &beside, NULL), HF_OK);
    assert_int_equal(memory_store_damage_object(beside, id), HF_OK);
    store_close(beside);
}

int main(int argc, char **argv)
{
    static struct contract_engine engine = {.name = "remote",
                                            .new_url = new_url,
                                            .open = open_remote,
                                            .remove = remove_store,
                                            .durable = true,
                                            .served = true};

    if (!getenv("HOLDFAST_CONTRACT_FILES"))
        engine.damage = damage;

    return contract_main(argc, argv, &engine);
}
