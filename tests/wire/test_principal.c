/* SPDX-License-Identifier: Apache-2.0 */
/** What a certificate or the server's list says of a host, and that anything doubtful gives no rights. */
#include <fnmatch.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "wire/principal.h"

#define assert_says(error, text)                                                                   \
    do {                                                                                           \
        if (!strstr((error).message, text))                                                        \
            fail_msg("'%s' does not say '%s'", (error).message, text);                             \
    } while (0)

/* --- certificates ------------------------------------------------------------------------------------------ */

static void push(GENERAL_NAMES *names, int type, const char *text, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *string = ASN1_STRING_type_new(V_ASN1_IA5STRING);

    assert_true(name && string && ASN1_STRING_set(string, text, (int)len));
    GENERAL_NAME_set0_value(name, type, string);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

static void name_it(X509 *certificate, const char *cn, size_t len)
{
    assert_int_equal(X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                                V_ASN1_UTF8STRING, (const unsigned char *)cn,
                                                (int)len, -1, 0),
                     1);
}

/* Not signed: whether to trust it is decided before. */
static X509 *make(const char *cn)
{
    X509 *certificate = X509_new();

    assert_non_null(certificate);
    assert_true(X509_set_version(certificate, X509_VERSION_3));
    assert_true(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), 0xab12cd));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(certificate), 4102444800));
    if (cn)
        name_it(certificate, cn, strlen(cn));
    return certificate;
}

static void add_uris(X509 *certificate, const char *const *uris, size_t n)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();

    for (size_t i = 0; i < n; i++)
        push(names, GEN_URI, uris[i], strlen(uris[i]));
    push(names, GEN_DNS, "holdfast:admin", 14); /* in the wrong place: it says nothing */
    assert_int_equal(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

static int read_uris(const char *const *uris, size_t n, struct principal *ret_principal,
                     struct hf_error *err)
{
    X509 *certificate = make("host-a");
    int status;

    add_uris(certificate, uris, n);
    status = principal_read(certificate, NULL, ret_principal, err);
    X509_free(certificate);
    return status;
}

static int read_uri(const char *uri, struct principal *ret_principal, struct hf_error *err)
{
    return read_uris(&uri, 1, ret_principal, err);
}

/* --- the URI ------------------------------------------------------------------------------------------------- */

static void a_uri_says_role_tenant_and_sessions(void **state)
{
    struct principal principal;

    (void)state;
    assert_int_equal(read_uri("holdfast:agent", &principal, NULL), 0);
    assert_int_equal(principal.role, ROLE_AGENT);
    assert_string_equal(principal.tenant, "default");
    assert_string_equal(principal.name, "host-a");
    assert_string_equal(principal.serial, "AB12CD");
    assert_int_equal(principal.expires, 4102444800);
    assert_int_equal(principal.nglobs, 0);
    principal_release(&principal);
    assert_int_equal(
        read_uri("holdfast:reader?session=dev-*&tenant=team-1&session=%5Bab%5d%26%3D%25",
                 &principal, NULL),
        0);
    assert_int_equal(principal.role, ROLE_READER);
    assert_string_equal(principal.tenant, "team-1");
    assert_int_equal(principal.nglobs, 2);
    assert_string_equal(principal.globs[0], "dev-*");
    assert_string_equal(principal.globs[1], "[ab]&=%");
    principal_release(&principal);
    assert_int_equal(read_uri("holdfast:admin?tenant=t", &principal, NULL), 0);
    assert_int_equal(principal.role, ROLE_ADMIN);
    principal_release(&principal);
}

static void uris_of_others_are_passed_over(void **state)
{
    static const char *const uris[] = {"spiffe://example/host", "holdfast:agent",
                                       "https://example/?holdfast:admin"};
    struct principal principal;

    (void)state;
    assert_int_equal(read_uris(uris, 3, &principal, NULL), 0);
    assert_int_equal(principal.role, ROLE_AGENT);
    principal_release(&principal);
}

static void a_uri_that_is_not_understood_gives_no_rights(void **state)
{
    static const char *const uris[] = {
        "holdfast:",
        "holdfast:root",
        "holdfast:Agent",
        "holdfast:agent ",
        "holdfast:agent/",
        "holdfast:agent?",
        "holdfast:agent&session=a",
        "holdfast:agent?session",
        "holdfast:agent?session=",
        "holdfast:agent?session=a&",
        "holdfast:agent?&session=a",
        "holdfast:agent?session=a&&session=b",
        "holdfast:agent?sessions=a",
        "holdfast:agent?Session=a",
        "holdfast:agent?session=a&ttl=5",
        "holdfast:agent?session=a/b",
        "holdfast:agent?session=a%2fb",
        "holdfast:agent?session=a%00",
        "holdfast:agent?session=%",
        "holdfast:agent?session=%4",
        "holdfast:agent?session=%4g",
        "holdfast:agent?session=a b",
        "holdfast:agent?session=[ab]",
        "holdfast:agent?session=a=b",
        "holdfast:agent?session=a#b",
        "holdfast:agent?tenant=",
        "holdfast:agent?tenant=-a",
        "holdfast:agent?tenant=A",
        "holdfast:agent?tenant=a.b",
        "holdfast:agent?tenant=..",
        "holdfast:agent?tenant=a%2fb",
        "holdfast:agent?tenant=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "holdfast:agent?tenant=a&tenant=a",
        "holdfast:admin?session=a",
        "HOLDFAST:agent",
        "Holdfast:agent",
        "holdfast:agent?ses%73ion=a",
    };
    struct principal principal = {.name = "untouched"};
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
        if (read_uri(uris[i], &principal, &err) != HF_ACCESS)
            fail_msg("'%s' was accepted", uris[i]);
        assert_says(err, "the rights in its certificate cannot be understood: ");
        assert_string_equal(principal.name, "untouched");
    }
}

