/* SPDX-License-Identifier: Apache-2.0 */
/** Many threads on one session and on several, with commits, forgets and evictions between them: meant
 *  for the thread sanitizer, and for what is left at the end. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mount.h"

#define THREADS 6
#define ROUNDS 150

struct worker_state {
    struct mount *mount;
    int number;
    int failures;
    unsigned random;
};

static void expect(struct worker_state *w, int rc)
{
    w->failures += rc != HF_OK;
}

/** Appends lines to its own log, as an agent does: open, append, close. */
static void append_line(struct worker_state *w, int round)
{
    char path[32], line[32];
    struct tree_entry entry;
    uint64_t end = 0;

    snprintf(path, sizeof path, "s/log%d", w->number);
    snprintf(line, sizeof line, "line %06d\n", round);
    if (mount_lookup(w->mount, path, &entry) == HF_OK)
        end = (uint64_t)entry.attr.st_size;
    expect(w, mount_write(w->mount, path, end, line, strlen(line)));
}

/** Comes and goes in a directory that all share. */
static void churn(struct worker_state *w, int round)
{
    char path[32], other[32];

    snprintf(path, sizeof path, "s/d/t%d-%d", w->number, round % 5);
    snprintf(other, sizeof other, "s/e%d", w->number);
    expect(w, mount_write_text(w->mount, path, "text"));
    expect(w, mount_rename(w->mount, path, other, 0));
    expect(w, mount_link(w->mount, other, path));
    expect(w, mount_unlink(w->mount, other));
    expect(w, mount_unlink(w->mount, path));
}

/** What everybody fights over; any of the plausible answers is fine. */
static void fight(struct worker_state *w)
{
    char text[64], names[4096];

    mount_mkdir(w->mount, "s/x", 0755);
    mount_write_text(w->mount, "s/x/f", "mine");
    mount_read_text(w->mount, "s/x/f", text, sizeof text);
    mount_rename(w->mount, "s/x/f", "s/x/g", 0);
    mount_unlink(w->mount, "s/x/g");
    mount_rmdir(w->mount, "s/x");
    mount_list(w->mount, "s", names, sizeof names);
}

static void *work(void *arg)
{
    struct worker_state *w = arg;
    char path[32];

    for (int i = 0; i < ROUNDS; i++) {
        append_line(w, i);
        churn(w, i);
        fight(w);
        snprintf(path, sizeof path, "own%d", w->number);
        expect(w, mount_mkdir(w->mount, path, 0755));
        expect(w, mount_rmdir(w->mount, path));
        if (i % 20 == 0)
            expect(w, tree_commit_all(w->mount->tree, i % 40 == 0, NULL));
    }
    return NULL;
}

static void check_log(struct mount *mount, int number)
{
    static char text[ROUNDS * 16];
    char path[32], line[32];

    snprintf(path, sizeof path, "s/log%d", number);
    assert_int_equal(mount_read_text(mount, path, text, sizeof text), HF_OK);
    assert_int_equal(strlen(text), ROUNDS * 12);
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(line, sizeof line, "line %06d\n", i);
        assert_memory_equal(text + i * 12, line, 12);
    }
}

static void threads_do_not_disturb_each_other(void **state)
{
    struct worker_state workers[THREADS];
    pthread_t threads[THREADS];
    struct mount mount, next;
    char names[256];

    (void)state;
    mount_open(&mount, "memory:threads");
    assert_int_equal(mount_mkdir(&mount, "s", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&mount, "s/d", 0755), HF_OK);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker_state){.mount = &mount, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(tree_close(mount.tree, NULL), HF_OK);
    mount_open(&next, "memory:threads");
    store_close(mount.store);
    for (int i = 0; i < THREADS; i++)
        check_log(&next, i);
    assert_int_equal(mount_list(&next, "s/d", names, sizeof names), HF_OK);
    assert_string_equal(names, "");
    assert_int_equal(mount_list(&next, "", names, sizeof names), HF_OK);
    assert_string_equal(names, "s ");
    assert_int_equal(mount_close(&next), HF_OK);
}

struct handover {
    struct mount *mount;
    int number;
    int written;
};

/** Two mounts want the same session all the time; who is refused tries again. */
static void *contend(void *arg)
{
    struct handover *h = arg;
    char path[32];

    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "s/h%d-%d", h->number, i);
        for (int tries = 0; tries < 2000; tries++)
            if (mount_write_text(h->mount, path, path) == HF_OK) {
                h->written++;
                break;
            }
    }
    return NULL;
}

static void lease_goes_back_and_forth_and_nothing_is_lost(void **state)
{
    struct handover handovers[2];
    struct mount a, b;
    pthread_t threads[2];
    char path[32], text[64];

    (void)state;
    mount_open(&a, "memory:handover");
    mount_open(&b, "memory:handover");
    assert_int_equal(mount_mkdir(&a, "s", 0755), HF_OK);
    for (int i = 0; i < 2; i++) {
        handovers[i] = (struct handover){.mount = i ? &a : &b, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &handovers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(handovers[i].written, 100);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "s/h%d-%d", i / 100, i % 100);
        assert_int_equal(mount_read_text(i % 2 ? &a : &b, path, text, sizeof text), HF_OK);
        assert_string_equal(text, path);
    }
    assert_int_equal(mount_close(&a), HF_OK);
    assert_int_equal(mount_close(&b), HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_disturb_each_other),
        cmocka_unit_test(lease_goes_back_and_forth_and_nothing_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
