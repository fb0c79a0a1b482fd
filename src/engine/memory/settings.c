/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/memory/world.h"

struct memory_setting *memory_setting_find(const struct memory_world *world, const char *name)
{
    for (size_t i = 0; i < world->nsettings; i++)
        if (strcmp(world->settings[i].name, name) == 0)
            return &world->settings[i];
    return NULL;
}

int memory_setting_get(struct store *store, const char *name, struct buf *ret_text,
                       struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    const struct memory_setting *setting;
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    setting = memory_setting_find(handle->world, name);
    if (!setting)
        rc = hf_fail(err, HF_NOENT, "the store has no setting %s", name);
    else if (buf_append(ret_text, setting->text.data, setting->text.len) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    memory_leave(handle);
    return rc;
}

static void forget(struct memory_world *world, struct memory_setting *setting)
{
    free(setting->name);
    buf_free(&setting->text);
    *setting = world->settings[--world->nsettings];
}

int memory_setting_write(struct memory_world *world, const char *name, struct slice text,
                         struct hf_error *err)
{
    struct memory_setting *old = memory_setting_find(world, name);
    struct memory_setting fresh = {0};
    int rc = HF_OK;

    if (text.data) {
        rc = memory_reserve(&world->settings, &world->settings_cap, world->nsettings, sizeof fresh,
                            err);
        if (rc != HF_OK)
            return rc;
        old = memory_setting_find(world, name);
        fresh.name = strdup(name);
        if (!fresh.name || buf_append(&fresh.text, text.data, text.len) != HF_OK) {
            free(fresh.name);
            return hf_fail(err, HF_NOMEM, "out of memory");
        }
    }
    if (old)
        forget(world, old);
    if (text.data)
        world->settings[world->nsettings++] = fresh;
    /* Without memory for them the old limits stay. */
    if (strcmp(name, RETENTION_SETTING) == 0)
        (void)limits_set(&world->limits, text);
    return rc;
}

int memory_setting_set(struct store *store, const char *name, struct slice text,
                       struct hf_error *err)
{
    struct memory_store *handle = memory_store_of(store);
    int rc = memory_enter(handle, err);

    if (rc != HF_OK)
        return rc;
    rc = memory_setting_write(handle->world, name, text, err);
    memory_leave(handle);
    return rc;
}

void memory_settings_free(struct memory_world *world)
{
    while (world->nsettings > 0)
        forget(world, &world->settings[world->nsettings - 1]);
    free(world->settings);
    limits_free(&world->limits);
}
