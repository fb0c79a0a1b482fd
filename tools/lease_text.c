/* SPDX-License-Identifier: Apache-2.0 */
#include "lease_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* --- leases ------------------------------------------------------------------------------------- */

const char *lease_state_text(const struct lease_info *lease)
{
    if (lease->state == LEASE_FREE)
        return "free";
    if (!lease->holder_alive)
        return "expired";
    return lease->state == LEASE_RECALLED ? "recalled" : "held";
}

static json_t *holder_json(const struct lease_info *lease)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "host", json_bytes(lease->host_name));
    json_object_set_new(object, "host_session", json_u64(lease->host));
    json_object_set_new(object, "mount_point", json_bytes(lease->mount_point));
    json_object_set_new(object, "pid", json_u64(lease->pid));
    json_object_set_new(object, "since", json_time(lease->since));
    json_object_set_new(object, "alive", json_boolean(lease->holder_alive));
    return object;
}

json_t *lease_json(const struct lease_info *lease)
{
    json_t *object = json_object(), *waiting = json_array();

    if (!object || !waiting) {
        json_decref(object);
        json_decref(waiting);
        return NULL;
    }
    json_set_name(object, "session", lease->session_name);
    json_object_set_new(object, "id", json_u64(lease->sid));
    json_object_set_new(object, "state", json_string(lease_state_text(lease)));
    json_object_set_new(object, "token", lease->token ? json_u64(lease->token) : json_null());
    json_object_set_new(object, "holder",
                        lease->state == LEASE_FREE ? json_null() : holder_json(lease));
    json_object_set_new(object, "expires",
                        lease->expires ? json_time(lease->expires) : json_null());
    json_object_set_new(object, "pinned_by", json_bytes(lease->pinned_by));
    for (size_t i = 0; i < lease->nwaiting; i++)
        json_array_append_new(waiting, json_bytes(lease->waiting[i]));
    json_object_set_new(object, "waiting", waiting);
    return object;
}

void lease_holder_text(const struct lease_info *lease, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s%s%s (pid %" PRIu32 ")", lease->host_name ? lease->host_name : "?",
             lease->mount_point ? ":" : "", lease->mount_point ? lease->mount_point : "",
             lease->pid);
}

void lease_waiting_text(const struct lease_info *lease, char *ret_text, size_t size)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < lease->nwaiting && used < size; i++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 lease->waiting[i]);
}

void lease_print(const struct lease_info *lease, int64_t now)
{
    char text[600], time[TEXT_SHORT], age[TEXT_SHORT];

    text_print_known("Lease", lease_state_text(lease));
    if (lease->state == LEASE_FREE)
        return;
    lease_holder_text(lease, text, sizeof text);
    text_print_known("Held by", text);
    printf("%-12s %s (%s)\n", "Since", text_time(lease->since, time),
           text_age(lease->since, now, age));
    printf("%-12s %" PRIu64 "\n", "Token", lease->token);
    if (lease->expires)
        text_print_known("Expires", text_time(lease->expires, time));
    text_print_known("Pinned by", lease->pinned_by);
    lease_waiting_text(lease, text, sizeof text);
    text_print_known("Waiting", text);
}

/* --- the audit trail ------------------------------------------------------------------------------ */

const char *audit_event_text(enum audit_event event)
{
    switch (event) {
    case AUDIT_GRANT:
        return "grant";
    case AUDIT_RECALL:
        return "recall";
    case AUDIT_REFUSE:
        return "refuse";
    case AUDIT_RELEASE:
        return "release";
    case AUDIT_BREAK:
        return "break";
    case AUDIT_FENCED:
        return "fenced";
    case AUDIT_TAKEOVER:
        return "takeover";
    case AUDIT_RESCUE:
        return "rescue";
    case AUDIT_DELETE:
        return "delete";
    case AUDIT_UNDELETE:
        return "undelete";
    case AUDIT_RENAME:
        return "rename";
    case AUDIT_RENEWAL_FAILED:
        return "renewal-failed";
    case AUDIT_PURGE:
        return "purge";
    }
    return "?";
}

struct audit_name {
    uint64_t number;
    char *name;
};

struct audit_name_list {
    struct audit_name *names;
    size_t count, cap;
};

struct audit_names {
    struct audit_name_list sessions, hosts;
};

static int add_name(struct audit_name_list *list, uint64_t number, const char *name)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        struct audit_name *names = reallocarray(list->names, cap, sizeof *names);

        if (!names)
            return HF_NOMEM;
        list->names = names;
        list->cap = cap;
    }
    list->names[list->count] = (struct audit_name){number, strdup(name ? name : "?")};
    return list->names[list->count].name ? (list->count++, HF_OK) : HF_NOMEM;
}

static int add_session(const struct session_info *info, void *arg)
{
    return add_name(arg, info->head.sid, info->name);
}

static int add_host(const struct host_info *info, void *arg)
{
    return add_name(arg, info->host, info->identity.host_name);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct audit_name *)a)->number, y = ((const struct audit_name *)b)->number;

    return x < y ? -1 : x > y;
}

static void sort_names(struct audit_name_list *list)
{
    if (list->count > 1)
        qsort(list->names, list->count, sizeof list->names[0], by_number);
}

int audit_names_load(struct store *store, struct audit_names **ret_names, struct hf_error *err)
{
    static const struct session_filter live, trash = {.trashed = true};
    struct audit_names *names = calloc(1, sizeof *names);
    int status;

    if (!names)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = store_session_list(store, &live, add_session, &names->sessions, err);
    if (status == 0)
        status = store_session_list(store, &trash, add_session, &names->sessions, err);
    if (status == 0)
        status = store_host_list(store, add_host, &names->hosts, err);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    if (status != 0) {
        audit_names_free(names);
        return status;
    }
    sort_names(&names->sessions);
    sort_names(&names->hosts);
    *ret_names = names;
    return HF_OK;
}

static void clear_names(struct audit_name_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i].name);
    free(list->names);
}

void audit_names_free(struct audit_names *names)
{
    if (!names)
        return;
    clear_names(&names->sessions);
    clear_names(&names->hosts);
    free(names);
}

static const char *find_name(const struct audit_name_list *list, uint64_t number)
{
    const struct audit_name key = {.number = number};
    const struct audit_name *found =
        list->count ? bsearch(&key, list->names, list->count, sizeof key, by_number) : NULL;

    return found ? found->name : NULL;
}

const char *audit_session_name(const struct audit_names *names, uint64_t sid)
{
    return sid == SHARED_SID ? "." : find_name(&names->sessions, sid);
}

const char *audit_host_name(const struct audit_names *names, uint64_t host)
{
    return find_name(&names->hosts, host);
}

json_t *audit_json(const struct audit_entry *entry, const struct audit_names *names)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "id", json_u64(entry->id));
    json_object_set_new(object, "time", json_time(entry->time));
    json_object_set_new(object, "event", json_string(audit_event_text(entry->event)));
    json_object_set_new(object, "session", json_bytes(audit_session_name(names, entry->sid)));
    json_object_set_new(object, "session_id", json_u64(entry->sid));
    json_object_set_new(object, "host", json_bytes(audit_host_name(names, entry->host)));
    json_object_set_new(object, "host_session", json_u64(entry->host));
    json_object_set_new(object, "token", json_u64(entry->token));
    json_object_set_new(object, "detail", json_bytes(entry->detail));
    return object;
}
