/* SPDX-License-Identifier: Apache-2.0 */
#include "store/copy.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uuid/uuid.h>

#include "store/catalog.h"
#include "store/transfer.h"
#include "store/versions.h"

#define RUN_PREFIX "backup-"
#define RUN_TIME "99999999T999999Z" /* a digit for each 9 */
#define RUNS_A_SECOND 100
#define LOOKS 5 /* at a session that changes under the eyes */
#define STOP 1  /* of a visit */
#define NS_A_SECOND 1000000000

struct copy {
    struct store *source, *target;
    const struct copy_options *options;
    struct copy_totals totals;
    struct transfer transfer;
    uint8_t origin[UUID_SIZE];
    struct catalog
        there;           /* what is to be copied; the heads become those that the target has then */
    struct catalog here; /* what the target had before */
    struct hf_error *err; /* never NULL */
};

static int out_of_memory(struct copy *copy)
{
    return hf_fail(copy->err, HF_NOMEM, "out of memory");
}

/* --- names of runs -------------------------------------------------------------------------------------------- */

static void utc(int64_t time, char *ret_text, size_t size)
{
    time_t seconds = (time_t)(time / NS_A_SECOND);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    if (strftime(ret_text, size, "%Y%m%dT%H%M%SZ", &tm) == 0)
        ret_text[0] = '\0';
}

void copy_run_name(int64_t time, char *ret_name, size_t size)
{
    char text[32];

    utc(time, text, sizeof text);
    snprintf(ret_name, size, RUN_PREFIX "%s", text);
}

bool copy_is_run(const char *name)
{
    static const char shape[] = RUN_PREFIX RUN_TIME;

    for (size_t i = 0; i < sizeof shape - 1; i++, name++)
        if (shape[i] == '9' ? !isdigit((unsigned char)*name) : *name != shape[i])
            return false;
    return *name == '\0' || *name == '-';
}

/* --- what is damaged ------------------------------------------------------------------------------------------- */

/* Whether the source does not have an object, or not as it was: then that one root cannot be copied. */
static bool is_damage(const struct copy *copy, int rc)
{
    return copy->transfer.unreadable && (rc == HF_MISSING || rc == HF_CORRUPT || rc == HF_NEWER);
}

