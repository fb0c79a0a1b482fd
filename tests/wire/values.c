/* SPDX-License-Identifier: Apache-2.0 */
#include "values.h"

#include <assert.h>

#define PICK(rng, low, high) ((low) + rng_below((rng), (uint64_t)(high) - (low) + 1))
#define FLAG(rng) (rng_below((rng), 2) == 1)

uint64_t sample_number(struct rng *rng)
{
    switch (rng_below(rng, 4)) {
    case 0:
        return rng_below(rng, 3);
    case 1:
        return UINT64_MAX - rng_below(rng, 3);
    default:
        return (rng_below(rng, 1ULL << 32) << 32 | rng_below(rng, 1ULL << 32)) >>
               rng_below(rng, 64);
    }
}

static int64_t sample_time(struct rng *rng)
{
    return (int64_t)sample_number(rng);
}

static uint32_t sample_word(struct rng *rng)
{
    return (uint32_t)sample_number(rng);
}

const char *sample_text(struct rng *rng, struct wire_arena *arena)
{
    static const size_t most[] = {1, 8, 64, 600};
    size_t len = rng_below(rng, most[rng_below(rng, 4)]);
    char *text = wire_arena_alloc(arena, len + 1);

    assert(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)PICK(rng, 1, 255);
    return text;
}

const char *sample_text_or_null(struct rng *rng, struct wire_arena *arena)
{
    return FLAG(rng) ? sample_text(rng, arena) : NULL;
}

/* A string that is never empty, or NULL: where an empty one is NULL on the wire. */
static const char *sample_word_or_null(struct rng *rng, struct wire_arena *arena)
{
    const char *text = sample_text(rng, arena);

    return *text ? text : NULL;
}

static const char *sample_name(struct rng *rng, struct wire_arena *arena)
{
    size_t len = PICK(rng, 1, SESSION_NAME_MAX);
    char *name = wire_arena_alloc(arena, len + 1);

    assert(name);
    for (size_t i = 0; i < len; i++)
        do
            name[i] = (char)PICK(rng, 1, 255);
        while (name[i] == '/' || name[i] == '.');
    return name;
}

static struct object_id sample_id(struct rng *rng)
{
    struct object_id id;

    rng_fill(rng, id.bytes, sizeof id.bytes);
    return id;
}

/* --- making ----------------------------------------------------------------------------------- */

struct session_head sample_head(struct rng *rng)
{
    struct session_head head = {
        .sid = sample_number(rng),
        .version = sample_number(rng),
        .time = sample_time(rng),
        .bytes = sample_number(rng),
        .files = sample_number(rng),
    };

    if (FLAG(rng))
        head.root = sample_id(rng);
    return head;
}

struct lease sample_lease(struct rng *rng)
{
    return (struct lease){sample_number(rng), sample_number(rng), sample_head(rng)};
}

struct session_meta sample_meta(struct rng *rng, struct wire_arena *arena)
{
    return (struct session_meta){
        .cwd = sample_text_or_null(rng, arena),
        .git_root = sample_text_or_null(rng, arena),
        .repository = sample_text_or_null(rng, arena),
        .branch = sample_text_or_null(rng, arena),
        .name = sample_text_or_null(rng, arena),
        .created_at = sample_text_or_null(rng, arena),
        .updated_at = sample_text_or_null(rng, arena),
        .bytes = sample_number(rng),
        .files = sample_number(rng),
    };
}

struct session_info sample_session_info(struct rng *rng, struct wire_arena *arena)
{
    return (struct session_info){
        .head = sample_head(rng),
        .name = sample_name(rng, arena),
        .state = (enum session_state)PICK(rng, SESSION_LIVE, SESSION_TRASHED),
        .created = sample_time(rng),
        .trashed = sample_time(rng),
        .meta = sample_meta(rng, arena),
        .holder = sample_number(rng),
        .holder_name = sample_word_or_null(rng, arena),
    };
}

