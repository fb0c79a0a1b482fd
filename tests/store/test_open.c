/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of stores. */
#include "engine/open.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int try_open(const char *url, unsigned flags, struct hf_error *err)
{
    struct store *store = NULL;
    int rc = store_open(url, flags, NULL, NULL, &store, err);

    if (rc == HF_OK)
        store_close(store);
    else
        assert_null(store);
    return rc;
}

static void a_url_that_names_no_store_is_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *url;
        int status;
    } bad[] = {
        {"", HF_INVAL},
        {"/some/path", HF_INVAL},
        {"sqlite", HF_INVAL},
        {"sqlite:", HF_INVAL},
        {"faulty(put@1:EIO", HF_INVAL},
        {"faulty(nonsense)+memory:", HF_INVAL},
        {"faulty()+", HF_INVAL},
        {"trace+", HF_INVAL},
        {"trace+nothing:", HF_INVAL},
        {"holdfast://host:x", HF_INVAL},
        {"postgresql://host/db", HF_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hf_error err = {0};

        if (try_open(bad[i].url, STORE_CREATE, &err) != bad[i].status)
            fail_msg("%s: %s", bad[i].url, err.message);
        assert_true(err.message[0] != '\0');
    }
}

static void a_url_that_is_too_long_is_refused(void **state)
{
    char url[3000];

    (void)state;
    memset(url, 'x', sizeof url);
    memcpy(url, "sqlite:/", 8);
    url[sizeof url - 1] = '\0';
    assert_int_equal(try_open(url, STORE_CREATE, NULL), HF_NAMETOOLONG);
}

static void bad_chunk_sizes_are_refused(void **state)
{
    struct store_create_options options = {.chunker = {.min = 10, .avg = 20, .max = 30}};
    struct store *store;

    (void)state;
    assert_int_equal(store_open("memory:", STORE_CREATE, &options, NULL, &store, NULL), HF_INVAL);
}

static void handles_of_one_name_share_a_store(void **state)
{
    struct store_create_options options = {.strict = true, .keyed = true};
    struct store *one, *two, *other;

    (void)state;
    assert_int_equal(try_open("memory:shared", 0, NULL), HF_NOENT);
    assert_int_equal(store_open("memory:shared", STORE_CREATE, &options, NULL, &one, NULL), HF_OK);
    assert_int_equal(store_open("memory:shared", 0, NULL, NULL, &two, NULL), HF_OK);
    assert_int_equal(store_open("memory:other", STORE_CREATE, NULL, NULL, &other, NULL), HF_OK);
    assert_memory_equal(store_info(one)->uuid, store_info(two)->uuid, UUID_SIZE);
    assert_memory_not_equal(store_info(one)->uuid, store_info(other)->uuid, UUID_SIZE);
    assert_true(store_info(two)->hasher.keyed);
    assert_memory_equal(&store_info(one)->hasher, &store_info(two)->hasher,
                        sizeof(struct object_hasher));
    assert_int_equal(store_info(two)->close_durability, DURABILITY_SYNC);
    assert_int_equal(store_info(other)->close_durability, DURABILITY_RELAXED);
    assert_string_equal(store_info(two)->location, "memory:shared");
    store_close(one);
    assert_int_equal(try_open("memory:shared", 0, NULL), HF_OK);
    store_close(two);
    store_close(other);
    assert_int_equal(try_open("memory:shared", 0, NULL), HF_NOENT);
    store_close(NULL);
}

