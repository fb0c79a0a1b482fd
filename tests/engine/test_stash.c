/* SPDX-License-Identifier: Apache-2.0 */
/** What a server has sent ahead: kept until it is asked for, and never more than fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/remote/stash.h"
#include "wire/convert.h"

static struct stash stash;
static struct object_hasher hasher;

static int setup(void **state)
{
    (void)state;
    stash_init(&stash);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stash_release(&stash);
    return 0;
}

static struct object_id id_of(const char *text, size_t len)
{
    struct object_id id;

    assert_int_equal(object_id_compute(&hasher, OBJECT_CHUNK, text, len, &id), HF_OK);
    return id;
}

/** A chunk of this content comes, under this id. */
static void receive_as(struct object_id id, const char *text, size_t len)
{
    const struct object object = {
        .id = id, .kind = OBJECT_CHUNK, .content = slice_of((const void *)text, len)};
    Holdfast__Wire__Reply reply = HOLDFAST__WIRE__REPLY__INIT;
    struct wire_arena arena = {0};

    assert_int_equal(wire_fill_objects(&object, 1, &arena, &reply.ahead, NULL), HF_OK);
    reply.n_ahead = 1;
    stash_receive(&stash, &hasher, &reply);
    wire_arena_free(&arena);
}

static struct object_id receive(const char *text)
{
    struct object_id id = id_of(text, strlen(text));

    receive_as(id, text, strlen(text));
    return id;
}

static bool takes(const struct object_id *ids, size_t n, const char *first)
{
    struct buf contents[4] = {0};
    bool taken = stash_take(&stash, ids, n, contents);

    if (taken)
        assert_memory_equal(contents[0].data, first, strlen(first));
    for (size_t i = 0; i < n; i++)
        buf_free(&contents[i]);
    return taken;
}

static void what_came_is_taken_once(void **state)
{
    struct object_id id = receive("one");

    (void)state;
    receive("one");
    assert_true(takes(&id, 1, "one"));
    assert_false(takes(&id, 1, "one"));
    assert_int_equal(stash.bytes, 0);
}

static void all_are_there_or_none_is_taken(void **state)
{
    struct object_id ids[3] = {receive("one"), id_of("two", 3)};

    (void)state;
    ids[2] = ids[0];
    assert_false(takes(ids, 2, "one"));
    receive("two");
    assert_true(takes(ids, 3, "one"));
    assert_int_equal(stash.bytes, 0);
}

static void what_is_not_what_its_id_says_is_dropped(void **state)
{
    struct object_id id = id_of("one", 3);

    (void)state;
    receive_as(id, "two", 3);
    assert_false(takes(&id, 1, "two"));
    assert_int_equal(stash.bytes, 0);
}

static void oldest_go_when_there_are_too_many(void **state)
{
    static char text[32768];
    struct object_id first, last;

    (void)state;
    for (unsigned i = 0; i < 2 * STASH_MAX / sizeof text; i++) {
        memset(text, 'a', sizeof text);
        snprintf(text, sizeof text, "%u", i);
        last = id_of(text, sizeof text);
        receive_as(last, text, sizeof text);
        if (i == 0)
            first = last;
        assert_true(stash.bytes <= STASH_MAX);
    }
    assert_false(takes(&first, 1, ""));
    assert_true(takes(&last, 1, text));
}

static bool knows(uint64_t sid, const char *name, uint8_t root)
{
    Holdfast__Wire__Ahead wish = HOLDFAST__WIRE__AHEAD__INIT;
    const struct object_id expected = {{root}};
    struct object_id known;

    stash_wish(&stash, sid, name, &known, &wish);
    assert_int_equal(wish.budget, STASH_BUDGET);
    if (wish.known.len == 0)
        return false;
    assert_int_equal(wish.known.len, OBJECT_ID_SIZE);
    return memcmp(wish.known.data, expected.bytes, OBJECT_ID_SIZE) == 0;
}

static void server_is_told_the_root_that_was_told_last(void **state)
{
    const struct object_id one = {{1}}, two = {{2}};

    (void)state;
    assert_false(knows(0, NULL, 0));
    assert_false(knows(7, NULL, 1));
    assert_false(knows(0, "seven", 1));
    stash_note(&stash, 7, "seven", &one);
    assert_true(knows(7, NULL, 1));
    assert_true(knows(0, "seven", 1));
    assert_false(knows(0, "eight", 1));
    assert_false(knows(0, NULL, 1));
    stash_note(&stash, 7, NULL, &two);
    assert_true(knows(0, "seven", 2));
    stash_note(&stash, 7 + STASH_SESSIONS, NULL, &one);
    assert_false(knows(7, NULL, 2));
    assert_false(knows(0, "seven", 2));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_came_is_taken_once),
        TEST(all_are_there_or_none_is_taken),
        TEST(what_is_not_what_its_id_says_is_dropped),
        TEST(oldest_go_when_there_are_too_many),
        TEST(server_is_told_the_root_that_was_told_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
