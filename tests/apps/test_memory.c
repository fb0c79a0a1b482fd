/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The mount's own memory stays within its bound: for a large file, for very many sessions, for a very large
 * directory. Anonymous and shared pages of the daemon, sampled all the while.
 *
 *     test_memory [--full]
 *
 * Without --full the loads are a part of what is promised (4 GiB, 100,000 sessions) and so is the bound.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"
#include "mounted.h"
#include "scene.h"

#define MIB (1ULL << 20)
#define SAMPLE_NS 5000000

static struct scale {
    const char *options; /* of the mount */
    uint64_t bound;      /* of its memory */
    uint64_t file_bytes;
    unsigned sessions;
    unsigned entries;
    unsigned directories; /* of 300 files each */
} scale = {"memory=96M", 96 * MIB, 512 * MIB, 12000, 30000, 1000};

static const struct scale full_scale = {"defaults", 256 * MIB, 4096 * MIB, 100000, 100000, 3000};

/* --- measuring ------------------------------------------------------------------------------------ */

static struct sampler {
    pthread_t thread;
    pid_t pid;
    atomic_bool stop;
    uint64_t highest; /* of the thread; read after its end */
} sampler;

static uint64_t own_memory(pid_t pid)
{
    char path[64], line[128];
    uint64_t sum = 0;
    unsigned long long kib;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %llu", &kib) == 1 || sscanf(line, "RssShmem: %llu", &kib) == 1)
            sum += kib * 1024;
    if (f)
        fclose(f);
    return sum;
}