static int tell_damage(struct copy *copy, const char *what, const char *name, uint64_t sid,
                       uint64_t version)
{
    char message[800];
    struct check_finding finding = {.status = copy->err->status,
                                    .what = what,
                                    .message = message,
                                    .has_session = true,
                                    .sid = sid,
                                    .version = version};

    copy->totals.damaged++;
    if (!copy->options->report)
        return HF_OK;
    if (sid == SHARED_SID)
        name = "the shared tree";
    snprintf(message, sizeof message, "%s of %s at version %llu is not copied: %s", what, name,
             (unsigned long long)version, copy->err->message);
    return copy->options->report(&finding, copy->options->report_arg);
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

static struct history_entry entry_of_head(const struct session_head *head)
{
    return (struct history_entry){.sid = head->sid,
                                  .version = head->version,
                                  .root = head->root,
                                  .time = head->time,
                                  .bytes = head->bytes,
                                  .files = head->files};
}

static struct session_head head_of_entry(const struct history_entry *entry)
{
    return (struct session_head){.sid = entry->sid,
                                 .version = entry->version,
                                 .root = entry->root,
                                 .time = entry->time,
                                 .bytes = entry->bytes,
                                 .files = entry->files};
}

struct reading {
    struct versions *versions;
    uint64_t above;
    const struct object_id *former; /* what the target has as `above`; or NULL */
    bool differs;                   /* the source has another one */
};

static int take_version(const struct history_entry *entry, void *arg)
{
    struct reading *reading = arg;

    if (entry->version > reading->above)
        return versions_add(reading->versions, entry);
    reading->differs = reading->former && entry->version == reading->above &&
                       !object_id_equal(reading->former, &entry->root);
    return STOP;
}

/* The versions of the source from `head` down to those above `above`, oldest first. `former`: the root that the
 * target has as `above`, or NULL; HF_CONFLICT when the source has another one. */
static int read_versions(struct copy *copy, const struct session_head *head, uint64_t above,
                         const struct object_id *former, struct versions *versions)
{
    struct reading reading = {.versions = versions, .above = above, .former = former};
    int rc =
        store_history(copy->source, head->sid, head->version, 0, take_version, &reading, copy->err);

    if (rc == HF_NOMEM)
        return out_of_memory(copy);
    if (rc != HF_OK && rc != STOP && rc != HF_NOENT)
        return rc;
    if (reading.differs)
        return HF_CONFLICT;
    for (size_t i = 0; i < versions->n / 2; i++) {
        struct history_entry *low = &versions->entries[i];
        struct history_entry *high = &versions->entries[versions->n - 1 - i], moved = *low;

        *low = *high;
        *high = moved;
    }
    return HF_OK;
}

/* Whether the source still keeps a version that could not be read. */
static bool is_kept(struct copy *copy, const struct history_entry *entry)
{
    struct versions found = {0};
    struct session_head head = {.sid = entry->sid, .version = entry->version};
    bool kept =
        read_versions(copy, &head, entry->version - 1, NULL, &found) != HF_OK || found.n > 0;

    versions_free(&found);
    return kept;
}

static int look_for_roots(struct copy *copy, const struct versions *versions)
{
    struct object_id *roots = reallocarray(NULL, versions->n + 1, sizeof *roots);
    int rc;

    if (!roots)
        return out_of_memory(copy);
    for (size_t i = 0; i < versions->n; i++)
        roots[i] = versions->entries[i].root;
    rc = transfer_look(&copy->transfer, roots, versions->n, copy->err);
    free(roots);
    return rc;
}

/* Whether a version that could not be read is damaged, and was not just forgotten by the source. */
static bool is_lost(struct copy *copy, const struct catalog_entry *session,
                    const struct history_entry *entry)
{
    return (copy->options->snapshot && entry->version == session->info.head.version) ||
           is_kept(copy, entry);
}

/* Sends what the versions refer to. Those that the source does not have whole are taken out of the list.
 * `ret_lost_head`: the head is one of these. */
static int send_versions(struct copy *copy, const struct catalog_entry *session,
                         const struct object_id *former, struct versions *versions,
                         bool *ret_lost_head)
{
    size_t kept = 0;
    int rc = look_for_roots(copy, versions);

    for (size_t i = 0; i < versions->n && rc == HF_OK; i++) {
        struct history_entry entry = versions->entries[i];

        rc = transfer_root(&copy->transfer, &entry.root, former, copy->err);
        if (rc == HF_OK) {
            versions->entries[kept] = entry;
            former = &versions->entries[kept++].root;
        } else if (is_damage(copy, rc)) {
            rc = HF_OK;
            if (!is_lost(copy, session, &entry))
                continue;
            *ret_lost_head |= entry.version == session->info.head.version;
            rc = tell_damage(copy, "the content", session->name, entry.sid, entry.version);
        }
    }
    versions->n = kept;
    return rc == HF_OK ? transfer_flush(&copy->transfer, copy->err) : rc;
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

static int receive(struct copy *copy, const struct catalog_entry *session,
                   const struct versions *versions)
{
    struct session_copy arrival = {.sid = session->info.head.sid,
                                   .name = session->name,
                                   .state = session->info.state,
                                   .created = session->info.created,
                                   .trashed = session->info.trashed,
                                   .versions = versions->entries,
                                   .nversions = versions->n,
                                   .meta = session->info.meta};

    memcpy(arrival.origin, copy->origin, UUID_SIZE);
    for (size_t i = 0; i < versions->n; i++)
        if (versions->entries[i].token > arrival.token)
            arrival.token = versions->entries[i].token;
    if (arrival.sid != SHARED_SID)
        arrival.token += copy->options->token_step;
    return store_session_receive(copy->target, &arrival, copy->err);
}

static bool is_same(const struct catalog_entry *session, const struct catalog_entry *had)
{
    return had && had->info.head.version == session->info.head.version &&
           had->info.state == session->info.state && had->info.trashed == session->info.trashed &&
           strcmp(had->name, session->name) == 0;
}

static const char *name_of(const struct catalog_entry *session)
{
    return session->info.head.sid == SHARED_SID ? "the shared tree" : session->name;
}

static int went_back(struct copy *copy, const struct catalog_entry *session, uint64_t version)
{
    return hf_fail(copy->err, HF_CONFLICT,
                   "what %s was up to version %llu is not what the target has: the source was "
                   "restored from an older state. Copy it into a new store",
                   name_of(session), (unsigned long long)version);
}

/* A store that was restored from an older state goes on from there: what it calls a version is another one than what
 * the target has. */
static int check_agrees(struct copy *copy, const struct catalog_entry *session,
                        const struct catalog_entry *had)
{
    const struct session_head *head = &session->info.head;

    if (!had || had->info.head.version < head->version) /* list_new() sees to it */
        return HF_OK;
    if (had->info.head.version > head->version)
        return copy->options->snapshot ? HF_OK : went_back(copy, session, had->info.head.version);
    return object_id_equal(&had->info.head.root, &head->root)
               ? HF_OK
               : went_back(copy, session, head->version);
}

/* What the target does not have of the session. A session that was purged since is in its snapshot alone. */
static int list_new(struct copy *copy, const struct catalog_entry *session,
                    const struct catalog_entry *had, struct versions *versions)
{
    const struct session_head *head = &session->info.head;
    uint64_t above = had ? had->info.head.version : 0;
    int rc = read_versions(copy, head, above, had ? &had->info.head.root : NULL, versions);

    if (rc == HF_CONFLICT)
        return went_back(copy, session, above);
    if (rc == HF_OK && copy->options->snapshot && head->version > above &&
        (versions->n == 0 || versions->entries[versions->n - 1].version != head->version)) {
        struct history_entry pinned = entry_of_head(head);

        if (versions_add(versions, &pinned) != HF_OK)
            rc = out_of_memory(copy);
    }
    return rc;
}

/* Lists and sends what is new, and looks at the session again when its head has become another, and the source has
 * forgotten the one that was listed. */
static int send_new(struct copy *copy, struct catalog_entry *session,
                    const struct catalog_entry *had, struct versions *versions)
{
    uint64_t above = had ? had->info.head.version : 0;

    for (int look = 0; look < LOOKS; look++) {
        struct catalog_entry anew;
        bool lost_head = false;
        int rc = list_new(copy, session, had, versions);

        if (rc == HF_OK)
            rc = send_versions(copy, session, had ? &had->info.head.root : NULL, versions,
                               &lost_head);
        if (rc != HF_OK || lost_head || session->info.head.version <= above ||
            (versions->n > 0 &&
             versions->entries[versions->n - 1].version == session->info.head.version))
            return rc;
        rc = catalog_read(copy->source, session->info.head.sid, &anew, copy->err);
        if (rc != HF_OK)
            return rc == HF_NOENT ? HF_OK : rc;
        catalog_entry_clear(session);
        *session = anew;
        versions_free(versions);
    }
    return HF_OK;
}

/* The target gets versions, name and state of the session. Its entry says then what the target's head is: without a
 * version when it has none. */
static int deliver(struct copy *copy, struct catalog_entry *session,
                   const struct catalog_entry *had, struct versions *versions)
{
    size_t added = versions->n;
    int rc = HF_OK;

    if (versions->n == 0 && had) {
        struct history_entry old = entry_of_head(&had->info.head);

        if (versions_add(versions, &old) != HF_OK)
            return out_of_memory(copy);
    }
    if (versions->n > 0)
        rc = receive(copy, session, versions);
    if (rc != HF_OK)
        return rc;
    copy->totals.changed += versions->n > 0;
    copy->totals.versions += added;
    if (versions->n == 0)
        session->info.head.version = 0;
    else
        session->info.head = head_of_entry(&versions->entries[versions->n - 1]);
    return HF_OK;
}

static int copy_session(struct copy *copy, struct catalog_entry *session)
{
    const struct catalog_entry *had = catalog_find(&copy->here, session->info.head.sid);
    struct versions versions = {0};
    int rc = check_agrees(copy, session, had);

    copy->totals.sessions++;
    if (rc != HF_OK || is_same(session, had))
        return rc;
    if (had && had->info.head.version > session->info.head.version) {
        rc = transfer_root(&copy->transfer, &session->info.head.root, NULL, copy->err);
        return rc == HF_OK ? transfer_flush(&copy->transfer, copy->err) : rc;
    }
    rc = send_new(copy, session, had, &versions);
    if (rc == HF_OK)
        rc = deliver(copy, session, had, &versions);
    versions_free(&versions);
    return rc;
}

static int tell_progress(struct copy *copy)
{
    const struct copy_options *options = copy->options;

    return options->progress
               ? options->progress(copy->transfer.objects, copy->transfer.bytes,
                                   copy->totals.sessions, copy->there.count, options->arg)
               : 0;
}

static int objects_sent(void *arg)
{
    return tell_progress(arg);
}

static int copy_sessions(struct copy *copy)
{
    int rc = HF_OK;

    for (size_t i = 0; i < copy->there.count && rc == HF_OK; i++) {
        rc = copy_session(copy, &copy->there.entries[i]);
        if (rc == HF_OK && tell_progress(copy) != 0)
            rc = hf_fail(copy->err, HF_INTR, "the copy was interrupted");
    }
    return rc;
}

/* A session that the source has no more was deleted there, and then purged. */
static int trash_absent(struct copy *copy)
{
    for (size_t i = 0; i < copy->here.count; i++) {
        struct catalog_entry *had = &copy->here.entries[i];
        struct history_entry head = entry_of_head(&had->info.head);
        struct versions versions = {.entries = &head, .n = 1};
        struct catalog_entry found;
        int rc;

        if (head.sid == SHARED_SID || had->info.state != SESSION_LIVE ||
            catalog_find(&copy->there, head.sid))
            continue;
        rc = catalog_read(copy->source, head.sid, &found, copy->err);
        if (rc == HF_OK) { /* it was neither here nor there for a moment */
            rc = copy_session(copy, &found);
            catalog_entry_clear(&found);
        } else if (rc == HF_NOENT) {
            had->info.state = SESSION_TRASHED;
            had->info.trashed = copy->options->run ? copy->options->run : head.time;
            rc = receive(copy, had, &versions);
            copy->totals.changed += rc == HF_OK;
        }
        if (rc != HF_OK)
            return rc;
    }
    return HF_OK;
}

/* --- rescue versions ---------------------------------------------------------------------------------------------- */

struct rescues {
    struct rescue_info *items; /* strings owned */
    size_t n, cap;
};

static void rescues_free(struct rescues *rescues)
{
    for (size_t i = 0; i < rescues->n; i++) {
        free((char *)(uintptr_t)rescues->items[i].session_name);
        free((char *)(uintptr_t)rescues->items[i].host_name);
        free((char *)(uintptr_t)rescues->items[i].reason);
    }
    free(rescues->items);
}

static int take_rescue(const struct rescue_info *info, void *arg)
{
    struct rescues *rescues = arg;
    struct rescue_info *kept;

    if (rescues->n == rescues->cap) {
        size_t cap = rescues->cap ? rescues->cap * 2 : 16;
        struct rescue_info *items = reallocarray(rescues->items, cap, sizeof *items);

        if (!items)
            return HF_NOMEM;
        rescues->items = items;
        rescues->cap = cap;
    }
    kept = &rescues->items[rescues->n++];
    *kept = *info;
    kept->session_name = strdup(info->session_name ? info->session_name : "");
    kept->host_name = info->host_name ? strdup(info->host_name) : NULL;
    kept->reason = strdup(info->reason);
    return kept->session_name && kept->reason && (kept->host_name || !info->host_name) ? HF_OK
                                                                                       : HF_NOMEM;
}

static bool has_rescue(const struct rescues *rescues, uint64_t id)
{
    for (size_t i = 0; i < rescues->n; i++)
        if (rescues->items[i].id == id)
            return true;
    return false;
}

struct finding_rescue {
    uint64_t id;
    bool found;
};

static int find_rescue(const struct rescue_info *info, void *arg)
{
    struct finding_rescue *finding = arg;

    finding->found |= info->id == finding->id;
    return HF_OK;
}

static bool is_rescue_kept(struct copy *copy, const struct rescue_info *rescue)
{
    struct finding_rescue finding = {.id = rescue->id};
    int rc = store_rescue_list(copy->source, rescue->sid, find_rescue, &finding, NULL);

    return rc == HF_OK ? finding.found : rc != HF_NOENT;
}

static int copy_rescue(struct copy *copy, const struct rescue_info *rescue)
{
    const struct catalog_entry *session = catalog_find(&copy->there, rescue->sid);
    int rc;

    if (!session || session->info.head.version == 0)
        return HF_OK;
    rc = transfer_root(&copy->transfer, &rescue->root, &session->info.head.root, copy->err);
    if (is_damage(copy, rc))
        return is_rescue_kept(copy, rescue) ? tell_damage(copy, "a rescue version", session->name,
                                                          rescue->sid, rescue->version)
                                            : HF_OK;
    if (rc == HF_OK)
        rc = transfer_flush(&copy->transfer, copy->err);
    if (rc == HF_OK)
        rc = store_rescue_receive(copy->target, copy->origin, rescue, copy->err);
    copy->totals.rescues += rc == HF_OK;
    return rc;
}

static int copy_rescues(struct copy *copy)
{
    struct rescues there = {0}, here = {0};
    int rc = store_rescue_list(copy->source, UINT64_MAX, take_rescue, &there, copy->err);

    if (rc == HF_OK)
        rc = store_rescue_list(copy->target, UINT64_MAX, take_rescue, &here, copy->err);
    if (rc == HF_NOMEM)
        rc = out_of_memory(copy);
    for (size_t i = 0; i < there.n && rc == HF_OK; i++)
        if (!has_rescue(&here, there.items[i].id))
            rc = copy_rescue(copy, &there.items[i]);
    rescues_free(&there);
    rescues_free(&here);
    return rc;
}

/* --- snapshots ---------------------------------------------------------------------------------------------------- */

struct snapshots {
    struct snapshot_info *items; /* names owned */
    size_t n, cap;
};

static void snapshots_free(struct snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->n; i++)
        free((char *)(uintptr_t)snapshots->items[i].name);
    free(snapshots->items);
}

static int take_snapshot(const struct snapshot_info *info, void *arg)
{
    struct snapshots *snapshots = arg;

    if (snapshots->n == snapshots->cap) {
        size_t cap = snapshots->cap ? snapshots->cap * 2 : 16;
        struct snapshot_info *items = reallocarray(snapshots->items, cap, sizeof *items);

        if (!items)
            return HF_NOMEM;
        snapshots->items = items;
        snapshots->cap = cap;
    }
    snapshots->items[snapshots->n] = *info;
    snapshots->items[snapshots->n].name = strdup(info->name);
    return snapshots->items[snapshots->n++].name ? HF_OK : HF_NOMEM;
}

static const struct snapshot_info *find_snapshot(const struct snapshots *snapshots,
                                                 const char *name)
{
    for (size_t i = 0; i < snapshots->n; i++)
        if (strcmp(snapshots->items[i].name, name) == 0)
            return &snapshots->items[i];
    return NULL;
}

/* What a snapshot pins, with names of its own. */
struct pins {
    struct pin_info *items;
    size_t n, cap;
};

static void pins_free(struct pins *pins)
{
    for (size_t i = 0; i < pins->n; i++)
        free((char *)(uintptr_t)pins->items[i].session_name);
    free(pins->items);
}

static int take_pin(const struct pin_info *pin, void *arg)
{
    struct pins *pins = arg;

    if (pins->n == pins->cap) {
        size_t cap = pins->cap ? pins->cap * 2 : 64;
        struct pin_info *items = reallocarray(pins->items, cap, sizeof *items);

        if (!items)
            return HF_NOMEM;
        pins->items = items;
        pins->cap = cap;
    }
    pins->items[pins->n] = *pin;
    pins->items[pins->n].session_name = strdup(pin->session_name);
    return pins->items[pins->n++].session_name ? HF_OK : HF_NOMEM;
}

static int read_pins(struct copy *copy, const char *snapshot, struct pins *ret_pins)
{
    int rc = store_snapshot_pins(copy->source, snapshot, take_pin, ret_pins, copy->err);

    return rc == HF_NOMEM ? out_of_memory(copy) : rc;
}

struct sought_snapshot {
    const struct snapshot_info *wanted;
    bool found;
};

static int seek_snapshot(const struct snapshot_info *info, void *arg)
{
    struct sought_snapshot *sought = arg;

    sought->found |=
        info->time == sought->wanted->time && strcmp(info->name, sought->wanted->name) == 0;
    return HF_OK;
}

/* Whether the source still has it: what it pinned may be collected once it is deleted. */
static bool snapshot_is_kept(struct copy *copy, const struct snapshot_info *snapshot)
{
    struct sought_snapshot sought = {.wanted = snapshot};

    return store_snapshot_list(copy->source, seek_snapshot, &sought, NULL) != HF_OK || sought.found;
}

/* Sends what the pins refer to; those that are damaged are taken out. HF_NOENT: the snapshot was deleted meanwhile. */
static int send_pins(struct copy *copy, const struct snapshot_info *snapshot, struct pins *pins)
{
    size_t kept = 0, n = pins->n;
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        struct pin_info pin = pins->items[i];

        rc = transfer_root(&copy->transfer, &pin.root, NULL, copy->err);
        if (rc == HF_OK || !is_damage(copy, rc)) {
            pins->items[i] = pins->items[kept];
            pins->items[kept++] = pin;
            continue;
        }
        rc = snapshot_is_kept(copy, snapshot)
                 ? tell_damage(copy, snapshot->name, pin.session_name, pin.sid, pin.version)
                 : HF_NOENT;
    }
    if (rc == HF_OK)
        rc = transfer_flush(&copy->transfer, copy->err);
    if (rc != HF_OK)
        return rc;
    for (size_t i = kept; i < n; i++)
        free((char *)(uintptr_t)pins->items[i].session_name);
    pins->n = kept;
    return HF_OK;
}

