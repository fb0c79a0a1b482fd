/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "object/object.h"

static void assert_id(const struct object_hasher *hasher, enum object_kind kind,
                      const char *content, const char *want)
{
    char hex[OBJECT_ID_HEX_SIZE];
    struct object_id id;

    assert_int_equal(object_id_compute(hasher, kind, content, strlen(content), &id), HF_OK);
    object_id_hex(&id, hex);
    assert_string_equal(hex, want);
}

/* The expected values are those of sha256sum(1) and openssl-dgst(1) over the kind byte and "abc". */
static void an_id_is_sha256_of_kind_and_content(void **state)
{
    const struct object_hasher hasher = {0};

    (void)state;
    assert_id(&hasher, OBJECT_CHUNK, "abc",
              "1e18834c426d00e57788444cb3ccd62c771b420c095bb0c4e040a8c122c4570d");
    assert_id(&hasher, OBJECT_DIR, "abc",
              "909ac45e439911193205994d09399c29fede977ab212605f29ead5250a812e73");
    assert_id(&hasher, OBJECT_FILE, "abc",
              "1a60c38bbdf04315e5d12747a45f7e02d9da3ea6e7dea87270e4acf8c900d110");
    assert_id(&hasher, OBJECT_ROOT, "abc",
              "c8961b21b2ee347d6fae91d71653ab8f3a5b53eb9dea9ce2adc724ddb5096ec5");
    assert_id(&hasher, OBJECT_CHUNK, "",
              "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a");
}

static void a_keyed_id_is_hmac_sha256_of_the_same(void **state)
{
    struct object_hasher hasher = {.keyed = true};

    (void)state;
    for (size_t i = 0; i < sizeof hasher.key; i++)
        hasher.key[i] = (uint8_t)i;
    assert_id(&hasher, OBJECT_CHUNK, "abc",
              "4befc27d483bc3db31820ca39ed188e03e76c7559cda6f293419dc8216eac36b");
    assert_id(&hasher, OBJECT_ROOT, "abc",
              "47212a735d101955b221ceb19512f8778800336256eeed8a9a17a15800ed5a7e");
}

static void hex_digits_parse_back(void **state)
{
    static const char text[] = "00112233445566778899aabbccddeeff0123456789abcdefFEDCBA9876543210";
    char hex[OBJECT_ID_HEX_SIZE];
    struct object_id id, again;

    (void)state;
    assert_int_equal(object_id_parse(text, &id), HF_OK);
    assert_int_equal(id.bytes[0], 0);
    assert_int_equal(id.bytes[31], 0x10);
    object_id_hex(&id, hex);
    assert_int_equal(object_id_parse(hex, &again), HF_OK);
    assert_true(object_id_equal(&id, &again));
    assert_int_equal(object_id_hash(&id), object_id_hash(&again));
}

static void anything_but_64_hex_digits_is_refused(void **state)
{
    char hex[OBJECT_ID_HEX_SIZE + 2];
    struct object_id id = {{7}};

    (void)state;
    memset(hex, 'a', sizeof hex);
    hex[63] = '\0';
    assert_int_equal(object_id_parse(hex, &id), HF_INVAL);
    hex[63] = 'a';
    hex[65] = '\0';
    assert_int_equal(object_id_parse(hex, &id), HF_INVAL);
    hex[64] = '\0';
    for (size_t i = 0; i < 64; i++) {
        hex[i] = "g/:@`"[i % 5];
        assert_int_equal(object_id_parse(hex, &id), HF_INVAL);
        hex[i] = 'a';
    }
    assert_int_equal(object_id_parse("", &id), HF_INVAL);
    assert_int_equal(id.bytes[0], 7);
    assert_int_equal(object_id_parse(hex, &id), HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_sha256_of_kind_and_content),
        cmocka_unit_test(a_keyed_id_is_hmac_sha256_of_the_same),
        cmocka_unit_test(hex_digits_parse_back),
        cmocka_unit_test(anything_but_64_hex_digits_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
