/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/principal_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "base/htable.h"
#include "wire/rights.h"

#define LIST_MAX (4 << 20) /* bytes of the list's file */

/* What the list says of one name. */
struct entry {
    struct hnode node;
    struct principal rights; /* name, role, tenant, globs */
};

struct principal_list {
    struct htable entries;
};

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0;

    for (; *name; name++)
        hash = htable_hash_u64(hash + (unsigned char)*name + 1);
    return hash;
}

static const struct entry *find(const struct principal_list *list, const char *name)
{
    struct hnode *node = htable_find(&list->entries, hash_name(name));

    for (; node; node = htable_next(node)) {
        const struct entry *entry = HTABLE_ENTRY(node, struct entry, node);
        if (strcmp(entry->rights.name, name) == 0)
            return entry;
    }
    return NULL;
}

int principal_list_ask(const struct principal_list *list, struct principal *principal,
                       struct hf_error *err)
{
    const struct entry *entry = list ? find(list, principal->name) : NULL;
    int status = 0;

    if (!entry)
        return hf_fail(err, HF_ACCESS, "its certificate does not say what '%s' may do, and %s",
                       principal->name,
                       list ? "the list of rights has no such host" : "there is no list of rights");
    principal->role = entry->rights.role;
    rights_set_tenant(principal, entry->rights.tenant);
    for (size_t i = 0; !status && i < entry->rights.nglobs; i++)
        status = rights_add_glob(principal, entry->rights.globs[i], err);
    return status;
}

static void free_entry(struct hnode *node, void *arg)
{
    struct entry *entry = HTABLE_ENTRY(node, struct entry, node);

    (void)arg;
    principal_release(&entry->rights);
    free(entry);
}

void principal_list_free(struct principal_list *list)
{
    if (!list)
        return;
    htable_each(&list->entries, free_entry, NULL);
    htable_free(&list->entries);
    free(list);
}

/* --- reading it ------------------------------------------------------------------------------------------ */

/* A document of YAML that is being read: for the sentences. */
struct reader {
    const char *path;
    yaml_document_t *document;
    struct hf_error *err;
};

static int complain(const struct reader *reader, const yaml_node_t *node, const char *what)
{
    return hf_fail(reader->err, HF_CONFIG, "%s, line %zu: %s", reader->path,
                   node ? node->start_mark.line + 1 : 1, what);
}

/* The text of a scalar; NULL for anything else, and for one with a NUL in it. */
static const char *scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE ||
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
        return NULL;
    return (const char *)node->data.scalar.value;
}

/* Turns a rule's own sentence into one that says where. */
static int judged(const struct reader *reader, const yaml_node_t *node, int status,
                  const struct hf_error *rule)
{
    if (status == HF_INVAL)
        return complain(reader, node, rule->message);
    return status ? hf_fail(reader->err, status, "%s", rule->message) : 0;
}

static int read_globs(const struct reader *reader, yaml_node_t *node, struct principal *rights)
{
    struct hf_error rule;
    int status = 0;

    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top)
        return complain(reader, node,
                        "'sessions' is a list of patterns; leave it out for all sessions");
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         !status && item < node->data.sequence.items.top; item++) {
        yaml_node_t *glob = yaml_document_get_node(reader->document, *item);
        if (!scalar(glob))
            return complain(reader, glob, "a pattern of session names is a string");
        status = judged(reader, glob, rights_add_glob(rights, scalar(glob), &rule), &rule);
    }
    return status;
}

static int read_right(const struct reader *reader, yaml_node_t *key, yaml_node_t *value,
                      struct principal *rights)
{
    const char *name = scalar(key), *text = scalar(value);
    struct hf_error rule;
    int status;

