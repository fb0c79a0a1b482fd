/* SPDX-License-Identifier: Apache-2.0 */
#include "pins.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct pins pins;
    const struct globs *globs;
};

static int add(struct reading *reading, const struct session_head *head, const char *name)
{
    struct pins *pins = &reading->pins;

    if (!globs_match(reading->globs, name))
        return HF_OK;
    if (pins->count == pins->cap) {
        const size_t cap = pins->cap ? 2 * pins->cap : 64;
        struct pin *grown = reallocarray(pins->pins, cap, sizeof *grown);

        if (!grown)
            return HF_NOMEM;
        pins->pins = grown;
        pins->cap = cap;
    }
    pins->pins[pins->count] = (struct pin){.head = *head, .name = strdup(name)};
    return pins->pins[pins->count++].name ? HF_OK : HF_NOMEM;
}

static int visit_pin(const struct pin_info *info, void *arg)
{
    const struct session_head head = {.sid = info->sid,
                                      .version = info->version,
                                      .root = info->root,
                                      .time = info->time,
                                      .bytes = info->bytes,
                                      .files = info->files};

    return add(arg, &head, info->sid == SHARED_SID ? "." : info->session_name);
}

static int visit_session(const struct session_info *info, void *arg)
{
    return add(arg, &info->head, info->name);
}

static int by_number(const void *a, const void *b)
{
    const struct pin *x = a, *y = b;

    return x->head.sid < y->head.sid ? -1 : x->head.sid > y->head.sid;
}

/* Gives away what was read, or ends it. */
static int finish(struct reading *reading, int status, struct pins *ret_pins, struct hf_error *err)
{
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    if (status != HF_OK) {
        pins_clear(&reading->pins);
        return status;
    }
    if (reading->pins.count > 1)
        qsort(reading->pins.pins, reading->pins.count, sizeof *reading->pins.pins, by_number);
    *ret_pins = reading->pins;
    return HF_OK;
}

int pins_read(struct store *store, const char *snapshot, const struct globs *globs,
              struct pins *ret_pins, struct hf_error *err)
{
    struct reading reading = {.globs = globs};

    return finish(&reading, store_snapshot_pins(store, snapshot, visit_pin, &reading, err),
                  ret_pins, err);
}

int pins_read_now(struct store *store, const struct globs *globs, struct pins *ret_pins,
                  struct hf_error *err)
{
    const struct session_filter all = {0};
    struct reading reading = {.globs = globs};
    struct session_head shared;
    int status = store_session_list(store, &all, visit_session, &reading, err);

    if (status == HF_OK)
        status = store_session_head(store, SHARED_SID, &shared, err);
    if (status == HF_OK && shared.version > 0)
        status = add(&reading, &shared, ".");
    return finish(&reading, status, ret_pins, err);
}

void pins_clear(struct pins *pins)
{
    for (size_t i = 0; i < pins->count; i++)
        free(pins->pins[i].name);
    free(pins->pins);
    *pins = (struct pins){0};
}
