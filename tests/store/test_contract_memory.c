/* SPDX-License-Identifier: Apache-2.0 */
/* The contract over the memory engine: plain, and through each decorator. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "contract.h"
#include "engine/decorator/faulty.h"
#include "engine/decorator/trace.h"
#include "engine/memory/memory.h"
#include "engine/open.h"

static void new_url(char *ret_url, size_t size)
{
    static unsigned number;

    snprintf(ret_url, size, "memory:contract-%u", ++number);
}

static int open_plain(const char *url, unsigned flags, struct store **ret_store,
                      struct hf_error *err)
{
    return store_open(url, flags, NULL, &contract_clock, ret_store, err);
}

static int open_traced(const char *url, unsigned flags, struct store **ret_store,
                       struct hf_error *err)
{
    struct store *below;
    int rc = open_plain(url, flags, &below, err);

    return rc == HF_OK ? trace_store_new(below, &contract_clock, -1, ret_store, err) : rc;
}

static int open_faulty(const char *url, unsigned flags, struct store **ret_store,
                       struct hf_error *err)
{
    char faulty[600];

    snprintf(faulty, sizeof faulty, "faulty()+%s", url);
    return open_plain(faulty, flags, ret_store, err);
}

static void kill_faulty(struct store *store)
{
    memory_store_kill(faulty_store_below(store));
}

static void kill_traced(struct store *store)
{
    memory_store_kill(trace_store_below(store));
}

static void damage_plain(struct store *store, const char *url, const struct object_id *id)
{
    (void)url;
    assert_int_equal(memory_store_damage_object(store, id), HF_OK);
}

static void forget(const char *url)
{
    (void)url;
}

int main(int argc, char **argv)
{
    static const struct contract_engine engines[] = {
        {.name = "memory",
         .new_url = new_url,
         .open = open_plain,
         .kill = memory_store_kill,
         .damage = damage_plain,
         .remove = forget,
         .hosts = true,
         .ttl = true,
         .turn = contract_clock_turn},
        {.name = "trace+memory",
         .new_url = new_url,
         .open = open_traced,
         .kill = kill_traced,
         .remove = forget,
         .hosts = true,
         .ttl = true,
         .turn = contract_clock_turn},
        {.name = "faulty+memory",
         .new_url = new_url,
         .open = open_faulty,
         .kill = kill_faulty,
         .remove = forget,
         .hosts = true,
         .ttl = true,
         .turn = contract_clock_turn},
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        failed |= contract_main(argc, argv, &engines[i]);
    return failed;
}