static void a_copy_of_a_keyed_store_has_its_key(void **state)
{
    struct store_create_options options = {.keyed = true};
    char folder[] = "/tmp/holdfast-open-XXXXXX", url[200], command[100];
    struct store *one, *two, *three;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/two.db", folder);
    assert_int_equal(store_open("memory:", STORE_CREATE, &options, NULL, &one, NULL), HF_OK);
    options.key = store_info(one)->hasher.key;
    assert_int_equal(store_open(url, STORE_CREATE, &options, NULL, &two, NULL), HF_OK);
    assert_int_equal(store_open("memory:", STORE_CREATE, &options, NULL, &three, NULL), HF_OK);
    assert_memory_equal(&store_info(one)->hasher, &store_info(two)->hasher,
                        sizeof(struct object_hasher));
    assert_memory_equal(&store_info(one)->hasher, &store_info(three)->hasher,
                        sizeof(struct object_hasher));
    store_close(one);
    store_close(two);
    store_close(three);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void a_tenant_is_a_file_of_its_own(void **state)
{
    static const char *const bad[] = {"", "-a", "A", "a/b", "..", "a.b", "a_b"};
    char folder[] = "/tmp/holdfast-open-XXXXXX", url[200], path[200], command[100];
    struct store *plain, *tenant;
    struct hf_error err = {0};
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/store.db?tenant=blue-7", folder);
    assert_int_equal(try_open(url, 0, &err), HF_NOENT);
    snprintf(path, sizeof path, "%s/store.db.tenants", folder);
    assert_int_not_equal(stat(path, &st), 0);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, NULL, &tenant, &err), HF_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snprintf(path, sizeof path, "%s/store.db.tenants/blue-7.db", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(url, sizeof url, "sqlite:%s/store.db?tenant=default&unsafe-network=1", folder);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, NULL, &plain, &err), HF_OK);
    snprintf(path, sizeof path, "%s/store.db", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_memory_not_equal(store_info(plain)->uuid, store_info(tenant)->uuid, UUID_SIZE);
    store_close(plain);
    store_close(tenant);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(url, sizeof url, "sqlite:%s/store.db?tenant=%s", folder, bad[i]);
        if (try_open(url, STORE_CREATE, &err) != HF_INVAL)
            fail_msg("the tenant '%s' is taken", bad[i]);
    }
    snprintf(url, sizeof url, "sqlite:%s/store.db?tenant=%064d", folder, 0);
    assert_int_equal(try_open(url, STORE_CREATE, &err), HF_INVAL);
    snprintf(url, sizeof url, "sqlite:%s/store.db?tenant=%063d", folder, 0);
    assert_int_equal(try_open(url, STORE_CREATE, &err), HF_OK);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void decorators_nest(void **state)
{
    struct store *store;

    (void)state;
    assert_int_equal(store_open("faulty(any@9:EIO)+faulty()+memory:nested", STORE_CREATE, NULL,
                                NULL, &store, NULL),
                     HF_OK);
    assert_string_equal(store_info(store)->location, "faulty(any@9:EIO)+faulty()+memory:nested");
    store_close(store);
}

static void the_default_store_is_where_xdg_says(void **state)
{
    char folder[] = "/tmp/holdfast-open-XXXXXX", expected[200], path[200];
    BUF_AUTO url = {0};
    struct stat made;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b", folder);
    setenv("XDG_DATA_HOME", path, 1);
    assert_int_equal(store_default_url(false, &url, NULL), HF_OK);
    snprintf(expected, sizeof expected, "sqlite:%s/holdfast/store.db", path);
    assert_string_equal((char *)url.data, expected);
    snprintf(path, sizeof path, "%s/a", folder);
    assert_int_not_equal(stat(path, &made), 0);
    buf_free(&url);

    assert_int_equal(store_default_url(true, &url, NULL), HF_OK);
    assert_string_equal((char *)url.data, expected);
    snprintf(path, sizeof path, "%s/a/b/holdfast", folder);
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_mode & 07777, 0700);
    assert_int_equal(store_default_url(true, &url, NULL), HF_OK); /* again, and it is there */
    rmdir(path);
    snprintf(path, sizeof path, "%s/a/b", folder);
    rmdir(path);
    snprintf(path, sizeof path, "%s/a", folder);
    rmdir(path);
    rmdir(folder);
}

static void without_xdg_it_is_below_home(void **state)
{
    BUF_AUTO url = {0};
    struct hf_error err;

    (void)state;
    setenv("XDG_DATA_HOME", "relative/is/ignored", 1);
    setenv("HOME", "/home/somebody", 1);
    assert_int_equal(store_default_url(false, &url, NULL), HF_OK);
    assert_string_equal((char *)url.data, "sqlite:/home/somebody/.local/share/holdfast/store.db");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    assert_int_equal(store_default_url(false, &url, &err), HF_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_that_names_no_store_is_refused_with_a_sentence),
        cmocka_unit_test(a_url_that_is_too_long_is_refused),
        cmocka_unit_test(bad_chunk_sizes_are_refused),
        cmocka_unit_test(handles_of_one_name_share_a_store),
        cmocka_unit_test(a_copy_of_a_keyed_store_has_its_key),
        cmocka_unit_test(a_tenant_is_a_file_of_its_own),
        cmocka_unit_test(decorators_nest),
        cmocka_unit_test(the_default_store_is_where_xdg_says),
        cmocka_unit_test(without_xdg_it_is_below_home),
    };

    return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
