/* SPDX-License-Identifier: Apache-2.0 */
#include "secrets.h"

#include <string.h>

#include "holdfast/error.h"

/* --- what they look like ---------------------------------------------------------------------------- */

enum alphabet {
    ALNUM = 1,      /* A-Z a-z 0-9 */
    UPPER = 2,      /* A-Z 0-9 */
    WORD = 3,       /* ALNUM _ */
    BASE64URL = 4,  /* ALNUM _ - */
    CREDENTIAL = 5, /* BASE64URL . + / = ~ : */
};

/* A known beginning, and then so many bytes of an alphabet. */
struct token_rule {
    const char *kind;
    const char *prefix;
    enum alphabet alphabet;
    size_t least;
};

static const struct token_rule token_rules[] = {
    {"a GitHub token", "ghp_", ALNUM, 30},       {"a GitHub token", "gho_", ALNUM, 30},
    {"a GitHub token", "ghu_", ALNUM, 30},       {"a GitHub token", "ghs_", ALNUM, 30},
    {"a GitHub token", "ghr_", ALNUM, 30},       {"a GitHub token", "github_pat_", WORD, 22},
    {"a GitLab token", "glpat-", BASE64URL, 20}, {"an AWS access key", "AKIA", UPPER, 16},
    {"an AWS access key", "ASIA", UPPER, 16},    {"a Slack token", "xoxa-", BASE64URL, 10},
    {"a Slack token", "xoxb-", BASE64URL, 10},   {"a Slack token", "xoxp-", BASE64URL, 10},
    {"a Slack token", "xoxr-", BASE64URL, 10},   {"a Slack token", "xoxs-", BASE64URL, 10},
    {"an npm token", "npm_", ALNUM, 36},         {"a PyPI token", "pypi-", BASE64URL, 50},
    {"a Google API key", "AIza", BASE64URL, 35}, {"an API key", "sk-", BASE64URL, 20},
    {"a Stripe key", "sk_live_", ALNUM, 20},     {"a Stripe key", "rk_live_", ALNUM, 20},
};

/* Names that stand before a secret in assignments, headers and JSON. */
static const char *const secret_names[] = {
    "api_key",       "api-key",       "apikey",     "access_token", "auth_token", "refresh_token",
    "client_secret", "private_token", "secret_key", "secret",       "password",   "passwd",
};

#define AUTHORIZATION "authorization"
#define SECRET_LEAST 8
#define KEY_BEGIN "-----BEGIN "
#define KEY_END "PRIVATE KEY-----"
#define KEY_LABEL_MAX 32

struct match {
    const char *kind;
    size_t start, end; /* of what is secret */
};

