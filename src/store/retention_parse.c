/* SPDX-License-Identifier: Apache-2.0 */
/* From the policy's text to its rules. A policy is judged as a whole: what cannot have been meant is refused. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "store/retention_rules.h"

/* A policy nests no deeper than a mapping of lists of mappings. What does costs libyaml time. */
#define DEPTH_MAX 8
#define PATTERN_MAX 255
#define RULES_MAX 1000
#define SECOND_NS 1000000000LL
#define YEARS_MAX 200 /* 64 bits of ns hold 292 */

enum value_kind { VALUE_PATTERN, VALUE_DURATION, VALUE_COUNT, VALUE_SIZE };

struct key {
    const char *name;
    enum value_kind kind;
    size_t offset; /* of the member, of int64_t, uint64_t or char * */
};

#define MEMBER(member) offsetof(struct retention_rule, member)

/* clang-format off */
#define KEEP_KEYS                                                                                  \
    {"all", VALUE_DURATION, MEMBER(keep.within[KEEP_ALL])},                                        \
    {"hourly", VALUE_DURATION, MEMBER(keep.within[KEEP_HOURLY])},                                  \
    {"daily", VALUE_DURATION, MEMBER(keep.within[KEEP_DAILY])},                                    \
    {"weekly", VALUE_DURATION, MEMBER(keep.within[KEEP_WEEKLY])},                                  \
    {"monthly", VALUE_DURATION, MEMBER(keep.within[KEEP_MONTHLY])},                                \
    {"last", VALUE_COUNT, MEMBER(keep.last)}
#define KEEP_WORDS "'all', 'hourly', 'daily', 'weekly', 'monthly' or 'last'"

/* Which keys each section takes: what its pattern is called, then what a rule must have one of. */
static const struct {
    const char *name;
    const char *words;
    struct key keys[8]; /* ended by one without a name */
} sections[SECTIONS] = {
    [SECTION_HISTORY] = {"history", KEEP_WORDS,
                         {{"sessions", VALUE_PATTERN, MEMBER(pattern)}, KEEP_KEYS}},
    [SECTION_IDLE] = {"idle", "'after'",
                      {{"sessions", VALUE_PATTERN, MEMBER(pattern)},
                       {"after", VALUE_DURATION, MEMBER(age)}}},
    [SECTION_TRASH] = {"trash", "'keep'",
                       {{"sessions", VALUE_PATTERN, MEMBER(pattern)},
                        {"keep", VALUE_DURATION, MEMBER(age)}}},
    [SECTION_RESCUE] = {"rescue", "'keep'",
                        {{"sessions", VALUE_PATTERN, MEMBER(pattern)},
                         {"keep", VALUE_DURATION, MEMBER(age)}}},
    [SECTION_SNAPSHOTS] = {"snapshots", KEEP_WORDS,
                           {{"names", VALUE_PATTERN, MEMBER(pattern)}, KEEP_KEYS}},
    [SECTION_LIMITS] = {"limits", "'size'",
                        {{"sessions", VALUE_PATTERN, MEMBER(pattern)},
                         {"size", VALUE_SIZE, MEMBER(bytes)}}},
};
/* clang-format on */

/* A document that is being read. */
struct reader {
    yaml_document_t *document;
    struct retention *policy;
    struct hf_error *err;
};

static int complain(const struct reader *reader, const yaml_node_t *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(const struct reader *reader, const yaml_node_t *node, const char *format, ...)
{
    char what[400];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return hf_fail(reader->err, HF_CONFIG, "line %zu, column %zu of the policy: %s",
                   node ? node->start_mark.line + 1 : 1, node ? node->start_mark.column + 1 : 1,
                   what);
}

static yaml_node_t *node_at(const struct reader *reader, int index)
{
    return yaml_document_get_node(reader->document, index);
}

/* The text of a scalar; NULL for anything else, and for one with a NUL in it. */
static const char *scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE ||
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
        return NULL;
    return (const char *)node->data.scalar.value;
}

/* --- values ----------------------------------------------------------------------------------------- */

static const struct unit {
    const char *name;
    uint64_t factor;
} time_units[] = {{"s", 1},         {"min", 60},          {"h", 3600},
                  {"d", 24 * 3600}, {"w", 7 * 24 * 3600}, {"y", 365 * 24 * 3600},
                  {NULL, 0}},
  size_units[] = {{"", 1},
                  {"K", 1ULL << 10},
                  {"M", 1ULL << 20},
                  {"G", 1ULL << 30},
                  {"T", 1ULL << 40},
                  {"KiB", 1ULL << 10},
                  {"MiB", 1ULL << 20},
                  {"GiB", 1ULL << 30},
                  {"TiB", 1ULL << 40},
                  {NULL, 0}};