    if (name && strcmp(name, "sessions") == 0)
        return rights->nglobs ? complain(reader, key, "'sessions' stands there twice")
                              : read_globs(reader, value, rights);
    if (!name || !text || (strcmp(name, "role") != 0 && strcmp(name, "tenant") != 0))
        return complain(reader, key, "expected 'role', 'tenant' or 'sessions'");
    if (strcmp(name, "role") == 0) {
        if (rights->role != ROLE_NONE)
            return complain(reader, key, "'role' stands there twice");
        rights->role = role_parse(text);
        return rights->role == ROLE_NONE
                   ? complain(reader, value, "a role is agent, reader or admin")
                   : 0;
    }
    if (rights->tenant[0])
        return complain(reader, key, "'tenant' stands there twice");
    status = judged(reader, value, rights_check_tenant(text, &rule), &rule);
    if (!status)
        rights_set_tenant(rights, text);
    return status;
}

static int read_rights(const struct reader *reader, yaml_node_t *node, struct principal *rights)
{
    struct hf_error rule;
    int status = 0;

    if (node->type != YAML_MAPPING_NODE)
        return complain(reader, node, "expected a mapping of 'role', 'tenant' and 'sessions'");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         !status && pair < node->data.mapping.pairs.top; pair++)
        status = read_right(reader, yaml_document_get_node(reader->document, pair->key),
                            yaml_document_get_node(reader->document, pair->value), rights);
    if (!status)
        status = judged(reader, node, rights_check(rights, &rule), &rule);
    if (!status && !rights->tenant[0])
        rights_set_tenant(rights, PRINCIPAL_DEFAULT_TENANT);
    return status;
}

static int read_entry(const struct reader *reader, yaml_node_pair_t *pair,
                      struct principal_list *list)
{
    yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
    const char *name = scalar(key);
    struct entry *entry;
    int status;

    if (!name || strlen(name) >= sizeof entry->rights.name || !rights_is_name(name, strlen(name)))
        return complain(reader, key, "the name (CN) of a host is too long or no text");
    if (find(list, name))
        return complain(reader, key, "this host stands there twice");
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return hf_fail(reader->err, HF_NOMEM, "out of memory");
    snprintf(entry->rights.name, sizeof entry->rights.name, "%s", name);
    status =
        read_rights(reader, yaml_document_get_node(reader->document, pair->value), &entry->rights);
    if (!status && htable_insert(&list->entries, &entry->node, hash_name(name)) != 0)
        status = hf_fail(reader->err, HF_NOMEM, "out of memory");
    if (status)
        free_entry(&entry->node, NULL);
    return status;
}

static int read_document(const struct reader *reader, struct principal_list *list)
{
    yaml_node_t *root = yaml_document_get_root_node(reader->document);
    int status = 0;

    if (!root) /* an empty file: nobody may do anything */
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return complain(reader, root, "expected a mapping from names of hosts to their rights");
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         !status && pair < root->data.mapping.pairs.top; pair++)
        status = read_entry(reader, pair, list);
    return status;
}

static int parse(FILE *file, const char *path, struct principal_list *list, struct hf_error *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct reader reader = {.path = path, .document = &document, .err = err};
    int status;

    if (!yaml_parser_initialize(&parser))
        return hf_fail(err, HF_NOMEM, "out of memory");
    yaml_parser_set_input_file(&parser, file);
    if (yaml_parser_load(&parser, &document)) {
        status = read_document(&reader, list);
        yaml_document_delete(&document);
    } else {
        status = hf_fail(err, HF_CONFIG, "%s, line %zu: %s", path, parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    return status;
}

static int check_file(FILE *file, const char *path, struct hf_error *err)
{
    struct stat st;

    if (fstat(fileno(file), &st) != 0)
        return hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > LIST_MAX)
        return hf_fail(err, HF_CONFIG, "%s is no file, or too large for a list of rights", path);
    if (st.st_mode & S_IWOTH)
        return hf_fail(err, HF_CONFIG, "%s can be written by everybody (mode %04o)", path,
                       st.st_mode & 07777u);
    return 0;
}

int principal_list_load(const char *path, struct principal_list **ret_list, struct hf_error *err)
{
    struct principal_list *list = calloc(1, sizeof *list);
    FILE *file = list ? fopen(path, "re") : NULL;
    int status;

    if (!list)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!file) {
        status = hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    } else {
        status = check_file(file, path, err);
        if (!status)
            status = parse(file, path, list, err);
        fclose(file);
    }
    if (status)
        principal_list_free(list);
    else
        *ret_list = list;
    return status;
}
