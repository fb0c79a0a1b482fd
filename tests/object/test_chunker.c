/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "holdfast/error.h"
#include "object/chunker.h"
#include "object/gear.h"
#include "rng.h"

#define DATA_SIZE (4 << 20)

static const struct chunker_params params_default = {2048, 8192, 65536};

/* Ends of the chunks of data[0..len). */
struct cuts {
    size_t *ends;
    size_t n;
};

static struct cuts cut_all(const struct chunker_params *params, const uint8_t *data, size_t len)
{
    struct cuts cuts = {malloc((len / params->min + 2) * sizeof(size_t)), 0};

    for (size_t at = 0; at < len;) {
        at += chunker_cut(params, data + at, len - at);
        cuts.ends[cuts.n++] = at;
    }
    return cuts;
}

static bool is_cut(const struct cuts *cuts, size_t at)
{
    size_t low = 0, high = cuts->n;

    if (at == 0)
        return true;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (cuts->ends[middle] == at)
            return true;
        if (cuts->ends[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void the_gear_table_follows_from_its_seed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t seed[] = "holdfast gear 1", digest[SHA256_DIGEST_LENGTH];

        seed[sizeof seed - 1] = (uint8_t)i;
        SHA256(seed, sizeof seed, digest);
        assert_int_equal(gear[i], bytes_get_u64(digest));
    }
}

static void parameters_are_checked(void **state)
{
    const struct chunker_params good[] = {
        CHUNKER_DEFAULT, {64, 64, 64}, {64, 1024, 4096}, {65536, 65536, 65536}};
    const struct chunker_params bad[] = {{63, 64, 128},       {0, 0, 0},      {2048, 1024, 4096},
                                         {64, 8192, 4096},    {64, 96, 4096}, {64, 8192, 65537},
                                         {64, 131072, 65536}, {64, 0, 4096}};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(chunker_params_check(&good[i]), HF_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(chunker_params_check(&bad[i]), HF_INVAL);
}

static void chunks_keep_to_their_bounds_and_their_average(void **state)
{
    const struct chunker_params all[] = {
        CHUNKER_DEFAULT, {64, 64, 64}, {64, 64, 65536}, {512, 1024, 4096}, {4096, 16384, 65536}};
    struct rng rng = rng_make(1);
    uint8_t *data = malloc(DATA_SIZE);

    (void)state;
    rng_fill(&rng, data, DATA_SIZE);
    for (size_t p = 0; p < sizeof all / sizeof all[0]; p++) {
        struct cuts cuts = cut_all(&all[p], data, DATA_SIZE);
        size_t from = 0;

        for (size_t i = 0; i < cuts.n; from = cuts.ends[i++]) {
            assert_true(cuts.ends[i] - from <= all[p].max);
            assert_true(cuts.ends[i] - from >= all[p].min || i + 1 == cuts.n);
        }
        assert_int_equal(from, DATA_SIZE);
        if (all[p].max >= 4 * all[p].avg)
            assert_in_range(DATA_SIZE / cuts.n, all[p].avg * 7 / 10, all[p].avg * 3 / 2);
        free(cuts.ends);
    }
    free(data);
}

static void more_data_never_moves_a_cut_that_was_found(void **state)
{
    struct rng rng = rng_make(2);
    uint8_t *data = malloc(DATA_SIZE);

    (void)state;
    rng_text(&rng, data, DATA_SIZE);
    for (int i = 0; i < 2000; i++) {
        const size_t at = rng_below(&rng, DATA_SIZE - 200000), len = 1 + rng_below(&rng, 70000);
        const size_t part = chunker_cut(&params_default, data + at, len);
        const size_t whole = chunker_cut(&params_default, data + at, 200000);

        assert_in_range(part, 1, len);
        if (part < len || len >= params_default.max)
            assert_int_equal(part, whole);
        else
            assert_true(whole >= len);
    }
    free(data);
}

static void uniform_data_is_cut_at_a_bound(void **state)
{
    uint8_t *data = malloc(200000);

    (void)state;
    for (int value = 0; value < 256; value++) {
        size_t len;

        memset(data, value, 200000);
        len = chunker_cut(&params_default, data, 200000);
        assert_true(len == params_default.min || len == params_default.avg + 1 ||
                    len == params_default.max);
    }
    free(data);
}

/* Overwrites, inserts or deletes some bytes somewhere in old[0..*len). Gives the new data, the first
 * changed byte, and by how much what follows the last one has moved. */
static uint8_t *edit(struct rng *rng, const uint8_t *old, size_t *len, size_t *ret_from,
                     size_t *ret_to, ptrdiff_t *ret_shift)
{
    const size_t at = rng_below(rng, *len - 5000);
    const size_t removed = rng_below(rng, 5000), added = 1 + rng_below(rng, 5000);
    uint8_t *data = malloc(*len - removed + added);

    memcpy(data, old, at);
    rng_text(rng, data + at, added);
    memcpy(data + at + added, old + at + removed, *len - at - removed);
    *len = *len - removed + added;
    *ret_from = at;
    *ret_to = at + added;
    *ret_shift = (ptrdiff_t)added - (ptrdiff_t)removed;
    return data;
}

/* Cuts again from the old boundary before the change until an old boundary after it. */
static size_t recut(const uint8_t *data, size_t len, const struct cuts *old, size_t from, size_t to,
                    ptrdiff_t shift, const struct cuts *want)
{
    size_t at = 0, cuts = 0;

    for (size_t i = 0; i < old->n && old->ends[i] <= from; i++)
        at = old->ends[i];
    /* A cut is made at the last byte before it: a change right behind one cannot undo it. */
    assert_true(is_cut(want, at));
    while (at < len) {
        at += chunker_cut(&params_default, data + at, len - at);
        cuts++;
        assert_true(is_cut(want, at));
        if (at >= to && is_cut(old, (size_t)((ptrdiff_t)at - shift)))
            break;
    }
    for (size_t i = 0; i < want->n; i++)
        if (want->ends[i] > at)
            assert_true(is_cut(old, (size_t)((ptrdiff_t)want->ends[i] - shift)));
    return cuts;
}

static void after_an_edit_the_old_boundaries_are_met_again(void **state)
{
    struct rng rng = rng_make(3);
    size_t len = 1 << 20, total = 0;
    uint8_t *data = malloc(len);
    const int edits = 100;

    (void)state;
    rng_text(&rng, data, len);
    for (int i = 0; i < edits; i++) {
        struct cuts old = cut_all(&params_default, data, len), want;
        size_t from, to;
        ptrdiff_t shift;
        uint8_t *edited = edit(&rng, data, &len, &from, &to, &shift);

        want = cut_all(&params_default, edited, len);
        total += recut(edited, len, &old, from, to, shift, &want);
        free(old.ends);
        free(want.ends);
        free(data);
        data = edited;
    }
    /* The cost follows the change: a few chunks, of the hundred and more that there are. */
    assert_in_range(total / (size_t)edits, 1, 6);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gear_table_follows_from_its_seed),
        cmocka_unit_test(parameters_are_checked),
        cmocka_unit_test(chunks_keep_to_their_bounds_and_their_average),
        cmocka_unit_test(more_data_never_moves_a_cut_that_was_found),
        cmocka_unit_test(uniform_data_is_cut_at_a_bound),
        cmocka_unit_test(after_an_edit_the_old_boundaries_are_met_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
