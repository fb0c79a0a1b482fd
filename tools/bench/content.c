/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/content.h"

#include <string.h>

#define EVENT_MIN 200
#define EVENT_MAX 2400
#define WORD_MAX 12 /* bytes; copied whole, however long the word is */
#define WORDS 128
/* A step of the text: a piece of the pool, and words of its own. */
#define PHRASE_MIN 24
#define PHRASE_MAX 64
#define STEP_WORDS 3
#define STEP_MAX (PHRASE_MAX + STEP_WORDS * WORD_MAX)
#define HEX_GROUP 12

/* Blank-separated, so that each is a match of its own for a compressor. */
static const char words[WORDS][WORD_MAX + 1] = {
    "the ",      "function ", "returns ", "a ",       "session ", "file ",     "is ",
    "not ",      "and ",      "error ",   "line ",    "test ",    "of ",       "to ",
    "should ",   "be ",       "changed ", "value ",   "with ",    "directory", "request ",
    "response ", "build ",    "failed ",  "passed ",  "in ",      "const ",    "return ",
    "if (",      ") { ",      "} ",       "    ",     "int ",     "static ",   "void ",
    "struct ",   "import ",   "from ",    "export ",  "async ",   "await ",    "string ",
    "number ",   "null, ",    "true, ",   "false, ",  "== ",      "=> ",       "agent ",
    "message ",  "tool ",     "call ",    "result ",  "commit ",  "branch ",   "merge ",
    "review ",   "comment ",  "module ",  "package ", "version ", "server ",   "client ",
    "timeout ",  "retry ",    "config ",  "option ",  "default ", "path ",     "name ",
    "size ",     "offset ",   "length ",  "buffer ",  "cache ",   "index ",    "table ",
    "column ",   "row ",      "query ",   "lock ",    "thread ",  "process ",  "signal ",
    "memory ",   "handle ",   "object ",  "array ",   "list ",    "map ",      "key ",
    "node ",     "tree ",     "root ",    "parent ",  "child ",   "event ",    "write ",
    "read ",     "open ",     "close ",   "append ",  "remove ",  "create ",   "update ",
    "delete ",   "check ",    "verify ",  "then ",    "when ",    "this ",     "that ",
    "it ",       "for ",      "each ",    "we ",      "now ",     "need ",     "because ",
    "before ",   "after ",    "again ",   "same ",    "other ",   "first ",    "last ",
    "next ",     "done."};

/* xorshift64* (Vigna 2016, "An experimental exploration of Marsaglia's xorshift generators, scrambled"). */
static uint64_t next(struct content *content)
{
    uint64_t x = content->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    content->state = x ? x : 1;
    return x * 0x2545f4914f6cdd1du;
}

uint64_t content_random(struct content *content, uint64_t limit)
{
    return (next(content) >> 11) % limit;
}

static uint8_t *put(uint8_t *at, const char *text)
{
    for (; *text; text++)
        *at++ = (uint8_t)*text;
    return at;
}

/* What makes each event another one. */
static uint8_t *put_hex(struct content *content, uint8_t *at)
{
    uint64_t random = next(content);

    for (size_t i = 0; i < HEX_GROUP; i++, random >>= 4)
        *at++ = (uint8_t) "0123456789abcdef"[random & 15];
    return at;
}

static uint8_t *put_words(struct content *content, uint8_t *at, size_t count)
{
    uint64_t random = next(content);

    for (size_t i = 0; i < count; i++, random >>= 8) {
        const char *word = words[random % WORDS];

        memcpy(at, word, WORD_MAX);
        at += strnlen(word, WORD_MAX);
    }
    return at;
}

static uint8_t *put_phrase(struct content *content, uint8_t *at)
{
    uint64_t random = next(content);

    memcpy(at, content->pool + (random >> 8) % (CONTENT_POOL - PHRASE_MAX), PHRASE_MAX);
    return at + PHRASE_MIN + random % (PHRASE_MAX - PHRASE_MIN);
}

static void put_text(struct content *content, uint8_t *at, const uint8_t *end)
{
    while (at + STEP_MAX <= end)
        at = put_words(content, put_phrase(content, at), STEP_WORDS);
    memset(at, '.', (size_t)(end - at));
}

void content_init(struct content *content, uint64_t seed)
{
    uint8_t *at = content->pool, *end = content->pool + CONTENT_POOL;

    content->state = seed * 0x9e3779b97f4a7c15u + 1;
    while (at + WORD_MAX <= end)
        at = put_words(content, at, 1);
    memset(at, '.', (size_t)(end - at));
}

void content_event(struct content *content, uint8_t *ret_text, size_t len)
{
    static const char *const types[] = {"user.message", "assistant.message", "tool.execution_start",
                                        "tool.execution_complete"};
    static const char tail[] = "\"}}\n";
    uint8_t *at = ret_text, *end = ret_text + len;

    if (len < EVENT_MIN) {
        put_text(content, at, end);
        if (len > 0)
            end[-1] = '\n';
        return;
    }
    at = put(at, "{\"type\":\"");
    at = put(at, types[content_random(content, sizeof types / sizeof types[0])]);
    at = put(at, "\",\"id\":\"");
    at = put_hex(content, at);
    at = put(at, "\",\"parentId\":\"");
    at = put_hex(content, at);
    at = put(at, "\",\"timestamp\":\"2026-01-31T10:00:00.000Z\",\"data\":{\"content\":\"");
    end -= sizeof tail - 1;
    put_text(content, at, end);
    (void)put(end, tail);
}

void content_fill(struct content *content, uint8_t *ret_text, size_t len)
{
    while (len > 0) {
        size_t size = EVENT_MIN + (size_t)content_random(content, EVENT_MAX - EVENT_MIN);

        if (size > len || len - size < EVENT_MIN)
            size = len;
        content_event(content, ret_text, size);
        ret_text += size;
        len -= size;
    }
}