static void *sample(void *arg)
{
    const struct timespec pause = {.tv_nsec = SAMPLE_NS};

    (void)arg;
    while (!atomic_load(&sampler.stop)) {
        uint64_t now = own_memory(sampler.pid);

        if (now > sampler.highest)
            sampler.highest = now;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void start_sampling(const struct mounted *m)
{
    sampler.pid = mounted_daemon(m);
    assert_true(sampler.pid > 0);
    sampler.highest = own_memory(sampler.pid);
    assert_true(sampler.highest > 0);
    atomic_store(&sampler.stop, false);
    assert_int_equal(pthread_create(&sampler.thread, NULL, sample, NULL), 0);
}

static void assert_within_bound(const char *what)
{
    atomic_store(&sampler.stop, true);
    pthread_join(sampler.thread, NULL);
    print_message("%s: at most %.1f MiB of %llu MiB, %.1f MiB at the end\n", what,
                  (double)sampler.highest / (double)MIB, (unsigned long long)(scale.bound / MIB),
                  (double)own_memory(sampler.pid) / (double)MIB);
    assert_true(sampler.highest <= scale.bound);
}

static void assert_room(const struct mounted *m, uint64_t bytes)
{
    struct statvfs fs;

    assert_int_equal(statvfs(m->dir, &fs), 0);
    if ((uint64_t)fs.f_bavail * fs.f_frsize < bytes) {
        print_message("not enough room below %s\n", m->dir);
        skip();
    }
}

/* --- a large file --------------------------------------------------------------------------------- */

/** Block `n` of a file without two equal chunks, and of which nothing can be compressed. */
static void fill(uint64_t n, uint64_t *ret_words, size_t count)
{
    uint64_t x = n * 0x9E3779B97F4A7C15ULL + 1;

    for (size_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        ret_words[i] = x * 0x2545F4914F6CDD1DULL;
    }
}

static void write_large(const char *path)
{
    static uint64_t block[MIB / sizeof(uint64_t)];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    assert_true(fd >= 0);
    for (uint64_t n = 0; n < scale.file_bytes / sizeof block; n++) {
        fill(n, block, MIB / sizeof(uint64_t));
        assert_int_equal(write(fd, block, sizeof block), sizeof block);
    }
    assert_int_equal(close(fd), 0);
}

static void read_large(const char *path)
{
    static uint64_t block[MIB / sizeof(uint64_t)], expected[MIB / sizeof(uint64_t)];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    for (uint64_t n = 0; n < scale.file_bytes / sizeof block; n++) {
        fill(n, expected, MIB / sizeof(uint64_t));
        assert_int_equal(read(fd, block, sizeof block), sizeof block);
        assert_memory_equal(block, expected, sizeof block);
    }
    assert_int_equal(read(fd, block, 1), 0);
    close(fd);
}

static void a_large_file(void **state)
{
    struct mounted *m = *state;

    assert_room(m, 2 * scale.file_bytes);
    mounted_start(m, scale.options);
    start_sampling(m);
    write_large(mounted_path(m, "large"));
    assert_within_bound("writing a large file");
    mounted_stop(m);

    mounted_start(m, scale.options); /* so that nothing is read from the kernel's memory */
    start_sampling(m);
    read_large(mounted_path(m, "large"));
    assert_within_bound("reading a large file");
    assert_int_equal(unlink(mounted_path(m, "large")), 0);
    mounted_stop(m);
}

/* --- many sessions -------------------------------------------------------------------------------- */

static void session_name(unsigned n, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "5e551010-0000-4000-8000-%012x", n);
}

static void make_session(struct store *store, unsigned n)
{
    char name[64], workspace[512], events[800];
    struct scene_node nodes[] = {{.name = "events.jsonl", .data = events, .len = sizeof events},
                                 {.name = "workspace.yaml", .data = workspace}};
    struct scene scene;
    struct commit first;
    struct lease lease;

    session_name(n, name, sizeof name);
    nodes[1].len = (size_t)snprintf(workspace, sizeof workspace,
                                    "id: %s\ncwd: /home/user/project-%u\nbranch: main\n"
                                    "created_at: 2026-01-01T00:00:00Z\n",
                                    name, n % 100);
    scene_fill(n, events, sizeof events);
    scene_init(&scene, store);
    first = scene_commit(&scene, 0, 0, 0, scene_root(&scene, nodes, 2));
    assert_int_equal(store_session_create(store, 0, name, &first, &lease, NULL), 0);
    scene_clear(&scene);
}

static void make_sessions(const struct mounted *m)
{
    struct store *store;

    assert_int_equal(store_open(m->url, STORE_CREATE, NULL, NULL, &store, NULL), 0);
    for (unsigned n = 0; n < scale.sessions; n++)
        make_session(store, n);
    store_close(store);
}

/** What `ls -l` and `find` do: every name, and its attributes. Returns the number of names. */
static unsigned look_at(const char *dir)
{
    DIR *stream = opendir(dir);
    const struct dirent *entry;
    struct stat st;
    unsigned n = 0;

    assert_non_null(stream);
    while ((entry = readdir(stream))) {
        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        n++;
    }
    closedir(stream);
    return n;
}

/** What the client does to list its sessions, for one of them. */
static void list_session(const char *dir)
{
    char path[PATH_MAX], text[1024];
    struct stat st;

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/events.jsonl", dir);
        assert_int_equal(stat(path, &st), 0);
        read_file(path, text, sizeof text);
        assert_int_equal(strlen(text) > 0, 1);
    }
    snprintf(path, sizeof path, "%s/workspace.yaml", dir);
    read_file(path, text, sizeof text);
    assert_non_null(strstr(text, "cwd: "));
    snprintf(path, sizeof path, "%s/.detached", dir);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(errno, ENOENT);
}

static void many_sessions(void **state)
{
    struct mounted *m = *state;
    char dir[PATH_MAX], name[64];

    make_sessions(m);
    mounted_start(m, scale.options);
    start_sampling(m);
    assert_int_equal(look_at(m->point), scale.sessions + 1);
    for (unsigned n = 0; n < scale.sessions; n++) {
        session_name(n, name, sizeof name);
        snprintf(dir, sizeof dir, "%s/%s", m->point, name);
        assert_int_equal(look_at(dir), 2);
        list_session(dir);
    }
    assert_int_equal(look_at(m->point), scale.sessions + 1);
    assert_within_bound("walking many sessions");
    mounted_stop(m);
}

/* --- a large directory ---------------------------------------------------------------------------- */

static void entry_path(const struct mounted *m, unsigned n, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/large/an entry with a name of some length %u", m->session, n);
}