struct session_filter sample_filter(struct rng *rng, struct wire_arena *arena)
{
    return (struct session_filter){
        .sid = sample_number(rng),
        .name_glob = sample_text_or_null(rng, arena),
        .repository = sample_text_or_null(rng, arena),
        .branch = sample_text_or_null(rng, arena),
        .cwd = sample_text_or_null(rng, arena),
        .git_root = sample_text_or_null(rng, arena),
        .changed_since = sample_time(rng),
        .trashed = FLAG(rng),
        .after = sample_word_or_null(rng, arena),
        .limit = sample_number(rng),
    };
}

struct history_entry sample_history(struct rng *rng, struct wire_arena *arena)
{
    return (struct history_entry){
        .sid = sample_number(rng),
        .version = sample_number(rng),
        .root = sample_id(rng),
        .time = sample_time(rng),
        .host = sample_number(rng),
        .host_name = sample_word_or_null(rng, arena),
        .token = sample_number(rng),
        .bytes = sample_number(rng),
        .files = sample_number(rng),
    };
}

struct host_identity sample_identity(struct rng *rng, struct wire_arena *arena)
{
    struct host_identity identity = {
        .incarnation = sample_number(rng),
        .pid = sample_word(rng),
        .host_name = sample_text(rng, arena),
        .mount_point = sample_word_or_null(rng, arena),
        .principal = sample_word_or_null(rng, arena),
        .ttl_ms = sample_word(rng),
    };

    rng_fill(rng, identity.host_id, UUID_SIZE);
    rng_fill(rng, identity.boot_id, UUID_SIZE);
    rng_fill(rng, identity.mount_id, UUID_SIZE);
    return identity;
}

struct host_info sample_host_info(struct rng *rng, struct wire_arena *arena)
{
    return (struct host_info){
        .host = sample_number(rng),
        .identity = sample_identity(rng, arena),
        .alive = FLAG(rng),
        .registered = sample_time(rng),
        .expires = sample_time(rng),
    };
}

struct lease_info sample_lease_info(struct rng *rng, struct wire_arena *arena)
{
    size_t n = rng_below(rng, 5);
    const char **waiting = wire_arena_alloc(arena, n * sizeof *waiting);

    assert(waiting);
    for (size_t i = 0; i < n; i++)
        waiting[i] = sample_text(rng, arena);
    return (struct lease_info){
        .sid = sample_number(rng),
        .session_name = sample_text(rng, arena),
        .state = (enum lease_state)PICK(rng, LEASE_FREE, LEASE_RECALLED),
        .token = sample_number(rng),
        .host = sample_number(rng),
        .host_name = sample_word_or_null(rng, arena),
        .mount_point = sample_word_or_null(rng, arena),
        .pid = sample_word(rng),
        .since = sample_time(rng),
        .pinned_by = sample_word_or_null(rng, arena),
        .holder_alive = FLAG(rng),
        .expires = sample_time(rng),
        .waiting = waiting,
        .nwaiting = n,
    };
}

struct audit_entry sample_audit(struct rng *rng, struct wire_arena *arena)
{
    return (struct audit_entry){
        .id = sample_number(rng),
        .time = sample_time(rng),
        .event = (enum audit_event)PICK(rng, AUDIT_GRANT, AUDIT_PURGE),
        .sid = sample_number(rng),
        .host = sample_number(rng),
        .token = sample_number(rng),
        .detail = sample_word_or_null(rng, arena),
    };
}

struct store_lock sample_lock(struct rng *rng)
{
    uint64_t a = sample_number(rng), b = sample_number(rng);

    return (struct store_lock){
        .ino = sample_number(rng),
        .kind = (enum lock_kind)PICK(rng, LOCK_POSIX, LOCK_FLOCK),
        .type = (enum lock_type)PICK(rng, LOCK_TYPE_NONE, LOCK_TYPE_WRITE),
        .start = a < b ? a : b,
        .end = a < b ? b : a,
        .owner = sample_number(rng),
        .pid = sample_word(rng),
        .host = sample_number(rng),
    };
}

struct snapshot_info sample_snapshot(struct rng *rng, struct wire_arena *arena)
{
    return (struct snapshot_info){sample_name(rng, arena), sample_time(rng), sample_number(rng)};
}

