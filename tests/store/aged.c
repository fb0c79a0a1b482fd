/* SPDX-License-Identifier: Apache-2.0 */
#include "aged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"

static int64_t now(const struct clock *clock)
{
    return ((const struct aged *)clock)->now;
}

static void expect_ok(struct aged *aged, int rc)
{
    if (rc != HF_OK)
        fail_msg("%s", aged->err.message);
}

static void new_url(struct aged *aged, const char *engine)
{
    static unsigned number;
    const char *tmp = getenv("TMPDIR");

    aged->path[0] = '\0';
    if (strcmp(engine, "memory") == 0) {
        snprintf(aged->url, sizeof aged->url, "memory:aged-%u", number++);
        return;
    }
    snprintf(aged->path, sizeof aged->path, "%s/holdfast-aged.XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(aged->path));
    snprintf(aged->url, sizeof aged->url, "sqlite:%s/s.db", aged->path);
}

void aged_open(struct aged *aged, const char *engine)
{
    const struct host_identity identity = {
        .host_id = {1}, .boot_id = {2}, .mount_id = {3}, .incarnation = 1, .host_name = "host"};

    memset(aged, 0, sizeof *aged);
    aged->clock = (struct clock){now, now};
    aged->now = 1777896000 * AGED_SECOND;
    new_url(aged, engine);
    expect_ok(aged,
              store_open(aged->url, STORE_CREATE, NULL, &aged->clock, &aged->store, &aged->err));
    expect_ok(aged, store_host_register(aged->store, &identity, NULL, &aged->host, &aged->err));
    scene_init(&aged->scene, aged->store);
}

void aged_close(struct aged *aged)
{
    static const char *const files[] = {"s.db", "s.db-wal", "s.db-shm", "s.db-bell"};

    scene_clear(&aged->scene);
    store_close(aged->store);
    for (size_t i = 0; aged->path[0] && i < sizeof files / sizeof files[0]; i++) {
        char path[200];

        snprintf(path, sizeof path, "%s/%s", aged->path, files[i]);
        unlink(path);
    }
    if (aged->path[0])
        rmdir(aged->path);
}

struct lease aged_session(struct aged *aged, const char *name, const char *text)
{
    struct object_id root;
    struct commit commit;
    struct lease lease;

    scene_clear(&aged->scene);
    root = scene_note(&aged->scene, text);
    commit = scene_commit(&aged->scene, 0, 0, 0, root);
    expect_ok(aged,
              store_session_create(aged->store, aged->host, name, &commit, &lease, &aged->err));
    return lease;
}

uint64_t aged_commit(struct aged *aged, struct lease *lease, const char *text)
{
    struct object_id root;
    struct commit commit;

    scene_clear(&aged->scene);
    root = scene_note(&aged->scene, text);
    commit = scene_commit(&aged->scene, lease->sid, lease->token, lease->head.version, root);
    expect_ok(aged,
              store_commit(aged->store, aged->host, &commit, &lease->head.version, &aged->err));
    return lease->head.version;
}

void aged_commits(struct aged *aged, struct lease *lease, unsigned n, int64_t step)
{
    for (unsigned i = 0; i < n; i++) {
        char text[64];

        aged->now += step;
        snprintf(text, sizeof text, "%llu of %llu", (unsigned long long)lease->head.version,
                 (unsigned long long)lease->sid);
        aged_commit(aged, lease, text);
    }
}

void aged_release(struct aged *aged, const struct lease *lease)
{
    expect_ok(aged,
              store_lease_release(aged->store, aged->host, lease->sid, lease->token, &aged->err));
}

void aged_delete(struct aged *aged, const struct lease *lease)
{
    expect_ok(aged,
              store_session_delete(aged->store, aged->host, lease->sid, lease->token, &aged->err));
}

uint64_t aged_rescue(struct aged *aged, const struct lease *lease, const char *text)
{
    struct object_id root;
    struct commit commit;
    uint64_t id;

    scene_clear(&aged->scene);
    root = scene_note(&aged->scene, text);
    commit = scene_commit(&aged->scene, lease->sid, lease->token, lease->head.version, root);
    expect_ok(aged, store_rescue(aged->store, aged->host, &commit, "a test", &id, &aged->err));
    return id;
}

void aged_policy(struct aged *aged, const char *text)
{
    expect_ok(aged, store_setting_set(aged->store, "retention", slice_of(text, strlen(text)),
                                      &aged->err));
}

/* --- what there is ---------------------------------------------------------------------------------- */

static char shown[4000];

static void show(const char *before, const char *text, const char *after)
{
    size_t len = strlen(shown);

    snprintf(shown + len, sizeof shown - len, "%s%s%s%s", len ? " " : "", before, text, after);
}

static int show_version(const struct history_entry *entry, void *arg)
{
    char number[32];

    (void)arg;
    snprintf(number, sizeof number, "%llu", (unsigned long long)entry->version);
    show("", number, "");
    return 0;
}

const char *aged_versions(struct aged *aged, uint64_t sid)
{
    shown[0] = '\0';
    expect_ok(aged, store_history(aged->store, sid, UINT64_MAX, 0, show_version, NULL, &aged->err));
    return shown;
}

static int show_session(const struct session_info *info, void *arg)
{
    bool trashed = info->state == SESSION_TRASHED;

    (void)arg;
    show(trashed ? "(" : "", info->name, trashed ? ")" : "");
    return 0;
}

static int count_rescue(const struct rescue_info *info, void *arg)
{
    (void)info;
    ++*(unsigned *)arg;
    return 0;
}

static int count_snapshot(const struct snapshot_info *info, void *arg)
{
    (void)info;
    ++*(unsigned *)arg;
    return 0;
}

const char *aged_contents(struct aged *aged)
{
    const struct session_filter trash = {.trashed = true};
    unsigned rescues = 0, snapshots = 0;
    char text[64];

    shown[0] = '\0';
    expect_ok(aged, store_session_list(aged->store, NULL, show_session, NULL, &aged->err));
    expect_ok(aged, store_session_list(aged->store, &trash, show_session, NULL, &aged->err));
    expect_ok(aged, store_rescue_list(aged->store, UINT64_MAX, count_rescue, &rescues, &aged->err));
    expect_ok(aged, store_snapshot_list(aged->store, count_snapshot, &snapshots, &aged->err));
    snprintf(text, sizeof text, "rescues %u snapshots %u", rescues, snapshots);
    show("", text, "");
    return shown;
}