/* A whole number, not 0, and one of the units (NULL: none): how many of the smallest, at most `max`. */
static bool read_amount(const char *text, const struct unit *units, uint64_t max, uint64_t *ret_n)
{
    unsigned long long n;
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno != 0 || n == 0)
        return false;
    while (*end == ' ')
        end++;
    for (; units && units->name && strcmp(units->name, end) != 0; units++)
        ;
    if (units ? !units->name : *end != '\0')
        return false;
    if (units && n > max / units->factor)
        return false;
    *ret_n = units ? n * units->factor : n;
    return *ret_n <= max;
}

static int read_duration(const struct reader *reader, const yaml_node_t *node, const char *text,
                         int64_t *ret_ns)
{
    const uint64_t max = YEARS_MAX * 365ULL * 24 * 3600;
    uint64_t seconds;

    if (strcmp(text, "forever") == 0) {
        *ret_ns = KEEP_FOREVER;
        return HF_OK;
    }
    if (text[0] != '\0' && text[strlen(text) - 1] == 'm')
        return complain(reader, node,
                        "'%.40s' may be minutes or months; write 'min', or days as in '30d'", text);
    if (!read_amount(text, time_units, max, &seconds))
        return complain(reader, node,
                        "'%.40s' is no time; one looks like 12h, 30d, 4w or 1y (up to %dy), or is "
                        "'forever'",
                        text, YEARS_MAX);
    *ret_ns = (int64_t)seconds * SECOND_NS;
    return HF_OK;
}

static int read_size(const struct reader *reader, const yaml_node_t *node, const char *text,
                     uint64_t *ret_bytes)
{
    if (!read_amount(text, size_units, INT64_MAX, ret_bytes))
        return complain(reader, node, "'%.40s' is no size; one looks like 512M, 20G or 1T", text);
    return HF_OK;
}

static int read_count(const struct reader *reader, const yaml_node_t *node, const char *text,
                      uint64_t *ret_n)
{
    if (!read_amount(text, NULL, UINT32_MAX, ret_n))
        return complain(reader, node, "'%.40s' is no number of versions or snapshots", text);
    return HF_OK;
}

static int read_pattern(const struct reader *reader, const yaml_node_t *node, const char *text,
                        char **ret_pattern)
{
    size_t len = strlen(text);

    if (len == 0 || len > PATTERN_MAX || strchr(text, '/'))
        return complain(reader, node,
                        "a pattern has 1 to %d characters without '/'; '*' is for every name",
                        PATTERN_MAX);
    *ret_pattern = strdup(text);
    return *ret_pattern ? HF_OK : hf_fail(reader->err, HF_NOMEM, "out of memory");
}

/* --- rules ------------------------------------------------------------------------------------------ */

static bool is_set(const struct retention_rule *rule, const struct key *key)
{
    const uint8_t *member = (const uint8_t *)rule + key->offset;
    uint64_t value;

    if (key->kind == VALUE_PATTERN)
        return rule->pattern != NULL;
    memcpy(&value, member, sizeof value);
    return value != 0;
}

static int read_value(const struct reader *reader, const struct key *key, const yaml_node_t *node,
                      struct retention_rule *rule)
{
    void *member = (uint8_t *)rule + key->offset;
    const char *text = scalar(node);

    if (!text)
        return complain(reader, node, "'%s' takes one plain value", key->name);
    switch (key->kind) {
    case VALUE_PATTERN:
        return read_pattern(reader, node, text, member);
    case VALUE_DURATION:
        return read_duration(reader, node, text, member);
    case VALUE_COUNT:
        return read_count(reader, node, text, member);
    default:
        return read_size(reader, node, text, member);
    }
}

static int read_pair(const struct reader *reader, enum retention_section section,
                     const yaml_node_pair_t *pair, struct retention_rule *rule)
{
    const yaml_node_t *key_node = node_at(reader, pair->key);
    const char *name = scalar(key_node);
    const struct key *key = sections[section].keys;

    while (key->name && (!name || strcmp(key->name, name) != 0))
        key++;
    if (!key->name)
        return complain(reader, key_node, "expected '%s', %s, not '%.40s'",
                        sections[section].keys[0].name, sections[section].words,
                        name ? name : "this");
    if (is_set(rule, key))
        return complain(reader, key_node, "'%s' stands there twice", name);
    return read_value(reader, key, node_at(reader, pair->value), rule);
}