static int receive_pins(struct copy *copy, const char *name, int64_t time,
                        const struct pin_info *pins, size_t n)
{
    struct snapshot_copy arrival = {.name = name, .time = time, .pins = pins, .npins = n};

    memcpy(arrival.origin, copy->origin, UUID_SIZE);
    return store_snapshot_receive(copy->target, &arrival, copy->err);
}

static int copy_snapshot(struct copy *copy, const struct snapshot_info *snapshot, const char *as)
{
    struct pins pins = {0};
    int rc = read_pins(copy, snapshot->name, &pins);

    if (rc == HF_OK)
        rc = send_pins(copy, snapshot, &pins);
    if (rc == HF_NOENT) { /* deleted meanwhile */
        pins_free(&pins);
        return HF_OK;
    }
    if (rc == HF_OK)
        rc = receive_pins(copy, as, snapshot->time, pins.items, pins.n);
    copy->totals.snapshots += rc == HF_OK;
    pins_free(&pins);
    return rc;
}

/* One that was made anew under its name is another: it gets its time behind its name, and the old one stays. */
static int copy_snapshot_if_new(struct copy *copy, const struct snapshot_info *snapshot,
                                const struct snapshots *here)
{
    const struct snapshot_info *same = find_snapshot(here, snapshot->name);
    char as[SESSION_NAME_MAX + 1], time[32];

    snprintf(as, sizeof as, "%s", snapshot->name);
    utc(snapshot->time, time, sizeof time);
    for (int again = 1; same && again < RUNS_A_SECOND; again++) {
        if (same->time == snapshot->time)
            return HF_OK;
        if (again == 1)
            snprintf(as, sizeof as, "%.200s.%s", snapshot->name, time);
        else
            snprintf(as, sizeof as, "%.200s.%s-%d", snapshot->name, time, again);
        same = find_snapshot(here, as);
    }
    return copy_snapshot(copy, snapshot, as);
}

