/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single bits flipped anywhere in the file of an embedded store. Each must be reported (when the store is
 * opened, by fsck, or by a read) or change nothing that can be read: none may read back silently
 * different.
 *
 * Half of them are anywhere, half in the pages with rows that no content hash covers. HOLDFAST_FLIPS sets
 * their number, HOLDFAST_SEED the seed; HOLDFAST_FLIPS_TELL shows what only fsck tells of.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/htable.h"
#include "contract.h"
#include "dump.h"
#include "engine/open.h"
#include "store/fsck.h"

#define FLIPS 400
#define OBJECTS_MAX 4000
#define PAGES_MAX 1000
#define PAGE 4096

struct damage {
    char folder[64], path[128], copy[128];
    struct buf file;  /* the sound store's file */
    struct buf sound; /* its dump */
    struct object_id ids[OBJECTS_MAX];
    size_t nids;
    struct object_id roots[OBJECTS_MAX];
    size_t nroots;
    size_t row_pages[PAGES_MAX]; /* offsets of pages with rows that no content hash covers */
    size_t nrow_pages;
    uint64_t seed;
    unsigned opening, reading, checking, misread, harmless;
};

/* --- the store ------------------------------------------------------------------------------------------------- */

static void remember(struct damage *damage, const struct scene *scene)
{
    for (size_t i = 0; i < scene->n && damage->nids < OBJECTS_MAX; i++) {
        damage->ids[damage->nids++] = scene->objects[i].id;
        if (scene->objects[i].kind == OBJECT_ROOT)
            damage->roots[damage->nroots++] = scene->objects[i].id;
    }
}

/* A log that grows, each version of its last chunk stored against the one before. */
static void commit_log(struct damage *damage, struct fixture *fixture, struct lease *lease,
                       size_t len)
{
    static uint8_t log[100000];
    struct scene *scene = &fixture->scene;
    struct object_id before = {{0}};
    struct scene_node files[] = {
        {.name = "events.jsonl", .data = log, .len = len, .xattr = "a note"},
        {.name = "plan.md", .data = "the plan", .len = 8},
    };
    struct commit commit;

    scene_fill(lease->sid, log, len);
    if (scene->n > 0 && scene->objects[0].kind == OBJECT_CHUNK)
        before = scene->objects[0].id;
    scene_clear(scene);
    commit = scene_commit(scene, lease->sid, lease->token, lease->head.version,
                          scene_root(scene, files, 2));
    commit.objects = scene->objects;
    commit.nobjects = scene->n;
    commit.meta = (struct session_meta){
        .cwd = "/src/project",
        .git_root = "/src",
        .repository = "org/project",
        .branch = "main",
        .created_at = "2026-01-01",
        .bytes = scene->bytes,
        .files = scene->files,
    };
    commit.meta_strings_valid = true;
    scene->objects[0].has_base = true;
    scene->objects[0].base = before;
    remember(damage, scene);
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &lease->head.version,
                                  &fixture->err),
                     HF_OK);
}

static void fill_sessions(struct damage *damage, struct fixture *fixture)
{
    for (int i = 0; i < 12; i++) {
        struct lease lease;
        char name[40];

        snprintf(name, sizeof name, "squadron-issue-%d", i);
        lease = contract_session(fixture, &fixture->a, name, "the first note");
        remember(damage, &fixture->scene);
        for (int v = 0; v < 12; v++)
            commit_log(damage, fixture, &lease, (size_t)(2000 + 700 * v + 1500 * (i % 3)));
        if (i % 4 == 3)
            assert_int_equal(store_session_delete(fixture->a.store, fixture->a.host, lease.sid,
                                                  lease.token, NULL),
                             HF_OK);
        if (i == 5)
            assert_int_equal(store_snapshot_create(fixture->a.store, "monday", NULL, 0, NULL),
                             HF_OK);
    }
}

static void fill_rest(struct damage *damage, struct fixture *fixture)
{
    struct store_lock lock = {
        .ino = 9, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .start = 5, .end = 99, .owner = 1};
    struct scene *scene = &fixture->scene;
    struct commit commit;
    struct lease lease;
    uint64_t id;

    lease = contract_session(fixture, &fixture->a, "rescued", "one");
    remember(damage, scene);
    assert_int_equal(store_lease_break(fixture->a.store, lease.sid, lease.token, "a test", NULL),
                     HF_OK);
    scene_clear(scene);
    commit = scene_commit(scene, lease.sid, lease.token, 1, scene_note(scene, "rescued work"));
    commit.meta.bytes = scene->bytes;
    commit.meta.files = scene->files;
    commit.objects = scene->objects;
    commit.nobjects = scene->n;
    remember(damage, scene);
    assert_int_equal(
        store_rescue(fixture->a.store, fixture->a.host, &commit, "the lease was lost", &id, NULL),
        HF_OK);
    commit.sid = commit.token = commit.base_version = 0;
    assert_int_equal(store_commit(fixture->a.store, fixture->a.host, &commit, &id, NULL), HF_OK);
    assert_int_equal(store_snapshot_create(fixture->a.store, "everything", NULL, 0, NULL), HF_OK);
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &lock, NULL, NULL), HF_OK);
    assert_int_equal(store_setting_set(fixture->a.store, "one", slice_of("a test", 6), NULL),
                     HF_OK);
}