/* A coarser period that does not reach further than a finer one would never keep anything. */
static int check_periods(const struct reader *reader, const yaml_node_t *node,
                         const struct keep_rule *keep)
{
    enum keep_period finer = KEEP_PERIODS;

    for (enum keep_period period = KEEP_ALL; period < KEEP_PERIODS; period++) {
        if (keep->within[period] == 0)
            continue;
        if (finer != KEEP_PERIODS && keep->within[period] <= keep->within[finer])
            return complain(reader, node,
                            "'%s' reaches no further back than '%s', and would keep nothing more; "
                            "make it longer, or leave it out",
                            keep_period_name(period), keep_period_name(finer));
        finer = period;
    }
    return HF_OK;
}

static bool is_shadowed(const struct retention_rule *by, const struct retention_rule *rule)
{
    return strcmp(by->pattern, "*") == 0 || strcmp(by->pattern, rule->pattern) == 0;
}

static int check_rule(const struct reader *reader, enum retention_section section,
                      const yaml_node_t *node, const struct retention_rule *rule)
{
    const struct retention_rules *others = &reader->policy->sections[section];
    const struct key *key = &sections[section].keys[1];

    while (key->name && !is_set(rule, key))
        key++;
    if (!key->name)
        return complain(reader, node,
                        "a rule without %s says nothing; give it one, or leave it out",
                        sections[section].words);
    for (size_t i = 0; i < others->count; i++)
        if (is_shadowed(&others->rules[i], rule))
            return complain(reader, node,
                            "this rule is never asked, as that of line %zu is for all that '%s' "
                            "matches; put it before that one, or leave it out",
                            others->rules[i].line, rule->pattern);
    return check_periods(reader, node, &rule->keep);
}

static int add_rule(const struct reader *reader, enum retention_section section,
                    struct retention_rule *rule)
{
    struct retention_rules *list = &reader->policy->sections[section];
    struct retention_rule *grown = reallocarray(list->rules, list->count + 1, sizeof *grown);

    if (!grown)
        return hf_fail(reader->err, HF_NOMEM, "out of memory");
    list->rules = grown;
    list->rules[list->count++] = *rule;
    return HF_OK;
}

static int read_rule(const struct reader *reader, enum retention_section section,
                     const yaml_node_t *node)
{
    struct retention_rule rule = {.line = node->start_mark.line + 1};
    int rc = HF_OK;

    if (node->type != YAML_MAPPING_NODE)
        return complain(reader, node, "a rule of '%s' is a mapping of '%s' and %s",
                        sections[section].name, sections[section].keys[0].name,
                        sections[section].words);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         rc == HF_OK && pair < node->data.mapping.pairs.top; pair++)
        rc = read_pair(reader, section, pair, &rule);
    if (rc == HF_OK && !rule.pattern && !(rule.pattern = strdup("*")))
        rc = hf_fail(reader->err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = check_rule(reader, section, node, &rule);
    if (rc == HF_OK)
        rc = add_rule(reader, section, &rule);
    if (rc != HF_OK)
        free(rule.pattern);
    return rc;
}

/* --- sections --------------------------------------------------------------------------------------- */

static int read_section(const struct reader *reader, enum retention_section section,
                        const yaml_node_t *node)
{
    int rc = HF_OK;

    if (node->type != YAML_SEQUENCE_NODE)
        return complain(reader, node, "'%s' is a list of rules, each after a '-'",
                        sections[section].name);
    if (node->data.sequence.items.top - node->data.sequence.items.start > RULES_MAX)
        return complain(reader, node, "'%s' has more than %d rules", sections[section].name,
                        RULES_MAX);
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         rc == HF_OK && item < node->data.sequence.items.top; item++)
        rc = read_rule(reader, section, node_at(reader, *item));
    return rc;
}

static int read_store_limit(const struct reader *reader, const yaml_node_t *key,
                            const yaml_node_t *value)
{
    if (reader->policy->store_limit != 0)
        return complain(reader, key, "'store_limit' stands there twice");
    if (!scalar(value))
        return complain(reader, value, "'store_limit' is a size, as 200G");
    return read_size(reader, value, scalar(value), &reader->policy->store_limit);
}