struct root_info sample_root(struct rng *rng, struct wire_arena *arena)
{
    return (struct root_info){
        .kind = (enum root_kind)PICK(rng, ROOT_HEAD, ROOT_RESCUE),
        .sid = sample_number(rng),
        .session_name = sample_text(rng, arena),
        .trashed = FLAG(rng),
        .version = sample_number(rng),
        .root = sample_id(rng),
        .time = sample_time(rng),
        .bytes = sample_number(rng),
        .files = sample_number(rng),
        .label = sample_word_or_null(rng, arena),
        .rescue = sample_number(rng),
    };
}

static struct store_activity sample_activity(struct rng *rng)
{
    return (struct store_activity){
        .transactions = sample_number(rng),
        .syncs = sample_number(rng),
        .gets = sample_number(rng),
        .got_bytes = sample_number(rng),
        .puts = sample_number(rng),
        .put_bytes = sample_number(rng),
        .known_hits = sample_number(rng),
        .known_misses = sample_number(rng),
        .base_hits = sample_number(rng),
        .base_misses = sample_number(rng),
        .requests = sample_number(rng),
    };
}

struct store_stats sample_stats(struct rng *rng)
{
    return (struct store_stats){
        .sessions = sample_number(rng),
        .trashed = sample_number(rng),
        .versions = sample_number(rng),
        .objects = sample_number(rng),
        .logical_bytes = sample_number(rng),
        .unique_bytes = sample_number(rng),
        .stored_bytes = sample_number(rng),
        .file_bytes = sample_number(rng),
        .commits = sample_number(rng),
        .leases = sample_number(rng),
        .waiting = sample_number(rng),
        .connections = sample_number(rng),
        .activity = sample_activity(rng),
    };
}

struct check_finding sample_finding(struct rng *rng, struct wire_arena *arena)
{
    static const int statuses[] = {HF_CORRUPT, HF_MISSING, HF_NEWER, HF_IO, HF_OK};
    struct check_finding finding = {
        .status = statuses[rng_below(rng, 5)],
        .what = sample_text(rng, arena),
        .message = sample_text(rng, arena),
        .has_object = FLAG(rng),
        .has_session = FLAG(rng),
        .sid = sample_number(rng),
        .version = sample_number(rng),
    };

    if (finding.has_object)
        finding.object = sample_id(rng);
    return finding;
}

struct store_event sample_event(struct rng *rng)
{
    return (struct store_event){
        .kind = (enum event_kind)PICK(rng, EVENT_HEAD_MOVED, EVENT_HOST_LOST),
        .sid = sample_number(rng),
        .version = sample_number(rng),
        .token = sample_number(rng),
        .other_hosts = sample_word(rng),
    };
}

struct store_info sample_store_info(struct rng *rng)
{
    struct store_info info = {
        .chunker = CHUNKER_DEFAULT,
        .hasher = {.keyed = FLAG(rng)},
        .close_durability = (enum durability)PICK(rng, DURABILITY_RELAXED, DURABILITY_SYNC),
        .read_only = FLAG(rng),
    };

    info.chunker.min = (uint32_t)PICK(rng, 64, 4096);
    rng_fill(rng, info.uuid, sizeof info.uuid);
    if (info.hasher.keyed)
        rng_fill(rng, info.hasher.key, sizeof info.hasher.key);
    return info;
}

struct object sample_object(struct rng *rng, struct wire_arena *arena, size_t max)
{
    size_t len = rng_below(rng, 4) == 0 ? rng_below(rng, max + 1) : rng_below(rng, max / 16 + 1);
    uint8_t *content = wire_arena_alloc(arena, len);
    struct object object = {
        .id = sample_id(rng),
        .kind = (enum object_kind)PICK(rng, OBJECT_CHUNK, OBJECT_ROOT),
        .has_base = FLAG(rng),
        .content = slice_of(content, len),
    };

    assert(content);
    if (FLAG(rng))
        rng_text(rng, content, len);
    else
        rng_fill(rng, content, len);
    if (object.has_base)
        object.base = sample_id(rng);
    return object;
}

