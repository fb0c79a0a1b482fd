/* SPDX-License-Identifier: Apache-2.0 */
#include "store/versions.h"

#include <stdlib.h>
#include <string.h>

void versions_free(struct versions *versions)
{
    for (size_t i = 0; i < versions->nhosts; i++)
        free(versions->hosts[i]);
    free(versions->hosts);
    free(versions->entries);
    *versions = (struct versions){0};
}

/* NULL: no memory. */
static const char *intern(struct versions *versions, const char *name)
{
    char **hosts, *copy;

    for (size_t i = versions->nhosts; i-- > 0;)
        if (strcmp(versions->hosts[i], name) == 0)
            return versions->hosts[i];
    hosts = reallocarray(versions->hosts, versions->nhosts + 1, sizeof(*hosts));
    if (!hosts)
        return NULL;
    versions->hosts = hosts;
    copy = strdup(name);
    if (copy)
        hosts[versions->nhosts++] = copy;
    return copy;
}

int versions_add(struct versions *versions, const struct history_entry *entry)
{
    const char *host = entry->host_name ? intern(versions, entry->host_name) : NULL;

    if (entry->host_name && !host)
        return HF_NOMEM;
    if (versions->n == versions->cap) {
        size_t cap = versions->cap ? versions->cap * 2 : 16;
        struct history_entry *entries = reallocarray(versions->entries, cap, sizeof *entries);

        if (!entries)
            return HF_NOMEM;
        versions->entries = entries;
        versions->cap = cap;
    }
    versions->entries[versions->n] = *entry;
    versions->entries[versions->n++].host_name = host;
    return HF_OK;
}