static void two_uris_give_no_rights(void **state)
{
    static const char *const same[] = {"holdfast:agent", "holdfast:agent"};
    static const char *const bad[] = {"holdfast:agent", "holdfast:nonsense"};
    struct principal principal;
    struct hf_error err;

    (void)state;
    assert_int_equal(read_uris(same, 2, &principal, &err), HF_ACCESS);
    assert_says(err, "two of them");
    assert_int_equal(read_uris(bad, 2, &principal, &err), HF_ACCESS);
}

static void limits_of_patterns_hold(void **state)
{
    char uri[PRINCIPAL_GLOBS_MAX * 12 + 64] = "holdfast:agent?session=a";
    char longer[400] = "holdfast:agent?session=";
    struct principal principal;
    size_t len = strlen(longer);

    (void)state;
    for (int i = 1; i < PRINCIPAL_GLOBS_MAX; i++) {
        size_t at = strlen(uri);
        snprintf(uri + at, sizeof uri - at, "&session=b");
    }
    assert_int_equal(read_uri(uri, &principal, NULL), 0);
    assert_int_equal(principal.nglobs, PRINCIPAL_GLOBS_MAX);
    principal_release(&principal);
    snprintf(uri + strlen(uri), sizeof uri - strlen(uri), "&session=c");
    assert_int_equal(read_uri(uri, &principal, NULL), HF_ACCESS);
    memset(longer + len, 'a', 255);
    assert_int_equal(read_uri(longer, &principal, NULL), 0);
    principal_release(&principal);
    longer[len + 255] = 'a';
    assert_int_equal(read_uri(longer, &principal, NULL), HF_ACCESS);
}

static void a_nul_hides_nothing(void **state)
{
    static const char uri[] = "holdfast:agent\0?session=dev-*";
    X509 *certificate = make("host-a");
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    struct principal principal;

    (void)state;
    push(names, GEN_URI, uri, sizeof uri - 1);
    X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0);
    GENERAL_NAMES_free(names);
    assert_int_equal(principal_read(certificate, NULL, &principal, NULL), HF_ACCESS);
    X509_free(certificate);
}