static void read_file(const char *path, struct buf *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0);
    do {
        assert_int_equal(buf_reserve(ret_bytes, 65536), HF_OK);
        n = read(fd, ret_bytes->data + ret_bytes->len, 65536);
        assert_true(n >= 0);
        ret_bytes->len += (size_t)n;
    } while (n > 0);
    close(fd);
}

static bool has_rows(const struct damage *damage, const uint8_t *page)
{
    static const char *const texts[] = {"squadron-issue", "org/project", "host-", "monday",
                                        "a test"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (memmem(page, PAGE, texts[i], strlen(texts[i])))
            return true;
    for (size_t i = 0; i < damage->nroots; i++)
        if (memmem(page, PAGE, damage->roots[i].bytes, OBJECT_ID_SIZE))
            return true;
    return false;
}

/* Most of the file is objects. Rows of sessions, history, leases ... are told by what stands in them. */
static void find_row_pages(struct damage *damage)
{
    for (size_t at = 0; at + PAGE <= damage->file.len && damage->nrow_pages < PAGES_MAX; at += PAGE)
        if (has_rows(damage, damage->file.data + at))
            damage->row_pages[damage->nrow_pages++] = at;
    assert_true(damage->nrow_pages > 4);
}

/* A store as a host that was killed leaves it: with a lease and a lock held by the dead. */
static void make_store(struct damage *damage)
{
    static struct fixture fixture;
    struct store *store;
    int pid;

    snprintf(damage->folder, sizeof damage->folder, "/tmp/holdfast-flips-XXXXXX");
    assert_non_null(mkdtemp(damage->folder));
    snprintf(damage->path, sizeof damage->path, "%s/store.db", damage->folder);
    snprintf(damage->copy, sizeof damage->copy, "%s/copy.db", damage->folder);
    snprintf(fixture.url, sizeof fixture.url, "sqlite:%s", damage->path);
    contract_mount(&fixture, &fixture.a, "host-a");
    scene_init(&fixture.scene, fixture.a.store);
    fill_sessions(damage, &fixture);
    fill_rest(damage, &fixture);
    contract_unmount(&fixture.a);
    scene_clear(&fixture.scene);
    pid = contract_start_holder(fixture.url, "squadron-issue-2");
    contract_kill_holder(pid);
    /* The last one to close it puts everything into the one file. */
    assert_int_equal(store_open(fixture.url, 0, NULL, NULL, &store, &fixture.err), HF_OK);
    store_close(store);
    read_file(damage->path, &damage->file);
    find_row_pages(damage);
}

/* --- flips -------------------------------------------------------------------------------------------------------- */

static int count_finding(const struct check_finding *finding, void *arg)
{
    (void)finding;
    ++*(unsigned *)arg;
    return 0;
}

static void write_copy(struct damage *damage)
{
    static const char *const ends[] = {"-wal", "-shm", "-bell"};
    char name[200];
    size_t done = 0;
    int fd;

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", damage->copy, ends[i]);
        unlink(name);
    }
    fd = open(damage->copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (done < damage->file.len) {
        ssize_t n = write(fd, damage->file.data + done, damage->file.len - done);

        assert_true(n > 0);
        done += (size_t)n;
    }
    close(fd);
}

enum outcome {
    OPENING,  /* refused when opened */
    READING,  /* told by a read */
    CHECKING, /* told by fsck alone, and nothing reads differently */
    MISREAD,  /* told by fsck alone: rows that are left out, say */
    SAME,     /* told by nobody, and nothing reads differently */
    DIFFERENT,
};

/* What becomes of a store whose file is damage->file as it is now. */
static enum outcome look(struct damage *damage, struct buf *dump)
{
    unsigned findings = 0;
    struct fsck_options options = {.report = count_finding, .report_arg = &findings};
    struct fsck_totals totals;
    struct hf_error err = {0};
    enum outcome outcome;
    struct store *store;
    char url[200];
    bool same;
    int rc;

    write_copy(damage);
    snprintf(url, sizeof url, "sqlite:%s", damage->copy);
    if (store_open(url, STORE_READ_ONLY, NULL, NULL, &store, &err) != HF_OK) {
        assert_true(err.message[0] != '\0');
        return OPENING;
    }
    rc = store_dump(store, damage->ids, damage->nids, dump, &err);
    same = slice_compare(buf_slice(dump), buf_slice(&damage->sound)) == 0;
    if (rc != HF_OK)
        outcome = READING;
    else if (fsck_run(store, &options, &totals, &err) != HF_OK || findings > 0)
        outcome = same ? CHECKING : MISREAD;
    else
        outcome = same ? SAME : DIFFERENT;
    store_close(store);
    return outcome;
}

static void print_difference(const struct damage *damage, const struct buf *dump, size_t at,
                             int bit)
{
    size_t i = 0, from;

    while (i < dump->len && i < damage->sound.len && dump->data[i] == damage->sound.data[i])
        i++;
    from = i > 150 ? i - 150 : 0;
    print_message("bit %d of byte %zu of page %zu reads back different, near:\n%.*s\n---\n%.*s\n",
                  bit, at % PAGE, at / PAGE + 1, 300, (const char *)damage->sound.data + from, 300,
                  (const char *)dump->data + from);
}

static void flip_one(struct damage *damage, size_t at, int bit)
{
    BUF_AUTO dump = {0};

    damage->file.data[at] ^= (uint8_t)(1U << bit);
    switch (look(damage, &dump)) {
    case OPENING:
        damage->opening++;
        break;
    case READING:
        damage->reading++;
        break;
    case CHECKING:
        damage->checking++;
        break;
    case MISREAD:
        damage->misread++;
        if (getenv("HOLDFAST_FLIPS_TELL"))
            print_difference(damage, &dump, at, bit);
        break;
    case SAME:
        damage->harmless++;
        break;
    case DIFFERENT:
        print_difference(damage, &dump, at, bit);
        fail_msg("and nobody tells of it");
    }
    damage->file.data[at] ^= (uint8_t)(1U << bit);
}

static uint64_t next_random(struct damage *damage)
{
    damage->seed += 0x9e3779b97f4a7c15ULL;
    return htable_hash_u64(damage->seed);
}

static unsigned number_from(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void no_flipped_bit_reads_back_silently_different(void **state)
{
    struct damage *damage = *state;
    unsigned flips = number_from("HOLDFAST_FLIPS", FLIPS);

    damage->seed = number_from("HOLDFAST_SEED", 0);
    if (damage->seed == 0)
        assert_int_equal(getrandom(&damage->seed, 4, 0), 4);
    damage->opening = damage->reading = damage->checking = damage->misread = damage->harmless = 0;
    print_message("seed %llu, %zu bytes, %zu pages of rows\n", (unsigned long long)damage->seed,
                  damage->file.len, damage->nrow_pages);
    for (unsigned i = 0; i < flips; i++) {
        size_t at = next_random(damage) % damage->file.len;

        if (i % 2 == 1)
            at = damage->row_pages[at % damage->nrow_pages] + next_random(damage) % PAGE;
        flip_one(damage, at, (int)(next_random(damage) % 8));
    }
    print_message(
        "%u flips: %u refused when opened, %u told by reads, %u by fsck alone (of which %u "
        "read differently), %u harmless\n",
        flips, damage->opening, damage->reading, damage->checking + damage->misread,
        damage->misread, damage->harmless);
}

/* The file's header is small, and says how to read all the rest. */
static void no_flipped_bit_of_the_header_reads_back_silently_different(void **state)
{
    struct damage *damage = *state;

    for (size_t at = 0; at < 100; at++)
        flip_one(damage, at, (int)(next_random(damage) % 8));
}

static void the_store_as_it_was_is_sound(void **state)
{
    struct damage *damage = *state;
    BUF_AUTO dump = {0};

    assert_int_equal(look(damage, &dump), SAME);
}

static int setup(void **state)
{
    static struct damage damage;
    struct store *store;
    struct hf_error err;
    char url[200];

    make_store(&damage);
    snprintf(url, sizeof url, "sqlite:%s", damage.copy);
    write_copy(&damage);
    assert_int_equal(store_open(url, STORE_READ_ONLY, NULL, NULL, &store, &err), HF_OK);
    if (store_dump(store, damage.ids, damage.nids, &damage.sound, &err) != HF_OK)
        fail_msg("the sound store cannot be read: %s", err.message);
    store_close(store);
    *state = &damage;
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    struct damage *damage = *state;
    char name[200];

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", damage->path, ends[i]);
        unlink(name);
        snprintf(name, sizeof name, "%s%s", damage->copy, ends[i]);
        unlink(name);
    }
    rmdir(damage->folder);
    buf_free(&damage->file);
    buf_free(&damage->sound);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_as_it_was_is_sound),
        cmocka_unit_test(no_flipped_bit_of_the_header_reads_back_silently_different),
        cmocka_unit_test(no_flipped_bit_reads_back_silently_different),
    };

    return contract_is_holder(argc, argv)
               ? contract_hold(argv)
               : cmocka_run_group_tests_name("bit flips", tests, setup, teardown);
}
