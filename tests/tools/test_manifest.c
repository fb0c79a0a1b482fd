/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "manifest.h"
#include "object/node.h"

#define ROUNDS 20000

static struct manifest_file *add(struct manifest *manifest, const char *path, uint32_t mode)
{
    struct manifest_file *file = manifest_add(manifest, path);

    assert_non_null(file);
    file->mode = mode;
    file->mtime = 1580702706789012345;
    return file;
}

/* One of each kind. */
static struct manifest sample(void)
{
    struct manifest manifest = {.producer = strdup("holdfast"),
                                .client_version = strdup("1.0.1"),
                                .session = strdup("alpha"),
                                .root = strdup("00ff"),
                                .version = 7,
                                .time = 1580702706000000000,
                                .mode = 0700,
                                .mtime = -1};
    struct manifest_file *file;

    add(&manifest, "dir", S_IFDIR | 0750);
    file = add(&manifest, "dir/file", S_IFREG | 0640);
    file->size = manifest.bytes = 12;
    memset(file->sha256, 0xab, sizeof file->sha256);
    assert_int_equal(
        xattr_block_append(&file->xattrs, slice_of("user.a", 6), slice_of("\0\377", 2)), 0);
    file = add(&manifest, "dir/other", S_IFREG);
    file->hard_link = true;
    file->target = strdup("dir/file");
    file = add(&manifest, "dir/up", S_IFLNK | 0777);
    file->target = strdup("../dir/./file");
    add(&manifest, "ünïcode", S_IFDIR | 04755);
    return manifest;
}

static void assert_same(const struct manifest *a, const struct manifest *b)
{
    assert_string_equal(a->session, b->session);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->time, b->time);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->mtime, b->mtime);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct manifest_file *x = &a->files[i], *y = &b->files[i];

        assert_string_equal(x->path, y->path);
        assert_int_equal(x->mode, y->mode);
        assert_int_equal(x->hard_link, y->hard_link);
        assert_int_equal(x->size, y->size);
        assert_memory_equal(x->sha256, y->sha256, sizeof x->sha256);
        assert_int_equal(x->xattrs.len, y->xattrs.len);
        if (x->xattrs.len)
            assert_memory_equal(x->xattrs.data, y->xattrs.data, x->xattrs.len);
        if (!x->hard_link)
            assert_int_equal(x->mtime, y->mtime);
        if (x->target)
            assert_string_equal(x->target, y->target);
        else
            assert_null(y->target);
    }
}

static void what_is_written_is_read(void **state)
{
    struct manifest manifest = sample(), again;
    BUF_AUTO text = {0};

    (void)state;
    assert_int_equal(manifest_write(&manifest, &text, NULL), 0);
    assert_int_equal(manifest_read(buf_slice(&text), &again, NULL), 0);
    assert_same(&manifest, &again);
    manifest_free(&manifest);
    manifest_free(&again);
}

static void a_name_that_is_not_utf8_is_refused(void **state)
{
    struct manifest manifest = sample();
    struct hf_error err;
    BUF_AUTO text = {0};

    (void)state;
    add(&manifest, "a\377", S_IFDIR | 0700);
    assert_int_equal(manifest_write(&manifest, &text, &err), HF_INVAL);
    assert_non_null(strstr(err.message, "is not UTF-8"));
    manifest_free(&manifest);
}

/* Whatever is done to a manifest, it is read or refused with a sentence; and what is read can be written. */
static void garbage_is_refused_and_harms_nobody(void **state)
{
    const char *given = getenv("HOLDFAST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL), read = 0;
    struct manifest manifest = sample();
    BUF_AUTO text = {0};

    (void)state;
    printf("seed %u\n", seed);
    srandom(seed);
    assert_int_equal(manifest_write(&manifest, &text, NULL), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        BUF_AUTO changed = {0}, written = {0};
        struct manifest got;
        struct hf_error err = {0};

        assert_int_equal(buf_append(&changed, text.data, text.len), 0);
        for (long n = random() % 3; n >= 0; n--)
            changed.data[(size_t)random() % changed.len] =
                (uint8_t) "/.\"0a9\\{}[],:\0\377 "[random() % 17];
        if (manifest_read(buf_slice(&changed), &got, &err) != 0) {
            assert_int_not_equal(err.message[0], '\0');
            continue;
        }
        read++;
        assert_int_equal(manifest_write(&got, &written, &err), 0);
        manifest_free(&got);
    }
    assert_true(read > 0);
    manifest_free(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_name_that_is_not_utf8_is_refused),
        cmocka_unit_test(garbage_is_refused_and_harms_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