static void broken_names_give_no_rights(void **state)
{
    static const unsigned char junk[] = {0x30, 0x03, 0x86, 0x7f, 0x41};
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509 *certificate = make("host-a");
    struct principal principal;
    X509_EXTENSION *extension;

    (void)state;
    ASN1_OCTET_STRING_set(value, junk, sizeof junk);
    extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    assert_int_equal(principal_read(certificate, NULL, &principal, NULL), HF_ACCESS);
    X509_free(certificate);
}

static void a_host_has_exactly_one_plain_name(void **state)
{
    static const struct {
        const char *cn;
        size_t len;
    } bad[] = {{"", 0}, {"a\nb", 3}, {"a\0b", 3}, {"\x1b[31mx", 6}, {"a\x7f", 2}};
    const char *uri = "holdfast:agent";
    struct principal principal;
    X509 *certificate;
    struct hf_error err;

    (void)state;
    certificate = make(NULL);
    add_uris(certificate, &uri, 1);
    assert_int_equal(principal_read(certificate, NULL, &principal, &err), HF_ACCESS);
    assert_says(err, "no CN");
    name_it(certificate, "one", 3);
    name_it(certificate, "two", 3);
    assert_int_equal(principal_read(certificate, NULL, &principal, &err), HF_ACCESS);
    assert_says(err, "two names");
    X509_free(certificate);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        certificate = make(NULL);
        name_it(certificate, bad[i].cn, bad[i].len);
        add_uris(certificate, &uri, 1);
        assert_int_equal(principal_read(certificate, NULL, &principal, NULL), HF_ACCESS);
        X509_free(certificate);
    }
}

/* --- writing it ------------------------------------------------------------------------------------------------ */

static void what_is_written_reads_the_same(void **state)
{
    char *globs[] = {(char *)"squadron-dev-*", (char *)"[!x]?&=%#+ \"\\", (char *)"\xc3\xa4\xff"};
    struct principal out = {.role = ROLE_AGENT, .tenant = "team-1", .globs = globs, .nglobs = 3};
    struct principal in;
    BUF_AUTO uri = {0};

    (void)state;
    assert_int_equal(principal_uri(&out, &uri, NULL), 0);
    assert_int_equal(read_uri((const char *)uri.data, &in, NULL), 0);
    assert_int_equal(in.role, out.role);
    assert_string_equal(in.tenant, out.tenant);
    assert_int_equal(in.nglobs, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(in.globs[i], globs[i]);
    principal_release(&in);
    buf_free(&uri);
    out = (struct principal){.role = ROLE_ADMIN, .tenant = "default"};
    assert_int_equal(principal_uri(&out, &uri, NULL), 0);
    assert_string_equal((const char *)uri.data, "holdfast:admin");
}

static void what_would_not_be_read_is_not_written(void **state)
{
    char *slash = (char *)"a/b", *empty = (char *)"", *fine = (char *)"a";
    const struct principal bad[] = {
        {.role = ROLE_NONE},
        {.role = ROLE_ADMIN, .globs = &fine, .nglobs = 1},
        {.role = ROLE_AGENT, .globs = &slash, .nglobs = 1},
        {.role = ROLE_AGENT, .globs = &empty, .nglobs = 1},
        {.role = ROLE_AGENT, .tenant = "A"},
        {.role = ROLE_AGENT, .globs = &fine, .nglobs = PRINCIPAL_GLOBS_MAX + 1},
    };
    BUF_AUTO uri = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(principal_uri(&bad[i], &uri, NULL), HF_INVAL);
        assert_int_equal(uri.len, 0);
    }
}

/* --- matching --------------------------------------------------------------------------------------------------- */