struct commit sample_commit(struct rng *rng, struct wire_arena *arena)
{
    size_t n = rng_below(rng, 12);
    struct object *objects = wire_arena_alloc(arena, n * sizeof *objects);

    assert(objects);
    for (size_t i = 0; i < n; i++)
        objects[i] = sample_object(rng, arena, OBJECT_MAX_SIZE);
    return (struct commit){
        .sid = sample_number(rng),
        .token = sample_number(rng),
        .base_version = sample_number(rng),
        .root = sample_id(rng),
        .objects = objects,
        .nobjects = n,
        .durability = (enum durability)PICK(rng, DURABILITY_RELAXED, DURABILITY_SYNC),
        .meta = sample_meta(rng, arena),
        .meta_strings_valid = FLAG(rng),
    };
}

struct rescue_info sample_rescue(struct rng *rng, struct wire_arena *arena)
{
    return (struct rescue_info){
        .id = sample_number(rng),
        .sid = sample_number(rng),
        .session_name = sample_text(rng, arena),
        .trashed = FLAG(rng),
        .version = sample_number(rng),
        .root = sample_id(rng),
        .time = sample_time(rng),
        .host = sample_number(rng),
        .host_name = sample_word_or_null(rng, arena),
        .token = sample_number(rng),
        .bytes = sample_number(rng),
        .files = sample_number(rng),
        .reason = sample_text(rng, arena),
    };
}

struct pin_info sample_pin(struct rng *rng, struct wire_arena *arena)
{
    return (struct pin_info){
        .sid = sample_number(rng),
        .session_name = sample_text(rng, arena),
        .version = sample_number(rng),
        .root = sample_id(rng),
        .time = sample_time(rng),
        .bytes = sample_number(rng),
        .files = sample_number(rng),
    };
}

struct session_copy sample_session_copy(struct rng *rng, struct wire_arena *arena)
{
    size_t n = rng_below(rng, 6);
    struct history_entry *versions = wire_arena_alloc(arena, n * sizeof *versions);
    struct session_copy copy = {
        .sid = sample_number(rng),
        .name = sample_text(rng, arena),
        .state = (enum session_state)PICK(rng, SESSION_LIVE, SESSION_TRASHED),
        .created = sample_time(rng),
        .trashed = sample_time(rng),
        .token = sample_number(rng),
        .versions = versions,
        .nversions = n,
        .meta = sample_meta(rng, arena),
    };

    assert(versions);
    rng_fill(rng, copy.origin, sizeof copy.origin);
    for (size_t i = 0; i < n; i++) {
        versions[i] = sample_history(rng, arena);
        versions[i].sid = copy.sid;
    }
    return copy;
}

struct snapshot_copy sample_snapshot_copy(struct rng *rng, struct wire_arena *arena)
{
    size_t n = rng_below(rng, 6);
    struct pin_info *pins = wire_arena_alloc(arena, n * sizeof *pins);
    struct snapshot_copy copy = {
        .name = sample_name(rng, arena), .time = sample_time(rng), .pins = pins, .npins = n};

    assert(pins);
    rng_fill(rng, copy.origin, sizeof copy.origin);
    for (size_t i = 0; i < n; i++)
        pins[i] = sample_pin(rng, arena);
    return copy;
}

struct collect_totals sample_totals(struct rng *rng)
{
    return (struct collect_totals){
        .roots = sample_number(rng),
        .reachable = sample_number(rng),
        .removed = sample_number(rng),
        .removed_bytes = sample_number(rng),
        .hidden = sample_number(rng),
        .freed_bytes = sample_number(rng),
        .longest_ns = sample_number(rng),
    };
}

/* --- comparing -------------------------------------------------------------------------------- */

#define SAME(field) (a->field == b->field)
#define SAME_TEXT(field) equal_text(a->field, b->field)
#define SAME_BYTES(field) (memcmp(a->field, b->field, sizeof a->field) == 0)

bool equal_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool equal_head(const struct session_head *a, const struct session_head *b)
{
    return SAME(sid) && SAME(version) && object_id_equal(&a->root, &b->root) && SAME(time) &&
           SAME(bytes) && SAME(files);
}

