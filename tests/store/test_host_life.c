/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a host session: every event in every state, in time and too late, and a random walk. */
#include "store/host_life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/htable.h"

#define TTL 30000
#define GRACE 2000

/* One that is in this state since 0, and dies at TTL if nothing happens. */
static struct host_life life_in(enum host_state state)
{
    return (struct host_life){.state = state, .ttl = TTL, .until = TTL};
}

static void every_event_in_time_leads_where_the_table_says(void **state)
{
    static const struct {
        enum host_state from;
        enum host_event event;
        enum host_state to;
        int64_t until;
    } rows[] = {
        {HOST_ALIVE, HOST_REGISTERED, HOST_ALIVE, 100 + TTL},
        {HOST_ALIVE, HOST_HEARD, HOST_ALIVE, 100 + TTL},
        {HOST_ALIVE, HOST_CUT, HOST_DETACHED, 100 + GRACE},
        {HOST_ALIVE, HOST_TICK, HOST_ALIVE, TTL},
        {HOST_ALIVE, HOST_ENDED, HOST_DEAD, 100},
        {HOST_DETACHED, HOST_REGISTERED, HOST_ALIVE, 100 + TTL},
        {HOST_DETACHED, HOST_HEARD, HOST_DETACHED, TTL},
        {HOST_DETACHED, HOST_CUT, HOST_DETACHED, 100 + GRACE},
        {HOST_DETACHED, HOST_TICK, HOST_DETACHED, TTL},
        {HOST_DETACHED, HOST_ENDED, HOST_DEAD, 100},
        {HOST_GRACE, HOST_REGISTERED, HOST_ALIVE, 100 + TTL},
        {HOST_GRACE, HOST_HEARD, HOST_ALIVE, 100 + TTL},
        {HOST_GRACE, HOST_CUT, HOST_DETACHED, 100 + GRACE},
        {HOST_GRACE, HOST_TICK, HOST_GRACE, TTL},
        {HOST_GRACE, HOST_ENDED, HOST_DEAD, 100},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct host_life life = life_in(rows[i].from);

        assert_int_equal(host_life_step(&life, rows[i].event, 100, GRACE), rows[i].to);
        assert_int_equal(life.state, rows[i].to);
        assert_int_equal(life.until, rows[i].until);
    }
}

static void an_event_that_comes_too_late_finds_it_dead(void **state)
{
    static const enum host_event events[] = {HOST_REGISTERED, HOST_HEARD, HOST_CUT, HOST_TICK,
                                             HOST_ENDED};

    (void)state;
    for (int from = HOST_ALIVE; from <= HOST_DEAD; from++) {
        for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
            struct host_life life = life_in((enum host_state)from);

            assert_int_equal(host_life_step(&life, events[i], TTL, GRACE), HOST_DEAD);
            assert_int_equal(life.until, TTL); /* when it died */
        }
    }
}

static void the_last_moment_is_in_time(void **state)
{
    struct host_life life = {.ttl = TTL};

    (void)state;
    assert_int_equal(host_life_step(&life, HOST_REGISTERED, 5, 0), HOST_ALIVE);
    assert_int_equal(host_life_step(&life, HOST_HEARD, 5 + TTL - 1, 0), HOST_ALIVE);
    assert_int_equal(host_life_step(&life, HOST_TICK, 5 + 2 * TTL - 2, 0), HOST_ALIVE);
    assert_int_equal(host_life_step(&life, HOST_TICK, 5 + 2 * TTL - 1, 0), HOST_DEAD);
}

static void a_row_that_is_found_has_one_ttl_from_then(void **state)
{
    struct host_life life = {.ttl = TTL};

    (void)state;
    assert_int_equal(host_life_step(&life, HOST_FOUND, 1000, 0), HOST_GRACE);
    assert_int_equal(life.until, 1000 + TTL);
}