static void names_match_as_in_the_store(void **state)
{
    static const char *const patterns[] = {"squadron-dev-*", "*", "?",   "[a-c]*", "[!a]*",
                                           "a\\*b",          "x", "**x", "a*b*c"};
    static const char *const names[] = {
        "squadron-dev-1", "squadron-prod-1", "a", "b", "a*b", "axb", "x", "abc", "aXbYc", "\xff"};

    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        char *glob = (char *)(uintptr_t)patterns[p];
        const struct principal agent = {.role = ROLE_AGENT, .globs = &glob, .nglobs = 1};
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
            assert_int_equal(principal_matches(&agent, names[n]),
                             fnmatch(patterns[p], names[n], 0) == 0);
    }
}

static void without_patterns_all_match_and_without_a_role_none(void **state)
{
    char *globs[] = {(char *)"a*", (char *)"b"};
    struct principal principal = {.role = ROLE_READER};

    (void)state;
    assert_true(principal_matches(&principal, "anything"));
    principal.globs = globs;
    principal.nglobs = 2;
    assert_true(principal_matches(&principal, "ab"));
    assert_true(principal_matches(&principal, "b"));
    assert_false(principal_matches(&principal, "c"));
    principal.role = ROLE_NONE;
    assert_false(principal_matches(&principal, "b"));
    principal.nglobs = 0;
    assert_false(principal_matches(&principal, "b"));
    assert_int_equal(role_parse("none"), ROLE_NONE);
    assert_int_equal(role_parse(""), ROLE_NONE);
    assert_int_equal(role_parse(role_name(ROLE_ADMIN)), ROLE_ADMIN);
}