bool equal_lease(const struct lease *a, const struct lease *b)
{
    return SAME(sid) && SAME(token) && equal_head(&a->head, &b->head);
}

bool equal_meta(const struct session_meta *a, const struct session_meta *b)
{
    return SAME_TEXT(cwd) && SAME_TEXT(git_root) && SAME_TEXT(repository) && SAME_TEXT(branch) &&
           SAME_TEXT(name) && SAME_TEXT(created_at) && SAME_TEXT(updated_at) && SAME(bytes) &&
           SAME(files);
}

bool equal_session_info(const struct session_info *a, const struct session_info *b)
{
    return equal_head(&a->head, &b->head) && SAME_TEXT(name) && SAME(state) && SAME(created) &&
           SAME(trashed) && equal_meta(&a->meta, &b->meta) && SAME(holder) &&
           SAME_TEXT(holder_name);
}

bool equal_filter(const struct session_filter *a, const struct session_filter *b)
{
    return SAME(sid) && SAME_TEXT(name_glob) && SAME_TEXT(repository) && SAME_TEXT(branch) &&
           SAME_TEXT(cwd) && SAME_TEXT(git_root) && SAME(changed_since) && SAME(trashed) &&
           SAME_TEXT(after) && SAME(limit);
}

bool equal_history(const struct history_entry *a, const struct history_entry *b)
{
    return SAME(sid) && SAME(version) && object_id_equal(&a->root, &b->root) && SAME(time) &&
           SAME(host) && SAME_TEXT(host_name) && SAME(token) && SAME(bytes) && SAME(files);
}

bool equal_identity(const struct host_identity *a, const struct host_identity *b)
{
    return SAME_BYTES(host_id) && SAME_BYTES(boot_id) && SAME_BYTES(mount_id) &&
           SAME(incarnation) && SAME(pid) && SAME_TEXT(host_name) && SAME_TEXT(mount_point) &&
           SAME_TEXT(principal) && SAME(ttl_ms);
}

bool equal_host_info(const struct host_info *a, const struct host_info *b)
{
    return SAME(host) && equal_identity(&a->identity, &b->identity) && SAME(alive) &&
           SAME(registered) && SAME(expires);
}

bool equal_lease_info(const struct lease_info *a, const struct lease_info *b)
{
    bool same = SAME(sid) && SAME_TEXT(session_name) && SAME(state) && SAME(token) && SAME(host) &&
                SAME_TEXT(host_name) && SAME_TEXT(mount_point) && SAME(pid) && SAME(since) &&
                SAME_TEXT(pinned_by) && SAME(holder_alive) && SAME(expires) && SAME(nwaiting);

    for (size_t i = 0; same && i < a->nwaiting; i++)
        same = SAME_TEXT(waiting[i]);
    return same;
}

bool equal_audit(const struct audit_entry *a, const struct audit_entry *b)
{
    return SAME(id) && SAME(time) && SAME(event) && SAME(sid) && SAME(host) && SAME(token) &&
           SAME_TEXT(detail);
}

bool equal_lock(const struct store_lock *a, const struct store_lock *b)
{
    return SAME(ino) && SAME(kind) && SAME(type) && SAME(start) && SAME(end) && SAME(owner) &&
           SAME(pid) && SAME(host);
}

bool equal_snapshot(const struct snapshot_info *a, const struct snapshot_info *b)
{
    return SAME_TEXT(name) && SAME(time) && SAME(sessions);
}

bool equal_root(const struct root_info *a, const struct root_info *b)
{
    return SAME(kind) && SAME(sid) && SAME_TEXT(session_name) && SAME(trashed) && SAME(version) &&
           object_id_equal(&a->root, &b->root) && SAME(time) && SAME(bytes) && SAME(files) &&
           SAME_TEXT(label) && SAME(rescue);
}

static bool equal_activity(const struct store_activity *a, const struct store_activity *b)
{
    return SAME(transactions) && SAME(syncs) && SAME(gets) && SAME(got_bytes) && SAME(puts) &&
           SAME(put_bytes) && SAME(known_hits) && SAME(known_misses) && SAME(base_hits) &&
           SAME(base_misses) && SAME(requests);
}

