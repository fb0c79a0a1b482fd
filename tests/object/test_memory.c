/* SPDX-License-Identifier: Apache-2.0 */
/* The codec and the packer when memory runs out: they say so, and what was there before stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "reencode.h"
#include "rng.h"
#include "samples.h"

static int reencode(const struct sample *sample, struct buf *out)
{
    const struct slice bytes = buf_slice(&sample->bytes);

    return sample->kind ? reencode_object(sample->kind, bytes, out) : reencode_record(bytes, out);
}

/* Fails one allocation after another until there is none left. Gives how many failures were told. */
static size_t fail_each(const struct sample *sample)
{
    size_t told = 0;
    bool reached = true;

    for (size_t turn = 1; reached; turn++) {
        BUF_AUTO out = {0};
        int rc;

        failing_alloc_after(turn);
        rc = reencode(sample, &out);
        reached = failing_alloc_stop();
        assert_true(rc == HF_OK || reached);
        if (rc == HF_OK)
            assert_int_equal(slice_compare(buf_slice(&out), buf_slice(&sample->bytes)), 0);
        else
            assert_int_equal(out.len, 0);
        told += rc != HF_OK;
    }
    return told;
}

static void no_half_encoding_is_left_when_memory_runs_out(void **state)
{
    struct sample samples[SAMPLES_MAX];
    const size_t n = samples_make(samples);

    (void)state;
    for (size_t i = 0; i < n; i++)
        assert_true(fail_each(&samples[i]) > 0);
    samples_free(samples, n);
}

static void packing_and_unpacking_tell_when_memory_runs_out(void **state)
{
    static uint8_t text[20000];
    struct rng rng = rng_make(1);
    enum object_encoding encoding = OBJECT_PLAIN;
    BUF_AUTO packed = {0};
    BUF_AUTO content = {0};

    (void)state;
    rng_text(&rng, text, sizeof text);
    failing_alloc_after(1);
    assert_int_equal(
        object_pack(slice_of(text, sizeof text), (struct slice){0}, &packed, &encoding), HF_NOMEM);
    assert_true(failing_alloc_stop());
    assert_int_equal(packed.len, 0);
    assert_int_equal(
        object_pack(slice_of(text, sizeof text), (struct slice){0}, &packed, &encoding), HF_OK);
    failing_alloc_after(1);
    assert_int_equal(
        object_unpack(encoding, buf_slice(&packed), (struct slice){0}, sizeof text, &content),
        HF_NOMEM);
    assert_true(failing_alloc_stop());
    assert_int_equal(content.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_half_encoding_is_left_when_memory_runs_out),
        cmocka_unit_test(packing_and_unpacking_tell_when_memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