static void a_large_directory(void **state)
{
    struct mounted *m = *state;
    char path[PATH_MAX];

    mounted_start(m, scale.options);
    assert_int_equal(mkdir(mounted_path(m, "large"), 0755), 0);
    start_sampling(m);
    for (unsigned n = 0; n < scale.entries; n++) {
        entry_path(m, n, path, sizeof path);
        assert_int_equal(mknod(path, S_IFREG | 0644, 0), 0);
    }
    assert_int_equal(look_at(mounted_path(m, "large")), scale.entries);
    assert_within_bound("making a large directory");
    mounted_stop(m);

    mounted_start(m, scale.options);
    start_sampling(m);
    for (int i = 0; i < 2; i++)
        assert_int_equal(look_at(mounted_path(m, "large")), scale.entries);
    for (unsigned n = 0; n < scale.entries; n++) {
        entry_path(m, n, path, sizeof path);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(look_at(mounted_path(m, "large")), 0);
    assert_int_equal(rmdir(mounted_path(m, "large")), 0);
    assert_within_bound("listing and emptying a large directory");
    mounted_stop(m);
}

/* --- many directories ----------------------------------------------------------------------------- */

#define FILES 300

static void name_nodes(struct scene_node *nodes, char (*names)[16], unsigned n, const char *prefix)
{
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%s-%04u", prefix, i);
        nodes[i].name = names[i];
    }
}

/** A session with very many files, made at once. */
static void make_directories(const struct mounted *m)
{
    static struct scene_node files[FILES];
    static char file_names[FILES][16], text[900];
    struct scene_node *dirs = calloc(scale.directories, sizeof *dirs);
    char(*dir_names)[16] = calloc(scale.directories, sizeof *dir_names);
    struct store *store;
    struct scene scene;
    struct commit first;
    struct lease lease;

    assert_true(dirs && dir_names);
    scene_fill(1, text, sizeof text);
    name_nodes(files, file_names, FILES, "file");
    for (unsigned i = 0; i < FILES; i++) {
        files[i].data = text;
        files[i].len = sizeof text;
    }
    name_nodes(dirs, dir_names, scale.directories, "dir");
    for (unsigned i = 0; i < scale.directories; i++) {
        dirs[i].directory = true;
        dirs[i].children = files;
        dirs[i].nchildren = FILES;
    }
    assert_int_equal(store_open(m->url, STORE_CREATE, NULL, NULL, &store, NULL), 0);
    scene_init(&scene, store);
    first = scene_commit(&scene, 0, 0, 0, scene_root(&scene, dirs, scale.directories));
    assert_int_equal(store_session_create(store, 0, "s", &first, &lease, NULL), 0);
    scene_clear(&scene);
    store_close(store);
    free(dirs);
    free(dir_names);
}

/** As `find -name`: without attributes, which leaves the kernel with few inodes and us with directories. */
static void count_names(const char *path)
{
    DIR *stream = opendir(path);
    unsigned n = 0;

    assert_non_null(stream);
    while (readdir(stream))
        n++;
    closedir(stream);
    assert_int_equal(n, FILES + 2);
}

static void many_directories(void **state)
{
    struct mounted *m = *state;
    char name[16];

    make_directories(m);
    mounted_start(m, scale.options);
    start_sampling(m);
    for (unsigned i = 0; i < scale.directories; i++) {
        snprintf(name, sizeof name, "dir-%04u", i);
        count_names(mounted_path(m, name));
    }
    assert_within_bound("listing the names in many directories");
    start_sampling(m);
    for (unsigned i = 0; i < scale.directories; i++) {
        snprintf(name, sizeof name, "dir-%04u", i);
        assert_int_equal(look_at(mounted_path(m, name)), FILES);
    }
    assert_within_bound("listing the attributes in many directories");
    mounted_stop(m);
}

static int prepare(void **state)
{
    static struct mounted m;

    mounted_prepare(&m);
    *state = &m;
    return 0;
}

static int finish(void **state)
{
    mounted_remove(*state);
    return 0;
}

int main(int argc, char *argv[])
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, finish)
    const struct CMUnitTest tests[] = {
        TEST(many_directories),
        TEST(a_large_directory),
        TEST(many_sessions),
        TEST(a_large_file),
    };

    if (argc > 1 && strcmp(argv[1], "--full") == 0)
        scale = full_scale;
    mounted_require();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