static void a_cut_never_lengthens_a_life(void **state)
{
    struct host_life life = life_in(HOST_ALIVE);

    (void)state;
    /* Shortly before the TTL ends: no more than that. */
    assert_int_equal(host_life_step(&life, HOST_CUT, TTL - 10, GRACE), HOST_DETACHED);
    assert_int_equal(life.until, TTL);
    /* A grace longer than the TTL is the TTL. */
    life = (struct host_life){.state = HOST_ALIVE, .ttl = TTL, .until = 10 * TTL};
    assert_int_equal(host_life_step(&life, HOST_CUT, 0, 5 * TTL), HOST_DETACHED);
    assert_int_equal(life.until, TTL);
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(host_state_name(HOST_ALIVE), "alive");
    assert_string_equal(host_state_name(HOST_DETACHED), "detached");
    assert_string_equal(host_state_name(HOST_GRACE), "grace");
    assert_string_equal(host_state_name(HOST_DEAD), "dead");
    assert_string_equal(host_state_name((enum host_state)0), "new");
}

/* Alive exactly as long as it was heard of within its TTL, and registered again within the grace after a cut. */
static void whatever_comes_it_dies_when_it_should_and_for_ever(void **state)
{
    uint64_t seed = 0;

    (void)state;
    assert_int_equal(getrandom(&seed, 4, 0), 4);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int run = 0; run < 2000; run++) {
        struct host_life life = {.ttl = TTL};
        int64_t now = 0, deadline = TTL;
        bool cut = false, dead = false;

        host_life_step(&life, HOST_REGISTERED, now, 0);
        for (int i = 0; i < 50; i++) {
            uint64_t draw = htable_hash_u64(seed + (uint64_t)run * 50 + (uint64_t)i);
            enum host_event event = (enum host_event)(draw % 4);

            event = event == HOST_FOUND ? HOST_TICK : event;
            now += (int64_t)(draw >> 8) % (draw >> 60 == 0 ? TTL : TTL / 8);
            dead |= now >= deadline;
            if (event == HOST_REGISTERED || (event == HOST_HEARD && !cut))
                deadline = now + TTL;
            if (event == HOST_CUT && now + GRACE < deadline)
                deadline = now + GRACE;
            cut = event == HOST_CUT || (cut && event != HOST_REGISTERED);
            host_life_step(&life, event, now, GRACE);
            assert_int_equal(life.state == HOST_DEAD, dead);
            assert_true(dead || life.state == (cut ? HOST_DETACHED : HOST_ALIVE));
        }
    }
}

static void only_the_same_daemon_of_the_same_principal_is_the_same(void **state)
{
    const struct host_identity living = {
        .incarnation = 3, .principal = "build-7", .ttl_ms = 30000, .pid = 11};
    struct host_identity other = living;

    (void)state;
    other.pid = 12;
    assert_int_equal(host_kinship(&living, &other), HOST_SAME);
    other.incarnation = 4;
    assert_int_equal(host_kinship(&living, &other), HOST_SUCCESSOR);
    other = living;
    other.boot_id[5] = 1;
    assert_int_equal(host_kinship(&living, &other), HOST_SUCCESSOR);
    other = living;
    other.principal = "build-8";
    assert_int_equal(host_kinship(&living, &other), HOST_STRANGER);
    other.principal = NULL;
    assert_int_equal(host_kinship(&living, &other), HOST_STRANGER);
    assert_int_equal(host_kinship(&other, &other), HOST_SAME);
    other = living;
    other.mount_id[0] = 1;
    assert_int_equal(host_kinship(&living, &other), HOST_STRANGER);
    other = living;
    other.host_id[15] = 1;
    assert_int_equal(host_kinship(&living, &other), HOST_STRANGER);
    other = living;
    other.ttl_ms = 0;
    assert_int_equal(host_kinship(&living, &other), HOST_STRANGER);
    assert_int_equal(host_kinship(&other, &living), HOST_STRANGER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_time_leads_where_the_table_says),
        cmocka_unit_test(an_event_that_comes_too_late_finds_it_dead),
        cmocka_unit_test(the_last_moment_is_in_time),
        cmocka_unit_test(a_row_that_is_found_has_one_ttl_from_then),
        cmocka_unit_test(a_cut_never_lengthens_a_life),
        cmocka_unit_test(every_state_has_a_name),
        cmocka_unit_test(whatever_comes_it_dies_when_it_should_and_for_ever),
        cmocka_unit_test(only_the_same_daemon_of_the_same_principal_is_the_same),
    };

    return cmocka_run_group_tests_name("host life", tests, NULL, NULL);
}
