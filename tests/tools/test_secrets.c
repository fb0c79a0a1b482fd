/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "secrets.h"

struct found {
    unsigned count;
    char kind[64];
    uint64_t offset;
};

static void note(const char *kind, uint64_t offset, void *arg)
{
    struct found *found = arg;

    found->count++;
    found->offset = offset;
    snprintf(found->kind, sizeof found->kind, "%s", kind);
}

/* Passes `text` in pieces of `step` bytes, and returns what came out. */
static char *pass(const char *text, size_t len, size_t step, bool redact, struct found *found)
{
    struct secrets secrets = {.visit = note, .arg = found, .redact = redact};
    struct buf out = {0};

    for (size_t at = 0; at < len; at += step) {
        size_t n = len - at < step ? len - at : step;

        assert_int_equal(secrets_pass(&secrets, slice_of(text + at, n), false, &out), 0);
    }
    assert_int_equal(secrets_pass(&secrets, slice_of(NULL, 0), true, &out), 0);
    assert_int_equal(buf_append(&out, "", 1), 0);
    secrets_free(&secrets);
    return (char *)out.data;
}

static const struct {
    const char *kind; /* NULL: nothing is found */
    const char *text, *redacted;
} samples[] = {
    {"a GitHub token", "x ghp_0123456789abcdefghijABCDEFGHIJ012345 y", "x [redacted] y"},
    {"a GitHub token", "\"github_pat_11ABCDEFG0123456789_abcdefghij\"", "\"[redacted]\""},
    {"an AWS access key", "key=AKIAIOSFODNN7EXAMPLE;", "key=[redacted];"},
    {"a Slack token", "xoxb-123456789012-abcdef", "[redacted]"},
    {"an API key", "use sk-proj-abcdefghijklmnopqrstuv now", "use [redacted] now"},
    {"a JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
     "[redacted]"},
    {"a private key",
     "a\n-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----\\nb",
     "a\n[redacted]\\nb"},
    {"an authorization header", "curl -H 'Authorization: Bearer abcdef123456' x",
     "curl -H 'Authorization: Bearer [redacted]' x"},
    {"an authorization header", "{\\\"authorization\\\": \\\"Basic dXNlcjpwYXNz\\\"}",
     "{\\\"authorization\\\": \\\"Basic [redacted]\\\"}"},
    {"a secret in an assignment", "export API_KEY=\"abcd1234efgh\"",
     "export API_KEY=\"[redacted]\""},
    {"a secret in an assignment", "{\"password\":\"hunter2hunter2\"}",
     "{\"password\":\"[redacted]\"}"},
    {"a password in a URL", "git clone https://me:s3cret@example.org/x",
     "git clone https://me:[redacted]@example.org/x"},
    {NULL, "password: string", NULL},
    {NULL, "the secret of success is patience", NULL},
    {NULL, "http://localhost:8080/path@version", NULL},
    {NULL, "taskghp_0123456789abcdefghijABCDEFGHIJ012345", NULL},
    {NULL, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", NULL},
    {NULL, "sk-", NULL},
};

static void what_looks_like_a_credential_is_found_and_left_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const char *text = samples[i].text;

        for (size_t step = 1; step <= strlen(text); step += 7) {
            struct found found = {0};
            char *out = pass(text, strlen(text), step, true, &found);

            assert_int_equal(found.count, samples[i].kind ? 1 : 0);
            assert_string_equal(out, samples[i].kind ? samples[i].redacted : text);
            if (samples[i].kind)
                assert_string_equal(found.kind, samples[i].kind);
            free(out);
        }
    }
}

static void without_redaction_nothing_changes(void **state)
{
    struct found found = {0};
    char *out;

    (void)state;
    out = pass(samples[0].text, strlen(samples[0].text), 5, false, &found);
    assert_int_equal(found.count, 1);
    assert_string_equal(out, samples[0].text);
    free(out);
}

/* Wherever a credential lies between the pieces in which a long stream is looked at. */
static void it_is_found_at_any_place_of_a_long_stream(void **state)
{
    static const char token[] = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    size_t len = 6 * (size_t)SECRETS_MAX;
    char *text = malloc(len);

    (void)state;
    assert_non_null(text);
    for (size_t at = 1; at + sizeof token < len; at += 911) {
        struct found found = {0};
        char *out;

        memset(text, '.', len);
        memcpy(text + at, token, sizeof token - 1);
        out = pass(text, len, 30011, true, &found);
        assert_int_equal(found.count, 1);
        assert_int_equal(found.offset, at);
        assert_int_equal(strlen(out), len - (sizeof token - 1) + strlen(SECRETS_REDACTED));
        assert_memory_equal(out + at, SECRETS_REDACTED, strlen(SECRETS_REDACTED));
        free(out);
    }
    free(text);
}

/* Any bytes at all come out as they went in. */
static void noise_passes_unchanged(void **state)
{
    size_t len = 5 * (size_t)SECRETS_MAX + 17;
    char *text = malloc(len);
    struct secrets secrets = {0};
    struct buf out = {0};
    uint64_t random = 0x9e3779b97f4a7c15ULL;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        text[i] = (char)("sk-eyJ.:/@ghp_-\"\n\0\377a1"[(random >> 33) % 22]);
    }
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < 4099 ? len - at : 4099;
        assert_int_equal(secrets_pass(&secrets, slice_of(text + at, n), false, &out), 0);
    }
    assert_int_equal(secrets_pass(&secrets, slice_of(NULL, 0), true, &out), 0);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, text, len);
    buf_free(&out);
    secrets_free(&secrets);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_looks_like_a_credential_is_found_and_left_out),
        cmocka_unit_test(without_redaction_nothing_changes),
        cmocka_unit_test(it_is_found_at_any_place_of_a_long_stream),
        cmocka_unit_test(noise_passes_unchanged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