bool equal_stats(const struct store_stats *a, const struct store_stats *b)
{
    return SAME(sessions) && SAME(trashed) && SAME(versions) && SAME(objects) &&
           SAME(logical_bytes) && SAME(unique_bytes) && SAME(stored_bytes) && SAME(file_bytes) &&
           SAME(commits) && SAME(leases) && SAME(waiting) && SAME(connections) &&
           equal_activity(&a->activity, &b->activity);
}

bool equal_finding(const struct check_finding *a, const struct check_finding *b)
{
    return SAME(status) && SAME_TEXT(what) && SAME_TEXT(message) && SAME(has_object) &&
           (!a->has_object || object_id_equal(&a->object, &b->object)) && SAME(has_session) &&
           SAME(sid) && SAME(version);
}

bool equal_event(const struct store_event *a, const struct store_event *b)
{
    return SAME(kind) && SAME(sid) && SAME(version) && SAME(token) && SAME(other_hosts);
}

bool equal_store_info(const struct store_info *a, const struct store_info *b)
{
    return SAME_BYTES(uuid) && SAME(chunker.min) && SAME(chunker.avg) && SAME(chunker.max) &&
           SAME(hasher.keyed) && SAME_BYTES(hasher.key) && SAME(close_durability) &&
           SAME(read_only);
}

bool equal_object(const struct object *a, const struct object *b)
{
    return object_id_equal(&a->id, &b->id) && SAME(kind) && SAME(has_base) &&
           (!a->has_base || object_id_equal(&a->base, &b->base)) &&
           slice_compare(a->content, b->content) == 0;
}

bool equal_commit(const struct commit *a, const struct commit *b)
{
    bool same = SAME(sid) && SAME(token) && SAME(base_version) &&
                object_id_equal(&a->root, &b->root) && SAME(nobjects) && SAME(durability) &&
                equal_meta(&a->meta, &b->meta) && SAME(meta_strings_valid);

    for (size_t i = 0; same && i < a->nobjects; i++)
        same = equal_object(&a->objects[i], &b->objects[i]);
    return same;
}

bool equal_rescue(const struct rescue_info *a, const struct rescue_info *b)
{
    return SAME(id) && SAME(sid) && SAME_TEXT(session_name) && SAME(trashed) && SAME(version) &&
           object_id_equal(&a->root, &b->root) && SAME(time) && SAME(host) &&
           SAME_TEXT(host_name) && SAME(token) && SAME(bytes) && SAME(files) && SAME_TEXT(reason);
}

bool equal_pin(const struct pin_info *a, const struct pin_info *b)
{
    return SAME(sid) && SAME_TEXT(session_name) && SAME(version) &&
           object_id_equal(&a->root, &b->root) && SAME(time) && SAME(bytes) && SAME(files);
}

bool equal_session_copy(const struct session_copy *a, const struct session_copy *b)
{
    bool same = SAME_BYTES(origin) && SAME(sid) && SAME_TEXT(name) && SAME(state) &&
                SAME(created) && SAME(trashed) && SAME(token) && SAME(nversions) &&
                equal_meta(&a->meta, &b->meta);

    for (size_t i = 0; same && i < a->nversions; i++)
        same = equal_history(&a->versions[i], &b->versions[i]);
    return same;
}

bool equal_snapshot_copy(const struct snapshot_copy *a, const struct snapshot_copy *b)
{
    bool same = SAME_BYTES(origin) && SAME_TEXT(name) && SAME(time) && SAME(npins);

    for (size_t i = 0; same && i < a->npins; i++)
        same = equal_pin(&a->pins[i], &b->pins[i]);
    return same;
}

bool equal_totals(const struct collect_totals *a, const struct collect_totals *b)
{
    return SAME(roots) && SAME(reachable) && SAME(removed) && SAME(removed_bytes) && SAME(hidden) &&
           SAME(freed_bytes) && SAME(longest_ns);
}