static int copy_snapshots(struct copy *copy)
{
    const char *only = copy->options->snapshot;
    struct snapshots there = {0}, here = {0};
    int rc = store_snapshot_list(copy->source, take_snapshot, &there, copy->err);

    if (rc == HF_OK)
        rc = store_snapshot_list(copy->target, take_snapshot, &here, copy->err);
    if (rc == HF_NOMEM)
        rc = out_of_memory(copy);
    for (size_t i = 0; i < there.n && rc == HF_OK; i++)
        if (only ? strcmp(there.items[i].name, only) == 0 : !copy_is_run(there.items[i].name))
            rc = copy_snapshot_if_new(copy, &there.items[i], &here);
    snapshots_free(&there);
    snapshots_free(&here);
    return rc;
}

/* Pins what this run has brought up to date. */
static int pin_run(struct copy *copy)
{
    struct pin_info *pins = calloc(copy->there.count + 1, sizeof *pins);
    char name[48];
    size_t n = 0;
    int rc = HF_CONFLICT;

    if (!pins)
        return out_of_memory(copy);
    for (size_t i = 0; i < copy->there.count; i++) {
        const struct session_info *info = &copy->there.entries[i].info;

        if (info->state == SESSION_LIVE && info->head.version > 0)
            pins[n++] = (struct pin_info){info->head.sid,  info->name,      info->head.version,
                                          info->head.root, info->head.time, info->head.bytes,
                                          info->head.files};
    }
    copy_run_name(copy->options->run, name, sizeof name);
    for (int again = 1; rc == HF_CONFLICT && again < RUNS_A_SECOND; again++) {
        if (again == 1)
            snprintf(copy->totals.run, sizeof copy->totals.run, "%s", name);
        else
            snprintf(copy->totals.run, sizeof copy->totals.run, "%s-%d", name, again);
        rc = receive_pins(copy, copy->totals.run, copy->options->run, pins, n);
    }
    free(pins);
    return rc;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

int copy_origin(struct store *store, uint8_t ret_origin[UUID_SIZE], struct hf_error *err)
{
    BUF_AUTO text = {0};
    int rc = store_setting_get(store, SETTING_ORIGIN, &text, err);

    if (rc == HF_NOENT) {
        memcpy(ret_origin, store_info(store)->uuid, UUID_SIZE);
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (text.len != UUID_STR_LEN - 1 || buf_append(&text, "", 1) != HF_OK ||
        uuid_parse((char *)text.data, ret_origin) != 0)
        return hf_fail(err, HF_CORRUPT, "%s does not say properly which store it is a copy of",
                       store_info(store)->location);
    return HF_OK;
}

int copy_check(const struct store *source, const struct store *target, struct hf_error *err)
{
    const struct store_info *from = store_info(source), *to = store_info(target);

    if (memcmp(from->uuid, to->uuid, UUID_SIZE) == 0)
        return hf_fail(err, HF_INVAL, "%s and %s are the same store", from->location, to->location);
    if (from->hasher.keyed != to->hasher.keyed ||
        (from->hasher.keyed &&
         memcmp(from->hasher.key, to->hasher.key, sizeof from->hasher.key) != 0))
        return hf_fail(
            err, HF_INVAL,
            "%s and %s compute the ids of objects under different keys: a copy must be made "
            "with the key of the first, as 'holdfast backup --create' does",
            from->location, to->location);
    return HF_OK;
}

static int check_origin(struct copy *copy)
{
    const uint8_t *own = store_info(copy->target)->uuid;
    uint8_t other[UUID_SIZE];
    int rc = copy_origin(copy->source, copy->origin, copy->err);

    if (rc == HF_OK)
        rc = copy_origin(copy->target, other, copy->err);
    if (rc != HF_OK)
        return rc;
    if (memcmp(copy->origin, own, UUID_SIZE) == 0)
        return hf_fail(copy->err, HF_CONFLICT,
                       "%s is the store that the sessions of %s are copies of: restore them into a "
                       "new store, or one by one",
                       store_info(copy->target)->location, store_info(copy->source)->location);
    if (memcmp(other, copy->origin, UUID_SIZE) == 0 || memcmp(other, own, UUID_SIZE) == 0)
        return HF_OK; /* with sessions of its own it refuses the first copy */
    return hf_fail(copy->err, HF_CONFLICT, "%s holds copies of another store than %s",
                   store_info(copy->target)->location, store_info(copy->source)->location);
}

/* The sessions that a snapshot pins, as they were, with what is known of them now. */
static int list_pinned(struct copy *copy)
{
    struct catalog now = {0};
    struct pins pins = {0};
    int rc = read_pins(copy, copy->options->snapshot, &pins);

    if (rc == HF_OK)
        rc = catalog_load(copy->source, &now, copy->err);
    for (size_t i = 0; i < pins.n && rc == HF_OK; i++) {
        const struct pin_info *pin = &pins.items[i];
        const struct catalog_entry *known = catalog_find(&now, pin->sid);
        struct session_info info = {.created = pin->time};

        if (known)
            info = known->info;
        info.head = (struct session_head){pin->sid,  pin->version, pin->root,
                                          pin->time, pin->bytes,   pin->files};
        info.name = pin->session_name;
        info.state = SESSION_LIVE;
        info.trashed = 0;
        if (catalog_add(&copy->there, &info) != HF_OK)
            rc = out_of_memory(copy);
    }
    pins_free(&pins);
    catalog_free(&now);
    return rc;
}

static bool is_chosen(const struct copy_options *options, const struct catalog_entry *session)
{
    for (size_t i = 0; i < options->nglobs; i++)
        if (session->info.head.sid != SHARED_SID &&
            fnmatch(options->globs[i], session->name, 0) == 0)
            return true;
    return options->nglobs == 0;
}

static int choose(struct copy *copy)
{
    struct catalog *there = &copy->there;
    size_t kept = 0;

    for (size_t i = 0; i < there->count; i++) {
        if (is_chosen(copy->options, &there->entries[i]))
            there->entries[kept++] = there->entries[i];
        else
            catalog_entry_clear(&there->entries[i]);
    }
    there->count = kept;
    if (kept == 0 && copy->options->nglobs > 0)
        return hf_fail(copy->err, HF_NOENT, "no session in %s matches",
                       store_info(copy->source)->location);
    return HF_OK;
}

static int list_both(struct copy *copy)
{
    int rc = catalog_load(copy->target, &copy->here, copy->err);

    if (rc == HF_OK)
        rc = copy->options->snapshot ? list_pinned(copy)
                                     : catalog_load(copy->source, &copy->there, copy->err);
    return rc == HF_OK ? choose(copy) : rc;
}

static int pass_over(const struct snapshot_info *info, void *arg)
{
    (void)info;
    (void)arg;
    return HF_OK;
}

/* Who may list snapshots sees all sessions. For anybody else those that are hidden would seem to be purged, and what
 * was sent could not be received. */
static int check_rights(struct copy *copy)
{
    int rc = store_snapshot_list(copy->target, pass_over, NULL, copy->err);

    if (rc == HF_OK && copy->options->nglobs == 0)
        rc = store_snapshot_list(copy->source, pass_over, NULL, copy->err);
    return rc;
}

static int copy_everything(struct copy *copy)
{
    const struct copy_options *options = copy->options;
    bool all = options->nglobs == 0;
    int rc = check_rights(copy);

    if (rc == HF_OK)
        rc = check_origin(copy);
    if (rc == HF_OK)
        rc = list_both(copy);
    if (rc == HF_OK)
        rc = copy_sessions(copy);
    if (rc == HF_OK && all && !options->snapshot)
        rc = trash_absent(copy);
    if (rc == HF_OK && !options->snapshot)
        rc = copy_rescues(copy);
    if (rc == HF_OK && all)
        rc = copy_snapshots(copy);
    if (rc == HF_OK && options->run)
        rc = pin_run(copy);
    return rc == HF_OK ? store_sync(copy->target, copy->err) : rc;
}

static int begin(struct copy *copy)
{
    int rc = copy_check(copy->source, copy->target, copy->err);

    if (rc == HF_OK)
        rc = transfer_init(&copy->transfer, copy->source, copy->target, copy->options->target_host,
                           copy->err);
    copy->transfer.sent = objects_sent;
    copy->transfer.arg = copy;
    return rc;
}

static void end(struct copy *copy, int rc, struct copy_totals *ret_totals, struct hf_error *err)
{
    copy->totals.objects += copy->transfer.objects;
    copy->totals.object_bytes += copy->transfer.bytes;
    if (rc == HF_OK)
        *ret_totals = copy->totals;
    else if (err)
        *err = *copy->err;
    transfer_free(&copy->transfer);
    catalog_free(&copy->there);
    catalog_free(&copy->here);
}

int copy_run(struct store *source, struct store *target, const struct copy_options *options,
             struct copy_totals *ret_totals, struct hf_error *err)
{
    struct hf_error error = {0};
    struct copy copy = {.source = source, .target = target, .options = options, .err = &error};
    int rc = begin(&copy);

    if (rc == HF_OK)
        rc = copy_everything(&copy);
    end(&copy, rc, ret_totals, err);
    return rc;
}

int copy_root(struct store *source, struct store *target, const struct object_id *root,
              const struct copy_options *options, struct copy_totals *totals, struct hf_error *err)
{
    struct hf_error error = {0};
    struct copy copy = {
        .source = source, .target = target, .options = options, .totals = *totals, .err = &error};
    int rc = begin(&copy);

    if (rc == HF_OK)
        rc = transfer_root(&copy.transfer, root, NULL, &error);
    if (rc == HF_OK)
        rc = transfer_flush(&copy.transfer, &error);
    end(&copy, rc, totals, err);
    return rc;
}
