/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from a workspace.yaml, whatever is in it. */
#include "store/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/htable.h"
#include "holdfast/error.h"

static struct meta_strings parse_bytes(const void *bytes, size_t len)
{
    struct meta_strings strings;

    assert_int_equal(meta_parse(slice_of(bytes, len), &strings), HF_OK);
    return strings;
}

static struct meta_strings parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

/* The value that `text` gives for cwd; NULL: none. */
static void assert_cwd(const char *text, const char *expected)
{
    struct meta_strings strings = parse(text);

    if (expected) {
        assert_non_null(strings.cwd);
        assert_string_equal(strings.cwd, expected);
    } else {
        assert_null(strings.cwd);
    }
    meta_strings_free(&strings);
}

static void the_known_keys_are_taken(void **state)
{
    struct meta_strings strings = parse("id: 7f3a\n"
                                        "cwd: /home/u/project\n"
                                        "git_root: \"/home/u\"\n"
                                        "repository: 'org/project'\n"
                                        "branch: main\n"
                                        "name: |\n  a name\n"
                                        "created_at: 2026-01-31T09:00:00.000Z\n"
                                        "updated_at: 2026-02-01T10:00:00.000Z\n"
                                        "unknown: {nested: [1, 2, {cwd: inner}]}\n");
    struct session_meta meta = {.bytes = 5, .files = 2};

    (void)state;
    meta_strings_lend(&strings, &meta);
    assert_string_equal(meta.cwd, "/home/u/project");
    assert_string_equal(meta.git_root, "/home/u");
    assert_string_equal(meta.repository, "org/project");
    assert_string_equal(meta.branch, "main");
    assert_string_equal(meta.name, "a name\n");
    assert_string_equal(meta.created_at, "2026-01-31T09:00:00.000Z");
    assert_string_equal(meta.updated_at, "2026-02-01T10:00:00.000Z");
    assert_int_equal(meta.bytes, 5);
    meta_strings_free(&strings);
}

static void what_is_no_scalar_or_null_is_not_taken(void **state)
{
    (void)state;
    assert_cwd("cwd: [a, b]\n", NULL);
    assert_cwd("cwd: {a: b}\n", NULL);
    assert_cwd("cwd:\n", NULL);
    assert_cwd("cwd: ~\n", NULL);
    assert_cwd("cwd: null\n", NULL);
    assert_cwd("cwd: \"null\"\n", "null");
    assert_cwd("cwd: \"\"\n", "");
    assert_cwd("cwd: \"a\\0b\"\n", NULL);
    assert_cwd("branch: &x v\ncwd: *x\n", NULL);
    assert_cwd("? [cwd]\n: x\n", NULL);
    assert_cwd("other: {cwd: /inner}\n", NULL);
    assert_cwd("- cwd: /in/a/list\n", NULL);
    assert_cwd("cwd", NULL);
    assert_cwd("", NULL);
    assert_cwd("{cwd: /flow}", "/flow");
    assert_cwd("*nothing\n", NULL);
}

static void of_a_key_that_comes_twice_the_last_counts(void **state)
{
    (void)state;
    assert_cwd("cwd: /one\ncwd: /two\n", "/two");
    assert_cwd("cwd: /one\ncwd: [x]\n", NULL);
    assert_cwd("cwd: /one\n[x]: /two\n", "/one");
    assert_cwd("cwd: /one\n? {a: b}\n: /two\nbranch: x\n", "/one");
}

static void what_stands_before_a_fault_counts(void **state)
{
    (void)state;
    assert_cwd("cwd: /one\nbranch: [\n", "/one");
    assert_cwd("cwd: /one\nbranch: \"unfinished", "/one");
    assert_cwd("cwd: /one\n---\ncwd: /second/document\n", "/one");
    assert_cwd("branch: b\ncwd: \"unfinished", NULL);
}

static void long_values_and_long_files_are_cut_off(void **state)
{
    char *text = malloc(META_YAML_MAX + 100);
    struct meta_strings strings;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', META_YAML_MAX + 100);
    memcpy(text, "cwd: ", 5);
    text[5 + META_VALUE_MAX] = '\n';
    strings = parse_bytes(text, 5 + META_VALUE_MAX + 1);
    assert_int_equal(strlen(strings.cwd), META_VALUE_MAX);
    meta_strings_free(&strings);
    text[5 + META_VALUE_MAX] = 'x';
    text[6 + META_VALUE_MAX] = '\n';
    strings = parse_bytes(text, 5 + META_VALUE_MAX + 2);
    assert_null(strings.cwd);
    meta_strings_free(&strings);
    memset(text, '#', META_YAML_MAX);
    memcpy(text + META_YAML_MAX, "\ncwd: /late\n", 12);
    strings = parse_bytes(text, META_YAML_MAX + 12);
    assert_null(strings.cwd);
    meta_strings_free(&strings);
    free(text);
}

/* Fills the rest of the largest file there is with `unit`, again and again. */
static void deep_nesting_is_survived(void **state)
{
    static const char *const units[] = {
        "[", "{a: ", "- ", "? ", "[{a: ", "*a ", "&a ", "!a ", "\"", "|\n "};
    static const char start[] = "cwd: /one\nbranch: ";
    char *text = malloc(META_YAML_MAX);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct meta_strings strings;
        size_t at = sizeof start - 1;

        memcpy(text, start, at);
        for (; at < META_YAML_MAX; at++)
            text[at] = units[i][(at - sizeof start + 1) % strlen(units[i])];
        strings = parse_bytes(text, META_YAML_MAX);
        assert_string_equal(strings.cwd, "/one");
        meta_strings_free(&strings);
    }
    free(text);
}

static void garbage_is_survived(void **state)
{
    static const char sample[] = "cwd: /one\nname: &a \"x\\ty\"\nbranch: [a, {b: c}]\n? x\n: y\n";
    uint8_t bytes[sizeof sample];
    uint64_t seed = 0;

    (void)state;
    assert_int_equal(getrandom(&seed, 4, 0), 4);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < 20000; i++) {
        struct meta_strings strings;

        memcpy(bytes, sample, sizeof sample);
        for (uint64_t k = 0; k < 1 + i % 6; k++) {
            uint64_t random = htable_hash_u64(seed + i * 8 + k);

            bytes[random % sizeof sample] = (uint8_t)(random >> 32);
        }
        strings = parse_bytes(bytes, sizeof bytes);
        meta_strings_free(&strings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_keys_are_taken),
        cmocka_unit_test(what_is_no_scalar_or_null_is_not_taken),
        cmocka_unit_test(of_a_key_that_comes_twice_the_last_counts),
        cmocka_unit_test(what_stands_before_a_fault_counts),
        cmocka_unit_test(long_values_and_long_files_are_cut_off),
        cmocka_unit_test(deep_nesting_is_survived),
        cmocka_unit_test(garbage_is_survived),
    };

    return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