/* A pattern that makes a naive matcher try everything: a certificate's or a request's. */
static void a_hostile_pattern_costs_little(void **state)
{
    char pattern[256], name[256];
    char *glob = pattern;
    const struct principal agent = {.role = ROLE_AGENT, .globs = &glob, .nglobs = 1};
    clock_t begin = clock();

    (void)state;
    for (size_t i = 0; i < 254; i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + 252, "*b", 3);
    memset(name, 'a', 255);
    name[255] = '\0';
    assert_false(principal_matches(&agent, name));
    assert_true(clock() - begin < CLOCKS_PER_SEC);
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

static char list_path[64];

static void write_list(const char *text)
{
    FILE *file = fopen(list_path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_file(void **state)
{
    int fd;

    (void)state;
    snprintf(list_path, sizeof list_path, "/tmp/holdfast-rights-XXXXXX");
    fd = mkstemp(list_path);
    assert_true(fd >= 0);
    close(fd);
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(list_path);
}

static int ask(const struct principal_list *list, const char *cn, const char *uri,
               struct principal *ret_principal, struct hf_error *err)
{
    X509 *certificate = make(cn);
    int status;

    if (uri)
        add_uris(certificate, &uri, 1);
    status = principal_read(certificate, list, ret_principal, err);
    X509_free(certificate);
    return status;
}

static void a_list_speaks_for_certificates_that_say_nothing(void **state)
{
    struct principal_list *list = NULL;
    struct principal principal;
    struct hf_error err = {0};

    (void)state;
    write_list("# hosts\n"
               "host-a: {role: agent, sessions: ['dev-*', b]}\n"
               "\"host b\":\n  role: admin\n  tenant: team-1\n");
    if (principal_list_load(list_path, &list, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(ask(list, "host-a", NULL, &principal, NULL), 0);
    assert_int_equal(principal.role, ROLE_AGENT);
    assert_string_equal(principal.tenant, "default");
    assert_int_equal(principal.nglobs, 2);
    assert_string_equal(principal.globs[1], "b");
    principal_release(&principal);
    assert_int_equal(ask(list, "host b", NULL, &principal, NULL), 0);
    assert_int_equal(principal.role, ROLE_ADMIN);
    assert_string_equal(principal.tenant, "team-1");
    principal_release(&principal);
    /* A certificate that speaks for itself is not overruled, nor helped when it speaks badly. */
    assert_int_equal(ask(list, "host-a", "holdfast:reader", &principal, NULL), 0);
    assert_int_equal(principal.role, ROLE_READER);
    assert_int_equal(principal.nglobs, 0);
    principal_release(&principal);
    assert_int_equal(ask(list, "host-a", "holdfast:nonsense", &principal, NULL), HF_ACCESS);
    assert_int_equal(ask(list, "host-c", NULL, &principal, &err), HF_ACCESS);
    assert_says(err, "the list of rights has no such host");
    assert_int_equal(ask(NULL, "host-a", NULL, &principal, &err), HF_ACCESS);
    assert_says(err, "there is no list of rights");
    principal_list_free(list);
    principal_list_free(NULL);
}

static void a_doubtful_list_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"- a\n- b\n", "line 1: expected a mapping from names"},
        {"host-a: agent\n", "line 1: expected a mapping of"},
        {"host-a: {}\n", "line 1: there is no role"},
        {"a: {role: agent}\nb: {role: boss}\n", "line 2: a role is agent, reader or admin"},
        {"a: {role: agent, sessions: 'dev-*'}\n", "'sessions' is a list"},
        {"a: {role: agent, sessions: []}\n", "'sessions' is a list"},
        {"a: {role: agent, sessions: [[x]]}\n", "a pattern of session names is a string"},
        {"a: {role: agent, sessions: ['x/y']}\n", "is no pattern"},
        {"a: {role: agent, session: [x]}\n", "expected 'role', 'tenant' or 'sessions'"},
        {"a: {role: agent, role: admin}\n", "'role' stands there twice"},
        {"a: {role: agent, tenant: t, tenant: t}\n", "'tenant' stands there twice"},
        {"a: {role: agent, sessions: [x], sessions: [y]}\n", "'sessions' stands there twice"},
        {"a: {role: agent, tenant: T}\n", "is no tenant"},
        {"a: {role: admin, sessions: [x]}\n", "an admin cannot be limited"},
        {"a: {role: agent}\n\na: {role: admin}\n", "line 3: this host stands there twice"},
        {"? [a]\n: {role: agent}\n", "too long or no text"},
        {"a: {role: agent\n", "line "},
        {"a: *b\n", "line "},
    };
    struct principal_list *list = NULL;
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_list(bad[i].text);
        if (principal_list_load(list_path, &list, &err) != HF_CONFIG)
            fail_msg("accepted: %s", bad[i].text);
        assert_null(list);
        assert_says(err, bad[i].says);
        assert_says(err, list_path);
    }
    write_list("");
    assert_int_equal(principal_list_load(list_path, &list, NULL), 0); /* nobody may do anything */
    principal_list_free(list);
    list = NULL;
    assert_int_equal(principal_list_load("/nonexistent/rights", &list, &err), HF_CONFIG);
    assert_says(err, "No such file");
    assert_int_equal(chmod(list_path, 0666), 0);
    assert_int_equal(principal_list_load(list_path, &list, &err), HF_CONFIG);
    assert_says(err, "can be written by everybody");
    assert_int_equal(chmod(list_path, 0600), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_says_role_tenant_and_sessions),
        cmocka_unit_test(uris_of_others_are_passed_over),
        cmocka_unit_test(a_uri_that_is_not_understood_gives_no_rights),
        cmocka_unit_test(two_uris_give_no_rights),
        cmocka_unit_test(limits_of_patterns_hold),
        cmocka_unit_test(a_nul_hides_nothing),
        cmocka_unit_test(broken_names_give_no_rights),
        cmocka_unit_test(a_host_has_exactly_one_plain_name),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(what_would_not_be_read_is_not_written),
        cmocka_unit_test(names_match_as_in_the_store),
        cmocka_unit_test(without_patterns_all_match_and_without_a_role_none),
        cmocka_unit_test(a_hostile_pattern_costs_little),
        cmocka_unit_test(a_list_speaks_for_certificates_that_say_nothing),
        cmocka_unit_test(a_doubtful_list_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