static int read_top(const struct reader *reader, const yaml_node_pair_t *pair, unsigned *seen)
{
    const yaml_node_t *key = node_at(reader, pair->key), *value = node_at(reader, pair->value);
    const char *name = scalar(key);

    if (name && strcmp(name, "store_limit") == 0)
        return read_store_limit(reader, key, value);
    for (enum retention_section section = 0; name && section < SECTIONS; section++) {
        if (strcmp(name, sections[section].name) != 0)
            continue;
        if (*seen & 1U << section)
            return complain(reader, key, "'%s' stands there twice", name);
        *seen |= 1U << section;
        return read_section(reader, section, value);
    }
    return complain(reader, key,
                    "expected 'history', 'idle', 'trash', 'rescue', 'snapshots', 'limits' or "
                    "'store_limit', not '%.40s'",
                    name ? name : "this");
}

static int read_policy(const struct reader *reader)
{
    const yaml_node_t *root = yaml_document_get_root_node(reader->document);
    unsigned seen = 0;
    int rc = HF_OK;

    if (!root)
        return hf_fail(reader->err, HF_CONFIG,
                       "the policy is empty; write {} for one by which nothing ever goes");
    if (root->type != YAML_MAPPING_NODE)
        return complain(reader, root, "a policy is a mapping of sections, as in 'history:'");
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         rc == HF_OK && pair < root->data.mapping.pairs.top; pair++)
        rc = read_top(reader, pair, &seen);
    return rc;
}

/* --- YAML ------------------------------------------------------------------------------------------- */

static int complain_yaml(const yaml_parser_t *parser, struct hf_error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return hf_fail(err, HF_CONFIG, "line %zu, column %zu of the policy: this is not YAML: %s",
                   parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                   parser->problem ? parser->problem : "it cannot be read");
}

static int start_parser(yaml_parser_t *parser, struct slice text, struct hf_error *err)
{
    if (!yaml_parser_initialize(parser))
        return hf_fail(err, HF_NOMEM, "out of memory");
    yaml_parser_set_input_string(parser, text.len > 0 ? text.data : (const uint8_t *)"", text.len);
    return HF_OK;
}

static bool opens(yaml_event_type_t type)
{
    return type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
}

static bool closes(yaml_event_type_t type)
{
    return type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
}

/* Goes through the events: depth and number of documents must be those of a policy. */
static int check_events(yaml_parser_t *parser, struct hf_error *err)
{
    int depth = 0, documents = 0;
    yaml_event_type_t type;
    yaml_event_t event;

    do {
        if (!yaml_parser_parse(parser, &event))
            return complain_yaml(parser, err);
        type = event.type;
        yaml_event_delete(&event);
        depth += opens(type) - closes(type);
        documents += type == YAML_DOCUMENT_START_EVENT;
        if (depth > DEPTH_MAX)
            return hf_fail(err, HF_CONFIG, "line %zu of the policy: this nests too deep for one",
                           parser->mark.line + 1);
        if (documents > 1)
            return hf_fail(err, HF_CONFIG,
                           "line %zu of the policy: a second document begins; a policy is one",
                           parser->mark.line + 1);
    } while (type != YAML_STREAM_END_EVENT);
    return HF_OK;
}

/* Before a document is made of it, which takes long for some. */
static int check_shape(struct slice text, struct hf_error *err)
{
    yaml_parser_t parser;
    int rc = start_parser(&parser, text, err);

    if (rc != HF_OK)
        return rc;
    rc = check_events(&parser, err);
    yaml_parser_delete(&parser);
    return rc;
}

static int read_text(struct slice text, struct retention *policy, struct hf_error *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct reader reader = {.document = &document, .policy = policy, .err = err};
    int rc = start_parser(&parser, text, err);

    if (rc != HF_OK)
        return rc;
    if (yaml_parser_load(&parser, &document)) {
        rc = read_policy(&reader);
        yaml_document_delete(&document);
    } else {
        rc = complain_yaml(&parser, err);
    }
    yaml_parser_delete(&parser);
    return rc;
}

int retention_parse(struct slice text, struct retention **ret_policy, struct hf_error *err)
{
    struct retention *policy;
    int rc;

    if (text.len > SETTING_MAX)
        return hf_fail(err, HF_CONFIG, "a policy may have %d bytes, and this has %zu", SETTING_MAX,
                       text.len);
    rc = check_shape(text, err);
    if (rc != HF_OK)
        return rc;
    policy = calloc(1, sizeof *policy);
    if (!policy)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = read_text(text, policy, err);
    if (rc != HF_OK) {
        retention_free(policy);
        return rc;
    }
    *ret_policy = policy;
    return HF_OK;
}
