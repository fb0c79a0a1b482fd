/* SPDX-License-Identifier: Apache-2.0 */
/* Where a session's files name it, and that nothing else of them is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/session_id.h"

static struct slice text(const char *string)
{
    return slice_of(string, strlen(string));
}

static void assert_span(const char *whole, const char *value, bool found,
                        const struct session_id_span *span)
{
    if (found != (value != NULL))
        fail_msg("in '%s' an id is %sfound", whole, found ? "" : "not ");
    if (found &&
        slice_compare(slice_of(whole + span->start, span->end - span->start), text(value)) != 0)
        fail_msg("in '%s' another id is found", whole);
}

static void id_of_a_workspace_is_found(void **state)
{
    static const struct {
        const char *yaml, *value;
    } cases[] = {
        {"id: abc\ncwd: /x\n", "abc"},
        {"cwd: /x\nid:   8fa6934f-3617  \r\nname: y\n", "8fa6934f-3617"},
        {"id: abc", "abc"},
        {"id: \"a\\\"b\" # said\n", "\"a\\\"b\""},
        {"id: 'abc'\n", "'abc'"},
        {"id: abc # the id\n", "abc"},
        {"id: a#c\n", "a#c"},
        {"name: |\n  id: no\nid: yes-this\n", "yes-this"},
        {"idx: 3\n", NULL},
        {"  id: nested\n", NULL},
        {"id:\n  - x\n", NULL},
        {"id: |\n  x\n", NULL},
        {"id: \"open\n", NULL},
        {"id: {a: b}\n", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session_id_span span = {0};
        bool found = session_id_in_yaml(text(cases[i].yaml), &span);

        assert_span(cases[i].yaml, cases[i].value, found, &span);
    }
}

static void id_of_the_first_event_is_found(void **state)
{
    static const struct {
        const char *events, *value;
    } cases[] = {
        {"{\"type\":\"session.start\",\"data\":{\"sessionId\":\"abc\",\"v\":1}}\n{}\n", "\"abc\""},
        {"{\"sessionId\":\"no\",\"data\":{\"x\":{\"sessionId\":\"no\"},\"sessionId\" : \"yes\"}}",
         "\"yes\""},
        {"{\"data\":{\"sessionId\":7}}\n", NULL},
        {"{\"data\":{}}\n{\"data\":{\"sessionId\":\"abc\"}}\n", NULL},
        {"{\"data\":{\"sessionId\":\"abc\"}", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct session_id_span span = {0};
        bool found = session_id_in_event(text(cases[i].events), &span);

        assert_span(cases[i].events, cases[i].value, found, &span);
    }
}

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct build *build;
};

static int world_open(void **state)
{
    static const struct build_attr top = {.mode = S_IFDIR | 0700};
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(NULL);
    world->cache = blob_cache_new(&world->objects->store, 1 << 20);
    assert_int_equal(build_open(world->cache, 0, NULL, &top, &world->build, NULL), HF_OK);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    build_free(world->build);
    blob_cache_free(world->cache);
    object_store_free(world->objects);
    free(world);
    return 0;
}

static int read_all(void *arg, uint8_t *ret_data, size_t size, size_t *ret_len,
                    struct hf_error *err)
{
    struct slice *rest = arg;
    size_t n = rest->len < size ? rest->len : size;

    (void)err;
    memcpy(ret_data, rest->data, n);
    *rest = slice_of(rest->data + n, rest->len - n);
    *ret_len = n;
    return HF_OK;
}

static void put(struct world *world, const char *path, struct slice data)
{
    static const struct build_attr attr = {.mode = S_IFREG | 0600};

    assert_int_equal(build_put(world->build, path, &attr, read_all, &data, NULL), HF_OK);
}

static void assert_starts(struct world *world, const char *path, const char *start)
{
    char data[256];
    size_t len;

    assert_int_equal(build_read(world->build, path, 0, strlen(start), (uint8_t *)data, &len, NULL),
                     HF_OK);
    assert_int_equal(len, strlen(start));
    assert_memory_equal(data, start, len);
}

static struct session_id_report rewrite(struct world *world, const char *id)
{
    struct session_id_report report = {0};

    assert_int_equal(session_id_rewrite(world->build, id, 1, &report, NULL), HF_OK);
    return report;
}

static void both_places_are_written_in_what_their_format_asks_for(void **state)
{
    struct world *world = *state;
    struct session_id_report report;

    put(world, "workspace.yaml", text("id: old\ncwd: /x\n"));
    put(world, "events.jsonl", text("{\"data\":{\"sessionId\":\"old\"},\"id\":\"1\"}\n{}\n"));
    report = rewrite(world, "new-name");
    assert_int_equal(report.workspace, SESSION_ID_WRITTEN);
    assert_int_equal(report.events, SESSION_ID_WRITTEN);
    assert_starts(world, "workspace.yaml", "id: new-name\ncwd: /x\n");
    assert_starts(world, "events.jsonl",
                  "{\"data\":{\"sessionId\":\"new-name\"},\"id\":\"1\"}\n{}\n");
    rewrite(world, "a: \"b\\\"");
    assert_starts(world, "workspace.yaml", "id: \"a: \\\"b\\\\\\\"\"\ncwd: /x\n");
    assert_starts(world, "events.jsonl", "{\"data\":{\"sessionId\":\"a: \\\"b\\\\\\\"\"},");
    rewrite(world, "123");
    assert_starts(world, "workspace.yaml", "id: \"123\"\n");
    rewrite(world, "no");
    assert_starts(world, "workspace.yaml", "id: \"no\"\n");
    rewrite(world, "12345678-1234-1234-1234-123456789012");
    assert_starts(world, "workspace.yaml", "id: 12345678-1234-1234-1234-123456789012\n");
    report = rewrite(world, "\xff");
    assert_int_equal(report.workspace, SESSION_ID_ODD);
    assert_starts(world, "workspace.yaml", "id: 1234");
}

static void what_is_missing_or_odd_is_left(void **state)
{
    struct world *world = *state;
    struct session_id_report report = rewrite(world, "x");

    assert_int_equal(report.workspace, SESSION_ID_ABSENT);
    assert_int_equal(report.events, SESSION_ID_ABSENT);
    put(world, "workspace.yaml", text("name: only\n"));
    put(world, "events.jsonl", text("{torn"));
    report = rewrite(world, "x");
    assert_int_equal(report.workspace, SESSION_ID_ODD);
    assert_int_equal(report.events, SESSION_ID_ODD);
    assert_starts(world, "events.jsonl", "{torn");
}

static void long_first_event_is_rewritten_too(void **state)
{
    struct world *world = *state;
    char *line = malloc(300100);

    snprintf(line, 300100, "{\"context\":\"%0300000d\",\"data\":{\"sessionId\":\"old\"}}\n", 0);
    put(world, "events.jsonl", text(line));
    assert_int_equal(rewrite(world, "new").events, SESSION_ID_WRITTEN);
    assert_int_equal(rewrite(world, "new").workspace, SESSION_ID_ABSENT);
    free(line);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_of_a_workspace_is_found),
        cmocka_unit_test(id_of_the_first_event_is_found),
        T(both_places_are_written_in_what_their_format_asks_for),
        T(what_is_missing_or_odd_is_left),
        T(long_first_event_is_rewritten_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