/* What is looked at: one byte before `at` may be there. */
struct look {
    const uint8_t *data;
    size_t len, at;
};

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_one_of(uint8_t c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

static bool is_in(enum alphabet alphabet, uint8_t c)
{
    switch (alphabet) {
    case ALNUM:
        return is_alnum(c);
    case UPPER:
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
    case WORD:
        return is_alnum(c) || c == '_';
    case BASE64URL:
        return is_alnum(c) || c == '_' || c == '-';
    case CREDENTIAL:
        return is_alnum(c) || is_one_of(c, "_-.+/=~:");
    }
    return false;
}

static size_t span(const struct look *look, size_t from, enum alphabet alphabet)
{
    size_t end = from;

    while (end < look->len && is_in(alphabet, look->data[end]))
        end++;
    return end - from;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* Whether `text` (in lower case) stands at `from`, in whatever case. */
static bool reads(const struct look *look, size_t from, const char *text)
{
    size_t len = strlen(text);

    if (look->len - from < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(look->data[from + i]) != (uint8_t)text[i])
            return false;
    return true;
}

/* Past blanks, quotes, and the backslashes that a quote in a JSON string has. */
static size_t skip_quotes(const struct look *look, size_t at)
{
    while (at < look->len && is_one_of(look->data[at], " \t\"'\\"))
        at++;
    return at;
}

/* Past what stands between a name and its value; 0: it is no assignment. */
static size_t skip_assignment(const struct look *look, size_t at)
{
    at = skip_quotes(look, at);
    if (at >= look->len || (look->data[at] != ':' && look->data[at] != '='))
        return 0;
    return skip_quotes(look, at + 1);
}

static bool find_token(const struct look *look, struct match *ret_match)
{
    for (size_t i = 0; i < sizeof token_rules / sizeof token_rules[0]; i++) {
        const struct token_rule *rule = &token_rules[i];
        size_t prefix = strlen(rule->prefix), rest;

        if (look->len - look->at < prefix ||
            memcmp(look->data + look->at, rule->prefix, prefix) != 0)
            continue;
        rest = span(look, look->at + prefix, rule->alphabet);
        if (rest < rule->least)
            continue;
        *ret_match = (struct match){rule->kind, look->at, look->at + prefix + rest};
        return true;
    }
    return false;
}

/* Three parts of base64url, of which two are JSON objects. */
static bool find_web_token(const struct look *look, struct match *ret_match)
{
    size_t at = look->at;

    for (int part = 0; part < 3; part++) {
        size_t len;

        if (part < 2 && !(look->len - at > 3 && memcmp(look->data + at, "eyJ", 3) == 0))
            return false;
        len = span(look, at, BASE64URL);
        if (len < SECRET_LEAST)
            return false;
        at += len;
        if (part < 2 && (at >= look->len || look->data[at++] != '.'))
            return false;
    }
    *ret_match = (struct match){"a JSON web token", look->at, at};
    return true;
}

/* From the line that begins a private key to the one that ends it, or as far as can be seen. */
static bool find_private_key(const struct look *look, struct match *ret_match)
{
    size_t begin = sizeof KEY_BEGIN - 1, label = look->at + begin, end;

    if (look->len - look->at < begin || memcmp(look->data + look->at, KEY_BEGIN, begin) != 0)
        return false;
    end = look->len - label < KEY_LABEL_MAX ? look->len : label + KEY_LABEL_MAX;
    if (!memmem(look->data + label, end - label, KEY_END, sizeof KEY_END - 1))
        return false;
    end = look->len - look->at < SECRETS_MAX ? look->len : look->at + SECRETS_MAX;
    for (size_t at = label; at + 9 <= end; at++) {
        const uint8_t *last;

        if (memcmp(look->data + at, "-----END ", 9) != 0)
            continue;
        last = memmem(look->data + at, end - at, KEY_END, sizeof KEY_END - 1);
        if (last)
            end = (size_t)(last - look->data) + sizeof KEY_END - 1;
        break;
    }
    *ret_match = (struct match){"a private key", look->at, end};
    return true;
}

static bool find_authorization(const struct look *look, struct match *ret_match)
{
    static const char *const schemes[] = {"bearer ", "basic ", "token "};
    size_t at, len;

    if (!reads(look, look->at, AUTHORIZATION))
        return false;
    at = skip_assignment(look, look->at + sizeof AUTHORIZATION - 1);
    if (at == 0)
        return false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (reads(look, at, schemes[i]))
            at = skip_quotes(look, at + strlen(schemes[i]));
    len = span(look, at, CREDENTIAL);
    *ret_match = (struct match){"an authorization header", at, at + len};
    return len >= SECRET_LEAST;
}

/* What is assigned must be quoted, or look random: "password: string" in a schema is no secret. */
static bool is_random(const struct look *look, size_t at, size_t len)
{
    bool digit = false, letter = false;

    for (size_t i = at; i < at + len; i++) {
        digit |= look->data[i] >= '0' && look->data[i] <= '9';
        letter |= lower(look->data[i]) >= 'a' && lower(look->data[i]) <= 'z';
    }
    return digit && letter;
}

static bool find_assignment(const struct look *look, struct match *ret_match)
{
    for (size_t i = 0; i < sizeof secret_names / sizeof secret_names[0]; i++) {
        size_t at, len;

        if (!reads(look, look->at, secret_names[i]))
            continue;
        at = skip_assignment(look, look->at + strlen(secret_names[i]));
        len = at ? span(look, at, CREDENTIAL) : 0;
        if (len < SECRET_LEAST || !is_random(look, at, len))
            continue;
        *ret_match = (struct match){"a secret in an assignment", at, at + len};
        return true;
    }
    return false;
}

/* scheme://user:password@host */
static bool find_url_password(const struct look *look, struct match *ret_match)
{
    size_t at = look->at + 3, user, len;

    if (look->len - look->at < 6 || memcmp(look->data + look->at, "://", 3) != 0)
        return false;
    user = 0;
    while (at + user < look->len &&
           (is_in(BASE64URL, look->data[at + user]) || is_one_of(look->data[at + user], ".%+")))
        user++;
    at += user;
    if (user == 0 || at >= look->len || look->data[at] != ':')
        return false;
    at++;
    for (len = 0; at + len < look->len && len < 256; len++)
        if (look->data[at + len] <= ' ' || strchr("/@\"'\\<>", look->data[at + len]))
            break;
    if (len == 0 || at + len >= look->len || look->data[at + len] != '@')
        return false;
    *ret_match = (struct match){"a password in a URL", at, at + len};
    return true;
}

/* Whether one begins at look->at. */
static bool find_here(const struct look *look, struct match *ret_match)
{
    uint8_t c = lower(look->data[look->at]);

    if (c == '-')
        return find_private_key(look, ret_match);
    if (c == ':')
        return find_url_password(look, ret_match);
    if (!is_one_of(c, "gaxnpserc"))
        return false;
    if (look->at > 0 && is_alnum(look->data[look->at - 1]))
        return false;
    return find_token(look, ret_match) || (c == 'e' && find_web_token(look, ret_match)) ||
           (c == 'a' && find_authorization(look, ret_match)) || find_assignment(look, ret_match);
}

/* --- the stream --------------------------------------------------------------------------------------- */

static int pass_on(const struct secrets *secrets, size_t from, size_t to, struct buf *out)
{
    return out && to > from ? buf_append(out, secrets->pending.data + from, to - from) : HF_OK;
}

static int pass_match(const struct secrets *secrets, const struct match *match, size_t from,
                      struct buf *out)
{
    int rc = pass_on(secrets, from, match->start, out);

    if (secrets->visit)
        secrets->visit(match->kind, secrets->offset + match->start - secrets->known, secrets->arg);
    if (rc != HF_OK || !out)
        return rc;
    if (secrets->redact)
        return buf_append(out, SECRETS_REDACTED, sizeof SECRETS_REDACTED - 1);
    return pass_on(secrets, match->start, match->end, out);
}

/* Forgets all of `pending` before `done` but the last byte, which what follows may have to be seen beside. */
static void forget(struct secrets *secrets, size_t done)
{
    size_t keep = done > 0 ? 1 : 0;
    struct buf *pending = &secrets->pending;

    secrets->offset += done - secrets->known;
    memmove(pending->data, pending->data + done - keep, pending->len - done + keep);
    pending->len -= done - keep;
    secrets->known = keep;
}

int secrets_pass(struct secrets *secrets, struct slice bytes, bool last, struct buf *out)
{
    struct look look;
    size_t limit, passed = secrets->known;
    int rc = bytes.len ? buf_append(&secrets->pending, bytes.data, bytes.len) : HF_OK;

    if (rc != HF_OK || (!last && secrets->pending.len < 4 * SECRETS_MAX))
        return rc;
    look = (struct look){secrets->pending.data, secrets->pending.len, secrets->known};
    /* What begins later may be longer than what can be seen of it. */
    limit = last ? look.len : look.len - 2 * SECRETS_MAX;
    while (look.at < limit && rc == HF_OK) {
        struct match match;

        if (!find_here(&look, &match)) {
            look.at++;
            continue;
        }
        rc = pass_match(secrets, &match, passed, out);
        look.at = passed = match.end;
    }
    if (rc == HF_OK)
        rc = pass_on(secrets, passed, look.at, out);
    if (rc == HF_OK && look.len > 0)
        forget(secrets, look.at);
    return rc;
}

void secrets_free(struct secrets *secrets)
{
    buf_free(&secrets->pending);
}
